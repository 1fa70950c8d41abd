import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { insertIntegration, type NewIntegration } from '../../../lambdas/postgres/insert-integration.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const row = (changes: Partial<NewIntegration> = {}): NewIntegration => ({
  id: randomUUID(),
  userId: randomUUID(),
  provider: 'acme',
  accessToken: 'access-1',
  refreshToken: 'refresh-1',
  expiresInSeconds: 300,
  refreshTokenExpiresInSeconds: null,
  scopes: null,
  ...changes,
});

describe('a new integration', () => {
  it('is connected, has no failures, and is due when its token is', async () => {
    const wanted = row({ scopes: ['read', 'write:all'], refreshTokenExpiresInSeconds: 86_400 });
    const expiresAt = await insertIntegration(db.database, wanted);
    const inserted = await db.integration(wanted.id);
    expect(inserted).toMatchObject({
      user_id: wanted.userId,
      provider: 'acme',
      status: 'connected',
      access_token: 'access-1',
      refresh_token: 'refresh-1',
      expires_at: expiresAt,
      scopes: ['read', 'write:all'],
      consecutive_failures: 0,
      consecutive_transient_failures: 0,
      disconnect_reason: null,
      last_refresh_attempt: null,
      refresh_held_until: null,
      refresh_claim: '0',
      refresh_claim_open: false,
    });
    const [lives] = await db.sql<{ access: number; refresh: number }>(
      `SELECT extract(epoch FROM expires_at - created_at)::float8 AS access,
              extract(epoch FROM refresh_token_expires_at - created_at)::float8 AS refresh FROM integrations`,
    );
    expect(lives).toEqual({ access: 300, refresh: 86_400 });
    expect(
      await claimDue(db.database, {
        collectedAt: 'infinity',
        windowSeconds: 600,
        holdSeconds: 270,
        provider: null,
        after: null,
        limit: 10,
      }),
    ).toMatchObject([{ id: wanted.id, provider: 'acme' }]);
  });

  it('is inserted once, however often the statement is repeated', async () => {
    const wanted = row();
    const first = await insertIntegration(db.database, wanted);
    expect(await insertIntegration(db.database, { ...wanted, expiresInSeconds: 9_000 })).toEqual(first);
    expect(await db.sql('SELECT id FROM integrations')).toEqual([{ id: wanted.id }]);
  });

  it('does not touch a row that has its id already', async () => {
    const other = await db.insertIntegration();
    expect(await insertIntegration(db.database, row({ id: other.id }))).toBeNull();
    expect(await db.integration(other.id)).toEqual(other);
  });

  it('needs no defaults of the table', async () => {
    await db.inTransaction(async (client) => {
      for (const column of ['id', 'status', 'created_at', 'updated_at']) {
        await client.query(`ALTER TABLE integrations ALTER COLUMN ${column} DROP DEFAULT`);
      }
    });
    await insertIntegration(db.database, row());
    expect(await db.sql('SELECT status FROM integrations')).toEqual([{ status: 'connected' }]);
  });
});
