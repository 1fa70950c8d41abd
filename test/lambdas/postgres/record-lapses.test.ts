import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimLapsing } from '../../../lambdas/postgres/claim-lapsing.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { loadEvent } from '../../../lambdas/postgres/load-event.ts';
import { type LapseResult, recordLapses } from '../../../lambdas/postgres/record-lapses.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import {
  type IntegrationOverrides,
  type IntegrationRow,
  type TestDatabase,
  testDatabase,
} from '../../support/database.ts';
import { daySeconds, lapsePolicy } from '../../support/results.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  // The rows of these tests live in the days before the tests.
  await db.sql(`UPDATE evergrant.installation SET installed_at = now() - interval '30 days'`);
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const daysFromNow = (days: number) => new Date(Date.now() + days * daySeconds * 1000);
const bare = (overrides: IntegrationOverrides = {}) =>
  db.insertIntegration({
    refresh_token: null,
    created_at: daysFromNow(-60),
    expiresIn: 2 * daySeconds,
    refresh_claim: '4',
    heldFor: 45,
    ...overrides,
  });
const expired = (overrides: IntegrationOverrides = {}) => bare({ expiresIn: -60, ...overrides });

const lapse = (
  row: IntegrationRow,
  decision: LapseResult['decision'],
  changes: Partial<LapseResult> = {},
): LapseResult => ({
  id: row.id,
  usedToken: row.refresh_token || (row.access_token ?? ''),
  claim: row.refresh_claim,
  decision,
  providerName: 'Acme Calendar',
  ...changes,
});
const record = (results: readonly LapseResult[], database: Database = db.database) =>
  recordLapses(database, results, lapsePolicy);
const verdictOf = async (result: LapseResult) => (await record([result]))[0]!;

describe('an end that is near', () => {
  it('is told once, in the app', async () => {
    const row = await bare();
    const { verdict, disconnected, event_id } = await verdictOf(lapse(row, 'warn'));
    expect({ verdict, disconnected }).toEqual({ verdict: 'applied', disconnected: false });
    const after = await db.integration(row.id);
    expect(after).toEqual({
      ...row,
      lapse_warned_for: row.expires_at,
      failure_warned_at: expect.any(Date),
      refresh_claim: '5',
      refresh_held_until: null,
    });
    expect(await db.eventsOf(row.id)).toMatchObject([
      {
        id: event_id,
        user_id: row.user_id,
        provider: 'acme',
        provider_name: 'Acme Calendar',
        notification_type: 'integration_warning',
        email_kind: null,
        failure_code: 'access_token_ends',
        consecutive_failures: 0,
        consecutive_transient_failures: 0,
        lapses_at: row.expires_at,
        connected_since: null,
        handled_at: null,
      },
    ]);
    expect(await verdictOf(lapse(after, 'warn'))).toMatchObject({ verdict: 'applied', event_id: null });
    expect(await db.eventsOf(row.id)).toHaveLength(1);
  });

  it.each<[string, IntegrationOverrides]>([
    ['lives shorter than the time to warn', { grant_connected_since: daysFromNow(-1) }],
    [
      'was obtained after a disconnection a moment ago',
      {
        disconnected_grant: Buffer.from('hash'),
        lapse_warned_for: daysFromNow(-0.01),
      },
    ],
    ['is nobody’s', { user_id: null }],
  ])('is seen to and told nobody when the token %s', async (_, overrides) => {
    if (overrides.user_id === null)
      await db.sql('ALTER TABLE integrations ALTER COLUMN user_id DROP NOT NULL');
    const row = await bare(overrides);
    expect(await verdictOf(lapse(row, 'warn'))).toMatchObject({ verdict: 'applied', event_id: null });
    expect(await db.integration(row.id)).toMatchObject({
      lapse_warned_for: row.expires_at,
      failure_warned_at: null,
      refresh_held_until: null,
    });
    expect(await db.eventsOf(row.id)).toEqual([]);
  });

  it('is no news where it goes on moving by less than a day: something else renews it', async () => {
    const row = await bare();
    expect((await verdictOf(lapse(row, 'warn'))).event_id).not.toBeNull();
    for (let renewals = 0; renewals < 3; renewals += 1) {
      await db.sql(
        `UPDATE integrations SET access_token = 'access-' || $1::text, expires_at = expires_at + interval '1 hour', refresh_held_until = now() + interval '45 s'`,
        [renewals],
      );
      const renewed = await db.integration(row.id);
      expect(await verdictOf(lapse(renewed, 'warn'))).toMatchObject({ verdict: 'applied', event_id: null });
      expect(await db.integration(row.id)).toMatchObject({ lapse_warned_for: renewed.expires_at });
    }
    await db.sql(`UPDATE integrations SET lapse_warned_for = now() - interval '1 day'`);
    const anew = await db.integration(row.id);
    expect((await verdictOf(lapse(anew, 'warn'))).event_id).not.toBeNull();
  });

  it('is not seen to while it is farther away: an operator asked for the row', async () => {
    const row = await bare({ expiresIn: 50 * daySeconds });
    expect(await verdictOf(lapse(row, 'warn'))).toMatchObject({ verdict: 'applied', event_id: null });
    expect(await db.integration(row.id)).toEqual({ ...row, refresh_claim: '5', refresh_held_until: null });
  });

  it('that has come meanwhile is left to the next scan', async () => {
    const row = await expired();
    expect(await verdictOf(lapse(row, 'warn'))).toMatchObject({ event_id: null, disconnected: false });
    expect(await db.integration(row.id)).toMatchObject({ status: 'connected', refresh_held_until: null });
    const scan = {
      collectedAt: 'infinity',
      leadSeconds: 600,
      holdSeconds: 270,
      provider: null,
      excludedProviders: [],
      limit: 1,
    };
    expect(await claimLapsing(db.database, scan)).toMatchObject([{ id: row.id }]);
  });
});

describe('an end that has come', () => {
  it('disconnects the integration and tells its user, as a disconnection does', async () => {
    const row = await expired({ consecutive_failures: 1 });
    const { verdict, disconnected, event_id } = await verdictOf(lapse(row, 'end'));
    expect({ verdict, disconnected }).toEqual({ verdict: 'applied', disconnected: true });
    expect(await db.integration(row.id)).toEqual({
      ...row,
      status: 'needs_reauthorization',
      disconnect_reason: 'access_token_ended',
      failing_grant: Buffer.alloc(0),
      disconnected_grant: createHash('sha256').update(row.access_token!).digest(),
      failure_emailed_at: expect.any(Date),
      lapse_warned_for: row.expires_at,
      refresh_claim: '5',
      refresh_held_until: null,
      updated_at: expect.any(Date),
    });
    expect(await db.eventsOf(row.id)).toMatchObject([
      {
        id: event_id,
        notification_type: 'integration_disconnected',
        email_kind: 'disconnected',
        failure_code: 'access_token_ended',
        consecutive_failures: 1,
        lapses_at: row.expires_at,
        connected_since: row.created_at,
        warned_at: null,
      },
    ]);
  });

  it('remembers for the measures that it had been told of', async () => {
    const row = await bare({ expiresIn: 3 });
    const warned = await verdictOf(lapse(row, 'warn'));
    await db.sql('UPDATE evergrant.threshold_events SET handled_at = created_at');
    await db.sql(`UPDATE integrations SET expires_at = t.at, lapse_warned_for = t.at
                  FROM (SELECT now() - interval '1 s' AS at) AS t`);
    const ended = await verdictOf(lapse(await db.integration(row.id), 'end'));
    expect(await loadEvent(db.database, ended.event_id!)).toMatchObject({ warned: true });
    expect(warned.event_id).not.toBe(ended.event_id);
  });

  it('is told nobody when it came before the installation', async () => {
    const row = await expired({ expiresIn: -31 * daySeconds });
    expect(await verdictOf(lapse(row, 'end'))).toMatchObject({ disconnected: true, event_id: null });
    expect(await db.integration(row.id)).toMatchObject({
      status: 'needs_reauthorization',
      disconnect_reason: 'access_token_ended',
      failure_emailed_at: null,
    });
    expect(await db.eventsOf(row.id)).toEqual([]);
  });

  it('is none when the product has moved it meanwhile', async () => {
    const row = await expired();
    await db.sql(`UPDATE integrations SET expires_at = now() + interval '1 hour'`);
    const before = await db.integration(row.id);
    expect(await verdictOf(lapse(row, 'end'))).toMatchObject({ verdict: 'superseded', event_id: null });
    expect(await db.integration(row.id)).toEqual({ ...before, refresh_held_until: null });
  });

  it('is told once, though the product sets the row connected again without a new token', async () => {
    const row = await expired();
    await verdictOf(lapse(row, 'end'));
    await db.sql(`UPDATE integrations SET status = 'connected', disconnect_reason = NULL`);
    expect(await verdictOf(lapse(await db.integration(row.id), 'end'))).toMatchObject({
      disconnected: true,
      event_id: null,
    });
    expect(await db.eventsOf(row.id)).toHaveLength(1);
  });

  it('is seen to and told nobody where the row names no provider', async () => {
    await db.sql('ALTER TABLE integrations ALTER COLUMN provider DROP NOT NULL');
    const rows = [await expired(), await bare()];
    await db.sql('UPDATE integrations SET provider = NULL');
    const nameless = { providerName: null as unknown as string };
    expect(await record([lapse(rows[0]!, 'end', nameless), lapse(rows[1]!, 'warn', nameless)])).toMatchObject(
      [
        { verdict: 'applied', disconnected: true, event_id: null },
        { verdict: 'applied', disconnected: false, event_id: null },
      ],
    );
    await db.clear();
    await db.sql('ALTER TABLE integrations ALTER COLUMN provider SET NOT NULL');
  });

  it('comes anew after a reconnection', async () => {
    const row = await expired();
    await verdictOf(lapse(row, 'end'));
    await db.sql(
      `UPDATE integrations SET status = 'connected', access_token = 'access-2', expires_at = now() - interval '1 s'`,
    );
    expect(await verdictOf(lapse(await db.integration(row.id), 'end'))).toMatchObject({ disconnected: true });
    expect(await db.eventsOf(row.id)).toHaveLength(2);
  });
});

it('a row of which nothing ends rests for a day, and is not taken for expired', async () => {
  for (const refresh_token of [null, 'stored by mistake']) {
    const row = await expired({ refresh_token });
    expect(await verdictOf(lapse(row, 'keep'))).toEqual({
      id: row.id,
      verdict: 'applied',
      disconnected: false,
      event_id: null,
    });
    const after = await db.integration(row.id);
    expect(after).toEqual({
      ...row,
      lapse_warned_for: row.expires_at,
      refresh_claim: '5',
      refresh_held_until: after.refresh_held_until,
    });
    expect(after.refresh_held_until!.getTime()).toBeGreaterThan(Date.now() + (daySeconds - 60) * 1000);
  }
});

describe('a decision', () => {
  it.each<[string, string, Partial<LapseResult>]>([
    ['another token is in the row', `access_token = 'new'`, {}],
    ['a refresh token is there now', `refresh_token = 'new'`, {}],
    ['a later claim has been made', 'refresh_claim = 5', {}],
    ['the user disconnected', `status = 'disconnected'`, {}],
    ['the product has a status of its own', `status = 'paused'`, {}],
  ])('is void when %s', async (_, change) => {
    for (const decision of ['warn', 'end', 'keep'] as const) {
      const row = await expired();
      await db.sql(`UPDATE integrations SET refresh_started_at = now(), ${change} WHERE id = $1`, [row.id]);
      const before = await db.integration(row.id);
      expect(await verdictOf(lapse(row, decision))).toEqual({
        id: row.id,
        verdict: 'superseded',
        disconnected: false,
        event_id: null,
      });
      const after = await db.integration(row.id);
      // The attempt has ended, and its hold goes; those of a later claim stay.
      const ended = { refresh_held_until: null, refresh_started_at: null };
      expect(after).toEqual({ ...before, ...(before.refresh_claim !== '5' && ended) });
      expect(await db.eventsOf(row.id)).toEqual([]);
    }
  });

  it('is the end of its attempt', async () => {
    for (const decision of ['warn', 'end', 'keep'] as const) {
      const row = await expired();
      await db.sql('UPDATE integrations SET refresh_started_at = now() WHERE id = $1', [row.id]);
      expect(await verdictOf(lapse(row, decision))).toMatchObject({ verdict: 'applied' });
      expect((await db.integration(row.id)).refresh_started_at).toBeNull();
    }
  });

  it('counts once, however often it is committed and by how many at once', async () => {
    const rows = [await expired(), await bare()];
    const results = [lapse(rows[0]!, 'end'), lapse(rows[1]!, 'warn')];
    const commits = await Promise.all(Array.from({ length: 8 }, () => record(results, db.connection())));
    for (const row of rows) {
      const verdicts = commits.flat().filter(({ id }) => id === row.id);
      expect(verdicts.filter(({ verdict }) => verdict === 'applied')).toHaveLength(1);
      expect(await db.eventsOf(row.id)).toHaveLength(1);
      expect((await db.integration(row.id)).refresh_claim).toBe('5');
    }
    expect((await record(results)).map(({ verdict }) => verdict)).toEqual(['superseded', 'superseded']);
  });

  it('finds rows gone, and does not wait for one that somebody holds', async () => {
    const [locked, gone, free] = [await expired(), await expired(), await expired()];
    await db.sql('DELETE FROM integrations WHERE id = $1', [gone.id]);
    const results = [locked, gone, free].map((row) => lapse(row, 'end'));
    await db.inTransaction(async (other) => {
      await other.query('SELECT FROM integrations WHERE id = $1 FOR UPDATE', [locked.id]);
      const verdicts = new Map((await record(results)).map(({ id, verdict }) => [id, verdict]));
      expect(verdicts).toEqual(
        new Map([
          [locked.id, 'locked'],
          [gone.id, 'gone'],
          [free.id, 'applied'],
        ]),
      );
    });
  });

  it('works where the status is an enum of the product', async () => {
    const product = await testDatabase();
    try {
      await product.sql(
        'DROP INDEX evergrant_integrations_due, evergrant_integrations_without_refresh_token, evergrant_integrations_refresh_token_end',
      );
      await product.sql(`CREATE TYPE connection AS ENUM ('connected', 'needs_reauthorization')`);
      await product.sql(
        'ALTER TABLE integrations ALTER COLUMN status DROP DEFAULT, ALTER COLUMN status TYPE connection USING status::connection',
      );
      const row = await product.insertIntegration({
        refresh_token: null,
        status: 'connected',
        expiresIn: -1,
      });
      const scan = {
        collectedAt: 'infinity',
        leadSeconds: 600,
        holdSeconds: 270,
        provider: null,
        excludedProviders: [],
        limit: 1,
      };
      await claimLapsing(product.database, scan);
      const [attempt] = await startAttempts(product.database, { ids: [row.id], holdSeconds: 45 });
      const result = lapse(row, 'end', { usedToken: attempt!.token, claim: attempt!.claim });
      expect(await recordLapses(product.database, [result], lapsePolicy)).toMatchObject([
        { disconnected: true },
      ]);
    } finally {
      await product.end();
    }
  });
});
