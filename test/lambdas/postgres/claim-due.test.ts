import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ClaimedIntegration, claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { countDue } from '../../../lambdas/postgres/count-due.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { listDue } from '../../../lambdas/postgres/list-due.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { explain, rowsRead } from '../../support/explain.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const windowSeconds = 600;

function claim(
  wanted: Partial<Parameters<typeof claimDue>[1]> = {},
  database: Database = db.database,
): Promise<ClaimedIntegration[]> {
  return claimDue(database, {
    windowSeconds,
    holdSeconds: 270,
    provider: null,
    after: null,
    limit: 1_000,
    collectedAt: 'infinity',
    ...wanted,
  });
}

const idsOf = (rows: readonly { id: string }[]) => rows.map(({ id }) => id);

describe('what is due', () => {
  it('is what expires within the window, or has expired, most urgent first', async () => {
    const soon = await db.insertIntegration({ expiresIn: 590 });
    const longExpired = await db.insertIntegration({ expiresIn: -86_400 });
    const now = await db.insertIntegration({ expiresIn: 0 });
    await db.insertIntegration({ expiresIn: 630 });
    await db.insertIntegration({ expiresIn: null });

    const claimed = await claim();
    expect(idsOf(claimed)).toEqual([longExpired.id, now.id, soon.id]);
    expect(claimed[0]?.expires_in_seconds).toBeLessThan(-86_399);
    expect(claimed[2]?.expires_in_seconds).toBeGreaterThan(500);
  });

  it.each([['needs_reauthorization'], ['disconnected'], ['paused'], [''], ['CONNECTED']])(
    'is nothing of status "%s"',
    async (status) => {
      await db.insertIntegration({ status });
      expect(await claim()).toEqual([]);
      expect(await listDue(db.database, { windowSeconds, provider: null, limit: 10 })).toEqual([]);
      expect(await countDue(db.database, { windowSeconds, provider: null, limit: 10 })).toBe(0);
    },
  );

  it.each([[null], ['']])('is nothing with the refresh token %j', async (refresh_token) => {
    await db.insertIntegration({ refresh_token });
    expect(await claim()).toEqual([]);
  });

  it.each(['infinity', '-infinity'])('is nothing that expires at %s', async (moment) => {
    const { id } = await db.insertIntegration();
    await db.sql('UPDATE integrations SET expires_at = $2::timestamptz WHERE id = $1', [id, moment]);
    expect(await claim()).toEqual([]);
  });

  it('is of the wanted provider only', async () => {
    await db.insertIntegration({ provider: 'other' });
    const wanted = await db.insertIntegration({ provider: 'acme' });
    expect(await countDue(db.database, { windowSeconds, provider: 'acme', limit: 10 })).toBe(1);
    expect(idsOf(await claim({ provider: 'acme' }))).toEqual([wanted.id]);
  });

  it('is of all providers but those that are left out', async () => {
    const other = await db.insertIntegration({ provider: 'other' });
    await db.insertIntegration({ provider: 'acme' });
    const wanted = { windowSeconds, provider: null, excludedProviders: ['acme', 'unknown'], limit: 10 };
    expect(await countDue(db.database, wanted)).toBe(1);
    expect(idsOf(await listDue(db.database, wanted))).toEqual([other.id]);
    expect(await listDue(db.database, { ...wanted, provider: 'acme' })).toEqual([]);
    expect(idsOf(await claim({ excludedProviders: wanted.excludedProviders }))).toEqual([other.id]);
  });

  it('is not what is held, until the hold has passed', async () => {
    await db.insertIntegration({ heldFor: 30 });
    const lapsed = await db.insertIntegration({ heldFor: -1 });
    expect(idsOf(await claim())).toEqual([lapsed.id]);
  });

  it('is decided by the clock of the database', async () => {
    // A Lambda's clock may be off by hours: nothing of it goes into the statement.
    const row = await db.insertIntegration({ expiresIn: 300 });
    const { Date: RealDate } = globalThis;
    globalThis.Date = class extends RealDate {
      static override now() {
        return RealDate.now() - 86_400_000;
      }
    } as DateConstructor;
    try {
      expect(idsOf(await claim())).toEqual([row.id]);
    } finally {
      globalThis.Date = RealDate;
    }
  });

  it('shows the same rows in a dry run as a claim takes, and changes none', async () => {
    const rows = [];
    for (const expiresIn of [300, -5, 20]) rows.push(await db.insertIntegration({ expiresIn }));
    await db.insertIntegration({ heldFor: 100 });
    const before = await db.sql('SELECT * FROM integrations ORDER BY id');
    const listed = await listDue(db.database, { windowSeconds, provider: null, limit: 10 });
    const counted = await countDue(db.database, { windowSeconds, provider: null, limit: 10 });
    expect(await db.sql('SELECT * FROM integrations ORDER BY id')).toEqual(before);
    expect(counted).toBe(3);
    expect(idsOf(await claim())).toEqual(idsOf(listed));
  });

  it('is counted no further than asked', async () => {
    for (let i = 0; i < 5; i += 1) await db.insertIntegration();
    expect(await countDue(db.database, { windowSeconds, provider: null, limit: 3 })).toBe(3);
  });
});

describe('a claim', () => {
  it('numbers itself, opens the row for one attempt and holds it', async () => {
    const row = await db.insertIntegration({ refresh_claim: '41' });
    const [claimed] = await claim({ holdSeconds: 100 });
    expect(claimed).toMatchObject({ id: row.id, claim: '42', provider: 'acme' });
    const after = await db.integration(row.id);
    expect(after).toMatchObject({ refresh_claim: '42', refresh_claim_open: true });
    const [held] = await db.sql<{ seconds: number }>(
      'SELECT extract(epoch FROM refresh_held_until - now())::float8 AS seconds FROM integrations',
    );
    expect(held?.seconds).toBeGreaterThan(60);
    expect(held?.seconds).toBeLessThanOrEqual(100);
    expect(await claim()).toEqual([]);
  });

  it('changes nothing that the product owns', async () => {
    const before = await db.insertIntegration({ metadata: { a: 1 }, scopes: ['x'] });
    await claim();
    const after = await db.integration(before.id);
    const { refresh_claim, refresh_claim_open, refresh_held_until, ...ofTheProduct } = before;
    expect(after).toMatchObject(ofTheProduct);
  });

  it('passes rows that somebody is changing and takes the others', async () => {
    const locked = await db.insertIntegration({ expiresIn: 1 });
    const free = await db.insertIntegration({ expiresIn: 2 });
    await db.inTransaction(async (other) => {
      await other.query('UPDATE integrations SET metadata = $2 WHERE id = $1', [locked.id, '{}']);
      expect(idsOf(await claim())).toEqual([free.id]);
    });
    expect(idsOf(await claim())).toEqual([locked.id]);
  });

  it('sees what was committed just before it: a user who disconnected is left alone', async () => {
    const row = await db.insertIntegration();
    await db.inTransaction(async (other) => {
      await other.query(`UPDATE integrations SET status = 'disconnected' WHERE id = $1`, [row.id]);
    });
    expect(await claim()).toEqual([]);
  });
});

describe('chunks', () => {
  it('reach every due row once, also when many expire at the same moment', async () => {
    const moment = new Date(Date.now() + 30_000);
    for (let i = 0; i < 12; i += 1) {
      const { id } = await db.insertIntegration();
      await db.sql('UPDATE integrations SET expires_at = $2 WHERE id = $1', [id, moment]);
    }
    for (let i = 0; i < 5; i += 1) await db.insertIntegration({ expiresIn: 100 + i });
    const claimed: string[] = [];
    let after: Date | null = null;
    for (;;) {
      const chunk: ClaimedIntegration[] = await claim({ limit: 5, after });
      claimed.push(...idsOf(chunk));
      after = chunk.at(-1)?.expires_at ?? after;
      if (chunk.length < 5) break;
    }
    expect(claimed).toHaveLength(17);
    expect(new Set(claimed).size).toBe(17);
  });

  it('lose no row to the microseconds that a JavaScript date does not have', async () => {
    const ids = new Set<string>();
    for (const micros of ['000001', '000400', '000999']) {
      const { id } = await db.insertIntegration();
      ids.add(id);
      await db.sql(`UPDATE integrations SET expires_at = $2::text::timestamptz WHERE id = $1`, [
        id,
        `2026-01-01T00:00:00.${micros}Z`,
      ]);
    }
    let after: Date | null = null;
    const claimed: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      const [row]: ClaimedIntegration[] = await claim({ limit: 1, after });
      if (row) claimed.push(row.id);
      after = row?.expires_at ?? after;
    }
    expect(new Set(claimed)).toEqual(ids);
  });

  it('never overlap while eight scans claim at once', async () => {
    await db.sql(
      `INSERT INTO integrations (user_id, provider, refresh_token, expires_at)
       SELECT gen_random_uuid(), 'acme', 'r' || n, now() + make_interval(secs => n % 600)
       FROM generate_series(1, 2000) AS n`,
    );
    const claimers = Array.from({ length: 8 }, () => db.connection());
    const claimed = await Promise.all(
      claimers.map(async (claimer) => {
        const rows: ClaimedIntegration[] = [];
        // SKIP LOCKED may leave a scan with nothing while others hold their locks: a few more tries.
        for (let empty = 0; empty < 3; ) {
          const chunk = await claim({ limit: 50 }, claimer);
          if (chunk.length === 0) empty += 1;
          rows.push(...chunk);
        }
        return rows;
      }),
    );
    const all = claimed.flat();
    expect(new Set(idsOf(all)).size).toBe(all.length);
    expect(all).toHaveLength(2000);
    expect(new Set(all.map((row) => row.claim))).toEqual(new Set(['1']));
    expect(claimed.filter((rows) => rows.length > 0).length).toBeGreaterThan(1);
  });
});

describe('the cost of a scan', () => {
  it('follows what is due, not the size of the table', async () => {
    await db.sql(
      `INSERT INTO integrations (user_id, provider, status, refresh_token, expires_at)
       SELECT gen_random_uuid(), 'acme', CASE WHEN n % 10 = 0 THEN 'disconnected' ELSE 'connected' END, 'r' || n,
              now() + make_interval(secs => CASE WHEN n % 400 = 1 THEN n % 600 ELSE 3600 + n END)
       FROM generate_series(1, 20000) AS n`,
    );
    await db.sql('ANALYZE integrations');
    const wanted = { windowSeconds, provider: null, limit: 1_000 };
    const runs: [string, (database: Database) => Promise<unknown>][] = [
      [
        'claim',
        (database) =>
          claimDue(database, { collectedAt: 'infinity', ...wanted, holdSeconds: 60, after: null }),
      ],
      [
        'claim of a provider',
        (database) =>
          claimDue(database, {
            collectedAt: 'infinity',
            ...wanted,
            provider: 'acme',
            holdSeconds: 60,
            after: null,
          }),
      ],
      [
        'claim without some providers',
        (database) =>
          claimDue(database, {
            collectedAt: 'infinity',
            ...wanted,
            excludedProviders: ['other', 'another'],
            holdSeconds: 60,
            after: null,
          }),
      ],
      ['list', (database) => listDue(database, wanted)],
      ['count', (database) => countDue(database, wanted)],
    ];
    for (const [name, run] of runs) {
      const plan = await explain(db, run);
      const onTable = plan.filter((node) => node['Relation Name'] === 'integrations' || node['Index Name']);
      expect(
        onTable.map((node) => node['Node Type']),
        name,
      ).not.toContain('Seq Scan');
      expect(
        plan.map((node) => node['Index Name']),
        name,
      ).toContain('evergrant_integrations_due');
      for (const node of onTable) {
        expect(rowsRead(node), `${name}: ${node['Node Type']}`).toBeLessThanOrEqual(50);
      }
    }
    expect(await claim()).toHaveLength(50);
  });
});
