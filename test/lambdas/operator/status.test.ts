import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../../../lambdas/migrator/migrate.ts';
import { status } from '../../../lambdas/operator/status.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { insertScan } from '../../support/scans.ts';
import { silentLogger } from '../../support/silent-logger.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(async () => {
  await db.clear();
  await db.sql('TRUNCATE evergrant.scans');
});
afterAll(() => db.end());

const ask = (database = db.database) =>
  status(database, { refreshWindowSeconds: 600, attemptHoldSeconds: 45 });

const nothing = {
  connected: 0,
  expired: 0,
  due: 0,
  held: 0,
  failingTransient: 0,
  failingPermanent: 0,
  needsReauthorization: 0,
  withoutRefreshToken: 0,
  withoutResult: 0,
  lastSuccess: null,
};

describe('the status of providers', () => {
  it('of an empty database is empty', async () => {
    expect(await ask()).toEqual({
      now: expect.stringMatching(/^\d{4}-.*Z$/),
      providers: [],
      failing: [],
      failingCount: 0,
      lastScan: null,
      circuits: [],
      disconnectionsHeld: [],
      eventsWaiting: { count: 0, oldest: null },
    });
  });

  it('tells attempts that ended without a result from those under way and those that had one', async () => {
    const attempted = async (overrides: object, seconds: number, hold: number | null) => {
      const { id } = await db.insertIntegration({ provider: 'faulty', expiresIn: 300, ...overrides });
      await db.sql(
        `UPDATE integrations SET last_refresh_attempt = now() - make_interval(secs => $2),
           refresh_held_until = now() - make_interval(secs => $2) + make_interval(secs => $3) WHERE id = $1`,
        [id, seconds, hold],
      );
    };
    const before = new Date(Date.now() - 3_600_000);
    const after = new Date(Date.now() + 3_600_000);
    await attempted({ last_refresh_success: before }, 20, 300);
    await attempted({ last_failure_at: before }, 20, null);
    await attempted({ last_refresh_success: before }, 20, 45);
    await attempted({ last_refresh_success: after }, 20, null);
    await attempted({ last_failure_at: after }, 20, 300);
    await attempted({ expiresIn: 3_600 }, 20, null);
    const { providers } = await ask();
    expect(providers).toMatchObject([{ provider: 'faulty', connected: 6, withoutResult: 2 }]);
    await db.clear();
  });

  it('counts each row where it belongs', async () => {
    const success = new Date('2026-05-01T10:00:00Z');
    await db.insertIntegration({ expiresIn: 3600, last_refresh_success: success });
    await db.insertIntegration({ expiresIn: 300 });
    await db.insertIntegration({ expiresIn: -5 });
    await db.insertIntegration({ expiresIn: -5, heldFor: 60 });
    await db.insertIntegration({ expiresIn: -5, heldFor: -60 });
    await db.insertIntegration({ expiresIn: null, refresh_token: null });
    await db.insertIntegration({ expiresIn: -5, refresh_token: '' });
    await db.insertIntegration({ status: 'needs_reauthorization', expiresIn: -5 });
    await db.insertIntegration({
      status: 'disconnected',
      last_refresh_success: new Date('2026-05-02T10:00:00Z'),
    });
    await db.insertIntegration({ status: 'paused', last_refresh_success: new Date('2026-05-03T10:00:00Z') });
    await db.insertIntegration({ provider: 'zeta', expiresIn: 3600 });
    await db.insertIntegration({ provider: 'gone', status: 'disconnected' });
    await db.insertIntegration({ provider: 'strange', status: 'paused' });
    const { providers } = await ask();
    expect(providers).toEqual([
      {
        ...nothing,
        provider: 'acme',
        connected: 7,
        expired: 4,
        due: 3,
        held: 1,
        needsReauthorization: 1,
        withoutRefreshToken: 2,
        lastSuccess: '2026-05-02T10:00:00.000Z',
      },
      { ...nothing, provider: 'zeta', connected: 1 },
    ]);
  });

  it('counts as due what a scan claims, and as held what it has claimed or started', async () => {
    const row = await db.insertIntegration();
    await db.insertIntegration({ expiresIn: 3600 });
    expect((await ask()).providers[0]).toMatchObject({ due: 1, held: 0 });
    await claimDue(db.database, {
      collectedAt: 'infinity',
      windowSeconds: 600,
      holdSeconds: 9,
      provider: null,
      after: null,
      limit: 9,
    });
    expect((await ask()).providers[0]).toMatchObject({ due: 0, held: 1 });
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 9 });
    expect((await ask()).providers[0]).toMatchObject({ due: 0, held: 1 });
  });

  it('knows moments at infinity as none', async () => {
    await db.insertIntegration({ consecutive_failures: 1 });
    await db.sql(`UPDATE integrations SET expires_at = 'infinity', last_failure_at = '-infinity',
      last_refresh_success = 'infinity', refresh_held_until = 'infinity'`);
    const report = await ask();
    expect(report.providers[0]).toMatchObject({ due: 0, expired: 0, lastSuccess: null, held: 1 });
    expect(report.failing[0]).toMatchObject({ expiresAt: null, lastFailure: null, heldUntil: null });
  });
});

describe('the failing integrations', () => {
  it('are listed worst first, and told apart by what failed', async () => {
    const row = (overrides: Parameters<TestDatabase['insertIntegration']>[0]) =>
      db.insertIntegration({ expiresIn: 100, ...overrides });
    const transient = await row({ consecutive_transient_failures: 9 });
    const both = await row({ consecutive_failures: 1, consecutive_transient_failures: 3, heldFor: 50 });
    const worst = await row({ consecutive_failures: 2, last_failure_at: new Date('2026-05-01T10:00:00Z') });
    await row({ consecutive_failures: 0, consecutive_transient_failures: 0 });
    await row({ consecutive_failures: 5, status: 'needs_reauthorization' });
    await row({ consecutive_failures: 5, status: 'paused' });
    const report = await ask();
    expect(report.failing.map(({ id }) => id)).toEqual([worst.id, both.id, transient.id]);
    expect(report.failing[0]).toEqual({
      id: worst.id,
      provider: 'acme',
      consecutiveFailures: 2,
      consecutiveTransientFailures: 0,
      lastFailure: '2026-05-01T10:00:00.000Z',
      expiresAt: worst.expires_at!.toISOString(),
      heldUntil: null,
    });
    expect(report.failing[1]!.heldUntil).toBe(both.refresh_held_until!.toISOString());
    expect(report.providers[0]).toMatchObject({ failingPermanent: 2, failingTransient: 1 });
    expect(report.failingCount).toBe(3);
  });

  it('are twenty at most, and counted in all', async () => {
    await db.sql(
      `INSERT INTO integrations (user_id, provider, refresh_token, consecutive_failures)
       SELECT gen_random_uuid(), 'acme', 'r' || n, n FROM generate_series(1, 30) AS n`,
    );
    const { failing, failingCount } = await ask();
    expect(failing.map(({ consecutiveFailures }) => consecutiveFailures)).toEqual(
      Array.from({ length: 20 }, (_, index) => 30 - index),
    );
    expect(failingCount).toBe(30);
  });

  it('are none whose user has connected anew since', async () => {
    const { id } = await db.insertIntegration({ consecutive_failures: 2 });
    await db.sql(`UPDATE integrations SET failing_grant = sha256(convert_to(refresh_token, 'UTF8'))`);
    expect((await ask()).failingCount).toBe(1);
    await db.sql(`UPDATE integrations SET refresh_token = 'another' WHERE id = $1`, [id]);
    expect(await ask()).toMatchObject({ failing: [], failingCount: 0 });
  });
});

describe('the rest of the status', () => {
  it('tells of the latest scan', async () => {
    await insertScan(db, 700);
    await insertScan(db, 100);
    const { lastScan, now } = await ask();
    expect(lastScan).toMatchObject({
      durationMs: 1200,
      claimed: 7,
      enqueued: 6,
      released: 1,
      left: 2,
      eventsRelayed: 3,
      oldestExpiredSeconds: 40,
    });
    expect(Math.abs(Date.parse(now) - Date.parse(lastScan!.startedAt) - 100_000)).toBeLessThan(20_000);
  });

  it('counts the events that wait, and since when', async () => {
    const oldest = new Date('2026-05-01T10:00:00Z');
    await db.insertEvent({ created_at: oldest });
    await db.insertEvent();
    await db.insertEvent({ created_at: new Date(0), handled_at: new Date() });
    expect((await ask()).eventsWaiting).toEqual({ count: 2, oldest: oldest.toISOString() });
  });
});

describe('a product’s database', () => {
  it('with nulls in its counters and statuses of its own has a status, one migration behind as well', async () => {
    const product = await testDatabase({ empty: true });
    try {
      await product.sql(
        await readFile(path.join(import.meta.dirname, '../../migrations/brownfield.sql'), 'utf8'),
      );
      const migrations = path.join(import.meta.dirname, '../../../migrations');
      await migrate({ url: product.url }, migrations, { direction: 'up', count: 5 }, silentLogger());
      await product.sql('DROP TABLE IF EXISTS evergrant.scans');
      const report = await ask(product.database);
      expect(report.lastScan).toBeNull();
      expect(report.providers.map(({ provider }) => provider)).toEqual(['p1', 'p2']);
      expect(report.providers[0]).toMatchObject({ connected: 2, expired: 2, due: 2, failingPermanent: 0 });
      expect(report.providers[1]).toMatchObject({ connected: 0, needsReauthorization: 2 });
    } finally {
      await product.end();
    }
  });
});
