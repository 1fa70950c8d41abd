import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { closeCircuit } from '../../../lambdas/postgres/close-circuit.ts';
import { openCircuit } from '../../../lambdas/postgres/open-circuit.ts';
import { readProviderStates } from '../../../lambdas/postgres/read-provider-states.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const provider = 'acme';
const trustedSeconds = 3_600;
const states = () => readProviderStates(db.database);

describe('a circuit that is opened by hand', () => {
  it('is open for good, and says what was before', async () => {
    const { before, after } = await openCircuit(db.database, { provider });
    expect(before).toBeNull();
    expect(after).toMatchObject({
      provider,
      circuit_open: true,
      circuit_cause: 'by_hand',
      circuit_probe_at: Number.POSITIVE_INFINITY,
      circuit_may_probe: false,
      disconnections_held: false,
      trusted_until: null,
    });
    expect(after.circuit_opened_at).toBeInstanceOf(Date);
    expect(await states()).toEqual([{ ...after, circuit_open_seconds: expect.any(Number) }]);
  });

  it('takes over one that is open for an outage: nothing of ours closes it any more', async () => {
    await db.sql(
      `INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_cause, circuit_code, circuit_failing,
         circuit_opened_at, circuit_probe_at, circuit_probes)
       VALUES ($1, true, 'outage', 'timeout', 12, '2026-01-01', now(), ARRAY[gen_random_uuid()])`,
      [provider],
    );
    const { before, after } = await openCircuit(db.database, { provider });
    expect(before).toMatchObject({ circuit_cause: 'outage', circuit_code: 'timeout', circuit_failing: 12 });
    expect(after).toMatchObject({ circuit_cause: 'by_hand', circuit_code: null, circuit_failing: null });
    expect(after.circuit_opened_at).toEqual(before?.circuit_opened_at);
    expect(await db.sql('SELECT circuit_probes FROM evergrant.provider_states')).toEqual([
      { circuit_probes: [] },
    ]);
  });

  it('takes back an operator’s trust', async () => {
    await closeCircuit(db.database, { provider, trustedSeconds });
    const { before, after } = await openCircuit(db.database, { provider });
    expect(before?.trusted_until).toBeInstanceOf(Date);
    expect(after.trusted_until).toBeNull();
  });

  it('waits for a statement that is changing the state, and neither gets lost', async () => {
    await openCircuit(db.database, { provider: 'other' });
    const { after } = await db.inTransaction(async (client) => {
      await client.query(
        `INSERT INTO evergrant.provider_states (provider, calls_per_second, next_call_at) VALUES ($1, 7, now())`,
        [provider],
      );
      const opening = openCircuit(db.database, { provider });
      await client.query('SELECT pg_sleep(0.2)');
      return { after: opening };
    });
    expect((await after).after).toMatchObject({ circuit_open: true, calls_per_second: 7 });
  });
});

describe('closing by hand', () => {
  it('closes, ends the holding of disconnections, and trusts for as long as said', async () => {
    await db.sql(
      `INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_cause, circuit_opened_at, circuit_probe_at,
         disconnections_held_since, disconnections_held_until, disconnections_failing, calls_per_second, next_call_at)
       VALUES ($1, true, 'by_hand', now(), 'infinity', now(), now() + interval '12 hours', 33, 5, now())`,
      [provider],
    );
    const { before, after } = await closeCircuit(db.database, { provider, trustedSeconds });
    expect(before).toMatchObject({
      circuit_open: true,
      disconnections_held: true,
      disconnections_failing: 33,
      circuit_probe_at: Number.POSITIVE_INFINITY,
    });
    expect(after).toMatchObject({
      circuit_open: false,
      circuit_cause: null,
      circuit_opened_at: null,
      circuit_probe_at: null,
      circuit_may_probe: false,
      disconnections_held: false,
      disconnections_held_since: null,
      disconnections_failing: null,
      calls_per_second: 5,
    });
    const [{ seconds } = { seconds: 0 }] = await db.sql<{ seconds: number }>(
      'SELECT extract(epoch FROM trusted_until - now())::float8 AS seconds FROM evergrant.provider_states',
    );
    expect(seconds).toBeGreaterThan(trustedSeconds - 60);
    expect(seconds).toBeLessThanOrEqual(trustedSeconds);
  });

  it('vouches for a provider that nothing happened to as well', async () => {
    const { before, after } = await closeCircuit(db.database, { provider, trustedSeconds });
    expect(before).toBeNull();
    expect(after.trusted_until).toBeInstanceOf(Date);
  });
});

it('what has passed by the database’s clock is not told as if it were still so', async () => {
  await db.sql(
    `INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_probe_at, circuit_cause,
       disconnections_held_since, disconnections_held_until, disconnections_failing, trusted_until, calls_per_second, next_call_at)
     VALUES ('past', true, now() - interval '1 second', 'outage', now() - interval '13 hours', now() - interval '1 hour', 20,
       now() - interval '1 second', 5, now() - interval '25 hours'),
       ('future', true, now() + interval '1 minute', 'outage', now(), now() + interval '1 hour', 20, now() + interval '1 hour', 5, now())`,
  );
  expect(await states()).toMatchObject([
    {
      provider: 'future',
      circuit_may_probe: false,
      disconnections_held: true,
      disconnections_failing: 20,
      trusted_until: expect.any(Date),
      calls_per_second: 5,
    },
    {
      provider: 'past',
      circuit_may_probe: true,
      disconnections_held: false,
      disconnections_held_since: null,
      disconnections_held_until: null,
      disconnections_failing: null,
      trusted_until: null,
      calls_per_second: null,
    },
  ]);
});
