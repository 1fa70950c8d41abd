import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimLapsing, type LapsingIntegration } from '../../../lambdas/postgres/claim-lapsing.ts';
import { countLapsing } from '../../../lambdas/postgres/count-lapsing.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { type IntegrationOverrides, type TestDatabase, testDatabase } from '../../support/database.ts';
import { explain, rowsRead } from '../../support/explain.ts';
import { daySeconds } from '../../support/results.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const wanted = { leadSeconds: 7 * daySeconds, provider: null, excludedProviders: [], limit: 1_000 };
type Wanted = Partial<Parameters<typeof claimLapsing>[1]>;
const claim = (changes: Wanted = {}, database: Database = db.database): Promise<LapsingIntegration[]> =>
  claimLapsing(database, { ...wanted, holdSeconds: 270, collectedAt: 'infinity', ...changes });
const count = (changes: Wanted = {}) =>
  countLapsing(db.database, { ...wanted, windowSeconds: 600, ...changes });
const idsOf = (rows: readonly { id: string }[]) => rows.map(({ id }) => id);
const daysFromNow = (days: number) => new Date(Date.now() + days * daySeconds * 1000);

/** A row whose access token nothing may renew, connected sixty days ago. */
const bare = (overrides: IntegrationOverrides = {}) =>
  db.insertIntegration({
    refresh_token: null,
    created_at: daysFromNow(-60),
    expiresIn: 2 * daySeconds,
    ...overrides,
  });

/** A row with a refresh token that ends in an hour. */
const aging = (overrides: IntegrationOverrides = {}) =>
  db.insertIntegration({
    refresh_token_expires_at: daysFromNow(1 / 24),
    expiresIn: 30 * daySeconds,
    ...overrides,
  });

describe('an access token without a refresh token', () => {
  it.each([[null], ['']])('is claimed near its end, the refresh token being %j', async (none) => {
    const row = await bare({ refresh_token: none });
    expect(await count()).toBe(1);
    expect(await claim()).toEqual([
      {
        id: row.id,
        provider: 'acme',
        claim: '1',
        expires_at: row.expires_at,
        expires_in_seconds: expect.closeTo(2 * daySeconds, -1),
      },
    ]);
    expect(await claim()).toEqual([]);
    expect(await count()).toBe(0);
    expect(await db.integration(row.id)).toMatchObject({ refresh_claim: '1', refresh_claim_open: true });
  });

  it.each<[string, IntegrationOverrides]>([
    ['farther from its end than the time to warn', { expiresIn: 8 * daySeconds }],
    ['without an end', { expiresIn: null }],
    ['not there', { access_token: null }],
    ['empty', { access_token: '' }],
    ['held', { heldFor: 30 }],
    ['of another status', { status: 'needs_reauthorization' }],
    ['of a user who disconnected', { status: 'disconnected' }],
    ['of a status that only the product knows', { status: 'paused' }],
    ['beside a refresh token', { refresh_token: 'refresh' }],
    ['not past half of its life', { created_at: daysFromNow(-1) }],
    ['renewed a moment ago', { last_refresh_success: new Date() }],
    ['of a grant that is a day old', { grant_connected_since: daysFromNow(-1) }],
  ])('is left alone when it is %s', async (_, overrides) => {
    const row = await bare(overrides);
    expect(await count()).toBe(0);
    expect(await claim()).toEqual([]);
    expect(await db.integration(row.id)).toEqual(row);
  });

  it.each(['infinity', '-infinity'])('is left alone with an end at %s', async (moment) => {
    await bare();
    await db.sql('UPDATE integrations SET expires_at = $1', [moment]);
    expect(await claim()).toEqual([]);
  });

  it('is seen to once before its end, and again when it has ended', async () => {
    const row = await bare();
    await db.sql('UPDATE integrations SET lapse_warned_for = expires_at');
    expect(await claim()).toEqual([]);
    await db.sql(
      `UPDATE integrations SET expires_at = now() - interval '1 s', lapse_warned_for = now() - interval '1 s'`,
    );
    expect(idsOf(await claim())).toEqual([row.id]);
  });

  it('is seen to again when its end has moved', async () => {
    const row = await bare({ lapse_warned_for: daysFromNow(-30) });
    expect(idsOf(await claim())).toEqual([row.id]);
  });

  it('is claimed from half of its life on where it lives shorter than the time to warn', async () => {
    const hours = (since: number, until: number) =>
      bare({ last_refresh_success: daysFromNow(-since / 24), expiresIn: (until / 24) * daySeconds });
    await hours(5, 7);
    const old = await hours(7, 5);
    expect(idsOf(await claim())).toEqual([old.id]);
  });

  it('is as young as the disconnection that it came after', async () => {
    const disconnected_grant = Buffer.from('hash');
    await bare({ disconnected_grant, lapse_warned_for: daysFromNow(-0.1), expiresIn: 3_600 * 3 });
    const earlier = await bare({ disconnected_grant, lapse_warned_for: daysFromNow(-30) });
    expect(idsOf(await claim())).toEqual([earlier.id]);
  });

  it('is claimed though nobody knows since when it is there', async () => {
    await db.sql('ALTER TABLE integrations ALTER COLUMN created_at DROP NOT NULL');
    const row = await bare();
    await db.sql('UPDATE integrations SET created_at = NULL');
    expect(idsOf(await claim())).toEqual([row.id]);
    await db.clear();
    await db.sql('ALTER TABLE integrations ALTER COLUMN created_at SET NOT NULL');
  });
});

it('of a row that names no provider is claimed, also while some provider is left alone', async () => {
  await db.sql('ALTER TABLE integrations ALTER COLUMN provider DROP NOT NULL');
  const row = await bare();
  await db.sql('UPDATE integrations SET provider = NULL');
  expect(idsOf(await claim({ excludedProviders: ['acme'] }))).toEqual([row.id]);
  await db.clear();
  await db.sql('ALTER TABLE integrations ALTER COLUMN provider SET NOT NULL');
});

describe('a refresh token near its end', () => {
  it('is claimed, whatever the expiry of the access token', async () => {
    const rows = [
      await aging(),
      await aging({ expiresIn: null }),
      await aging({ last_refresh_attempt: daysFromNow(-0.3) }),
    ];
    expect(await count()).toBe(3);
    expect(idsOf(await claim()).toSorted()).toEqual(idsOf(rows).toSorted());
    expect(await claim()).toEqual([]);
  });

  it('is tried again as soon as anything else that failed: it may end within hours', async () => {
    const failed = await aging({
      last_refresh_attempt: daysFromNow(-0.01),
      last_failure_at: daysFromNow(-0.01),
    });
    const waited = await aging({
      last_refresh_attempt: daysFromNow(-0.01),
      last_refresh_success: daysFromNow(-2),
    });
    expect(idsOf(await claim()).toSorted()).toEqual([failed.id, waited.id].toSorted());
  });

  it.each<[string, IntegrationOverrides]>([
    ['a day and more away', { refresh_token_expires_at: daysFromNow(1.1) }],
    ['passed', { refresh_token_expires_at: daysFromNow(-0.1) }],
    ['unknown', { refresh_token_expires_at: null }],
  ])('is left alone when that is %s', async (_, overrides) => {
    await aging(overrides);
    expect(await claim()).toEqual([]);
  });

  it.each<[string, IntegrationOverrides]>([
    ['refreshed within six hours', { last_refresh_success: daysFromNow(-0.2) }],
    ['held', { heldFor: 30 }],
    ['of another status', { status: 'needs_reauthorization' }],
    ['empty', { refresh_token: '', created_at: new Date() }],
  ])('is left alone when it is %s', async (_, overrides) => {
    await aging(overrides);
    expect(await claim()).toEqual([]);
  });

  it('counts beside what is due only if that is not due itself', async () => {
    await aging({ expiresIn: 60 });
    expect(await count()).toBe(0);
    await aging({ expiresIn: null });
    expect(await count()).toBe(1);
  });
});

describe('claiming', () => {
  it('keeps to the provider, the excluded providers and the limit, refresh tokens first', async () => {
    const [acme, globex] = [await bare(), await bare({ provider: 'globex' })];
    expect(idsOf(await claim({ provider: 'globex', limit: 1 }))).toEqual([globex.id]);
    expect(await claim({ excludedProviders: ['acme'] })).toEqual([]);
    const first = await aging();
    expect(idsOf(await claim({ limit: 1 }))).toEqual([first.id]);
    const second = await aging();
    expect(idsOf(await claim({ limit: 2 })).toSorted()).toEqual([acme.id, second.id].toSorted());
  });

  it('gives each row to one of two scans at once, and waits for no row that somebody is changing', async () => {
    const rows = [...(await Promise.all(Array.from({ length: 20 }, () => bare()))), await aging()];
    await db.inTransaction(async (other) => {
      await other.query('UPDATE integrations SET metadata = NULL WHERE id = $1', [rows[0]!.id]);
      const scans = await Promise.all(Array.from({ length: 4 }, () => claim({ limit: 10 }, db.connection())));
      expect(idsOf(scans.flat()).toSorted()).toEqual(idsOf(rows.slice(1)).toSorted());
    });
    expect(idsOf(await claim())).toEqual([rows[0]!.id]);
  });

  it('passes over what the same scan has claimed as due', async () => {
    await aging({ expiresIn: 60 });
    await claimDue(db.database, {
      collectedAt: 'infinity',
      windowSeconds: 600,
      holdSeconds: 270,
      provider: null,
      after: null,
      limit: 10,
    });
    expect(await claim()).toEqual([]);
  });

  it('reads what lapses and not the table', async () => {
    await db.sql(
      `INSERT INTO integrations (user_id, provider, access_token, refresh_token, expires_at, refresh_token_expires_at, created_at)
       SELECT gen_random_uuid(), 'acme', 'a', CASE WHEN n % 2 = 0 THEN 'r' END,
              now() + interval '30 days', now() + interval '30 days', now() - interval '60 days'
       FROM generate_series(1, 20000) AS n`,
    );
    for (let i = 0; i < 10; i += 1) {
      await bare();
      await aging();
    }
    await db.sql('VACUUM ANALYZE integrations');
    const runs = {
      claim: (database: Database) => claim({}, database),
      count: (database: Database) => countLapsing(database, { ...wanted, windowSeconds: 600 }),
    };
    for (const [name, run] of Object.entries(runs)) {
      const plan = await explain(db, run);
      const indexes = plan.map((node) => node['Index Name']);
      expect(indexes, name).toContain('evergrant_integrations_without_refresh_token');
      expect(indexes, name).toContain('evergrant_integrations_refresh_token_end');
      for (const node of plan.filter(
        (each) => each['Relation Name'] === 'integrations' || each['Index Name'],
      )) {
        expect(node['Node Type']).not.toBe('Seq Scan');
        expect(rowsRead(node), `${name}: ${node['Node Type']}`).toBeLessThanOrEqual(50);
      }
    }
  });
});
