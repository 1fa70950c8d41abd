import { randomBytes } from 'node:crypto';
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
  claimDue(db.database, {
    collectedAt: 'infinity',
    windowSeconds: 600,
    holdSeconds,
    provider: null,
    after: null,
    limit: 1_000,
  });
const start = (ids: readonly string[], database: Database = db.database) =>
  startAttempts(database, { ids, holdSeconds: 45 });
const letHoldsLapse = () =>
  db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 second'`);

describe('starting an attempt', () => {
  it('loads what the call needs and consumes the claim', async () => {
    const row = await db.insertIntegration();
    await claim();
    expect(await start([row.id])).toEqual([
      {
        id: row.id,
        provider: 'acme',
        token: row.refresh_token,
        token_column: 'refresh_token',
        claim: '1',
        variables: null,
        probe: false,
        expires_in_seconds: expect.closeTo(60, 0),
        now_seconds: expect.closeTo(Date.now() / 1000, -2),
        lifetime_seconds: null,
      },
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
    ['the tokens are gone', { refresh_token: null, access_token: null }],
    ['the tokens are empty', { refresh_token: '', access_token: '' }],
  ])('does not happen when %s after the claim', async (_, change) => {
    const row = await db.insertIntegration();
    await claim();
    for (const [column, value] of Object.entries(change)) {
      await db.sql(`UPDATE integrations SET ${column} = $2 WHERE id = $1`, [row.id, value]);
    }
    const before = await db.integration(row.id);
    expect(await start([row.id])).toEqual([]);
    expect(await db.integration(row.id)).toEqual(before);
  });

  it('uses the new grant of a user who reconnected after the claim', async () => {
    const row = await db.insertIntegration();
    await claim();
    await db.sql(`UPDATE integrations SET refresh_token = 'new' WHERE id = $1`, [row.id]);
    expect(await start([row.id])).toMatchObject([{ token: 'new', token_column: 'refresh_token' }]);
  });

  it.each([[null], ['']])('loads the access token where the refresh token is %j', async (none) => {
    const row = await db.insertIntegration({ refresh_token: none, refresh_claim_open: true });
    expect(await start([row.id])).toMatchObject([{ token: row.access_token, token_column: 'access_token' }]);
  });

  it('knows no expiry where there is none that is finite', async () => {
    const row = await db.insertIntegration({ refresh_claim_open: true });
    for (const moment of [null, 'infinity', '-infinity']) {
      await db.sql('UPDATE integrations SET expires_at = $1, refresh_claim_open = true', [moment]);
      expect(await start([row.id])).toMatchObject([{ expires_in_seconds: null }]);
    }
  });

  it('starts nothing at a provider whose circuit is open but for its probes', async () => {
    const probe = await db.insertIntegration();
    const waiting = await db.insertIntegration();
    const elsewhere = await db.insertIntegration({ provider: 'globex' });
    await claim();
    await db.sql(
      `INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_probes)
       VALUES ('acme', true, $1), ('globex', false, '{}')`,
      [[probe.id]],
    );
    const started = await start([probe.id, waiting.id, elsewhere.id]);
    expect(new Map(started.map((each) => [each.id, each.probe]))).toEqual(
      new Map([
        [probe.id, true],
        [elsewhere.id, false],
      ]),
    );
    expect((await db.integration(waiting.id)).refresh_claim_open).toBe(true);
  });

  describe('loads the short texts of the metadata', () => {
    const variablesOf = async (metadata: string | null) => {
      const { id } = await db.insertIntegration({ refresh_claim_open: true });
      const other = await db.insertIntegration({ refresh_claim_open: true });
      await db.sql('UPDATE integrations SET metadata = $2 WHERE id = $1', [id, metadata]);
      const started = await start([id, other.id]);
      expect(started).toHaveLength(2);
      return started.find((each) => each.id === id)!.variables;
    };
    const kept = [
      [`{"shop": "acme", "n": 1, "long": "${'x'.repeat(256)}"}`, { shop: 'acme', n: '1' }],
      ['{"name": "\\u00e4\\ud83d\\ude00"}', { name: 'ä😀' }],
      ['{}', null],
      ['[1, 2]', null],
      ['"text"', null],
      ['null', null],
      [null, null],
    ] as const;

    it.each(kept)('%s', async (metadata, variables) => {
      expect(await variablesOf(metadata)).toEqual(variables);
    });

    it('but not of a document that is too large to be read a hundred at a time', async () => {
      // Of what does not compress: the size as it is stored counts.
      const document = randomBytes(100_000).toString('base64');
      expect(await variablesOf(`{"shop": "acme", "document": "${document}"}`)).toBeNull();
      expect(await variablesOf(`{"shop": "acme", "document": "${document.slice(0, 50_000)}"}`)).toEqual({
        shop: 'acme',
      });
    });

    it('of a column of type json as well, and no row there keeps the others from starting', async () => {
      await db.sql('ALTER TABLE integrations ALTER COLUMN metadata TYPE json');
      try {
        for (const [metadata, variables] of kept) expect(await variablesOf(metadata)).toEqual(variables);
        const odd = ['"\\u0000"', '"\\ud800"', '"\\ude00\\ud83d"', '1e999999', '9'.repeat(140_000)];
        for (const value of odd) expect(await variablesOf(`{"shop": "acme", "odd": ${value}}`)).toBeNull();
      } finally {
        await db.clear();
        await db.sql('ALTER TABLE integrations ALTER COLUMN metadata TYPE jsonb');
      }
    });
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
