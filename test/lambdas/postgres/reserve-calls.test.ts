import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { giveUpClaims } from '../../../lambdas/postgres/give-up-claims.ts';
import { readProviderStates } from '../../../lambdas/postgres/read-provider-states.ts';
import { recordLimit } from '../../../lambdas/postgres/record-limit.ts';
import { reserveCalls } from '../../../lambdas/postgres/reserve-calls.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const provider = 'acme';
const reserve = (
  calls: number,
  { callsPerSecond = 10, withinSeconds = 20 } = {},
  database: Database = db.database,
) => reserveCalls(database, { provider, callsPerSecond, calls, withinSeconds });
async function reservedAhead(): Promise<number> {
  const [row] = await db.sql<{ seconds: number }>(
    'SELECT extract(epoch FROM next_call_at - clock_timestamp())::float8 AS seconds FROM evergrant.provider_states',
  );
  return row?.seconds ?? 0;
}

describe('reserved calls', () => {
  it('begin at once where nobody has reserved, one step after the other', async () => {
    expect(await reserve(50)).toEqual({ granted: 50, first_in_seconds: 0 });
    expect(await reservedAhead()).toBeGreaterThan(4.5);
    expect(await reservedAhead()).toBeLessThanOrEqual(5);
    const next = await reserve(3);
    expect(next.granted).toBe(3);
    expect(next.first_in_seconds).toBeGreaterThan(4.5);
    expect(next.first_in_seconds).toBeLessThanOrEqual(5);
  });

  it('are as many as fit into the time, and none where others have it all', async () => {
    expect(await reserve(100, { callsPerSecond: 2, withinSeconds: 10 })).toMatchObject({ granted: 21 });
    expect(await reserve(100, { callsPerSecond: 2, withinSeconds: 10 })).toMatchObject({ granted: 0 });
    // What was not granted took nothing away.
    expect(await reservedAhead()).toBeLessThanOrEqual(10.5);
    expect(await reserve(4, { callsPerSecond: 2, withinSeconds: 15 })).toMatchObject({ granted: 4 });
  });

  it('are none where there is no time', async () => {
    expect(await reserve(5, { withinSeconds: -3 })).toMatchObject({ granted: 0 });
  });

  it('do not add up while nobody calls: a pause is no reason for a crowd', async () => {
    await reserve(1);
    await db.sql(`UPDATE evergrant.provider_states SET next_call_at = now() - interval '1 hour'`);
    expect(await reserve(10)).toEqual({ granted: 10, first_in_seconds: 0 });
    expect(await reservedAhead()).toBeGreaterThan(0.8);
  });

  it('leave the limit behind for the scanner, and what else is known of the provider as it is', async () => {
    await db.sql('INSERT INTO evergrant.provider_states (provider, circuit_failing) VALUES ($1, 3)', [
      provider,
    ]);
    await reserve(1, { callsPerSecond: 0.25 });
    expect(await readProviderStates(db.database)).toMatchObject([{ provider, calls_per_second: 0.25 }]);
    expect(await db.sql('SELECT circuit_failing FROM evergrant.provider_states')).toEqual([
      { circuit_failing: 3 },
    ]);
  });

  it('never overlap, however many reserve at once, also a provider’s first ones', async () => {
    const connections = Array.from({ length: 8 }, () => db.connection());
    for (let round = 0; round < 10; round += 1) {
      await db.clear();
      const startedMs = performance.now();
      const slots = (
        await Promise.all(
          connections.map(async (connection, index) => {
            const { granted, first_in_seconds } = await reserve(
              index + 1,
              { callsPerSecond: 10 },
              connection,
            );
            const answeredMs = performance.now() - startedMs;
            return { granted, first: first_in_seconds, answered: answeredMs / 1000 };
          }),
        )
      ).toSorted((a, b) => a.first - b.first);
      expect(slots.map(({ granted }) => granted).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      const total = slots.reduce((sum, { granted }) => sum + granted, 0) / 10;
      expect(await reservedAhead()).toBeGreaterThan(total - (performance.now() - startedMs) / 1000 - 0.05);
      expect(await reservedAhead()).toBeLessThanOrEqual(total);
    }
  });

  it('never come to more than the limit allows, whatever is asked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            calls: fc.integer({ min: 1, max: 100 }),
            withinSeconds: fc.integer({ min: 0, max: 30 }),
          }),
          {
            minLength: 1,
            maxLength: 8,
          },
        ),
        fc.constantFrom(0.5, 3, 40),
        async (asked, callsPerSecond) => {
          await db.clear();
          let granted = 0;
          for (const each of asked) {
            const answer = await reserve(each.calls, { callsPerSecond, withinSeconds: each.withinSeconds });
            expect(answer.granted).toBeLessThanOrEqual(each.calls);
            if (answer.granted > 0) {
              const last = answer.first_in_seconds + (answer.granted - 1) / callsPerSecond;
              expect(last).toBeLessThanOrEqual(each.withinSeconds + 0.001);
            }
            granted += answer.granted;
          }
          expect(await reservedAhead()).toBeLessThanOrEqual(granted / callsPerSecond + 0.001);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('an attempt that is given up', () => {
  const claim = () =>
    claimDue(db.database, {
      collectedAt: 'infinity',
      windowSeconds: 600,
      holdSeconds: 270,
      provider: null,
      after: null,
      limit: 10,
    });
  const start = (id: string) => startAttempts(db.database, { ids: [id], holdSeconds: 45 });

  it('is the next scan’s, and its message finds nothing', async () => {
    const success = new Date('2026-01-01T00:00:00Z');
    const { id } = await db.insertIntegration({ last_refresh_success: success });
    await claim();
    await giveUpClaims(db.database, await start(id));
    expect(await start(id)).toEqual([]);
    expect(await db.integration(id)).toMatchObject({
      refresh_held_until: null,
      refresh_claim_open: false,
      // None was made.
      last_refresh_attempt: success,
    });
    expect(await claim()).toMatchObject([{ id }]);
  });

  it('stays what it is when somebody has claimed the row meanwhile', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    const started = await start(id);
    await db.sql('UPDATE integrations SET refresh_held_until = NULL');
    await claim();
    const before = await db.integration(id);
    await giveUpClaims(db.database, started);
    expect(await db.integration(id)).toEqual(before);
  });

  it('waits for nobody who is changing the row', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    const started = await start(id);
    await db.inTransaction(async (product) => {
      await product.query(`UPDATE integrations SET metadata = '{}'`);
      await giveUpClaims(db.database, started);
    });
    expect((await db.integration(id)).refresh_held_until).not.toBeNull();
  });
});

describe('a limit of another name of the same client', () => {
  const known = async () =>
    (await readProviderStates(db.database)).map((state) => [state.provider, state.calls_per_second]);

  it('is known for as long as somebody keeps to it, and follows the latest', async () => {
    await recordLimit(db.database, { provider, callsPerSecond: 3 });
    expect(await known()).toEqual([[provider, 3]]);
    await db.sql(`UPDATE evergrant.provider_states SET next_call_at = now() - interval '2 days'`);
    expect(await known()).toEqual([[provider, null]]);
    await recordLimit(db.database, { provider, callsPerSecond: 5 });
    expect(await known()).toEqual([[provider, 5]]);
  });

  it('takes back no moment that is reserved, and waits for nobody', async () => {
    await reserve(100);
    const before = await reservedAhead();
    await recordLimit(db.database, { provider, callsPerSecond: 10 });
    expect(await reservedAhead()).toBeGreaterThan(before - 1);
    await db.inTransaction(async (other) => {
      await other.query('SELECT FROM evergrant.provider_states FOR UPDATE');
      await recordLimit(db.database, { provider, callsPerSecond: 7 });
    });
    expect(await known()).toEqual([[provider, 10]]);
  });
});
