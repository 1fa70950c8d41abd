import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimOne } from '../../../lambdas/postgres/claim-one.ts';
import { claimProbes } from '../../../lambdas/postgres/claim-probes.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { letThrough } from '../../../lambdas/postgres/let-through.ts';
import { openCircuit } from '../../../lambdas/postgres/open-circuit.ts';
import { readProviderStates } from '../../../lambdas/postgres/read-provider-states.ts';
import { type FailedResult, recordFailures } from '../../../lambdas/postgres/record-failures.ts';
import { type SettledProbes, settleProbes } from '../../../lambdas/postgres/settle-probes.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { type IntegrationOverrides, type TestDatabase, testDatabase } from '../../support/database.ts';
import { explain, rowsRead } from '../../support/explain.ts';
import { certain } from '../../support/results.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const provider = 'acme';
const probe = (database: Database = db.database, probes = 3) =>
  claimProbes(database, {
    collectedAt: 'infinity',
    provider,
    windowSeconds: 600,
    holdSeconds: 270,
    probes,
    cooldownSeconds: 150,
  });
const settle = (settled: Partial<SettledProbes>, database: Database = db.database) =>
  settleProbes(
    database,
    [{ provider, integrationIds: [], answered: false, retryAfterSeconds: 0, ...settled }],
    { circuitCooldownSeconds: 150, maxRetryAfterSeconds: 3_600 },
  );
const start = (...ids: string[]) => startAttempts(db.database, { ids, holdSeconds: 45 });

/** An open circuit; `probeIn`: seconds until it may be tried again. */
async function open(probeIn = -1, cause = 'outage'): Promise<void> {
  await db.sql(
    `INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_cause, circuit_code, circuit_failing,
       circuit_opened_at, circuit_probe_at)
     VALUES ($1, true, $2, 'timeout', 10, now() - interval '10 minutes', now() + make_interval(secs => $3))`,
    [provider, cause, probeIn],
  );
}
const state = async () => (await readProviderStates(db.database))[0];
async function probesOf(): Promise<string[]> {
  const [row] = await db.sql<{ circuit_probes: string[] }>(
    'SELECT circuit_probes FROM evergrant.provider_states',
  );
  return row?.circuit_probes ?? [];
}
async function secondsUntilProbe(): Promise<number> {
  const [row] = await db.sql<{ seconds: number }>(
    'SELECT extract(epoch FROM circuit_probe_at - now())::float8 AS seconds FROM evergrant.provider_states',
  );
  return row?.seconds ?? Number.NaN;
}
const insert = async (count: number, overrides: IntegrationOverrides = {}) => {
  const ids: string[] = [];
  for (let i = 0; i < count; i += 1) ids.push((await db.insertIntegration(overrides)).id);
  return ids;
};
const idsOf = (rows: readonly { readonly id: string }[]) => rows.map(({ id }) => id);

describe('behind an open circuit', () => {
  it('a scan claims nothing, dry or not, and all of every other provider', async () => {
    await insert(2);
    const [other] = await insert(1, { provider: 'other' });
    const claimed = await claimDue(db.database, {
      collectedAt: 'infinity',
      windowSeconds: 600,
      holdSeconds: 270,
      provider: null,
      excludedProviders: [provider],
      after: null,
      limit: 10,
    });
    expect(idsOf(claimed)).toEqual([other]);
  });

  it('only probes start; the claims of others, from before, find nothing', async () => {
    await open();
    const ids = await insert(6);
    const claimedBefore = await claimDue(db.database, {
      collectedAt: 'infinity',
      windowSeconds: 600,
      holdSeconds: -1,
      provider: null,
      after: null,
      limit: 10,
    });
    expect(await start(...idsOf(claimedBefore))).toEqual([]);
    const probes = idsOf(await probe());
    expect(probes).toHaveLength(3);
    const started = await start(...ids);
    expect(new Set(idsOf(started))).toEqual(new Set(probes));
    expect(started.every((attempt) => attempt.probe)).toBe(true);
  });

  it('whoever is asked for by its id starts, also where the circuit is open by hand', async () => {
    await openCircuit(db.database, { provider });
    const [wanted, waiting] = await insert(2);
    for (const id of [wanted!, waiting!])
      await claimOne(db.database, { collectedAt: 'infinity', id, holdSeconds: 270 });
    await letThrough(db.database, wanted!);
    await letThrough(db.database, wanted!);
    expect(await probesOf()).toEqual([wanted]);
    expect(idsOf(await start(wanted!, waiting!))).toEqual([wanted]);
    await letThrough(db.database, randomUUID());
  });

  it('letting through changes nothing where the circuit is closed', async () => {
    const [id] = await insert(1);
    await letThrough(db.database, id!);
    expect(await state()).toBeUndefined();
  });
});

describe('probes', () => {
  it('are a few due rows, and the next ones wait for the cool-down', async () => {
    await open();
    await insert(10);
    const first = await probe();
    expect(first).toHaveLength(3);
    expect(new Set(await probesOf())).toEqual(new Set(idsOf(first)));
    expect(await secondsUntilProbe()).toBeGreaterThan(140);
    expect(await probe()).toEqual([]);
    for (const { id, claim } of first) {
      expect(await db.integration(id)).toMatchObject({ refresh_claim: claim, refresh_claim_open: true });
    }
  });

  it.each([
    ['before its moment', 100, 'outage'],
    ['where it is closed', null, ''],
  ])('are none %s', async (_, probeIn, cause) => {
    if (probeIn !== null) await open(probeIn, cause);
    await insert(3);
    expect(await probe()).toEqual([]);
  });

  it('are none of a circuit that is open by hand', async () => {
    await openCircuit(db.database, { provider });
    await insert(3);
    expect(await probe()).toEqual([]);
  });

  it('are of that provider, due, connected and free; with nothing to try the moment stays', async () => {
    await open();
    await insert(2, { provider: 'other' });
    await insert(2, { expiresIn: 5_000 });
    await insert(2, { heldFor: 100 });
    await insert(2, { status: 'disconnected' });
    expect(await probe()).toEqual([]);
    expect(await secondsUntilProbe()).toBeLessThan(0);
    const due = await insert(2);
    expect(new Set(idsOf(await probe()))).toEqual(new Set(due));
  });

  it('are drawn by chance, so that sick rows do not keep a circuit open', async () => {
    await open();
    const ids = await insert(12);
    const drawn = new Set<string>();
    for (let scan = 0; scan < 30; scan += 1) {
      for (const { id } of await probe()) drawn.add(id);
      await db.sql('UPDATE integrations SET refresh_held_until = NULL');
      await db.sql(`UPDATE evergrant.provider_states SET circuit_probe_at = now() - interval '1 second'`);
    }
    // Each is drawn in a scan with a chance of a quarter: that one never is in thirty, of twelve, is 0.2 %.
    expect(drawn.size).toBeGreaterThanOrEqual(ids.length - 1);
  });

  it('are of those that failed where nothing is due by its expiry, as with tokens that are exchanged early', async () => {
    await open();
    const ids = await insert(4, { refresh_token: null, expiresIn: 20 * 86_400 });
    for (const id of ids.slice(0, 2)) {
      await db.sql(
        `INSERT INTO evergrant.recent_failures (provider, integration_id, failure_class, code) VALUES ($1, $2, 'transient', 'timeout')`,
        [provider, id],
      );
    }
    const probes = await probe();
    expect(new Set(idsOf(probes))).toEqual(new Set(ids.slice(0, 2)));
    expect(await start(...ids)).toHaveLength(2);
  });

  it('of two scans at once are those of one', async () => {
    await open();
    await insert(20);
    const connections = Array.from({ length: 6 }, () => db.connection());
    const claimed = (await Promise.all(connections.map((connection) => probe(connection)))).flat();
    expect(claimed).toHaveLength(3);
    expect(new Set(await probesOf())).toEqual(new Set(idsOf(claimed)));
  });

  it('leave out rows that somebody is changing', async () => {
    await open();
    const [locked, free] = await insert(2);
    await db.inTransaction(async (product) => {
      await product.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [locked]);
      expect(idsOf(await probe())).toEqual([free]);
    });
  });

  it('cost what they are drawn from, however many wait', async () => {
    await open();
    await db.sql(
      `INSERT INTO integrations (user_id, provider, refresh_token, expires_at)
       SELECT gen_random_uuid(), 'acme', 'r' || n, now() - make_interval(secs => n)
       FROM generate_series(1, 20000) AS n`,
    );
    await db.sql('ANALYZE integrations');
    const plan = await explain(db, probe);
    for (const node of plan.filter((each) => each['Relation Name'] === 'integrations')) {
      expect(node['Node Type']).not.toBe('Seq Scan');
      expect(rowsRead(node), node['Node Type']).toBeLessThanOrEqual(1_100);
    }
  });
});

describe('probes that were answered', () => {
  it('close the circuit, and say how long it was open', async () => {
    await open();
    const ids = idsOf(await insert(1).then(() => probe()));
    const closed = await settle({ integrationIds: ids, answered: true });
    expect(closed).toMatchObject([{ provider, circuit_cause: 'outage', circuit_code: 'timeout' }]);
    expect(closed[0]?.open_for_seconds).toBeGreaterThanOrEqual(600);
    expect(await state()).toMatchObject({ circuit_open: false, circuit_opened_at: null });
    expect(await probesOf()).toEqual([]);
    // Again, as another batch's probes: nothing is left to do.
    expect(await settle({ answered: true })).toEqual([]);
  });

  it('close none that was opened by hand, before or after they began', async () => {
    await open();
    await openCircuit(db.database, { provider });
    expect(await settle({ answered: true })).toEqual([]);
    expect(await state()).toMatchObject({
      circuit_open: true,
      circuit_cause: 'by_hand',
      circuit_probe_at: Number.POSITIVE_INFINITY,
    });
  });

  it('close once when several batches say so at once', async () => {
    const connections = Array.from({ length: 6 }, () => db.connection());
    await open();
    const closed = await Promise.all(connections.map((connection) => settle({ answered: true }, connection)));
    expect(closed.flat()).toHaveLength(1);
  });

  it('wait for a statement that is changing the state, and close all the same', async () => {
    await open();
    const closing = await db.inTransaction(async (client) => {
      await client.query('UPDATE evergrant.provider_states SET calls_per_second = 3');
      const settling = settle({ answered: true });
      await client.query('SELECT pg_sleep(0.2)');
      return { settling };
    });
    expect(await closing.settling).toHaveLength(1);
  });
});

describe('probes that failed', () => {
  it.each([
    [0, 150],
    [700, 700],
    [90_000, 3_600],
  ])(
    'put the next ones off, for as long as the provider asks (%i s), within limits',
    async (asked, seconds) => {
      await open();
      await insert(3);
      const probes = idsOf(await probe());
      expect(await settle({ integrationIds: probes.slice(0, 2), retryAfterSeconds: asked })).toEqual([]);
      expect(await secondsUntilProbe()).toBeGreaterThan(seconds - 10);
      expect(await secondsUntilProbe()).toBeLessThanOrEqual(seconds);
      expect(await probesOf()).toEqual(probes.slice(2));
      expect(await state()).toMatchObject({ circuit_open: true, circuit_code: 'timeout' });
    },
  );

  it('do not bring a later moment forward', async () => {
    await open(2_000);
    await settle({});
    expect(await secondsUntilProbe()).toBeGreaterThan(1_900);
  });
});

describe('a failure that is committed', () => {
  const failure = async (id: string, changes: Partial<FailedResult> = {}): Promise<FailedResult> => {
    const row = await db.integration(id);
    return {
      id,
      usedToken: row.refresh_token ?? '',
      claim: row.refresh_claim,
      failureClass: 'transient',
      invalidRefreshToken: false,
      code: 'http_503',
      providerName: 'Acme',
      retryDelaySeconds: 3_700,
      ...certain,
      ...changes,
    };
  };
  const record = async (given: FailedResult, settings = defaultPolicy) =>
    (
      await recordFailures(db.database, [given], {
        steps: thresholdSteps(settings),
        eventRelayHoldSeconds: 360,
        waitingHoldSeconds: 150,
      })
    )[0]!;
  const heldFor = async (id: string) => {
    const [row] = await db.sql<{ seconds: number }>(
      'SELECT extract(epoch FROM refresh_held_until - now())::float8 AS seconds FROM integrations WHERE id = $1',
      [id],
    );
    return row?.seconds ?? 0;
  };
  const refusal = { failureClass: 'permanent', invalidRefreshToken: true, code: 'invalid_grant' } as const;
  const held = (seconds = 3_600) =>
    db.sql(
      `INSERT INTO evergrant.provider_states (provider, disconnections_held_since, disconnections_held_until)
       VALUES ($1, now(), now() + make_interval(secs => $2))`,
      [provider, seconds],
    );

  it('behind an open circuit counts for nothing, and its row is free when the circuit may close', async () => {
    await open();
    const { id } = await db.insertIntegration({ consecutive_transient_failures: 4 });
    expect(await record(await failure(id))).toMatchObject({
      verdict: 'applied',
      waiting: true,
      consecutive_transient_failures: 4,
      event_id: null,
    });
    expect(await db.integration(id)).toMatchObject({
      consecutive_transient_failures: 4,
      last_failure_at: null,
      refresh_claim: '1',
    });
    expect(await db.eventsOf(id)).toEqual([]);
    expect(await heldFor(id)).toBeLessThanOrEqual(150);
    expect(await heldFor(id)).toBeGreaterThan(140);
  });

  it('behind an open circuit counts when the provider refused the grant: it has answered', async () => {
    await open();
    const { id } = await db.insertIntegration({ consecutive_failures: 2 });
    expect(await record(await failure(id, refusal))).toMatchObject({ waiting: false, disconnected: true });
  });

  it('of another provider counts as ever', async () => {
    await open();
    const { id } = await db.insertIntegration({ provider: 'other' });
    expect(await record(await failure(id))).toMatchObject({
      waiting: false,
      consecutive_transient_failures: 1,
    });
    expect(await heldFor(id)).toBeGreaterThan(3_600);
  });

  it('while disconnections are held is counted and warned of, and neither disconnects nor mails', async () => {
    await held();
    const { id } = await db.insertIntegration();
    const told: unknown[] = [];
    for (let count = 1; count <= 5; count += 1) {
      const recorded = await record(await failure(id, refusal));
      expect(recorded).toMatchObject({ consecutive_failures: count, disconnected: false, held_back: true });
      expect(await db.integration(id)).toMatchObject({ status: 'connected', failure_emailed_at: null });
      told.push(recorded.event_id === null ? null : (await db.event(recorded.event_id)).notification_type);
    }
    expect(told).toEqual([null, 'integration_warning', null, null, null]);
    expect((await db.eventsOf(id)).map(({ email_kind }) => email_kind)).toEqual([null]);

    // The hold has passed: the next failure does what the count has come to.
    await db.sql(
      `UPDATE evergrant.provider_states SET disconnections_held_until = now() - interval '1 second'`,
    );
    const recorded = await record(await failure(id, refusal));
    expect(recorded).toMatchObject({ consecutive_failures: 6, disconnected: true, held_back: false });
    expect(await db.event(recorded.event_id!)).toMatchObject({
      notification_type: 'integration_disconnected',
      email_kind: 'disconnected',
      warned_at: expect.any(Date),
    });
  });

  it('while disconnections are held is tried less and less often once it would have disconnected', async () => {
    await held();
    const { id } = await db.insertIntegration();
    const pauses: number[] = [];
    for (let count = 1; count <= 8; count += 1) {
      const { retry_in_seconds } = await record(await failure(id, refusal));
      expect(await heldFor(id)).toBeCloseTo(retry_in_seconds!, -1);
      pauses.push(retry_in_seconds!);
    }
    const [usual = 0] = pauses;
    expect(pauses.map((pause) => pause / usual)).toEqual([1, 1, 1, 2, 4, 8, 12, 12]);
  });

  it('while disconnections are held disconnects nobody at once either, where that is set', async () => {
    await held();
    const { id } = await db.insertIntegration();
    const recorded = await record(await failure(id, refusal), {
      ...defaultPolicy,
      disconnectOnInvalidRefreshToken: true,
    });
    expect(recorded).toMatchObject({ disconnected: false, held_back: true, event_id: null });
    expect(await db.integration(id)).toMatchObject({ status: 'connected', consecutive_failures: 1 });
  });

  it('while disconnections are held keeps nothing back that is neither', async () => {
    await held();
    const { id } = await db.insertIntegration({ consecutive_transient_failures: 4 });
    expect(await record(await failure(id))).toMatchObject({ held_back: false, event_id: expect.any(String) });
  });
});
