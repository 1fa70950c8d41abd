import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimOne } from '../../../lambdas/postgres/claim-one.ts';
import { findClaimable } from '../../../lambdas/postgres/find-claimable.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const claim = (id: string, database = db.database) =>
  claimOne(database, { collectedAt: 'infinity', id, holdSeconds: 100 });
const find = (id: string) => findClaimable(db.database, id);

describe('one row by its id', () => {
  it.each([[-86_400], [60], [86_400], [null]])(
    'is claimed when its token expires in %j s',
    async (expiresIn) => {
      const row = await db.insertIntegration({ expiresIn, refresh_claim: '41' });
      await db.insertIntegration();
      expect(await find(row.id)).toMatchObject({ id: row.id, provider: 'acme', expires_at: row.expires_at });
      expect(await db.integration(row.id)).toEqual(row);
      const claimed = await claim(row.id);
      expect(claimed).toMatchObject({
        id: row.id,
        provider: 'acme',
        claim: '42',
        expires_at: row.expires_at,
      });
      if (expiresIn === null) expect(claimed!.expires_in_seconds).toBeNull();
      else expect(Math.abs(claimed!.expires_in_seconds! - expiresIn)).toBeLessThan(30);
      expect(await db.integration(row.id)).toMatchObject({ refresh_claim: '42', refresh_claim_open: true });
      expect(await db.sql('SELECT FROM integrations WHERE refresh_claim_open')).toHaveLength(1);
      expect(await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 })).toHaveLength(1);
    },
  );

  it.each(['infinity', '-infinity'])('is claimed when its token expires at %s', async (moment) => {
    const { id } = await db.insertIntegration();
    await db.sql('UPDATE integrations SET expires_at = $2::timestamptz WHERE id = $1', [id, moment]);
    const without = { expires_at: null, expires_in_seconds: null };
    expect(await find(id)).toMatchObject(without);
    expect(await claim(id)).toMatchObject(without);
  });

  it.each([
    ['of another status', { status: 'needs_reauthorization' }],
    ['whose user disconnected', { status: 'disconnected' }],
    ['without any token', { refresh_token: null, access_token: null }],
    ['with empty tokens', { refresh_token: '', access_token: '' }],
    ['that is held', { heldFor: 30 }],
    [
      'that a scan has claimed after a success',
      {
        heldFor: 30,
        refresh_claim_open: true,
        last_refresh_attempt: new Date(0),
        last_refresh_success: new Date(1),
      },
    ],
  ])('%s is left as it is', async (_, overrides) => {
    const row = await db.insertIntegration(overrides);
    expect(await find(row.id)).toBeNull();
    expect(await claim(row.id)).toBeNull();
    expect(await db.integration(row.id)).toEqual(row);
  });

  it.each([[null], ['']])('is claimed for its access token when its refresh token is %j', async (none) => {
    const { id } = await db.insertIntegration({ refresh_token: none });
    expect(await find(id)).toMatchObject({ id });
    expect(await claim(id)).toMatchObject({ id });
  });

  it('is claimed again when its hold has passed', async () => {
    const { id } = await db.insertIntegration({ heldFor: -1 });
    expect(await claim(id)).toMatchObject({ claim: '1' });
  });

  it('that is not there is nothing to claim', async () => {
    expect(await find(randomUUID())).toBeNull();
    expect(await claim(randomUUID())).toBeNull();
  });
});

describe('of several at once', () => {
  it('one gets the claim', async () => {
    const { id } = await db.insertIntegration();
    const connections = Array.from({ length: 8 }, () => db.connection());
    for (let round = 1; round <= 20; round += 1) {
      const claims = await Promise.all(connections.map((connection) => claim(id, connection)));
      expect(claims.filter((each) => each !== null).map((each) => each?.claim)).toEqual([String(round)]);
      await db.sql('UPDATE integrations SET refresh_held_until = NULL');
    }
  });

  it('a scan and a request by id never both get it', async () => {
    const { id } = await db.insertIntegration();
    const connections = [db.connection(), db.connection()];
    const due = {
      windowSeconds: 600,
      holdSeconds: 100,
      provider: null,
      after: null,
      limit: 10,
      collectedAt: 'infinity',
    };
    for (let round = 1; round <= 20; round += 1) {
      const [scanned, one] = await Promise.all([claimDue(connections[0]!, due), claim(id, connections[1])]);
      expect(scanned.length + (one === null ? 0 : 1)).toBe(1);
      await db.sql('UPDATE integrations SET refresh_held_until = NULL');
    }
  });

  it('nobody waits for a transaction that is changing the row', async () => {
    const { id } = await db.insertIntegration();
    await db.inTransaction(async (other) => {
      await other.query(`UPDATE integrations SET status = 'disconnected' WHERE id = $1`, [id]);
      expect(await claim(id)).toBeNull();
    });
    expect(await claim(id)).toBeNull();
  });
});
