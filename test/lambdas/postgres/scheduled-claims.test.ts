import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimOne } from '../../../lambdas/postgres/claim-one.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { giveUpClaims } from '../../../lambdas/postgres/give-up-claims.ts';
import { openCircuit } from '../../../lambdas/postgres/open-circuit.ts';
import { recordFailures } from '../../../lambdas/postgres/record-failures.ts';
import { releaseClaims } from '../../../lambdas/postgres/release-claims.ts';
import { reopenClaims } from '../../../lambdas/postgres/reopen-claims.ts';
import { replaceGrant } from '../../../lambdas/postgres/replace-grant.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { type RefreshedResult, storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import { type IntegrationRow, type TestDatabase, testDatabase } from '../../support/database.ts';
import { endless, lapsePolicy } from '../../support/results.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const hold = 150;
const claim = () =>
  claimDue(db.database, {
    collectedAt: 'infinity',
    windowSeconds: 600,
    holdSeconds: 270,
    provider: null,
    after: null,
    limit: 100,
  });
const start = (id: string, named?: string, database: Database = db.database) =>
  startAttempts(database, {
    ids: [id],
    named: named === undefined ? [] : [{ id, claim: named }],
    holdSeconds: 45,
  });

/** The result of an attempt on `row`, whose token lives five minutes. */
function result(row: { id: string; token: string; claim: string }, changes: Partial<RefreshedResult> = {}) {
  return {
    id: row.id,
    usedToken: row.token,
    claim: row.claim,
    accessToken: 'access-2',
    refreshToken: 'refresh-2',
    expiresInSeconds: 300,
    refreshTokenExpiresInSeconds: null,
    scope: null,
    scheduledHoldSeconds: hold,
    ...endless,
    ...changes,
  };
}

async function store(stored: RefreshedResult, database: Database = db.database) {
  const [row] = await storeRefreshed(database, [stored], lapsePolicy);
  return row!;
}

function fail(
  attempt: { id: string; token: string; claim: string },
  failureClass: 'transient' | 'permanent' | 'operator',
  scheduledHoldSeconds: number | null = 60,
) {
  return recordFailures(
    db.database,
    [
      {
        id: attempt.id,
        usedToken: attempt.token,
        claim: attempt.claim,
        failureClass,
        invalidRefreshToken: false,
        doubtful: false,
        mayRotate: true,
        code: 'http_503',
        providerName: 'Acme Calendar',
        retryDelaySeconds: 300,
        scheduledHoldSeconds,
      },
    ],
    { steps: thresholdSteps(defaultPolicy), eventRelayHoldSeconds: 360, waitingHoldSeconds: 150 },
  );
}

/** A due row with an attempt under way. */
async function attempt(overrides: Parameters<TestDatabase['insertIntegration']>[0] = {}) {
  const row = await db.insertIntegration(overrides);
  await claim();
  const [started] = await start(row.id);
  return started!;
}

async function heldFor(id: string): Promise<number | null> {
  const [row] = await db.sql<{ seconds: number | null }>(
    'SELECT extract(epoch FROM refresh_held_until - now())::float8 AS seconds FROM integrations WHERE id = $1',
    [id],
  );
  return row!.seconds;
}

const letHoldsLapse = () =>
  db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 second'`);

describe('a success that schedules the next attempt', () => {
  it('leaves a claim that only its own message starts, and once', async () => {
    const first = await attempt();
    const { verdict, scheduled_claim: scheduled } = await store(result(first));
    expect({ verdict, scheduled }).toEqual({ verdict: 'applied', scheduled: '2' });
    expect(await db.integration(first.id)).toMatchObject({ refresh_claim: '2', refresh_claim_open: false });
    expect(await heldFor(first.id)).toBeCloseTo(hold, 0);
    // Scans, messages of scans, and duplicates of the message before find nothing.
    expect(await claim()).toEqual([]);
    expect(await start(first.id)).toEqual([]);
    expect(await start(first.id, '1')).toEqual([]);
    const [second] = await start(first.id, '2');
    expect(second).toMatchObject({ token: 'refresh-2', claim: '3', lifetime_seconds: 300 });
    expect(await start(first.id, '2')).toEqual([]);
    expect(await heldFor(first.id)).toBeCloseTo(45, 0);
    // Nor does a duplicate that comes when the attempt is over start anything.
    expect(await store(result(second!, { refreshToken: 'refresh-3', scheduledHoldSeconds: null }))).toEqual({
      id: first.id,
      verdict: 'applied',
      premature_disconnection: false,
      event_id: null,
      scheduled_claim: null,
    });
    expect(await start(first.id, '2')).toEqual([]);
  });

  it('starts once however many duplicates of its message arrive at once', async () => {
    const first = await attempt();
    await store(result(first));
    const consumers = Array.from({ length: 8 }, () => db.connection());
    const started = await Promise.all(consumers.map((consumer) => start(first.id, '2', consumer)));
    expect(started.flat()).toHaveLength(1);
  });

  it('is made up for by a scan when the message is lost, whose message then comes too late for its name', async () => {
    const first = await attempt();
    await store(result(first));
    await letHoldsLapse();
    expect(await claim()).toMatchObject([{ id: first.id, claim: '3' }]);
    // The late message may start what the scan has opened; the scan's own then finds nothing.
    expect(await start(first.id, '2')).toMatchObject([{ claim: '3' }]);
    expect(await start(first.id)).toEqual([]);
  });

  it('frees the row for the next scan when its message cannot be sent, unless the attempt has started', async () => {
    const first = await attempt();
    await store(result(first));
    await releaseClaims(db.database, [{ id: first.id, claim: '2' }]);
    expect(await claim()).toMatchObject([{ id: first.id, claim: '3' }]);
    await start(first.id);
    await releaseClaims(db.database, [{ id: first.id, claim: '3' }]);
    expect(await heldFor(first.id)).toBeCloseTo(45, 0);
  });

  it('closes a later claim that is open, and takes its place', async () => {
    const first = await attempt();
    await letHoldsLapse();
    await claim();
    expect(await store(result(first))).toMatchObject({ verdict: 'applied', scheduled_claim: '3' });
    expect(await start(first.id)).toEqual([]);
    expect(await start(first.id, '3')).toHaveLength(1);
  });

  it('schedules nothing beside a later attempt that has started', async () => {
    const first = await attempt();
    await letHoldsLapse();
    await claim();
    const [later] = await start(first.id);
    expect(await store(result(first))).toMatchObject({ verdict: 'applied', scheduled_claim: null });
    expect(await heldFor(first.id)).toBeCloseTo(45, 0);
    expect(await db.integration(first.id)).toMatchObject({ refresh_claim: later!.claim });
  });

  it('schedules nothing when the user has connected anew', async () => {
    const first = await attempt();
    await db.sql(`UPDATE integrations SET refresh_token = 'of the user'`);
    expect(await store(result(first))).toMatchObject({ verdict: 'superseded', scheduled_claim: null });
    expect(await heldFor(first.id)).toBeNull();
    expect(await claim()).toHaveLength(1);
  });

  it.each([['disconnected'], ['paused']])('schedules nothing for a row that is %s', async (status) => {
    const first = await attempt();
    await db.sql('UPDATE integrations SET status = $1', [status]);
    expect(await store(result(first))).toMatchObject({ verdict: 'applied', scheduled_claim: null });
    expect(await heldFor(first.id)).toBeNull();
  });

  it('schedules for a row that was disconnected wrongly and works', async () => {
    const first = await attempt();
    await db.sql(`UPDATE integrations SET status = 'needs_reauthorization'`);
    expect(await store(result(first))).toMatchObject({ scheduled_claim: '2' });
  });

  it('schedules once when a commit whose answer was lost is tried again', async () => {
    const first = await attempt();
    const kept = { refreshToken: first.token };
    const [one, other] = await Promise.all([
      store(result(first, kept), db.connection()),
      store(result(first, kept), db.connection()),
    ]);
    expect([one.scheduled_claim, other.scheduled_claim].filter((each) => each !== null)).toEqual(['2']);
    expect(await store(result(first, kept))).toMatchObject({ verdict: 'superseded', scheduled_claim: null });
    expect(await start(first.id, '2')).toHaveLength(1);
  });

  it('gives back what was started and not called, for its message to come again', async () => {
    const first = await attempt();
    await store(result(first));
    const [second] = await start(first.id, '2');
    await reopenClaims(db.database, [second!]);
    expect((await db.integration(first.id)).refresh_started_at).toBeNull();
    expect(await start(first.id, '2')).toMatchObject([{ claim: '4' }]);
  });

  it('leaves to the next scan what the provider’s limit has put off', async () => {
    const first = await attempt();
    await store(result(first));
    const [second] = await start(first.id, '2');
    await giveUpClaims(db.database, [second!]);
    expect(await db.integration(first.id)).toMatchObject({ refresh_claim: '4', refresh_started_at: null });
    expect(await start(first.id, '2')).toEqual([]);
    expect(await claim()).toHaveLength(1);
  });

  it('is put off by nobody but its own attempt: not by one whose time was up and that a later one follows', async () => {
    const first = await attempt();
    await letHoldsLapse();
    await claim();
    await start(first.id);
    const underWay = await db.integration(first.id);
    await giveUpClaims(db.database, [first]);
    expect(await db.integration(first.id)).toEqual(underWay);
    expect(await claim()).toEqual([]);
  });

  it('is not started beside an attempt that is under way, whatever a message names', async () => {
    const first = await attempt();
    expect(await start(first.id, first.claim)).toEqual([]);
  });

  it('starts nothing while the provider’s circuit is open, and a scan finds the row when it has closed', async () => {
    const first = await attempt();
    await store(result(first));
    await openCircuit(db.database, { provider: 'acme' });
    expect(await start(first.id, '2')).toEqual([]);
    await db.sql('UPDATE evergrant.provider_states SET circuit_open = false');
    await letHoldsLapse();
    expect(await claim()).toHaveLength(1);
  });

  it('may come sooner when somebody asks for it, which its message then finds done', async () => {
    const first = await attempt();
    await store(result(first));
    const asked = await claimOne(db.database, { id: first.id, holdSeconds: 270, collectedAt: 'infinity' });
    expect(asked).toMatchObject({ id: first.id, claim: '3' });
    await start(first.id);
    expect(await start(first.id, '2')).toEqual([]);
    // An attempt under way is nobody's to move.
    const again = { id: first.id, holdSeconds: 270, collectedAt: 'infinity' };
    expect(await claimOne(db.database, again)).toBeNull();
  });

  it('is void with the grant that it was scheduled for', async () => {
    const first = await attempt();
    await store(result(first));
    await replaceGrant(
      db.database,
      {
        id: first.id,
        provider: 'acme',
        accessToken: 'a',
        refreshToken: 'r',
        expiresInSeconds: 300,
        refreshTokenExpiresInSeconds: null,
        scopes: null,
      },
      45,
    );
    expect(await start(first.id, '2')).toEqual([]);
    await letHoldsLapse();
    expect(await claim()).toHaveLength(1);
  });
});

describe('a failure that schedules an early attempt', () => {
  const counters = ({ consecutive_failures, consecutive_transient_failures }: IntegrationRow) => [
    consecutive_failures ?? 0,
    consecutive_transient_failures ?? 0,
  ];

  it('counts for nothing, and only its message starts the next attempt', async () => {
    const first = await attempt();
    const [recorded] = await fail(first, 'transient');
    expect(recorded).toMatchObject({ verdict: 'applied', scheduled_claim: '2', event_id: null });
    const row = await db.integration(first.id);
    expect(counters(row)).toEqual([0, 0]);
    expect(row.last_failure_at).not.toBeNull();
    expect(await heldFor(first.id)).toBeCloseTo(60, 0);
    expect(await start(first.id)).toEqual([]);
    // A repetition of the commit finds a later claim.
    expect(await fail(first, 'transient')).toMatchObject([{ verdict: 'superseded', scheduled_claim: null }]);
    const [second] = await start(first.id, '2');
    const [counted] = await fail(second!, 'transient', null);
    expect(counted).toMatchObject({ scheduled_claim: null, consecutive_transient_failures: 1 });
    expect(await heldFor(first.id)).toBeCloseTo(300, 0);
  });

  it.each([
    ['permanent', [1, 0]],
    ['operator', [0, 0]],
  ] as const)('is none for a %s one', async (failureClass, expected) => {
    const first = await attempt();
    expect(await fail(first, failureClass)).toMatchObject([{ scheduled_claim: null }]);
    expect(counters(await db.integration(first.id))).toEqual(expected);
    expect(await heldFor(first.id)).toBeCloseTo(300, 0);
  });

  it('is none while the provider’s circuit is open: the row waits as all others', async () => {
    const first = await attempt();
    await openCircuit(db.database, { provider: 'acme' });
    expect(await fail(first, 'transient')).toMatchObject([{ scheduled_claim: null, waiting: true }]);
    expect(await heldFor(first.id)).toBeCloseTo(150, 0);
  });

  it('keeps the counters of failures that did count', async () => {
    const first = await attempt({ consecutive_failures: 1, consecutive_transient_failures: 4 });
    await fail(first, 'transient');
    expect(counters(await db.integration(first.id))).toEqual([1, 4]);
  });

  it('is not for who asks by hand: after a failure a row waits', async () => {
    const first = await attempt();
    await fail(first, 'transient');
    const asked = { id: first.id, holdSeconds: 270, collectedAt: 'infinity' };
    expect(await claimOne(db.database, asked)).toBeNull();
  });
});
