import { createHash, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultPolicy, type PolicySettings, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import {
  type FailedResult,
  type RecordedFailure,
  recordFailures,
} from '../../../lambdas/postgres/record-failures.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import {
  type EventRow,
  type IntegrationOverrides,
  type IntegrationRow,
  type TestDatabase,
  testDatabase,
} from '../../support/database.ts';
import {
  type Model,
  type ModelFailure,
  modelDisconnect,
  modelFailure,
  modelReconnect,
  modelRevive,
  modelSuccess,
  newModel,
} from '../../support/failure-model.ts';
import { endless, lapsePolicy } from '../../support/results.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const classes = {
  transient: { failureClass: 'transient', invalidRefreshToken: false, code: 'http_503' },
  permanent: { failureClass: 'permanent', invalidRefreshToken: false, code: 'access_denied' },
  dead: { failureClass: 'permanent', invalidRefreshToken: true, code: 'invalid_grant' },
  operator: { failureClass: 'operator', invalidRefreshToken: false, code: 'invalid_client' },
} as const satisfies Record<ModelFailure, Partial<FailedResult>>;

function failed(
  row: IntegrationRow,
  failure: ModelFailure,
  changes: Partial<FailedResult> = {},
): FailedResult {
  return {
    id: row.id,
    usedToken: row.refresh_token ?? '',
    claim: row.refresh_claim,
    providerName: 'Acme Calendar',
    retryDelaySeconds: 300,
    doubtful: false,
    mayRotate: true,
    ...classes[failure],
    ...changes,
  };
}

async function record(failures: FailedResult[], settings: PolicySettings = defaultPolicy) {
  const rows = await recordFailures(db.database, failures, {
    steps: thresholdSteps(settings),
    eventRelayHoldSeconds: 360,
    waitingHoldSeconds: 150,
  });
  return new Map(rows.map((row) => [row.id, row]));
}

/** One failure after another on the row as it stands then; returns the answer to the last. */
async function fail(id: string, ...failures: ModelFailure[]): Promise<RecordedFailure> {
  let answer: RecordedFailure | undefined;
  for (const failure of failures) {
    answer = (await record([failed(await db.integration(id), failure)])).get(id);
  }
  return answer!;
}

const told = (events: EventRow[]) =>
  events.map(({ notification_type, email_kind }) => ({ notification: notification_type, email: email_kind }));

const counters = async (id: string) => {
  const row = await db.integration(id);
  return [row.consecutive_failures, row.consecutive_transient_failures, row.status];
};

it('a counter never moves without the event that its threshold leads to', async () => {
  const { id } = await db.insertIntegration({ consecutive_failures: 2 });
  const before = await db.integration(id);
  await db.sql('ALTER TABLE evergrant.threshold_events ADD CONSTRAINT "full" CHECK (false) NOT VALID');
  await expect(fail(id, 'permanent')).rejects.toMatchObject({ code: '23514' });
  await db.sql('ALTER TABLE evergrant.threshold_events DROP CONSTRAINT "full"');
  expect(await db.integration(id)).toEqual(before);
  expect(await fail(id, 'permanent')).toMatchObject({ disconnected: true, event_id: expect.any(String) });
});

describe('the contract with its default numbers', () => {
  it('permanent: silence, a warning in the app, then disconnection with the one email', async () => {
    const { id } = await db.insertIntegration();
    expect(await fail(id, 'permanent')).toMatchObject({ event_id: null, disconnected: false });
    expect(await counters(id)).toEqual([1, 0, 'connected']);
    await fail(id, 'permanent');
    expect(told(await db.eventsOf(id))).toEqual([{ notification: 'integration_warning', email: null }]);
    expect(await counters(id)).toEqual([2, 0, 'connected']);
    expect(await fail(id, 'permanent')).toMatchObject({ disconnected: true, consecutive_failures: 3 });
    expect(told(await db.eventsOf(id))).toEqual([
      { notification: 'integration_warning', email: null },
      { notification: 'integration_disconnected', email: 'disconnected' },
    ]);
    expect(await counters(id)).toEqual([3, 0, 'needs_reauthorization']);
    expect((await db.integration(id)).disconnect_reason).toBe('access_denied');
  });

  it('invalid refresh token: an email at once, the warning second, the disconnection third, no second email', async () => {
    const { id } = await db.insertIntegration();
    await fail(id, 'dead');
    expect(await counters(id)).toEqual([1, 0, 'connected']);
    await fail(id, 'dead', 'dead');
    expect(told(await db.eventsOf(id))).toEqual([
      { notification: null, email: 'reconnect' },
      { notification: 'integration_warning', email: null },
      { notification: 'integration_disconnected', email: null },
    ]);
    expect(await counters(id)).toEqual([3, 0, 'needs_reauthorization']);
  });

  it('transient: told once in the app at the fifth, and never a disconnection', async () => {
    const { id } = await db.insertIntegration();
    for (let i = 0; i < 9; i += 1) await fail(id, 'transient');
    expect(told(await db.eventsOf(id))).toEqual([{ notification: 'integration_rate_limit', email: null }]);
    expect(await counters(id)).toEqual([0, 9, 'connected']);
  });

  it('operator: no counter, no time, no event; only the hold', async () => {
    const row = await db.insertIntegration({
      consecutive_failures: 2,
      consecutive_transient_failures: null,
    });
    expect(await fail(row.id, 'operator')).toMatchObject({ verdict: 'applied', event_id: null });
    const { refresh_claim, refresh_held_until, ...rest } = await db.integration(row.id);
    const { refresh_claim: _claim, refresh_held_until: _hold, ...before } = row;
    expect(rest).toEqual(before);
    expect(refresh_held_until).not.toBeNull();
    expect(await db.eventsOf(row.id)).toEqual([]);
  });

  it('counts from 0 what was below it, and stops counting before a column of the product overflows', async () => {
    const largest = 2_147_483_647;
    const full = await db.insertIntegration({
      consecutive_failures: largest,
      consecutive_transient_failures: largest,
    });
    const negative = await db.insertIntegration({ consecutive_failures: -largest - 1 });
    const beside = await db.insertIntegration();
    const recorded = await record([full, negative, beside].map((row) => failed(row, 'permanent')));
    expect(recorded.get(full.id)).toMatchObject({ verdict: 'applied', consecutive_failures: 32_767 });
    expect(recorded.get(negative.id)).toMatchObject({ verdict: 'applied', consecutive_failures: 1 });
    expect(recorded.get(beside.id)).toMatchObject({ verdict: 'applied', consecutive_failures: 1 });
    expect(await counters(full.id)).toEqual([32_767, 32_766, 'needs_reauthorization']);
  });

  it('counts each class by itself: neither ends the run of the other', async () => {
    const { id } = await db.insertIntegration();
    await fail(id, 'permanent', 'transient', 'operator', 'permanent');
    expect(await counters(id)).toEqual([2, 1, 'connected']);
    expect(told(await db.eventsOf(id))).toEqual([{ notification: 'integration_warning', email: null }]);
  });

  it.each<[string, IntegrationOverrides, ModelFailure, unknown[], unknown]>([
    ['null', { consecutive_failures: null }, 'permanent', [1, 0, 'connected'], []],
    [
      '2',
      { consecutive_failures: 2 },
      'permanent',
      [3, 0, 'needs_reauthorization'],
      [{ notification: 'integration_disconnected', email: 'disconnected' }],
    ],
    [
      '7',
      { consecutive_failures: 7 },
      'dead',
      [8, 0, 'needs_reauthorization'],
      [{ notification: 'integration_disconnected', email: 'disconnected' }],
    ],
    ['7, transient', { consecutive_transient_failures: 7 }, 'transient', [0, 8, 'connected'], []],
    ['nulls, transient', { consecutive_transient_failures: null }, 'transient', [0, 1, 'connected'], []],
  ])('goes on from what a row stood at before Evergrant: %s', async (_, start, failure, after, events) => {
    const { id } = await db.insertIntegration(start);
    expect(await db.eventsOf(id)).toEqual([]);
    await fail(id, failure);
    expect(await counters(id)).toEqual(after);
    expect(told(await db.eventsOf(id))).toEqual(events);
  });

  it('disconnects at the first invalid refresh token when told so', async () => {
    const row = await db.insertIntegration();
    await record([failed(row, 'dead')], { ...defaultPolicy, disconnectOnInvalidRefreshToken: true });
    expect(await counters(row.id)).toEqual([1, 0, 'needs_reauthorization']);
    expect(told(await db.eventsOf(row.id))).toEqual([
      { notification: 'integration_disconnected', email: 'disconnected' },
    ]);
  });
});

describe('a recorded failure', () => {
  it('writes an event that says whom it concerns and why, to be relayed after the hold', async () => {
    const row = await db.insertIntegration({ consecutive_failures: 1 });
    const { event_id } = await fail(row.id, 'dead');
    const [event] = await db.eventsOf(row.id);
    expect(event).toMatchObject({
      id: event_id,
      integration_id: row.id,
      user_id: row.user_id,
      provider: 'acme',
      provider_name: 'Acme Calendar',
      failure_code: 'invalid_grant',
      consecutive_failures: 2,
      consecutive_transient_failures: 0,
      relay_count: 0,
      handled_at: null,
      email_sent_at: null,
    });
    expect(event!.relay_after.getTime() - event!.created_at.getTime()).toBe(360_000);
  });

  it('holds the row for the given delay and closes the claim', async () => {
    const row = await db.insertIntegration();
    await record([failed(row, 'transient', { retryDelaySeconds: 77.5 })]);
    const [held] = await db.sql<{ seconds: number }>(
      'SELECT extract(epoch FROM refresh_held_until - last_failure_at)::float8 AS seconds FROM integrations',
    );
    expect(held?.seconds).toBeCloseTo(77.5, 3);
    expect(
      await claimDue(db.database, {
        collectedAt: 'infinity',
        windowSeconds: 600,
        holdSeconds: 10,
        provider: null,
        after: null,
        limit: 5,
      }),
    ).toEqual([]);
  });

  it('leaves the tokens of the row alone', async () => {
    const row = await db.insertIntegration();
    await fail(row.id, 'dead', 'dead', 'dead');
    expect(await db.integration(row.id)).toMatchObject({
      access_token: row.access_token,
      refresh_token: row.refresh_token,
      expires_at: row.expires_at,
    });
  });

  it('counts once when its commit is repeated', async () => {
    const row = await db.insertIntegration({ consecutive_failures: 1 });
    const failure = failed(row, 'permanent');
    await record([failure]);
    expect((await record([failure])).get(row.id)).toMatchObject({
      verdict: 'superseded',
      event_id: null,
      disconnected: false,
    });
    expect(await counters(row.id)).toEqual([2, 0, 'connected']);
    expect(await db.eventsOf(row.id)).toHaveLength(1);
  });

  it('counts once when it is committed by eight at once', async () => {
    const row = await db.insertIntegration({ consecutive_failures: 1 });
    const connections = Array.from({ length: 8 }, () => db.connection());
    const answers = await Promise.all(
      connections.map((connection) =>
        recordFailures(connection, [failed(row, 'permanent')], {
          steps: thresholdSteps(defaultPolicy),
          eventRelayHoldSeconds: 1,
          waitingHoldSeconds: 150,
        }),
      ),
    );
    expect(answers.flat().filter(({ verdict }) => verdict === 'applied')).toHaveLength(1);
    expect(await counters(row.id)).toEqual([2, 0, 'connected']);
    expect(await db.eventsOf(row.id)).toHaveLength(1);
  });

  it('is void for a grant that is not in the row any more', async () => {
    const row = await db.insertIntegration({ consecutive_failures: 2 });
    await db.sql(`UPDATE integrations SET refresh_token = 'new' WHERE id = $1`, [row.id]);
    const before = await db.integration(row.id);
    expect((await record([failed(row, 'dead')])).get(row.id)).toMatchObject({ verdict: 'superseded' });
    expect(await db.integration(row.id)).toEqual(before);
    expect(await db.eventsOf(row.id)).toEqual([]);
  });

  it('frees the row of its attempt when it is void, so that the new grant is refreshed in time', async () => {
    const row = await db.insertIntegration();
    const wanted = {
      windowSeconds: 600,
      holdSeconds: 10,
      provider: null,
      after: null,
      limit: 5,
      collectedAt: 'infinity',
    };
    await claimDue(db.database, wanted);
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    const started = await db.integration(row.id);
    await db.sql(`UPDATE integrations SET refresh_token = 'new' WHERE id = $1`, [row.id]);
    await record([failed(started, 'dead')]);
    expect((await db.integration(row.id)).refresh_started_at).toBeNull();
    expect(await claimDue(db.database, wanted)).toMatchObject([{ id: row.id, claim: '2' }]);
  });

  it('gives up the hold of a row whose token was taken away meanwhile', async () => {
    const row = await db.insertIntegration({ heldFor: 45 });
    await db.sql('UPDATE integrations SET refresh_token = NULL WHERE id = $1', [row.id]);
    expect((await record([failed(row, 'dead')])).get(row.id)).toMatchObject({ verdict: 'superseded' });
    expect((await db.integration(row.id)).refresh_held_until).toBeNull();
  });

  it('is void under an earlier claim', async () => {
    const row = await db.insertIntegration();
    const claim = () =>
      claimDue(db.database, {
        collectedAt: 'infinity',
        windowSeconds: 600,
        holdSeconds: 10,
        provider: null,
        after: null,
        limit: 5,
      });
    await claim();
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 10 });
    const first = await db.integration(row.id);
    await db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 s'`);
    await claim();
    const before = await db.integration(row.id);
    expect((await record([failed(first, 'dead')])).get(row.id)).toMatchObject({ verdict: 'superseded' });
    expect(await db.integration(row.id)).toEqual(before);
    // Nor does it free the row while the later attempt is under way.
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 10 });
    const started = await db.integration(row.id);
    expect((await record([failed(first, 'dead')])).get(row.id)).toMatchObject({ verdict: 'superseded' });
    expect(await db.integration(row.id)).toEqual(started);
  });

  it.each([['disconnected'], ['needs_reauthorization'], ['paused']])(
    'is void while the status is "%s"',
    async (status) => {
      const row = await db.insertIntegration({ status, consecutive_failures: 2 });
      expect(await fail(row.id, 'permanent')).toMatchObject({ verdict: 'superseded' });
      expect(await db.integration(row.id)).toEqual(row);
      expect(await db.eventsOf(row.id)).toEqual([]);
    },
  );

  it('finds its row gone or locked, while the others of its group count', async () => {
    const gone = await db.insertIntegration();
    const locked = await db.insertIntegration();
    const free = await db.insertIntegration({ consecutive_failures: 1 });
    await db.sql('DELETE FROM integrations WHERE id = $1', [gone.id]);
    await db.inTransaction(async (other) => {
      await other.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [locked.id]);
      const answers = await record([gone, locked, free].map((row) => failed(row, 'permanent')));
      expect(answers.get(gone.id)).toMatchObject({ verdict: 'gone', event_id: null });
      expect(answers.get(locked.id)).toMatchObject({ verdict: 'locked', event_id: null });
      expect(answers.get(free.id)).toMatchObject({ verdict: 'applied', consecutive_failures: 2 });
    });
    expect(await counters(locked.id)).toEqual([0, 0, 'connected']);
    expect(await db.eventsOf(free.id)).toHaveLength(1);
  });

  it('counts from the row’s own value, also when the product changes it meanwhile', async () => {
    const row = await db.insertIntegration({ consecutive_failures: 0 });
    await db.sql('UPDATE integrations SET consecutive_failures = 2 WHERE id = $1', [row.id]);
    await record([failed(row, 'permanent')]);
    expect(await counters(row.id)).toEqual([3, 0, 'needs_reauthorization']);
  });

  it('tells nobody where nobody owns the row, and counts all the same', async () => {
    await db.sql('ALTER TABLE integrations ALTER COLUMN user_id DROP NOT NULL');
    const { id } = await db.insertIntegration({ user_id: null, consecutive_failures: 1 });
    expect(await fail(id, 'permanent')).toMatchObject({ verdict: 'applied', event_id: null });
    expect(await counters(id)).toEqual([2, 0, 'connected']);
  });

  it('stands or falls with its event', async () => {
    const row = await db.insertIntegration({ consecutive_failures: 1 });
    await db.sql(
      `ALTER TABLE evergrant.threshold_events ADD CONSTRAINT refuse CHECK (failure_code <> 'access_denied')`,
    );
    await expect(fail(row.id, 'permanent')).rejects.toThrow();
    await db.sql('ALTER TABLE evergrant.threshold_events DROP CONSTRAINT refuse');
    expect(await db.integration(row.id)).toEqual(row);
  });
});

describe('a lost answer', () => {
  const hashOf = (token: string | null) =>
    createHash('sha256')
      .update(token ?? '')
      .digest();
  const doubtOf = async (id: string) => {
    const { doubtful_grant, doubtful_since } = await db.integration(id);
    return { grant: doubtful_grant, since: doubtful_since };
  };
  const lost = async (id: string, changes: Partial<FailedResult> = {}) =>
    (await record([failed(await db.integration(id), 'transient', { doubtful: true, ...changes })])).get(id)!;
  const refusedOnce = async (id: string, changes: Partial<FailedResult> = {}) =>
    (await record([failed(await db.integration(id), 'dead', changes)])).get(id)!;

  it('puts the grant in doubt, and keeps its first moment', async () => {
    const row = await db.insertIntegration({ refresh_token: 'the grant' });
    expect(await lost(row.id)).toMatchObject({ verdict: 'applied', after_doubt: false });
    const first = await doubtOf(row.id);
    expect(first).toEqual({ grant: hashOf('the grant'), since: expect.any(Date) });
    await fail(row.id, 'transient', 'operator', 'permanent');
    expect(await doubtOf(row.id)).toEqual(first);
    await lost(row.id);
    expect(await doubtOf(row.id)).toEqual(first);
  });

  it('puts it in doubt also while the circuit is open, when nothing else moves', async () => {
    const row = await db.insertIntegration({ refresh_token: 'the grant' });
    await db.sql(
      `INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_cause) VALUES ('acme', true, 'outage')`,
    );
    expect(await lost(row.id)).toMatchObject({ waiting: true, consecutive_transient_failures: 0 });
    expect((await doubtOf(row.id)).grant).toEqual(hashOf('the grant'));
  });

  it('tells every later refusal of this very grant apart, in the answer and in its events', async () => {
    const row = await db.insertIntegration();
    await lost(row.id);
    for (const count of [1, 2, 3]) {
      expect(await refusedOnce(row.id)).toMatchObject({ after_doubt: true, consecutive_failures: count });
    }
    expect((await db.eventsOf(row.id)).map((event) => event.after_doubt)).toEqual([true, true, true]);
    expect((await db.integration(row.id)).status).toBe('needs_reauthorization');
  });

  it('is told apart as well when the retry of the same attempt is refused', async () => {
    const row = await db.insertIntegration();
    expect(await refusedOnce(row.id, { doubtful: true })).toMatchObject({ after_doubt: true });
    expect(await refusedOnce(row.id)).toMatchObject({ after_doubt: true });
  });

  it('has nothing to do with refusals without one', async () => {
    const row = await db.insertIntegration();
    await fail(row.id, 'transient');
    expect(await refusedOnce(row.id)).toMatchObject({ after_doubt: false });
    expect(await doubtOf(row.id)).toEqual({ grant: null, since: null });
    expect((await db.eventsOf(row.id)).map((event) => event.after_doubt)).toEqual([false]);
  });

  it('explains no refusal but that of the grant itself', async () => {
    const row = await db.insertIntegration();
    await lost(row.id);
    expect(await fail(row.id, 'permanent')).toMatchObject({ after_doubt: false });
    expect(await fail(row.id, 'operator')).toMatchObject({ after_doubt: false });
    expect(await fail(row.id, 'transient')).toMatchObject({ after_doubt: false });
  });

  it('explains nothing where the provider spends no token', async () => {
    const row = await db.insertIntegration();
    await lost(row.id);
    expect(await refusedOnce(row.id, { mayRotate: false })).toMatchObject({ after_doubt: false });
  });

  it('of an older grant says nothing about a newer one, whose own begins anew', async () => {
    const row = await db.insertIntegration();
    await lost(row.id);
    await db.sql(
      `UPDATE integrations SET refresh_token = 'newer', doubtful_since = now() - interval '1 hour' WHERE id = $1`,
      [row.id],
    );
    expect(await refusedOnce(row.id)).toMatchObject({ verdict: 'applied', after_doubt: false });
    const before = await doubtOf(row.id);
    await lost(row.id);
    const after = await doubtOf(row.id);
    expect(after.grant).toEqual(hashOf('newer'));
    expect(after.since!.getTime()).toBeGreaterThan(before.since!.getTime() + 3_000_000);
    expect(await refusedOnce(row.id)).toMatchObject({ after_doubt: true });
  });

  it('of a grant that the row no longer holds leaves none', async () => {
    const row = await db.insertIntegration();
    expect(await lost(row.id, { usedToken: 'another' })).toMatchObject({ verdict: 'superseded' });
    expect(await doubtOf(row.id)).toEqual({ grant: null, since: null });
  });

  it('is forgotten with the next success', async () => {
    const row = await db.insertIntegration();
    await lost(row.id);
    const { refresh_token, refresh_claim } = await db.integration(row.id);
    await storeRefreshed(
      db.database,
      [
        {
          ...endless,
          id: row.id,
          usedToken: refresh_token!,
          claim: refresh_claim,
          accessToken: 'access',
          refreshToken: refresh_token!,
          expiresInSeconds: 3_600,
          refreshTokenExpiresInSeconds: null,
          scope: null,
        },
      ],
      lapsePolicy,
    );
    expect(await doubtOf(row.id)).toEqual({ grant: null, since: null });
    expect(await refusedOnce(row.id)).toMatchObject({ after_doubt: false });
  });

  it('may have been that of a process that died: the claim after it leaves the doubt', async () => {
    const { id } = await db.insertIntegration({ refresh_token: 'the grant' });
    const scan = () =>
      claimDue(db.database, {
        collectedAt: 'infinity',
        windowSeconds: 600,
        holdSeconds: 10,
        provider: null,
        after: null,
        limit: 10,
      });
    await scan();
    await startAttempts(db.database, { ids: [id], holdSeconds: 0 });
    await scan();
    expect((await doubtOf(id)).grant).toEqual(hashOf('the grant'));
    expect(await refusedOnce(id)).toMatchObject({ verdict: 'applied', after_doubt: true });
  });
});

describe('an episode', () => {
  it('ends with a reconnection by a product that leaves the counters as they are', async () => {
    const { id } = await db.insertIntegration();
    await fail(id, 'dead', 'dead', 'dead');
    await db.sql(`UPDATE integrations SET refresh_token = 'new', status = 'connected' WHERE id = $1`, [id]);
    expect(await fail(id, 'dead')).toMatchObject({ consecutive_failures: 1, disconnected: false });
    expect(told(await db.eventsOf(id)).at(-1)).toEqual({ notification: null, email: 'reconnect' });
  });

  it('ends with the disconnection: whoever sets the row connected again begins a new one', async () => {
    const { id } = await db.insertIntegration();
    await fail(id, 'dead', 'dead', 'dead');
    expect((await db.integration(id)).refresh_held_until).toBeNull();
    await db.sql(`UPDATE integrations SET status = 'connected' WHERE id = $1`, [id]);
    expect(await fail(id, 'dead')).toMatchObject({ consecutive_failures: 1, disconnected: false });
    expect(told(await db.eventsOf(id)).at(-1)).toEqual({ notification: null, email: 'reconnect' });
  });

  it('does not end with an operator’s fault', async () => {
    const { id } = await db.insertIntegration();
    await fail(id, 'dead', 'operator', 'dead');
    expect(told(await db.eventsOf(id)).filter(({ email }) => email !== null)).toHaveLength(1);
  });
});

describe('a disconnection', () => {
  const hashOf = (token: string | null) =>
    createHash('sha256')
      .update(token ?? '')
      .digest();

  it('remembers the grant that it ended, since when that was connected, and its warning', async () => {
    const row = await db.insertIntegration();
    await fail(row.id, 'permanent', 'permanent', 'permanent');
    const [warning, disconnection] = await db.eventsOf(row.id);
    expect((await db.integration(row.id)).disconnected_grant).toEqual(hashOf(row.refresh_token));
    expect(disconnection).toMatchObject({
      connected_since: row.created_at,
      warned_at: warning!.created_at,
    });
    expect(warning).toMatchObject({ connected_since: null, warned_at: null });
  });

  it('counts from the latest time that the integration was connected anew', async () => {
    const connected_since = new Date('2026-03-01T12:00:00Z');
    const row = await db.insertIntegration({
      grant_connected_since: connected_since,
      consecutive_failures: 2,
    });
    await fail(row.id, 'permanent');
    expect(await db.eventsOf(row.id)).toMatchObject([{ connected_since, warned_at: null }]);
  });

  it('knows no beginning where the product knows none', async () => {
    await db.sql('ALTER TABLE integrations ALTER COLUMN created_at DROP NOT NULL');
    const row = await db.insertIntegration({ consecutive_failures: 2 });
    await db.sql('UPDATE integrations SET created_at = NULL');
    await fail(row.id, 'permanent');
    expect(await db.eventsOf(row.id)).toMatchObject([{ connected_since: null }]);
  });

  it('has no warning of an earlier episode, though the grant is the same', async () => {
    const row = await db.insertIntegration();
    await fail(row.id, 'permanent', 'permanent');
    await storeRefreshed(
      db.database,
      [
        {
          id: row.id,
          usedToken: row.refresh_token!,
          claim: (await db.integration(row.id)).refresh_claim,
          accessToken: 'a',
          refreshToken: row.refresh_token!,
          expiresInSeconds: 60,
          refreshTokenExpiresInSeconds: null,
          scope: null,
          ...endless,
        },
      ],
      lapsePolicy,
    );
    const again = failed(await db.integration(row.id), 'dead');
    await record([again], { ...defaultPolicy, disconnectOnInvalidRefreshToken: true });
    expect((await db.eventsOf(row.id)).map(({ warned_at }) => warned_at)).toEqual([null, null]);
  });
});

describe('a failure that disconnects nobody', () => {
  it('stays a heap-only update, with the claim and the start before it', async () => {
    const row = await db.insertIntegration();
    await db.inTransaction(async (client) => {
      const updates = async () => {
        const { rows } = await client.query<{ all: number; heap_only: number }>(
          `SELECT pg_stat_get_xact_tuples_updated('integrations'::regclass)::int AS all,
                  pg_stat_get_xact_tuples_hot_updated('integrations'::regclass)::int AS heap_only`,
        );
        return rows[0]!;
      };
      const database = {
        query: async <Row>(statement: string, parameters: readonly unknown[]) =>
          (await client.query(statement, [...parameters])).rows as Row[],
      };
      const before = await updates();
      const wanted = {
        windowSeconds: 600,
        holdSeconds: 10,
        provider: null,
        after: null,
        limit: 5,
        collectedAt: 'infinity',
      };
      await claimDue(database, wanted);
      await startAttempts(database, { ids: [row.id], holdSeconds: 10 });
      await recordFailures(database, [failed(row, 'dead', { claim: '1' })], {
        steps: thresholdSteps(defaultPolicy),
        eventRelayHoldSeconds: 1,
        waitingHoldSeconds: 150,
      });
      const after = await updates();
      expect([after.all - before.all, after.heap_only - before.heap_only]).toEqual([3, 3]);
    });
    expect((await db.integration(row.id)).consecutive_failures).toBe(1);
  });
});

describe('any history', () => {
  const failure = fc.constantFrom<ModelFailure>('transient', 'permanent', 'dead', 'operator');
  const event = fc.oneof(
    { weight: 8, arbitrary: failure.map((kind) => ({ kind: 'failure', failure: kind }) as const) },
    { weight: 1, arbitrary: fc.constant({ kind: 'success', rotated: true } as const) },
    { weight: 1, arbitrary: fc.constant({ kind: 'success', rotated: false } as const) },
    {
      weight: 2,
      arbitrary: fc.boolean().map((resets) => ({ kind: 'reconnect', resets }) as const),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'disconnect' } as const) },
    { weight: 1, arbitrary: fc.constant({ kind: 'revive' } as const) },
    { weight: 1, arbitrary: failure.map((kind) => ({ kind: 'outdated', failure: kind }) as const) },
  );
  const startCount = fc.constantFrom(null, 0, 2, 7);
  const history = fc.record({
    permanent: startCount,
    transient: startCount,
    events: fc.array(event, { minLength: 12, maxLength: 12 }),
  });
  const settings: fc.Arbitrary<PolicySettings> = fc.oneof(
    fc.constant(defaultPolicy),
    fc
      .record({
        warningThreshold: fc.integer({ min: 1, max: 4 }),
        above: fc.integer({ min: 1, max: 3 }),
        rateLimitThreshold: fc.integer({ min: 1, max: 6 }),
        disconnectOnInvalidRefreshToken: fc.boolean(),
      })
      .map(({ above, ...rest }) => ({ ...rest, disconnectThreshold: rest.warningThreshold + above })),
  );

  it('gives the counters, the status and the events that the contract says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(history, { minLength: 12, maxLength: 12 }),
        settings,
        async (histories, policy) => {
          const members: { id: string; model: Model; events: (typeof histories)[number]['events'] }[] = [];
          for (const { permanent, transient, events } of histories) {
            const { id } = await db.insertIntegration({
              consecutive_failures: permanent,
              consecutive_transient_failures: transient,
            });
            members.push({ id, model: newModel(permanent, transient), events });
          }
          const everybody = async () => {
            const rows = await db.sql<IntegrationRow>('SELECT * FROM integrations WHERE id = ANY($1)', [
              members.map(({ id }) => id),
            ]);
            return new Map(rows.map((row) => [row.id, row]));
          };
          for (let step = 0; step < 12; step += 1) {
            const rows = await everybody();
            const failures: FailedResult[] = [];
            const expected = new Map<string, boolean>();
            for (const { id, model, events } of members) {
              const row = rows.get(id)!;
              const next = events[step]!;
              switch (next.kind) {
                case 'failure':
                  failures.push(failed(row, next.failure));
                  expected.set(id, modelFailure(model, next.failure, policy));
                  break;
                case 'outdated':
                  failures.push(
                    failed(
                      row,
                      next.failure,
                      step % 2 ? { usedToken: 'old' } : { claim: String(Number(row.refresh_claim) - 1) },
                    ),
                  );
                  expected.set(id, false);
                  break;
                case 'success':
                  expect(
                    await storeRefreshed(
                      db.database,
                      [
                        {
                          id,
                          usedToken: row.refresh_token!,
                          claim: row.refresh_claim,
                          accessToken: 'a',
                          refreshToken: next.rotated ? randomUUID() : row.refresh_token!,
                          expiresInSeconds: 60,
                          refreshTokenExpiresInSeconds: null,
                          scope: null,
                          ...endless,
                        },
                      ],
                      lapsePolicy,
                    ),
                  ).toEqual([
                    {
                      id,
                      verdict: 'applied',
                      premature_disconnection: modelSuccess(model),
                      event_id: null,
                      scheduled_claim: null,
                    },
                  ]);
                  break;
                case 'reconnect':
                  await db.sql(
                    `UPDATE integrations SET status = 'connected', refresh_token = $2,
                       consecutive_failures = CASE WHEN $3 THEN 0 ELSE consecutive_failures END
                     WHERE id = $1`,
                    [id, randomUUID(), next.resets],
                  );
                  modelReconnect(model, next.resets);
                  break;
                case 'revive':
                  await db.sql(
                    `UPDATE integrations SET status = 'connected'
                     WHERE id = $1 AND status = 'needs_reauthorization'`,
                    [id],
                  );
                  modelRevive(model);
                  break;
                case 'disconnect':
                  await db.sql(`UPDATE integrations SET status = 'disconnected' WHERE id = $1`, [id]);
                  modelDisconnect(model);
                  break;
              }
            }
            const answers = await record(failures, policy);
            for (const [id, applies] of expected) {
              expect(answers.get(id)?.verdict).toBe(applies ? 'applied' : 'superseded');
            }
          }
          const rows = await everybody();
          for (const { id, model } of members) {
            const row = rows.get(id)!;
            expect([row.status, row.consecutive_failures, row.consecutive_transient_failures]).toEqual([
              model.status,
              model.permanent,
              model.transient,
            ]);
            const written = await db.eventsOf(id);
            expect(told(written)).toEqual(
              model.told.map(({ notification, email }) => ({ notification, email })),
            );
            for (const [index, { warned_at, connected_since, notification_type }] of written.entries()) {
              expect(warned_at !== null).toBe(model.told[index]!.warned);
              const warning = written.find(
                (earlier) =>
                  earlier.notification_type === 'integration_warning' &&
                  earlier.created_at.getTime() === warned_at?.getTime(),
              );
              expect(warning !== undefined).toBe(warned_at !== null);
              expect(connected_since !== null).toBe(notification_type === 'integration_disconnected');
            }
            expect(row.grant_connected_since !== null).toBe(model.connectedAnew);
            expect(row.disconnected_grant !== null).toBe(model.disconnection !== 'none');
          }
        },
      ),
      { numRuns: 20 },
    );
  });
});
