import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { releaseClaims } from '../../../lambdas/postgres/release-claims.ts';
import { reopenClaims } from '../../../lambdas/postgres/reopen-claims.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const claim = (holdSeconds = 270) =>
  claimDue(db.database, { windowSeconds: 600, holdSeconds, provider: null, after: null, limit: 1_000 });
const start = (ids: readonly string[], database: Database = db.database) =>
  startAttempts(database, { ids, holdSeconds: 45 });
const letHoldsLapse = () =>
  db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 second'`);

describe('starting an attempt', () => {
  it('loads what the call needs and consumes the claim', async () => {
    const row = await db.insertIntegration();
    await claim();
    expect(await start([row.id])).toEqual([
      { id: row.id, provider: 'acme', refresh_token: row.refresh_token, claim: '1' },
    ]);
    expect(await start([row.id])).toEqual([]);
    const after = await db.integration(row.id);
    expect(after.refresh_claim_open).toBe(false);
    expect(after.last_refresh_attempt).not.toBeNull();
  });

  it('finds nothing without a claim', async () => {
    const row = await db.insertIntegration();
    expect(await start([row.id])).toEqual([]);
    expect(await start(['00000000-0000-0000-0000-000000000000'])).toEqual([]);
    expect(await start([])).toEqual([]);
  });

  it('happens once however many duplicates of the message arrive at once', async () => {
    for (let i = 0; i < 40; i += 1) await db.insertIntegration();
    const ids = (await claim()).map(({ id }) => id);
    const consumers = Array.from({ length: 8 }, () => db.connection());
    const started = await Promise.all(consumers.map((consumer) => start(ids, consumer)));
    const all = started.flat().map(({ id }) => id);
    expect(all.toSorted()).toEqual(ids.toSorted());
  });

  it('keeps scans away until its own hold ends, not the claim’s', async () => {
    const row = await db.insertIntegration();
    await claim(1);
    await start([row.id]);
    const [held] = await db.sql<{ seconds: number }>(
      'SELECT extract(epoch FROM refresh_held_until - now())::float8 AS seconds FROM integrations',
    );
    expect(held?.seconds).toBeGreaterThan(10);
    expect(await claim()).toEqual([]);
    await letHoldsLapse();
    expect(await claim()).toMatchObject([{ id: row.id, claim: '2' }]);
  });

  it('works for the message of an earlier scan when a later one has claimed anew', async () => {
    const row = await db.insertIntegration();
    await claim();
    await letHoldsLapse();
    await claim();
    expect(await start([row.id])).toMatchObject([{ claim: '2' }]);
    // The later scan's own message then finds nothing.
    expect(await start([row.id])).toEqual([]);
  });

  it.each([
    ['the user disconnected', { status: 'disconnected' }],
    ['it waits for the user', { status: 'needs_reauthorization' }],
    ['its status is unknown to us', { status: 'paused' }],
    ['the refresh token is gone', { refresh_token: null }],
    ['the refresh token is empty', { refresh_token: '' }],
  ])('does not happen when %s after the claim', async (_, change) => {
    const row = await db.insertIntegration();
    await claim();
    const [[column, value] = ['', '']] = Object.entries(change);
    await db.sql(`UPDATE integrations SET ${column} = $2 WHERE id = $1`, [row.id, value]);
    const before = await db.integration(row.id);
    expect(await start([row.id])).toEqual([]);
    expect(await db.integration(row.id)).toEqual(before);
  });

  it('uses the new grant of a user who reconnected after the claim', async () => {
    const row = await db.insertIntegration();
    await claim();
    await db.sql(`UPDATE integrations SET refresh_token = 'new' WHERE id = $1`, [row.id]);
    expect(await start([row.id])).toMatchObject([{ refresh_token: 'new' }]);
  });

  it('does not wait for a row that somebody is changing', async () => {
    const locked = await db.insertIntegration();
    const free = await db.insertIntegration();
    await claim();
    await db.inTransaction(async (other) => {
      await other.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [locked.id]);
      expect(await start([locked.id, free.id])).toMatchObject([{ id: free.id }]);
    });
    expect(await start([locked.id, free.id])).toMatchObject([{ id: locked.id }]);
  });
});

describe('releasing a claim', () => {
  it('lets the next scan claim the row at once', async () => {
    const row = await db.insertIntegration();
    const claimed = await claim();
    await releaseClaims(db.database, claimed);
    expect(await start([row.id])).toEqual([]);
    expect(await claim()).toMatchObject([{ id: row.id, claim: '2' }]);
  });

  it('leaves a row alone that was claimed anew', async () => {
    const row = await db.insertIntegration();
    const first = await claim();
    await letHoldsLapse();
    await claim();
    const before = await db.integration(row.id);
    await releaseClaims(db.database, first);
    expect(await db.integration(row.id)).toEqual(before);
  });

  it('leaves a row alone whose attempt has started', async () => {
    const row = await db.insertIntegration();
    const claimed = await claim();
    await start([row.id]);
    const before = await db.integration(row.id);
    await releaseClaims(db.database, claimed);
    expect(await db.integration(row.id)).toEqual(before);
  });
});

describe('reopening a claim', () => {
  it('lets the message that comes again start the attempt', async () => {
    const row = await db.insertIntegration();
    await claim();
    const [attempt] = await start([row.id]);
    await reopenClaims(db.database, [attempt!]);
    expect(await start([row.id])).toMatchObject([{ id: row.id, claim: '2' }]);
  });

  it('leaves a row alone that was claimed anew and started', async () => {
    const row = await db.insertIntegration();
    await claim();
    const [attempt] = await start([row.id]);
    await letHoldsLapse();
    await claim();
    await start([row.id]);
    await reopenClaims(db.database, [attempt!]);
    expect(await start([row.id])).toEqual([]);
  });
});
