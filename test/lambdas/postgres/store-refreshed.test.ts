import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimOne } from '../../../lambdas/postgres/claim-one.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { type RefreshedResult, storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import {
  type IntegrationOverrides,
  type IntegrationRow,
  type TestDatabase,
  testDatabase,
} from '../../support/database.ts';
import { daySeconds, endless, lapsePolicy } from '../../support/results.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const claim = () =>
  claimDue(db.database, {
    collectedAt: 'infinity',
    windowSeconds: 600,
    holdSeconds: 270,
    provider: null,
    after: null,
    limit: 100,
  });

function result(row: IntegrationRow, changes: Partial<RefreshedResult> = {}): RefreshedResult {
  return {
    id: row.id,
    usedToken: row.refresh_token ?? '',
    claim: row.refresh_claim,
    accessToken: 'access-2',
    refreshToken: 'refresh-2',
    expiresInSeconds: 3600,
    refreshTokenExpiresInSeconds: null,
    scope: null,
    ...endless,
    ...changes,
  };
}

const store = async (...results: RefreshedResult[]) => {
  const verdicts = await storeRefreshed(db.database, results, lapsePolicy);
  return Object.fromEntries(verdicts.map(({ id, verdict }) => [id, verdict]));
};

describe('a stored result', () => {
  it('puts the new grant into the row, ends the episode of failures and frees the row', async () => {
    const row = await db.insertIntegration({
      consecutive_failures: 2,
      consecutive_transient_failures: 4,
      failing_grant: Buffer.from('x'),
      failure_emailed_at: new Date(),
      failure_warned_at: new Date(),
      disconnect_reason: 'old',
      heldFor: 60,
      refresh_claim: '7',
    });
    expect(await store(result(row))).toEqual({ [row.id]: 'applied' });
    const after = await db.integration(row.id);
    expect(after).toMatchObject({
      status: 'connected',
      access_token: 'access-2',
      refresh_token: 'refresh-2',
      consecutive_failures: 0,
      consecutive_transient_failures: 0,
      failing_grant: null,
      failure_emailed_at: null,
      failure_warned_at: null,
      disconnect_reason: null,
      refresh_held_until: null,
    });
    expect(after.last_refresh_success).not.toBeNull();
    expect(after.updated_at.getTime()).toBeGreaterThanOrEqual(row.updated_at.getTime());
    const [age] = await db.sql<{ seconds: number }>(
      'SELECT extract(epoch FROM expires_at - now())::float8 AS seconds FROM integrations',
    );
    expect(age?.seconds).toBeGreaterThan(3500);
    expect(age?.seconds).toBeLessThanOrEqual(3600);
    expect(await db.eventsOf(row.id)).toEqual([]);
  });

  it('counts nulls of a brownfield row as zero', async () => {
    const row = await db.insertIntegration({
      consecutive_failures: null,
      consecutive_transient_failures: null,
    });
    await store(result(row));
    expect(await db.integration(row.id)).toMatchObject({
      consecutive_failures: 0,
      consecutive_transient_failures: 0,
    });
  });

  it('keeps what the answer did not say', async () => {
    const expiry = new Date('2027-01-01T00:00:00Z');
    const row = await db.insertIntegration({
      scopes: ['a', 'b'],
      refresh_token_expires_at: expiry,
      metadata: { mine: true },
    });
    await store(result(row));
    expect(await db.integration(row.id)).toMatchObject({
      scopes: ['a', 'b'],
      refresh_token_expires_at: expiry,
      metadata: { mine: true },
    });
  });

  it('takes scopes and the life of the refresh token from the answer', async () => {
    const row = await db.insertIntegration({ scopes: ['old'] });
    await store(result(row, { scope: 'read write', refreshTokenExpiresInSeconds: 86_400 }));
    const after = await db.integration(row.id);
    expect(after.scopes).toEqual(['read', 'write']);
    expect(after.refresh_token_expires_at!.getTime()).toBeGreaterThan(Date.now() + 80_000_000);
  });

  it('may keep the refresh token that was used', async () => {
    const row = await db.insertIntegration();
    await store(result(row, { refreshToken: row.refresh_token! }));
    expect((await db.integration(row.id)).refresh_token).toBe(row.refresh_token);
  });

  it('is found in the row however odd its characters', async () => {
    const odd = 'a"b\\c,{d}\' é$1 \t💥';
    const row = await db.insertIntegration({ refresh_token: odd });
    expect(await store(result(row, { accessToken: odd, refreshToken: `${odd}2` }))).toEqual({
      [row.id]: 'applied',
    });
    expect(await db.integration(row.id)).toMatchObject({ access_token: odd, refresh_token: `${odd}2` });
  });

  it('reconnects an integration that waited for its user', async () => {
    const row = await db.insertIntegration({ status: 'needs_reauthorization', disconnect_reason: 'x' });
    await store(result(row));
    expect(await db.integration(row.id)).toMatchObject({ status: 'connected', disconnect_reason: null });
  });

  it.each([['disconnected'], ['paused']])('leaves the status "%s" as it is', async (status) => {
    const row = await db.insertIntegration({ status, disconnect_reason: 'by the user' });
    // The provider has spent the old token: the new one is stored for whoever sets the row connected again.
    expect(await store(result(row))).toEqual({ [row.id]: 'applied' });
    expect(await db.integration(row.id)).toMatchObject({
      status,
      disconnect_reason: 'by the user',
      refresh_token: 'refresh-2',
    });
    expect(await claim()).toEqual([]);
  });

  it('closes a later claim, so that nobody sends the spent token again', async () => {
    const row = await db.insertIntegration();
    await claim();
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    await db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 s'`);
    expect(await claim()).toMatchObject([{ claim: '2' }]);

    expect(await store(result(row))).toEqual({ [row.id]: 'applied' });
    expect(await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 })).toEqual([]);
    expect((await db.integration(row.id)).refresh_token).toBe('refresh-2');
  });
});

describe('a result that comes late, when another attempt has succeeded and its row is claimed again', () => {
  it.each([
    ['gives way if it did not rotate', 600, 'superseded', 'access-of-the-later'],
    ['but not if it lasts longer', 7_200, 'applied', 'access-of-the-late'],
  ] as const)('%s', async (_, expiresInSeconds, verdict, accessToken) => {
    const row = await db.insertIntegration();
    await claim();
    const [first] = await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    await db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 s'`);
    await claim();
    const [second] = await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    const unrotated = { refreshToken: row.refresh_token ?? '' };
    await store(result(row, { ...unrotated, claim: second!.claim, accessToken: 'access-of-the-later' }));
    // Somebody asked for it by its id.
    await db.sql('UPDATE integrations SET refresh_claim = refresh_claim + 1, refresh_claim_open = true');

    const late = { ...unrotated, claim: first!.claim, accessToken: 'access-of-the-late', expiresInSeconds };
    expect(await store(result(row, late))).toEqual({ [row.id]: verdict });
    expect((await db.integration(row.id)).access_token).toBe(accessToken);
  });
});

describe('a result that comes late, when another attempt is under way', () => {
  async function twoAttempts() {
    const row = await db.insertIntegration();
    await claim();
    const [first] = await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    await db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 s'`);
    await claim();
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    return { row, first: first! };
  }

  it('is stored when it rotated: it is the only living grant; but nobody else may start yet', async () => {
    const { row, first } = await twoAttempts();
    expect(await store(result(row, { claim: first.claim, expiresInSeconds: 1 }))).toEqual({
      [row.id]: 'applied',
    });
    const after = await db.integration(row.id);
    expect(after.refresh_token).toBe('refresh-2');
    expect(after.refresh_started_at).not.toBeNull();
    expect(await claim()).toEqual([]);
    expect(await claimOne(db.database, { id: row.id, holdSeconds: 270, collectedAt: 'infinity' })).toBeNull();
  });

  it('is left to the other attempt when it did not', async () => {
    const { row, first } = await twoAttempts();
    const before = await db.integration(row.id);
    expect(await store(result(row, { claim: first.claim, refreshToken: row.refresh_token! }))).toEqual({
      [row.id]: 'superseded',
    });
    expect(await db.integration(row.id)).toEqual(before);
  });
});

describe('a success after a disconnection by Evergrant', () => {
  const hashOf = (token: string | null) =>
    createHash('sha256')
      .update(token ?? '')
      .digest();
  /** A row whose grant was disconnected, and which is connected again. */
  const disconnected = (changes: IntegrationOverrides = {}) =>
    db.insertIntegration({
      refresh_token: 'refresh-1',
      disconnected_grant: hashOf('refresh-1'),
      failing_grant: Buffer.alloc(0),
      ...changes,
    });
  const premature = async (...results: RefreshedResult[]) =>
    (await storeRefreshed(db.database, results, lapsePolicy)).map((stored) => stored.premature_disconnection);

  it.each(['connected', 'needs_reauthorization'])(
    'with the same grant shows that it was premature, once (%s)',
    async (status) => {
      const row = await disconnected({ status });
      expect(await premature(result(row, { refreshToken: 'refresh-1' }))).toEqual([true]);
      const after = await db.integration(row.id);
      expect(after).toMatchObject({ status: 'connected', disconnected_grant: null });
      expect(after.grant_connected_since).toEqual(after.last_refresh_success);
      expect(await premature(result(after))).toEqual([false]);
    },
  );

  it('with another grant shows nothing: the user reconnected', async () => {
    const row = await disconnected({ refresh_token: 'of the user' });
    expect(await premature(result(row))).toEqual([false]);
    const after = await db.integration(row.id);
    expect(after).toMatchObject({
      disconnected_grant: null,
      grant_connected_since: after.last_refresh_success,
    });
  });

  it('counts with the fitting row of a group only, and not where it does not apply', async () => {
    const [one, other, gone] = [await disconnected(), await db.insertIntegration(), await disconnected()];
    await db.sql('DELETE FROM integrations WHERE id = $1', [gone.id]);
    const stored = await storeRefreshed(
      db.database,
      [one, other, gone].map((row) => result(row)),
      lapsePolicy,
    );
    expect(new Map(stored.map((row) => [row.id, row.premature_disconnection]))).toEqual(
      new Map([
        [one.id, true],
        [other.id, false],
        [gone.id, false],
      ]),
    );
    const void_ = await disconnected();
    expect(await premature(result(void_, { usedToken: 'other' }))).toEqual([false]);
    expect((await db.integration(void_.id)).disconnected_grant).not.toBeNull();
    const reconnected = await disconnected({ refresh_token: 'of the user' });
    expect(await premature(result(reconnected, { usedToken: 'refresh-1' }))).toEqual([false]);
  });

  it('counts once when it is committed by eight at once, rotated or not', async () => {
    for (const refreshToken of ['refresh-1', 'refresh-2']) {
      const row = await disconnected();
      const connections = Array.from({ length: 8 }, () => db.connection());
      const stored = await Promise.all(
        connections.map((connection) =>
          storeRefreshed(connection, [result(row, { refreshToken })], lapsePolicy),
        ),
      );
      expect(stored.flat().filter((each) => each.premature_disconnection)).toHaveLength(1);
    }
  });

  it('is compared with the row as another transaction left it', async () => {
    // The disconnection is committed while the success waits to be tried again.
    const row = await db.insertIntegration({ refresh_token: 'refresh-1' });
    await db.inTransaction(async (other) => {
      await other.query(
        `UPDATE integrations SET status = 'needs_reauthorization', disconnected_grant = $2 WHERE id = $1`,
        [row.id, hashOf('refresh-1')],
      );
      expect(await premature(result(row))).toEqual([false]);
    });
    expect(await premature(result(row))).toEqual([true]);
  });
});

describe('the time that an integration is connected for', () => {
  it('goes on through refreshes and through failures that pass', async () => {
    const grant_connected_since = new Date('2026-03-01T12:00:00Z');
    const row = await db.insertIntegration({ grant_connected_since });
    await store(result(row, { refreshToken: row.refresh_token! }));
    expect((await db.integration(row.id)).grant_connected_since).toEqual(grant_connected_since);
    await db.sql(`UPDATE integrations SET failing_grant = sha256(convert_to(refresh_token, 'UTF8'))`);
    await store(result(await db.integration(row.id)));
    expect((await db.integration(row.id)).grant_connected_since).toEqual(grant_connected_since);
  });

  it('begins anew when the user reconnected in the midst of failures', async () => {
    const row = await db.insertIntegration({ failing_grant: Buffer.from('of another grant') });
    await store(result(row));
    const after = await db.integration(row.id);
    expect(after.grant_connected_since).toEqual(after.last_refresh_success);
  });
});

describe('a result that no longer applies', () => {
  it('loses to the user who reconnected meanwhile', async () => {
    const row = await db.insertIntegration({ consecutive_failures: 2 });
    await db.sql(
      `UPDATE integrations SET refresh_token = 'of the user', access_token = 'of the user' WHERE id = $1`,
      [row.id],
    );
    const before = await db.integration(row.id);
    expect(await store(result(row))).toEqual({ [row.id]: 'superseded' });
    expect(await db.integration(row.id)).toEqual(before);
  });

  it('frees the row of its attempt, so that the new grant of the user is refreshed in time', async () => {
    const row = await db.insertIntegration();
    await claim();
    const [attempt] = await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    await db.sql(`UPDATE integrations SET refresh_token = 'of the user' WHERE id = $1`, [row.id]);
    await store(result(row, { claim: attempt!.claim }));
    expect((await db.integration(row.id)).refresh_started_at).toBeNull();
    expect(await claim()).toMatchObject([{ id: row.id, claim: '2' }]);
    // Nobody has used the new grant, so nothing is doubtful about it.
    expect((await db.integration(row.id)).doubtful_grant).toBeNull();
  });

  it('does not free the row of a later claim or attempt', async () => {
    const row = await db.insertIntegration();
    await claim();
    const [attempt] = await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    await db.sql(
      `UPDATE integrations SET refresh_token = 'of the user', refresh_held_until = now() - interval '1 s'`,
    );
    await claim();
    await store(result(row, { claim: attempt!.claim }));
    expect(await claim()).toEqual([]);
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    await store(result(row, { claim: attempt!.claim }));
    expect(await claim()).toEqual([]);
  });

  it('does not bring back a token that the product has taken out', async () => {
    const row = await db.insertIntegration();
    await db.sql('UPDATE integrations SET refresh_token = NULL, access_token = NULL WHERE id = $1', [row.id]);
    const before = await db.integration(row.id);
    expect(await store(result(row))).toEqual({ [row.id]: 'superseded' });
    expect(await db.integration(row.id)).toEqual(before);
  });

  it('is void the second time', async () => {
    const row = await db.insertIntegration();
    await store(result(row));
    const before = await db.integration(row.id);
    expect(await store(result(row, { accessToken: 'again' }))).toEqual({ [row.id]: 'superseded' });
    expect(await db.integration(row.id)).toEqual(before);
  });

  it('finds its row gone', async () => {
    const row = await db.insertIntegration();
    const other = await db.insertIntegration();
    await db.sql('DELETE FROM integrations WHERE id = $1', [row.id]);
    expect(await store(result(row), result(other))).toEqual({ [row.id]: 'gone', [other.id]: 'applied' });
  });
});

describe('a row that somebody is changing', () => {
  it('is reported as locked at once, and the rows beside it are stored', async () => {
    const locked = await db.insertIntegration();
    const free = await db.insertIntegration();
    await db.inTransaction(async (other) => {
      await other.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [locked.id]);
      expect(await store(result(locked), result(free))).toEqual({
        [locked.id]: 'locked',
        [free.id]: 'applied',
      });
    });
    expect(await store(result(locked))).toEqual({ [locked.id]: 'applied' });
  });

  it('keeps the grant of a user whose reconnection was not committed yet', async () => {
    const row = await db.insertIntegration();
    await db.inTransaction(async (app) => {
      await app.query(`UPDATE integrations SET refresh_token = 'of the user' WHERE id = $1`, [row.id]);
      expect(await store(result(row))).toEqual({ [row.id]: 'locked' });
    });
    expect(await store(result(row))).toEqual({ [row.id]: 'superseded' });
    expect((await db.integration(row.id)).refresh_token).toBe('of the user');
  });

  it('is stored all the same while something only refers to it', async () => {
    // A row of the product with a foreign key takes FOR KEY SHARE on the integration.
    await db.sql('CREATE TABLE IF NOT EXISTS jobs (integration_id uuid REFERENCES integrations (id))');
    const row = await db.insertIntegration();
    await db.inTransaction(async (app) => {
      await app.query('INSERT INTO jobs VALUES ($1)', [row.id]);
      expect(await store(result(row))).toEqual({ [row.id]: 'applied' });
    });
    await db.sql('DROP TABLE jobs');
  });
});

describe('the end of the grant', () => {
  const year = 365 * daySeconds;
  const inDays = (days: number) => new Date(Date.now() + days * daySeconds * 1000);
  /** Days from now until the end that the row knows after a success; `null`: none. */
  const endAfter = async (row: IntegrationRow, changes: Partial<RefreshedResult> = {}) => {
    expect(await store(result(row, changes))).toEqual({ [row.id]: 'applied' });
    const { refresh_token_expires_at: end } = await db.integration(row.id);
    return end === null ? null : (end.getTime() - Date.now()) / 1000 / daySeconds;
  };

  it.each<[string, IntegrationOverrides, Partial<RefreshedResult>, number | null]>([
    ['is what the answer says', {}, { refreshTokenExpiresInSeconds: 90 * daySeconds }, 90],
    [
      'is what the answer says, whatever the row and the provider say',
      { refresh_token_expires_at: inDays(5) },
      { refreshTokenExpiresInSeconds: 90 * daySeconds, authorizationLifetimeSeconds: year },
      90,
    ],
    ['is what the row knows', { refresh_token_expires_at: inDays(50) }, {}, 50],
    ['is unknown when it has passed', { refresh_token_expires_at: inDays(-1) }, {}, null],
    ['is unknown', {}, {}, null],
    [
      'follows from the authorization',
      { created_at: inDays(-100) },
      { authorizationLifetimeSeconds: year },
      265,
    ],
    [
      'follows from the latest authorization that is known',
      { created_at: inDays(-500), grant_connected_since: inDays(-10) },
      { authorizationLifetimeSeconds: year },
      355,
    ],
    [
      'is what the row knows rather than what follows',
      { created_at: inDays(-100), refresh_token_expires_at: inDays(50) },
      { authorizationLifetimeSeconds: year },
      50,
    ],
    [
      'follows from the authorization when what the row knew has passed',
      { created_at: inDays(-100), refresh_token_expires_at: inDays(-1) },
      { authorizationLifetimeSeconds: year },
      265,
    ],
    [
      'is unknown when it would have passed',
      { created_at: inDays(-400) },
      { authorizationLifetimeSeconds: year },
      null,
    ],
    [
      'follows from this moment when the user has reconnected',
      { created_at: inDays(-400), failing_grant: Buffer.from('another') },
      { authorizationLifetimeSeconds: year },
      365,
    ],
  ])('%s', async (_, row, changes, days) => {
    const end = await endAfter(await db.insertIntegration(row), changes);
    if (days === null) expect(end).toBeNull();
    else expect(end).toBeCloseTo(days, 2);
  });

  it('follows from this moment when the authorization is still to come, on the last day of the calendar too', async () => {
    const row = await db.insertIntegration();
    for (const created of [`now() + interval '3 days'`, `'294276-12-31 UTC'`]) {
      await db.sql(
        `UPDATE integrations SET created_at = ${created}, refresh_token = $1, refresh_token_expires_at = NULL`,
        [row.refresh_token],
      );
      expect(
        await endAfter(await db.integration(row.id), { authorizationLifetimeSeconds: year }),
      ).toBeCloseTo(365, 2);
    }
  });

  describe('that only the user can move', () => {
    const ends = (days: number, changes: Partial<RefreshedResult> = {}): Partial<RefreshedResult> => ({
      authorizationLifetimeSeconds: year,
      refreshTokenExpiresInSeconds: days * daySeconds,
      ...changes,
    });
    const warningsAfter = async (row: IntegrationRow, changes: Partial<RefreshedResult>) => {
      await store(
        result(await db.integration(row.id), {
          usedToken: (await db.integration(row.id)).refresh_token!,
          ...changes,
        }),
      );
      return db.eventsOf(row.id);
    };

    it('is told in the app when it is near, once, and anew when it is another', async () => {
      const row = await db.insertIntegration({ consecutive_failures: 1 });
      const [stored] = await storeRefreshed(db.database, [result(row, ends(6))], lapsePolicy);
      const after = await db.integration(row.id);
      expect(after.lapse_warned_for).toEqual(after.refresh_token_expires_at);
      expect(await db.eventsOf(row.id)).toMatchObject([
        {
          id: stored!.event_id,
          user_id: row.user_id,
          provider: 'acme',
          provider_name: 'Acme Calendar',
          notification_type: 'integration_warning',
          email_kind: null,
          failure_code: 'refresh_token_ends',
          consecutive_failures: 0,
          lapses_at: after.refresh_token_expires_at,
        },
      ]);
      // What remains is not exact: a day either way is the same end.
      for (const days of [5, 6.9, 5.1]) expect(await warningsAfter(row, ends(days))).toHaveLength(1);
      expect(await warningsAfter(row, ends(4.5))).toHaveLength(2);
      expect(await warningsAfter(row, ends(300))).toHaveLength(2);
      expect(await warningsAfter(row, ends(3))).toHaveLength(3);
    });

    it('is told early when the next refresh would come too late', async () => {
      const row = await db.insertIntegration();
      expect(await warningsAfter(row, ends(62, { expiresInSeconds: 60 * daySeconds }))).toEqual([]);
      expect(await warningsAfter(row, ends(60.5, { expiresInSeconds: 60 * daySeconds }))).toHaveLength(1);
    });

    it.each<[string, IntegrationOverrides, Partial<RefreshedResult>]>([
      ['is far', {}, ends(30)],
      ['moves with each refresh', {}, ends(3, { authorizationLifetimeSeconds: null })],
      ['is past, as the answer says', {}, ends(-1)],
      ['is not known', { created_at: inDays(-400) }, { authorizationLifetimeSeconds: year }],
      ['is that of a user who disconnected', { status: 'disconnected' }, ends(3)],
      ['belongs to a result that does not apply', {}, ends(3, { usedToken: 'another' })],
    ])('is not told when it %s', async (_, overrides, changes) => {
      const row = await db.insertIntegration(overrides);
      const [stored] = await storeRefreshed(db.database, [result(row, changes)], lapsePolicy);
      expect(stored!.event_id).toBeNull();
      expect(await db.eventsOf(row.id)).toEqual([]);
      expect((await db.integration(row.id)).lapse_warned_for).toBeNull();
    });

    it('is told once when it is committed by eight at once, rotated or not', async () => {
      for (const rotated of [true, false]) {
        const row = await db.insertIntegration();
        const changes = ends(3, rotated ? {} : { refreshToken: row.refresh_token! });
        const stored = await Promise.all(
          Array.from({ length: 8 }, () =>
            storeRefreshed(db.connection(), [result(row, changes)], lapsePolicy),
          ),
        );
        expect(stored.flat().filter(({ event_id }) => event_id !== null)).toHaveLength(1);
        expect(await db.eventsOf(row.id)).toHaveLength(1);
      }
    });
  });
});

describe('fields of the answer that the product needs', () => {
  const kept = { instance_url: 'https://eu1.acme.example', api_domain: 'x' };
  const metadataAfter = async (metadata: string | null, changes: Partial<RefreshedResult> = {}) => {
    const [row, beside] = [await db.insertIntegration(), await db.insertIntegration()];
    await db.sql('UPDATE integrations SET metadata = $2 WHERE id = $1', [row.id, metadata]);
    const before = await db.sql('SELECT metadata::text FROM integrations WHERE id = $1', [row.id]);
    expect(await store(result(row, { kept, ...changes }), result(beside))).toEqual({
      [row.id]: 'applied',
      [beside.id]: 'applied',
    });
    expect((await db.integration(beside.id)).metadata).toBeNull();
    const after = await db.sql('SELECT metadata::text FROM integrations WHERE id = $1', [row.id]);
    const same = JSON.stringify(after) === JSON.stringify(before);
    return same ? 'untouched' : (await db.integration(row.id)).metadata;
  };

  for (const type of ['jsonb', 'json']) {
    describe(`in a column of type ${type}`, () => {
      beforeAll(() =>
        db.sql(`ALTER TABLE integrations ALTER COLUMN metadata TYPE ${type} USING metadata::text::${type}`),
      );
      afterAll(async () => {
        await db.clear();
        await db.sql('ALTER TABLE integrations ALTER COLUMN metadata TYPE jsonb');
      });

      it('join what is there', async () => {
        expect(await metadataAfter('{"mine": [1], "api_domain": "old"}')).toEqual({ mine: [1], ...kept });
        expect(await metadataAfter('{}')).toEqual(kept);
        expect(await metadataAfter(null)).toEqual(kept);
      });

      it('leave alone what is no object', async () => {
        expect(await metadataAfter('[1, 2]')).toBe('untouched');
        expect(await metadataAfter('"text"')).toBe('untouched');
      });

      it('leave everything alone when there are none', async () => {
        expect(await metadataAfter('{"mine": 1}', { kept: {} })).toBe('untouched');
        expect(await metadataAfter(null, { kept: {} })).toBe('untouched');
      });

      it('cost no token, whatever they are', async () => {
        expect(
          await metadataAfter('{}', { kept: { a: 'x\0', b: '\ud800', 'c\0': '', d: '{"\\u0000' } }),
        ).toEqual({
          d: '{"\\u0000',
        });
      });
    });
  }

  it('cost no token where json holds what jsonb does not take', async () => {
    await db.sql('ALTER TABLE integrations ALTER COLUMN metadata TYPE json');
    try {
      for (const value of ['"\\u0000"', '"\\ud800"', '1e999999']) {
        expect(await metadataAfter(`{"odd": ${value}}`)).toBe('untouched');
      }
    } finally {
      await db.clear();
      await db.sql('ALTER TABLE integrations ALTER COLUMN metadata TYPE jsonb');
    }
  });

  it('wake no trigger on metadata when no row of the group has any', async () => {
    await db.sql(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'touched'; END $$`,
    );
    await db.sql(
      'CREATE TRIGGER t BEFORE UPDATE OF metadata ON integrations FOR EACH ROW EXECUTE FUNCTION refuse()',
    );
    try {
      const row = await db.insertIntegration();
      expect(await store(result(row))).toEqual({ [row.id]: 'applied' });
    } finally {
      await db.sql('DROP FUNCTION refuse CASCADE');
    }
  });
});
