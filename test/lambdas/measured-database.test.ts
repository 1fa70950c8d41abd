import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { metricNames } from '../../lambdas/contract.ts';
import { MeasuredDatabase } from '../../lambdas/measured-database.ts';
import { InvocationMetrics } from '../../lambdas/observability/metrics.ts';
import { type Database, PostgresConnection } from '../../lambdas/postgres/database.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { startProxy, through } from '../support/proxy.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.end());

/** How often a database was counted as away, and what its statement came to. */
async function counted(database: Database, statement: string): Promise<[away: number, outcome: unknown]> {
  const metrics = new InvocationMetrics();
  const count = vi.spyOn(metrics, 'count');
  const outcome = await new MeasuredDatabase(database, metrics).query(statement, []).catch((error) => error);
  for (const call of count.mock.calls) expect(call).toEqual([metricNames.databaseUnreachable, 1]);
  return [count.mock.calls.length, outcome];
}

it('counts no statement that Postgres answers, be it with an error', async () => {
  expect(await counted(db.connection(), 'SELECT 1 AS one')).toEqual([0, [{ one: 1 }]]);
  for (const statement of ['SELECT 1 / 0', 'SELECT nonsense', 'nonsense']) {
    const [away, error] = await counted(db.connection(), statement);
    expect([away, error]).toEqual([0, expect.any(Error)]);
  }
});

it('counts a server that cannot be reached, and hands the error on', async () => {
  const proxy = await startProxy(Number(new URL(db.url).port));
  proxy.cut();
  const connection = new PostgresConnection({ url: through(proxy, db.url) });
  try {
    expect(await counted(connection, 'SELECT 1')).toEqual([
      1,
      expect.objectContaining({ code: 'database_unavailable' }),
    ]);
    proxy.restore();
    expect(await counted(connection, 'SELECT 1')).toMatchObject([0, [{}]]);
  } finally {
    await connection.end();
    await proxy.stop();
  }
});

it.each([
  ['ends the session', `SELECT pg_terminate_backend(pg_backend_pid())`, '57P01'],
  ['is a replica now', `DO $$ BEGIN RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'; END $$`, '25006'],
  ['has no connections left', `DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53300'; END $$`, '53300'],
])('counts a server that %s', async (_, statement, code) => {
  expect(await counted(db.connection(), statement)).toEqual([1, expect.objectContaining({ code })]);
});
