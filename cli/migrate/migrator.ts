import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { MigrationFailed, type MigrationReport, migrate } from '../../lambdas/migrator/migrate.ts';
import type { MigrationRequest } from '../../lambdas/migrator/request.ts';
import { rdsAuthorities } from '../../lambdas/postgres/rds-authorities.ts';
import { CliError, UsageError } from '../command.ts';
import type { Target } from '../target.ts';

/** Whatever runs migrations. */
export interface Migrator {
  /** Where they run, for people. */
  readonly place: string;
  run(request: MigrationRequest): Promise<MigrationReport>;
}

const migrationsDirectory = path.join(import.meta.dirname, '..', '..', 'migrations');

/** The migrator function of a stack. */
export function functionMigrator(target: Target): Migrator {
  return {
    place: target.local ? 'the local system' : `the stack ${target.stackName}`,
    run: (request) => target.invoke<MigrationReport>('MigratorFunction', request),
  };
}

/**
 * A direct connection from this process to the database of a URL, which no message repeats. `caFile`: PEM certificates
 * of the authority to trust. Throws `UsageError`, and `CliError` from `run`.
 */
export async function directMigrator(url: string | undefined, caFile: string | undefined): Promise<Migrator> {
  if (url === undefined || !/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new UsageError(
      `--direct needs a postgres:// URL in the environment variable DATABASE_URL; it ${url ? 'holds something else' : 'is not set'}.`,
    );
  }
  const ca = caFile === undefined ? undefined : await readCertificates(caFile);
  const { hostname, pathname } = new URL(url);
  const place = `the database ${pathname.slice(1) || 'postgres'} at ${hostname}`;
  return {
    place,
    async run(request) {
      try {
        return await migrate({ url, ca: ca ?? (await rdsAuthorities(url)) }, migrationsDirectory, request, {
          info: () => undefined,
          error: () => undefined,
        });
      } catch (error) {
        if (error instanceof MigrationFailed) throw new CliError(error.code, error.message, { cause: error });
        throw connectionFailure(place, error as Error & { code?: string });
      }
    },
  };
}

async function readCertificates(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new UsageError(`--ca cannot be read: ${error.message}.`);
  });
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new UsageError(`--ca: ${file} holds no PEM certificate (-----BEGIN CERTIFICATE-----).`);
}

function connectionFailure(place: string, error: Error & { code?: string }): CliError {
  const text = error.message || error.code || error.name;
  const hint = /does not support SSL/i.test(text)
    ? ' For a server without TLS, add ?sslmode=disable to the URL.'
    : /certificate|self.signed/i.test(text)
      ? ' If an authority of your own signed its certificate, name that with --ca FILE.'
      : '';
  return new CliError(
    'database_unavailable',
    `${place[0]?.toUpperCase()}${place.slice(1)} cannot be used: ${text}.${hint}`,
    {
      cause: error,
    },
  );
}
