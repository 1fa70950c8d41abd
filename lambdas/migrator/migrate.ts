import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { errorFields, type Logger } from '../observability/logger.ts';
import { clientConfig, type DatabaseAddress, sqlState } from '../postgres/database.ts';
import { loadMigrations } from './load-migrations.ts';
import type { MigrationRequest } from './request.ts';
import { isOneSession } from './session.ts';

export interface MigrationReport {
  readonly direction: MigrationRequest['direction'];
  /** Names of the migrations that this call ran, in their order. */
  readonly ran: readonly string[];
  /** Names of the migrations that are in force now. */
  readonly applied: readonly string[];
  /** Names of the migrations that are not. */
  readonly pending: readonly string[];
}

/** A migration did not run. What ran before it stays; what it did itself is undone. */
export class MigrationFailed extends Error {
  override readonly name = 'MigrationFailed';
  readonly code = 'migration_failed';
}

/** The address leads through a pooler in transaction mode. Nothing was changed. */
export class DirectConnectionNeeded extends Error {
  override readonly name = 'DirectConnectionNeeded';
  readonly code = 'direct_connection_needed';
}

const schema = 'evergrant';
const table = 'migrations';

/** For a connection that may have to wait for a free session of a pooler. */
const briefly = { query_timeout: 5_000 };

/** Between two tries for the lock. */
const lockPauseMs = 100;

/** Between two tries to connect. */
const connectPauseMs = 1_000;

/**
 * Runs migrations over a direct connection (a session advisory lock keeps two runs apart, which a
 * transaction pooler cannot carry). A server that does not answer yet is asked again for `connectWithinMs`. Throws
 * `MigrationFailed`, or `DirectConnectionNeeded`, or what the last try to connect threw.
 */
export async function migrate(
  address: DatabaseAddress,
  directory: string,
  request: MigrationRequest,
  logger: Pick<Logger, 'info' | 'error'>,
  { connectWithinMs = 0 }: { readonly connectWithinMs?: number } = {},
): Promise<MigrationReport> {
  const connect = async (options: pg.ClientConfig = {}) => {
    const client = new pg.Client({ ...clientConfig(address), ...options });
    // A connection that breaks fails the statement under way; without a listener it would end the process too.
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const client = await persistently(connect, connectWithinMs);
  try {
    if (request.direction !== 'status' && !(await isOneSession(client, () => connect(briefly)))) {
      throw new DirectConnectionNeeded(
        'The address for migrations leads through a pooler in transaction mode, which cannot keep two migrations apart. Nothing was changed. Put the address of the server itself, or of a pooler in session mode, into the field directUrl of the database secret.',
      );
    }
    const ran =
      request.direction === 'status' ? [] : await run(client, directory, request, request.direction, logger);
    const applied = await appliedNames(client);
    const pending = (await names(directory)).filter((name) => !applied.includes(name));
    return { direction: request.direction, ran, applied, pending };
  } finally {
    await client.end();
  }
}

/** A cluster that was made just now, or that wakes from a pause, does not answer at once. What it answers counts. */
async function persistently<Client>(connect: () => Promise<Client>, withinMs: number): Promise<Client> {
  const startedAtMs = performance.now();
  for (;;) {
    try {
      return await connect();
    } catch (error) {
      const starting = sqlState(error) === null || sqlState(error) === '57P03';
      if (!starting || performance.now() - startedAtMs > withinMs) throw error;
      await sleep(connectPauseMs);
    }
  }
}

async function run(
  client: pg.Client,
  directory: string,
  { count }: MigrationRequest,
  direction: 'up' | 'down',
  logger: Pick<Logger, 'info' | 'error'>,
): Promise<string[]> {
  let latest = '';
  const progress = (line: string) => {
    latest = /### MIGRATION (\S+)/.exec(line)?.[1] ?? latest;
  };
  try {
    await lock(client);
    const migrations = await runner({
      dbClient: client,
      dir: directory,
      direction,
      ...(count !== null && { count }),
      migrationsSchema: schema,
      createMigrationsSchema: true,
      migrationsTable: table,
      migrationLoaderStrategies: [{ extensions: ['.sql'], loader: loadMigrations }],
      // Each on its own: locks are held no longer than one of them takes.
      singleTransaction: false,
      noLock: true,
      logger: { info: progress, warn: progress, error: () => undefined },
    });
    for (const { name } of migrations) logger.info('migrated', { direction, migration: name });
    return migrations.map(({ name }) => name);
  } catch (error) {
    logger.error('migration failed', { direction, migration: latest, cause: errorFields(error) });
    const { code = 'no SQLSTATE', message } = error as { code?: string; message: string };
    throw new MigrationFailed(
      `Migration ${latest || '(none started)'} ${direction} failed: ${message} (${code}). Nothing of it is left half done that running it again would not finish: mend the cause and run it again.`,
      { cause: error },
    );
  }
}

/**
 * Two deployments at once: the second waits and then finds nothing to do. It asks again and again instead of
 * waiting inside a statement: that would hold a snapshot, which CREATE INDEX CONCURRENTLY in the first would
 * wait for in turn. The lock goes with the connection.
 */
async function lock(client: pg.Client): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>(
      `SELECT pg_try_advisory_lock(hashtextextended('${schema}.${table}', 0)) AS locked`,
    );
    if (rows[0]?.locked) return;
    await sleep(lockPauseMs);
  }
}

async function appliedNames(client: pg.Client): Promise<string[]> {
  const { rows: known } = await client.query(
    `SELECT to_regclass('${schema}.${table}') IS NOT NULL AS exists`,
  );
  if (!known[0]?.exists) return [];
  const { rows } = await client.query(`SELECT name FROM ${schema}.${table} ORDER BY id`);
  return rows.map(({ name }) => name as string);
}

async function names(directory: string): Promise<string[]> {
  const files = await readdir(directory);
  return files
    .filter((file) => file.endsWith('.up.sql'))
    .map((file) => file.slice(0, -'.up.sql'.length))
    .sort();
}
