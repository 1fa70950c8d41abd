import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrate } from '../lambdas/migrator/migrate.ts';
import { createDatabase, type PostgresServer, startPostgres } from '../local/cloud/postgres.ts';
import { execute, templateName } from './support/server.ts';
import { silentLogger } from './support/silent-logger.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of a database that nobody uses, to create and drop others from. */
    postgresUrl: string;
  }
}

/**
 * One PostgreSQL for the whole run, with a migrated template that each test file copies, and one folder for
 * everything temporary: what a test or a library (the CDK, for one) leaves behind goes with it.
 */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-test-'));
  const temporary = path.join(directory, 'tmp');
  await mkdir(temporary);
  // As root, PostgreSQL runs under another account, which has to get through.
  await chmod(directory, 0o755);
  await chmod(temporary, 0o1777);
  process.env.TMPDIR = temporary;
  let server: PostgresServer | undefined;
  const stop = async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    server = await startPostgres({ dataDir: path.join(directory, 'data'), persistent: false });
    const templateUrl = await createDatabase(server.url, templateName);
    const migrations = path.join(import.meta.dirname, '..', 'migrations');
    await migrate({ url: templateUrl }, migrations, { direction: 'up', count: null }, silentLogger());
    // A connection to the template, autovacuum's for one, would keep it from being copied.
    await execute(server.url, `ALTER DATABASE ${templateName} WITH ALLOW_CONNECTIONS false`);
  } catch (error) {
    await stop();
    throw error;
  }
  project.provide('postgresUrl', server.url);
  return stop;
}
