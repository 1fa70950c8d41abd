import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { measureProviders } from '../../../lambdas/postgres/measure-providers.ts';
import { measureTokens } from '../../../lambdas/postgres/measure-tokens.ts';
import { recordOutcomes } from '../../../lambdas/postgres/record-outcomes.ts';
import { type EndedScan, recordScan } from '../../../lambdas/postgres/record-scan.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { explain, rowsRead } from '../../support/explain.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  // Statistics are what the tests make them.
  await db.sql('ALTER TABLE integrations SET (autovacuum_enabled = false)');
});
beforeEach(() => db.clear());
afterAll(() => db.end());

/** Rows of which one in ten is not connected and one in a hundred has expired. */
const fill = (count: number) =>
  db.sql(
    `INSERT INTO integrations (user_id, provider, status, refresh_token, expires_at)
     SELECT gen_random_uuid(), 'acme', CASE WHEN n % 10 = 5 THEN 'disconnected' ELSE 'connected' END, 'r' || n,
            now() + make_interval(secs => CASE WHEN n % 100 = 1 THEN -n ELSE 3600 + n END)
     FROM generate_series(1, $1::int) AS n`,
    [count],
  );

describe('how fresh tokens are', () => {
  const limits = { expiredUpTo: 1_000, countUpTo: 500 };
  const measure = (changes: Partial<typeof limits> = {}) =>
    measureTokens(db.database, { ...limits, ...changes });
  const estimate = async () => {
    const [row] = await db.sql<{ entries: number }>(
      `SELECT reltuples AS entries FROM pg_class WHERE relname = 'evergrant_integrations_due'`,
    );
    return row!.entries;
  };

  it('is nothing in an empty table, analysed or not', async () => {
    expect(await measure()).toEqual({ connected: 0, expired: 0 });
    await db.sql('ANALYZE integrations');
    expect(await measure()).toEqual({ connected: 0, expired: 0 });
  });

  it('counts connected rows with a token that can be refreshed, expired by the database’s clock', async () => {
    await db.insertIntegration({ expiresIn: 60 });
    await db.insertIntegration({ expiresIn: -1 });
    await db.insertIntegration({ expiresIn: -1, heldFor: 60 });
    await db.insertIntegration({ expiresIn: null });
    await db.insertIntegration({ expiresIn: -1, refresh_token: null });
    for (const status of ['needs_reauthorization', 'disconnected', 'paused']) {
      await db.insertIntegration({ expiresIn: -1, status });
    }
    expect(await measure()).toEqual({ connected: 4, expired: 2 });
  });

  it('is exact for a table that was never analysed, up to the limit', async () => {
    await fill(400);
    expect(await estimate()).toBeLessThanOrEqual(0);
    expect(await measure()).toEqual({ connected: 360, expired: 4 });
    expect(await measure({ countUpTo: 100 })).toEqual({ connected: 100, expired: 4 });
  });

  it('is exact where the estimate is small, and estimated where it is large', async () => {
    await fill(300);
    await db.sql('ANALYZE integrations');
    await fill(300);
    // 270 are known of, 540 are there.
    expect(await measure({ countUpTo: 600 })).toEqual({ connected: 540, expired: 6 });
    await fill(3_000);
    expect(await measure()).toMatchObject({ connected: 500 });
    await db.sql('ANALYZE integrations');
    expect(await measure()).toEqual({ connected: 3_240, expired: 36 });
  });

  it('never finds more expired than connected, nor counts further than asked', async () => {
    await db.sql(
      `INSERT INTO integrations (user_id, provider, refresh_token, expires_at)
       SELECT gen_random_uuid(), 'acme', 'r' || n, now() - interval '1 hour' FROM generate_series(1, 300) AS n`,
    );
    expect(await measure({ countUpTo: 100 })).toEqual({ connected: 300, expired: 300 });
    expect(await measure({ expiredUpTo: 50 })).toEqual({ connected: 300, expired: 50 });
  });

  it('can be told without the index, or with a broken one', async () => {
    await fill(300);
    const working = await db.inTransaction(async (client) => {
      await client.query('DROP INDEX evergrant_integrations_due');
      const answer = await measureTokens(
        { query: async (statement, parameters) => (await client.query(statement, [...parameters])).rows },
        limits,
      );
      await client.query('ROLLBACK');
      return answer;
    });
    expect(working).toEqual({ connected: 270, expired: 3 });
  });

  it('reads what is due, and the whole index never', async () => {
    await fill(20_000);
    await db.sql('ANALYZE integrations');
    const plan = await explain(db, (database) => measureTokens(database, limits));
    const onTable = plan.filter((node) => node['Relation Name'] === 'integrations' || node['Index Name']);
    expect(onTable.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    const read = onTable.filter((node) => node['Index Name'] === 'evergrant_integrations_due').map(rowsRead);
    // One node counts the expired; the other would count all and is never run.
    expect(read.toSorted((a, b) => a - b)).toEqual([0, 200]);
  });
});

describe('how the refreshes of each provider go', () => {
  const wanted = { windowSeconds: 1800, refreshWindowSeconds: 600, dueUpTo: 1_000 };
  const measure = () => measureProviders(db.database, wanted);
  const failing = (changes: Parameters<TestDatabase['insertIntegration']>[0] = {}) =>
    db.insertIntegration({ consecutive_transient_failures: 1, last_failure_at: new Date(), ...changes });

  it('sums up what the refreshers have written down lately', async () => {
    await recordOutcomes(db.database, [
      { provider: 'acme', refreshed: 90, disconnected: 1 },
      { provider: 'globex', refreshed: 0, disconnected: 2 },
    ]);
    await recordOutcomes(db.database, [{ provider: 'acme', refreshed: 10, disconnected: 0 }]);
    await db.sql(
      `INSERT INTO evergrant.refresh_outcomes (counted_at, provider, refreshed, disconnected) VALUES (now() - interval '31 minutes', 'acme', 1000, 1000)`,
    );
    expect(await measure()).toEqual([
      { provider: 'acme', refreshed: 100, disconnected: 1, failing: 0, newly_failing: 0 },
      { provider: 'globex', refreshed: 0, disconnected: 2, failing: 0, newly_failing: 0 },
    ]);
  });

  it('counts each failing integration once, and those that failed for long apart', async () => {
    await recordOutcomes(db.database, [{ provider: 'acme', refreshed: 5, disconnected: 0 }]);
    await failing({ consecutive_transient_failures: 40 });
    await failing({ consecutive_failures: 1, consecutive_transient_failures: 0 });
    await failing({ expiresIn: -1700 });
    await failing({ expiresIn: -1900 });
    await failing({ provider: 'globex', expiresIn: -86_400 });
    expect(await measure()).toEqual([
      { provider: 'acme', refreshed: 5, disconnected: 0, failing: 4, newly_failing: 3 },
      { provider: 'globex', refreshed: 0, disconnected: 0, failing: 1, newly_failing: 0 },
    ]);
  });

  it('counts what waits for its next attempt, however long ago it failed', async () => {
    const longAgo = new Date(Date.now() - 3_000_000);
    await failing({ last_failure_at: longAgo, heldFor: 600 });
    await failing({ last_failure_at: longAgo });
    expect(await measure()).toMatchObject([{ failing: 1 }]);
  });

  it('counts no one who is well, not ours to refresh, or held up by our own fault', async () => {
    await db.insertIntegration();
    await db.insertIntegration({ heldFor: 300 });
    await db.insertIntegration({
      consecutive_failures: null,
      consecutive_transient_failures: null,
      heldFor: 300,
    });
    await failing({ status: 'needs_reauthorization', consecutive_failures: 3 });
    await failing({ status: 'disconnected' });
    await failing({ refresh_token: null });
    // Reconnected since by a product that leaves the counters: not due any more.
    await failing({ expiresIn: 3600 });
    expect(await measure()).toEqual([]);
  });

  it('reads what is due and what is recent, not the tables', async () => {
    await fill(20_000);
    await db.sql(
      `INSERT INTO evergrant.refresh_outcomes (counted_at, provider, refreshed, disconnected)
       SELECT now() - make_interval(secs => n * 2), 'acme', 100, 0 FROM generate_series(1, 20000) AS n`,
    );
    await db.sql('ANALYZE integrations, evergrant.refresh_outcomes');
    const plan = await explain(db, (database) => measureProviders(database, wanted));
    const onTable = plan.filter((node) => node['Relation Name'] || node['Index Name']);
    expect(onTable.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    for (const node of onTable) expect(rowsRead(node), node['Index Name']).toBeLessThanOrEqual(900);
  });
});

describe('a recorded scan', () => {
  const scan = (changes: Partial<EndedScan> = {}): EndedScan => ({
    durationMs: 1234.6,
    claimed: 10,
    enqueued: 9,
    released: 1,
    left: 3,
    eventsRelayed: 2,
    oldestExpiredSeconds: 61.4,
    ...changes,
  });

  it('says when it began, by the database’s clock, how long it took and what it did', async () => {
    await recordScan(db.database, scan());
    const rows = await db.sql<{ started_at: Date }>(
      `SELECT *, extract(epoch FROM now() - started_at)::float8 AS age FROM evergrant.scans`,
    );
    expect(rows).toMatchObject([
      {
        duration_ms: 1235,
        claimed: 10,
        enqueued: 9,
        released: 1,
        left_due: 3,
        events_relayed: 2,
        oldest_expired_seconds: 61,
      },
    ]);
    expect(rows[0]).toHaveProperty('age', expect.closeTo(1.3, 0));
  });

  it('is written whatever year a product takes for a moment that there is not', async () => {
    const sinceYearOne = 2_025 * 365.25 * 86_400;
    await recordScan(db.database, scan({ oldestExpiredSeconds: sinceYearOne }));
    const [row] = await db.sql('SELECT oldest_expired_seconds FROM evergrant.scans');
    expect(row).toEqual({ oldest_expired_seconds: 2_147_483_647 });
  });

  it('takes what is older than two weeks with it, a hundred at a time', async () => {
    await db.sql(
      `INSERT INTO evergrant.scans
       SELECT now() - interval '14 days' + make_interval(secs => 60 * (5 - n) + 30), 1, 1, 1, 1, 1, 1, 1
       FROM generate_series(1, 150) AS n`,
    );
    const older = () => db.sql(`SELECT FROM evergrant.scans WHERE started_at < now() - interval '14 days'`);
    expect(await older()).toHaveLength(145);
    await recordScan(db.database, scan());
    expect(await older()).toHaveLength(45);
    await recordScan(db.database, scan());
    expect(await older()).toHaveLength(0);
    expect(await db.sql('SELECT FROM evergrant.scans')).toHaveLength(7);
  });

  it('waits for no other scan, which deletes the same', async () => {
    await db.sql(
      `INSERT INTO evergrant.scans SELECT now() - make_interval(days => 15, secs => n), 1, 1, 1, 1, 1, 1, 1
       FROM generate_series(1, 50) AS n`,
    );
    await db.inTransaction(async (client) => {
      await client.query('DELETE FROM evergrant.scans');
      await recordScan(db.database, scan());
    });
    const scans = Array.from({ length: 8 }, () => db.connection());
    await Promise.all(scans.map((connection) => recordScan(connection, scan())));
    expect(await db.sql('SELECT FROM evergrant.scans')).toHaveLength(9);
  });
});

describe('recorded outcomes', () => {
  const outcomes = (...providers: string[]) =>
    providers.map((provider) => ({ provider, refreshed: 1, disconnected: 0 }));
  const age = (count: number) =>
    db.sql(
      `INSERT INTO evergrant.refresh_outcomes (counted_at, provider, refreshed, disconnected)
       SELECT now() - make_interval(hours => 13, secs => n), 'old', 1, 1 FROM generate_series(1, $1::int) AS n`,
      [count],
    );
  const count = async (provider: string) =>
    (await db.sql('SELECT FROM evergrant.refresh_outcomes WHERE provider = $1', [provider])).length;

  it('take twice as many with them that nobody looks back at', async () => {
    await age(10);
    await recordOutcomes(db.database, outcomes('a', 'b', 'c'));
    expect([await count('a'), await count('b'), await count('c'), await count('old')]).toEqual([1, 1, 1, 4]);
  });

  it('are added by eight batches at once without waiting for each other', async () => {
    await age(20);
    await db.inTransaction(async (client) => {
      await client.query('DELETE FROM evergrant.refresh_outcomes');
      await recordOutcomes(db.database, outcomes('acme'));
    });
    await age(20);
    const batches = Array.from({ length: 8 }, () => db.connection());
    await Promise.all(batches.map((connection) => recordOutcomes(connection, outcomes('acme', 'globex'))));
    expect([await count('acme'), await count('globex')]).toEqual([9, 8]);
    expect(await count('old')).toBeLessThan(20);
  });
});
