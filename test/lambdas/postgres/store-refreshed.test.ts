import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { type RefreshedResult, storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import {
  type IntegrationOverrides,
  type IntegrationRow,
  type TestDatabase,
  testDatabase,
} from '../../support/database.ts';
import { endless, lapsePolicy } from '../../support/results.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const claim = () =>
  claimDue(db.database, { windowSeconds: 600, holdSeconds: 270, provider: null, after: null, limit: 100 });

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
    expect((await db.integration(row.id)).refresh_token).toBe('refresh-2');
    expect(await claim()).toEqual([]);
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
    expect(await claim()).toMatchObject([{ id: row.id, claim: '2' }]);
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
