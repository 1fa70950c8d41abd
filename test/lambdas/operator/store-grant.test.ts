import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StoreGrantRequest } from '../../../lambdas/operator/reports.ts';
import {
  findForReconnection,
  findIntegrationRequest,
  storeGrant,
  storeGrantRequest,
} from '../../../lambdas/operator/store-grant.ts';
import { type Database, PostgresConnection } from '../../../lambdas/postgres/database.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { startProxy } from '../../support/proxy.ts';

let db: TestDatabase;
let sealer: TokenSealer;
beforeAll(async () => {
  db = await testDatabase();
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: 'a1'.repeat(32) }));
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const undo: string[] = [];
afterEach(async () => {
  for (const statement of undo.splice(0).toReversed()) await db.sql(statement);
});

async function request(changes: Partial<StoreGrantRequest> = {}): Promise<StoreGrantRequest> {
  const integrationId = changes.integrationId ?? randomUUID();
  return {
    ask: 'store_grant',
    integrationId,
    userId: randomUUID(),
    provider: 'acme',
    accessToken: await sealer.seal('canary-access', { integrationId, column: 'access_token' }),
    refreshToken: await sealer.seal('canary-refresh', { integrationId, column: 'refresh_token' }),
    expiresInSeconds: 3600,
    refreshTokenExpiresInSeconds: null,
    scopes: ['read'],
    ...changes,
  };
}

const store = (wanted: StoreGrantRequest, database: Database = db.database) =>
  storeGrant({ database, attemptHoldSeconds: 45 }, wanted);

describe('a grant', () => {
  it('becomes a new integration, whose tokens open with the key', async () => {
    const wanted = await request();
    const report = await store(wanted);
    const row = await db.integration(wanted.integrationId);
    expect(report).toEqual({
      stored: true,
      integrationId: wanted.integrationId,
      expiresAt: row.expires_at!.toISOString(),
    });
    expect(
      await sealer.open(row.refresh_token!, { integrationId: row.id, column: 'refresh_token' }),
    ).toMatchObject({ ok: true, token: 'canary-refresh' });
  });

  it('takes the place of the one before', async () => {
    const row = await db.insertIntegration({ status: 'needs_reauthorization' });
    const wanted = await request({ integrationId: row.id, userId: null });
    expect(await store(wanted)).toMatchObject({ stored: true, integrationId: row.id });
    expect(await db.integration(row.id)).toMatchObject({
      status: 'connected',
      refresh_token: wanted.refreshToken,
      user_id: row.user_id,
    });
  });

  it('is stored once when the connection was dead, as in an environment that was frozen', async () => {
    const { port } = new URL(db.url);
    const proxy = await startProxy(Number(port));
    const url = new URL(db.url);
    url.port = String(proxy.port);
    const database = new PostgresConnection({ url: url.href });
    try {
      await database.query('SELECT 1', []);
      proxy.cut();
      proxy.restore();
      const wanted = await request();
      expect(await store(wanted, database)).toMatchObject({ stored: true });
      expect(await db.sql('SELECT id FROM integrations')).toEqual([{ id: wanted.integrationId }]);
    } finally {
      await database.end();
      await proxy.stop();
    }
  });

  it('is stored once when the answer of the first statement is lost', async () => {
    const wanted = await request();
    let count = 0;
    const forgetful: Database = {
      async query<Row>(statement: string, parameters: readonly unknown[]) {
        const rows = await db.database.query<Row>(statement, parameters);
        count += 1;
        if (count === 1) throw new Error('Connection terminated unexpectedly');
        return rows;
      },
    };
    expect(await store(wanted, forgetful)).toMatchObject({ stored: true });
    expect(count).toBe(2);
    expect(await db.sql('SELECT id FROM integrations')).toHaveLength(1);
  });
});

describe('what the table refuses is reported with what to do, and without values', () => {
  /** Changes the table for one test. */
  async function table(change: string, back: string): Promise<void> {
    await db.sql(`ALTER TABLE integrations ${change}`);
    undo.push(`ALTER TABLE integrations ${back}`);
  }

  async function refused(wanted: StoreGrantRequest) {
    const report = await store(wanted);
    if (report.stored) throw new Error('it was stored');
    for (const value of ['canary', wanted.accessToken, wanted.refreshToken]) {
      expect(JSON.stringify(report)).not.toContain(value);
    }
    return report;
  }

  it('a further column that must not be null', async () => {
    await table('ADD COLUMN workspace_id uuid NOT NULL', 'DROP COLUMN workspace_id');
    expect(await refused(await request())).toEqual({
      stored: false,
      code: 'column_required',
      message:
        'The table integrations demands a value in its column "workspace_id", which only the product knows: connect through the product instead.',
    });
    expect(await db.sql('SELECT id FROM integrations')).toEqual([]);
  });

  it('a user that is none', async () => {
    await db.sql('CREATE TABLE people (id uuid PRIMARY KEY)');
    undo.push('DROP TABLE people');
    await table(
      'ADD CONSTRAINT integrations_user_fk FOREIGN KEY (user_id) REFERENCES people (id)',
      'DROP CONSTRAINT integrations_user_fk',
    );
    const wanted = await request();
    expect(await refused(wanted)).toEqual({
      stored: false,
      code: 'reference_missing',
      message: `The foreign key "integrations_user_fk" of integrations refuses the row: is ${wanted.userId} the id of one of the product's users?`,
    });
  });

  it('a second integration of the same user where there may be one', async () => {
    await table('ADD CONSTRAINT one_per_user UNIQUE (user_id, provider)', 'DROP CONSTRAINT one_per_user');
    const first = await request();
    await store(first);
    expect(await refused(await request({ userId: first.userId }))).toEqual({
      stored: false,
      code: 'integration_exists',
      message:
        'The constraint "one_per_user" of integrations refuses a second row like one that is there: give that one the new grant, with evergrant reconnect <integration-id>.',
    });
  });

  it('a check', async () => {
    await table("ADD CONSTRAINT known CHECK (provider = 'google')", 'DROP CONSTRAINT known');
    expect(await refused(await request())).toMatchObject({
      code: 'constraint_violated',
      message: expect.stringContaining('"known"'),
    });
  });

  it('a column that is too short for sealed tokens', async () => {
    await table('ALTER COLUMN access_token TYPE varchar(100)', 'ALTER COLUMN access_token TYPE text');
    expect(await refused(await request())).toMatchObject({ code: 'column_too_short' });
  });

  it('a role that may not write', async () => {
    const role = `reader_${randomUUID().slice(0, 8)}`;
    await db.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'p'`);
    undo.push(`DROP ROLE ${role}`, `REVOKE ALL ON integrations FROM ${role}`);
    await db.sql(`GRANT SELECT ON integrations TO ${role}`);
    const url = new URL(db.url);
    url.username = role;
    url.password = 'p';
    const database = new PostgresConnection({ url: url.href });
    expect(await store(await request(), database)).toMatchObject({
      stored: false,
      code: 'permission_denied',
      message: expect.stringContaining('GRANT INSERT, UPDATE ON integrations'),
    });
    await database.end();
  });

  it('and what nobody foresaw is thrown', async () => {
    await table('RENAME COLUMN scopes TO granted', 'RENAME COLUMN granted TO scopes');
    await expect(store(await request())).rejects.toMatchObject({ code: '42703' });
  });
});

describe('a reconnection', () => {
  const reconnect = async (integrationId: string) => store(await request({ integrationId, userId: null }));

  it('waits for whoever is changing the row', async () => {
    const row = await db.insertIntegration();
    let storing: ReturnType<typeof reconnect> | undefined;
    await db.inTransaction(async (product) => {
      await product.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [row.id]);
      storing = reconnect(row.id);
      await new Promise((resolve) => setTimeout(resolve, 400));
    });
    expect(await storing).toMatchObject({ stored: true });
  });

  it('says so when that takes too long', async () => {
    const row = await db.insertIntegration();
    await db.inTransaction(async (product) => {
      await product.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [row.id]);
      expect(await reconnect(row.id)).toEqual({
        stored: false,
        code: 'integration_locked',
        message: `A transaction of somebody else holds the integration ${row.id}. Try again when it has ended.`,
      });
    });
  });

  it('is refused for an integration that is gone, another provider’s, or in a state of the product’s own', async () => {
    const gone = randomUUID();
    expect(await reconnect(gone)).toEqual({
      stored: false,
      code: 'integration_not_found',
      message: `There is no integration ${gone}.`,
    });
    const globex = await db.insertIntegration({ provider: 'globex' });
    expect(await reconnect(globex.id)).toMatchObject({
      code: 'provider_changed',
      message: `The integration ${globex.id} is one of globex, not of acme.`,
    });
    const paused = await db.insertIntegration({ status: 'paused' });
    expect(await reconnect(paused.id)).toMatchObject({ code: 'status_unknown' });
  });

  it('finds beforehand what it needs to know, or why it cannot be', async () => {
    const row = await db.insertIntegration({ scopes: ['a'], status: 'needs_reauthorization' });
    const bare = await db.insertIntegration();
    const paused = await db.insertIntegration({ status: 'paused' });
    const gone = randomUUID();
    expect(await findForReconnection(db.database, row.id)).toEqual({
      reconnectable: true,
      provider: 'acme',
      userId: row.user_id,
      scopes: ['a'],
    });
    expect(await findForReconnection(db.database, bare.id)).toMatchObject({ scopes: [] });
    expect(await findForReconnection(db.database, paused.id)).toEqual({
      reconnectable: false,
      code: 'status_unknown',
      message: `The integration's status is "paused", which only the product knows the meaning of: connect it through the product instead.`,
    });
    expect(await findForReconnection(db.database, gone)).toEqual({
      reconnectable: false,
      code: 'integration_not_found',
      message: `There is no integration ${gone}.`,
    });
  });
});

describe('the request', () => {
  it('is taken as the command line sends it', async () => {
    const wanted = await request();
    expect(storeGrantRequest.parse(wanted)).toEqual(wanted);
    expect(storeGrantRequest.safeParse(await request({ userId: null, scopes: null })).success).toBe(true);
    expect(
      findIntegrationRequest.safeParse({ ask: 'find_integration', integrationId: randomUUID() }).success,
    ).toBe(true);
  });

  it.each<[string, Partial<Record<keyof StoreGrantRequest, unknown>>]>([
    ['a plain access token', { accessToken: 'ya29.canary' }],
    ['a plain refresh token', { refreshToken: '1//canary' }],
    ['a JWT, which is signed and not sealed', { accessToken: 'eyJhbGciOiJub25lIn0.e30.c2ln' }],
    ['a JWE of somebody with another key management', { refreshToken: 'eyJh.YQ.YQ.YQ.YQ' }],
    ['an id that is none', { integrationId: '7' }],
    ['a user that is none', { userId: 'ada' }],
    ['a provider that is none', { provider: 'a/b' }],
    ['no lifetime', { expiresInSeconds: 0 }],
    ['a moment instead of a lifetime', { expiresInSeconds: 1_700_000_000_000 }],
    ['a scope with a NUL', { scopes: ['a\u0000'] }],
    ['something else', { metadata: {} } as object],
  ])('is refused with %s', async (_, changes) => {
    const parsed = storeGrantRequest.safeParse({ ...(await request()), ...changes });
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error?.issues)).not.toContain('canary');
  });
});
