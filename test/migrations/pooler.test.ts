import { readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DirectConnectionNeeded, migrate } from '../../lambdas/migrator/migrate.ts';
import { catalogOf } from '../support/catalog.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { orWhyNot, type PgBouncer, pgBouncerProgram, startPgBouncer } from '../support/pgbouncer.ts';
import { silentLogger } from '../support/silent-logger.ts';

const directory = path.join(import.meta.dirname, '..', '..', 'migrations');
const brownfieldSql = await readFile(path.join(import.meta.dirname, 'brownfield.sql'), 'utf8');

describe.skipIf(pgBouncerProgram === null)(`migrations through PgBouncer${orWhyNot}`, () => {
  let db: TestDatabase;
  const poolers: PgBouncer[] = [];
  beforeEach(async () => {
    db = await testDatabase({ empty: true });
    await db.sql(brownfieldSql);
  });
  afterEach(async () => {
    for (const pooler of poolers.splice(0)) await pooler.stop();
    await db.end();
  });

  async function pooled(mode: 'transaction' | 'session', poolSize: number): Promise<string> {
    const pooler = await startPgBouncer({ serverPort: Number(new URL(db.url).port), mode, poolSize });
    poolers.push(pooler);
    return pooler.through(db.url);
  }

  const run = (url: string, direction: 'up' | 'down' | 'status') =>
    migrate({ url: url }, directory, { direction, count: null }, silentLogger());

  const locks = () =>
    db.sql(
      `SELECT FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()
       WHERE locktype = 'advisory'`,
    );

  it.each([1, 2, 20])(
    'in transaction mode are refused before they change anything, with %d sessions',
    async (poolSize) => {
      const url = await pooled('transaction', poolSize);
      const before = await catalogOf(db, 'integrations');
      for (const direction of ['up', 'down'] as const) {
        const error = await run(url, direction).catch((thrown: Error) => thrown);
        expect(error).toBeInstanceOf(DirectConnectionNeeded);
        expect(error).toMatchObject({ code: 'direct_connection_needed' });
        expect((error as Error).message).toContain('directUrl');
      }
      expect(await catalogOf(db, 'integrations')).toEqual(before);
      expect(await db.sql(`SELECT to_regnamespace('evergrant') AS schema`)).toEqual([{ schema: null }]);
      // A lock left in a session of the pooler would keep every later migration waiting.
      expect(await locks()).toEqual([]);
    },
  );

  it('in transaction mode are refused also while others use the pooler', async () => {
    const url = await pooled('transaction', 6);
    let busy = true;
    const others = Array.from({ length: 5 }, async (_, index) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      while (busy) await client.query('SELECT pg_sleep($1)', [0.001 * (index + 1)]);
      await client.end();
    });
    try {
      for (let i = 0; i < 20; i += 1) {
        await expect(run(url, 'up')).rejects.toBeInstanceOf(DirectConnectionNeeded);
      }
    } finally {
      busy = false;
      await Promise.all(others);
    }
  });

  it('in transaction mode can be looked at', async () => {
    const { pending } = await run(await pooled('transaction', 1), 'status');
    expect(pending).not.toEqual([]);
  });

  it.each([1, 2])(
    'in session mode run, and leave no lock, with %d sessions',
    { timeout: 60_000 },
    async (poolSize) => {
      const url = await pooled('session', poolSize);
      const { applied, pending } = await run(url, 'up');
      expect(pending).toEqual([]);
      expect(applied).not.toEqual([]);
      await expect.poll(locks).toEqual([]);
      expect((await run(db.url, 'up')).ran).toEqual([]);
    },
  );

  it('in session mode run once, however many start at once', async () => {
    const url = await pooled('session', 8);
    const reports = await Promise.all([run(url, 'up'), run(url, 'up'), run(db.url, 'up')]);
    const ran = reports.flatMap((report) => report.ran);
    expect(new Set(ran).size).toBe(ran.length);
    for (const { pending } of reports) expect(pending).toEqual([]);
  });
});
