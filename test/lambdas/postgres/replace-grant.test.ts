import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { findIntegration } from '../../../lambdas/postgres/find-integration.ts';
import { recordFailures } from '../../../lambdas/postgres/record-failures.ts';
import { releaseClaims } from '../../../lambdas/postgres/release-claims.ts';
import { reopenClaims } from '../../../lambdas/postgres/reopen-claims.ts';
import { type NewGrant, replaceGrant } from '../../../lambdas/postgres/replace-grant.ts';
import { type StartedAttempt, startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import { type IntegrationRow, type TestDatabase, testDatabase } from '../../support/database.ts';
import { certain, endless, lapsePolicy } from '../../support/results.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const attemptHoldSeconds = 45;

const claim = () =>
  claimDue(db.database, {
    collectedAt: 'infinity',
    windowSeconds: 600,
    holdSeconds: 270,
    provider: null,
    after: null,
    limit: 100,
  });
const start = (id: string) => startAttempts(db.database, { ids: [id], holdSeconds: attemptHoldSeconds });

const grant = (id: string, changes: Partial<NewGrant> = {}): NewGrant => ({
  id,
  provider: 'acme',
  accessToken: 'access-new',
  refreshToken: 'refresh-new',
  expiresInSeconds: 60,
  refreshTokenExpiresInSeconds: null,
  scopes: null,
  ...changes,
});

const replace = (id: string, changes: Partial<NewGrant> = {}) =>
  replaceGrant(db.database, grant(id, changes), attemptHoldSeconds);

/** Seconds that the row is still held for. */
async function heldFor(id: string): Promise<number | null> {
  const [row] = await db.sql<{ seconds: number | null }>(
    'SELECT extract(epoch FROM refresh_held_until - now())::float8 AS seconds FROM integrations WHERE id = $1',
    [id],
  );
  return row!.seconds;
}

async function attemptUnderWay(): Promise<{ row: IntegrationRow; attempt: StartedAttempt }> {
  const row = await db.insertIntegration();
  await claim();
  const [attempt] = await start(row.id);
  return { row, attempt: attempt! };
}

const success = ({ id, token, claim: number }: StartedAttempt) =>
  storeRefreshed(
    db.database,
    [
      {
        id,
        usedToken: token,
        claim: number,
        accessToken: 'access-late',
        refreshToken: 'refresh-late',
        expiresInSeconds: 3600,
        refreshTokenExpiresInSeconds: null,
        scope: null,
        ...endless,
      },
    ],
    lapsePolicy,
  );

const failure = ({ id, token, claim: number }: StartedAttempt) =>
  recordFailures(
    db.database,
    [
      {
        id,
        usedToken: token,
        claim: number,
        failureClass: 'permanent',
        invalidRefreshToken: true,
        code: 'invalid_grant',
        providerName: 'Acme',
        retryDelaySeconds: 300,
        ...certain,
      },
    ],
    { steps: thresholdSteps(defaultPolicy), eventRelayHoldSeconds: 240, waitingHoldSeconds: 150 },
  );

describe('a new grant', () => {
  it('ends the episode of failures and brings the integration back', async () => {
    const row = await db.insertIntegration({
      status: 'needs_reauthorization',
      disconnect_reason: 'invalid_grant',
      consecutive_failures: 3,
      consecutive_transient_failures: 4,
      failing_grant: Buffer.alloc(0),
      failure_emailed_at: new Date(),
      refresh_token_expires_at: new Date('2020-01-01'),
      refresh_claim: '7',
      metadata: { mine: true },
    });
    const answer = await replace(row.id, { scopes: ['a', 'b'], expiresInSeconds: 3600 });
    const after = await db.integration(row.id);
    expect(answer).toMatchObject({ verdict: 'applied', expires_at: after.expires_at });
    expect(after).toMatchObject({
      status: 'connected',
      disconnect_reason: null,
      access_token: 'access-new',
      refresh_token: 'refresh-new',
      refresh_token_expires_at: null,
      consecutive_failures: 0,
      consecutive_transient_failures: 0,
      failing_grant: null,
      failure_emailed_at: null,
      refresh_claim: '8',
      refresh_claim_open: false,
      refresh_held_until: null,
      scopes: ['a', 'b'],
      metadata: { mine: true },
      user_id: row.user_id,
    });
    expect(after.updated_at.getTime()).toBeGreaterThan(row.updated_at.getTime());
  });

  it('keeps the scopes when the provider says nothing, and takes the life of the refresh token', async () => {
    const row = await db.insertIntegration({ scopes: ['a'] });
    await replace(row.id, { refreshTokenExpiresInSeconds: 86_400 });
    const after = await db.integration(row.id);
    expect(after.scopes).toEqual(['a']);
    expect(after.refresh_token_expires_at!.getTime()).toBeGreaterThan(Date.now() + 80_000_000);
  });

  it('starts with a clean slate: its first failure is the first of an episode, and may be emailed', async () => {
    const row = await db.insertIntegration({
      consecutive_failures: 2,
      failing_grant: createHash('sha256').update('refresh-old').digest(),
      refresh_token: 'refresh-old',
      failure_emailed_at: new Date(),
    });
    await replace(row.id);
    await claim();
    const [attempt] = await start(row.id);
    expect(await failure(attempt!)).toMatchObject([
      { verdict: 'applied', consecutive_failures: 1, disconnected: false, event_id: expect.any(String) },
    ]);
    expect(await db.eventsOf(row.id)).toMatchObject([{ email_kind: 'reconnect', notification_type: null }]);
  });

  it.each([['connected'], ['needs_reauthorization'], ['disconnected']])(
    'is taken with the status %s',
    async (status) => {
      const row = await db.insertIntegration({ status });
      expect(await replace(row.id)).toMatchObject({ verdict: 'applied' });
      expect((await db.integration(row.id)).status).toBe('connected');
    },
  );

  it('is refused, and changes nothing, where the status is the product’s or the provider another', async () => {
    await db.sql('ALTER TABLE integrations ALTER COLUMN status DROP NOT NULL');
    const paused = await db.insertIntegration({ status: 'paused' });
    const unset = await db.insertIntegration({ status: null as unknown as string });
    const globex = await db.insertIntegration({ provider: 'globex' });
    expect(await replace(paused.id)).toMatchObject({ verdict: 'refused', status: 'paused' });
    expect(await replace(unset.id)).toMatchObject({ verdict: 'refused', status: null });
    expect(await replace(globex.id)).toMatchObject({ verdict: 'refused', provider: 'globex' });
    for (const row of [paused, unset, globex]) expect(await db.integration(row.id)).toEqual(row);
  });

  it('finds its integration gone', async () => {
    expect(await replace('00000000-0000-4000-8000-000000000000')).toMatchObject({ verdict: 'gone' });
  });
});

describe('with an attempt under way', () => {
  it('keeps the attempt’s hold, so that no second call begins beside it', async () => {
    const { row } = await attemptUnderWay();
    await replace(row.id);
    expect(await heldFor(row.id)).toBeGreaterThan(40);
    expect(await heldFor(row.id)).toBeLessThanOrEqual(attemptHoldSeconds);
    expect(await claim()).toEqual([]);
    expect(await start(row.id)).toEqual([]);
  });

  it('is another than what the attempt, or a doubtful one before, may have spent', async () => {
    const { row } = await attemptUnderWay();
    await db.sql(
      `UPDATE integrations SET doubtful_grant = sha256(convert_to(refresh_token, 'UTF8')), doubtful_since = now()`,
    );
    await replace(row.id);
    const withoutDoubt = { refresh_started_at: null, doubtful_grant: null, doubtful_since: null };
    expect(await db.integration(row.id)).toMatchObject(withoutDoubt);
    await db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 s'`);
    await claim();
    expect(await db.integration(row.id)).toMatchObject(withoutDoubt);
  });

  it('wins over its late success', async () => {
    const { row, attempt } = await attemptUnderWay();
    await replace(row.id);
    const before = await db.integration(row.id);
    expect(await success(attempt)).toMatchObject([{ id: row.id, verdict: 'superseded' }]);
    expect(await db.integration(row.id)).toEqual(before);
  });

  it('wins over its late success also when the provider gave the same refresh token again', async () => {
    const { row, attempt } = await attemptUnderWay();
    // Sealed anew it is another string; without sealing it would be this one.
    await replace(row.id, { refreshToken: `${row.refresh_token} sealed anew` });
    expect(await success(attempt)).toMatchObject([{ id: row.id, verdict: 'superseded' }]);
    expect((await db.integration(row.id)).access_token).toBe('access-new');
  });

  it('is not blamed for its late failure', async () => {
    const { row, attempt } = await attemptUnderWay();
    await replace(row.id);
    const before = await db.integration(row.id);
    expect(await failure(attempt)).toMatchObject([{ verdict: 'superseded' }]);
    expect(await db.integration(row.id)).toEqual(before);
    expect(await db.eventsOf(row.id)).toEqual([]);
  });

  it('is not started by an attempt that is given back', async () => {
    const { row, attempt } = await attemptUnderWay();
    await replace(row.id);
    await reopenClaims(db.database, [attempt]);
    expect(await start(row.id)).toEqual([]);
  });

  it('is refreshed in time once the attempt’s hold has passed', async () => {
    const { row } = await attemptUnderWay();
    await replace(row.id);
    await db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 s'`);
    expect(await claim()).toMatchObject([{ id: row.id, claim: '3' }]);
    expect(await start(row.id)).toMatchObject([{ token: 'refresh-new', claim: '3' }]);
  });
});

describe('with an open claim', () => {
  it('frees the row, and the message of the claim starts nothing', async () => {
    const row = await db.insertIntegration();
    const [claimed] = await claim();
    await replace(row.id);
    expect(await start(row.id)).toEqual([]);
    await releaseClaims(db.database, [claimed!]);
    expect(await heldFor(row.id)).toBeNull();
    expect(await claim()).toMatchObject([{ id: row.id, claim: '3' }]);
  });
});

it('cuts the delay after a failure of the grant before', async () => {
  const row = await db.insertIntegration({ heldFor: 3600 });
  await replace(row.id);
  expect(await heldFor(row.id)).toBeLessThanOrEqual(attemptHoldSeconds);
  expect(await heldFor(row.id)).toBeGreaterThan(attemptHoldSeconds - 5);
});

describe('a row that somebody is changing', () => {
  it('is reported as locked at once', async () => {
    const row = await db.insertIntegration();
    await db.inTransaction(async (other) => {
      await other.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [row.id]);
      expect(await replace(row.id)).toMatchObject({ verdict: 'locked' });
    });
    expect(await replace(row.id)).toMatchObject({ verdict: 'applied' });
  });

  it('takes the grant all the same while something only refers to it', async () => {
    await db.sql('CREATE TABLE jobs (integration_id uuid REFERENCES integrations (id))');
    const row = await db.insertIntegration();
    await db.inTransaction(async (product) => {
      await product.query('INSERT INTO jobs VALUES ($1)', [row.id]);
      expect(await replace(row.id)).toMatchObject({ verdict: 'applied' });
    });
    await db.sql('DROP TABLE jobs');
  });

  it('is locked for a result meanwhile, which is void afterwards', async () => {
    const { row, attempt } = await attemptUnderWay();
    await db.inTransaction(async (reconnecting) => {
      const database = {
        query: async <Row>(statement: string, parameters: readonly unknown[]) =>
          (await reconnecting.query(statement, [...parameters])).rows as Row[],
      };
      expect(await replaceGrant(database, grant(row.id), attemptHoldSeconds)).toMatchObject({
        verdict: 'applied',
      });
      expect(await success(attempt)).toMatchObject([{ id: row.id, verdict: 'locked' }]);
    });
    expect(await success(attempt)).toMatchObject([{ id: row.id, verdict: 'superseded' }]);
    expect((await db.integration(row.id)).refresh_token).toBe('refresh-new');
  });
});

it('many reconnections and results at once leave the row with one whole grant, never a mixture', async () => {
  const { row, attempt } = await attemptUnderWay();
  const connections = Array.from({ length: 4 }, () => db.connection());
  const verdicts = await Promise.all(
    connections.flatMap((database, index) => [
      replaceGrant(
        database,
        grant(row.id, { accessToken: `access-${index}`, refreshToken: `refresh-${index}` }),
        attemptHoldSeconds,
      ),
      success(attempt),
    ]),
  );
  const applied = verdicts.flat().filter(({ verdict }) => verdict === 'applied');
  expect(applied.length).toBeGreaterThan(0);
  const after = await db.integration(row.id);
  expect(after.access_token?.replace('access', '')).toBe(after.refresh_token?.replace('refresh', ''));
});

it('replaces a grant where the status is an enum of the product that lacks one of the three', async () => {
  const product = await testDatabase();
  try {
    await product.sql(
      'DROP INDEX evergrant_integrations_due, evergrant_integrations_without_refresh_token, evergrant_integrations_refresh_token_end',
    );
    await product.sql(
      `CREATE TYPE connection_status AS ENUM ('connected', 'needs_reauthorization', 'paused')`,
    );
    await product.sql(`ALTER TABLE integrations ALTER COLUMN status DROP DEFAULT,
      ALTER COLUMN status TYPE connection_status USING status::connection_status`);
    const broken = await product.insertIntegration({ status: 'needs_reauthorization' });
    const paused = await product.insertIntegration({ status: 'paused' });
    expect(await findIntegration(product.database, broken.id)).toMatchObject({ replaceable: true });
    expect(await replaceGrant(product.database, grant(broken.id), attemptHoldSeconds)).toMatchObject({
      verdict: 'applied',
    });
    expect((await product.integration(broken.id)).status).toBe('connected');
    expect(await replaceGrant(product.database, grant(paused.id), attemptHoldSeconds)).toMatchObject({
      verdict: 'refused',
      status: 'paused',
    });
  } finally {
    await product.end();
  }
});
