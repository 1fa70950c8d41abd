import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { metricNames } from '../../../lambdas/contract.ts';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { InvocationMetrics } from '../../../lambdas/observability/metrics.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import {
  type RefreshParts,
  type RefreshSettings,
  refreshBatch,
} from '../../../lambdas/refresher/refresh-batch.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';
import { ProviderClients } from '../../../lambdas/secrets/provider-clients.ts';
import { SecretReader } from '../../../lambdas/secrets/secret-reader.ts';
import { Queue } from '../../../lambdas/sqs/queue.ts';
import type { Dialect } from '../../../local/dialects/dialect.ts';
import { dialects } from '../../../local/dialects/dialects.ts';
import { TokenServer } from '../../../local/dialects/token-server.ts';
import { startSecrets } from '../../support/aws.ts';
import { type IntegrationOverrides, type TestDatabase, testDatabase } from '../../support/database.ts';
import { guardSettings } from '../../support/guard-settings.ts';
import { lapsePolicy } from '../../support/results.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { granted, startTokenEndpoint } from '../../support/token-endpoint.ts';

const prefix = 'evergrant/test/providers/';
const client = { id: 'us', secret: 'the-client-secret' };

let db: TestDatabase;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
let sealer: TokenSealer;
const running: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  db = await testDatabase();
  secrets = await startSecrets({});
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: randomBytes(32).toString('hex') }));
});
beforeEach(() => db.clear());
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});
afterAll(async () => {
  await secrets.stop();
  await db.end();
});

function configure(tokenEndpoint: string, definition: object = {}) {
  secrets.put(`${prefix}acme`, {
    clientId: client.id,
    clientSecret: client.secret,
    provider: { displayName: 'Acme', tokenEndpoint, rotation: 'always', ...definition },
  });
}

/** A provider that is exact about spent tokens, with so much grace as is said to it and to us. */
async function provider(graceSeconds: number, definition: object = {}, more: Partial<Dialect> = {}) {
  const dialect: Dialect = { ...dialects.oidc!, graceSeconds, reuse: 'kills', ...more };
  const server = new TokenServer({ dialect, client });
  running.push(server);
  const origin = await server.start();
  configure(`${origin}${dialect.paths[0]!.replace('{path}', 'token')}`, {
    reuseGraceSeconds: graceSeconds,
    ...definition,
  });
  return server;
}

const settings: RefreshSettings = {
  attemptHoldSeconds: 45,
  callTimeoutMs: 10_000,
  maxInFlight: 100,
  retryDelaySeconds: 300,
  eventRelayHoldSeconds: 360,
  lapseWarningSeconds: lapsePolicy.lapseWarningSeconds,
  shortLifetimeSeconds: 600,
  tokensAtRest: 'sealed',
  steps: thresholdSteps(defaultPolicy),
  guards: guardSettings,
};

async function sealedRow(token: string, overrides: IntegrationOverrides = {}) {
  const id = randomUUID();
  const refresh_token = await sealer.seal(token, { integrationId: id, column: 'refresh_token' });
  return db.insertIntegration({ id, refresh_token, ...overrides });
}

/** Claims what is due as a scan does, whatever delay a failure has set, and refreshes it. Returns what was counted and logged. */
async function refresh(ids: string[], changes: Partial<RefreshParts> = {}) {
  await db.sql('UPDATE integrations SET refresh_held_until = NULL');
  await claimDue(db.database, {
    collectedAt: 'infinity',
    windowSeconds: 600,
    holdSeconds: 270,
    provider: null,
    after: null,
    limit: 1_000,
  });
  const metrics = new InvocationMetrics();
  const count = vi.spyOn(metrics, 'count');
  const logger = silentLogger();
  const lines: Record<string, unknown>[] = [];
  for (const level of ['info', 'warn', 'error'] as const) {
    vi.spyOn(logger, level).mockImplementation((...[message, fields]) => {
      lines.push({ message, ...(fields as object | undefined) });
    });
  }
  await refreshBatch(
    {
      database: db.database,
      sealer,
      providers: new ProviderClients(new SecretReader(), prefix),
      // Nobody is there.
      refreshQueue: { send: () => Promise.reject(new Error('no token here is short-lived')) },
      sealedResultQueue: new Queue('http://127.0.0.1:1/queue'),
      settings,
      logger,
      metrics,
      remainingMs: () => 60_000,
      ...changes,
    },
    ids,
  );
  const counted = (name: string) =>
    count.mock.calls.filter(([counter]) => counter === name).map(([, value, by]) => [value, by ?? {}]);
  return { counted, lines };
}

async function tokenOf(id: string) {
  const { refresh_token } = await db.integration(id);
  const opened = await sealer.open(refresh_token ?? '', { integrationId: id, column: 'refresh_token' });
  return opened.ok ? opened.token : null;
}

const byAcme = { provider: 'acme' };

describe('an answer that is lost within the grace', () => {
  it('is asked for again at once, with the same token, and nobody notices', async () => {
    const server = await provider(60);
    const token = server.mint('ada');
    const row = await sealedRow(token);
    server.answersToLose = 1;
    const { counted, lines } = await refresh([row.id]);
    expect(server.calls).toMatchObject([
      { account: 'ada', status: null, refreshed: true, reuse: false, overlapped: false },
      { account: 'ada', status: 200, refreshed: true, reuse: false, overlapped: false },
    ]);
    expect(await db.integration(row.id)).toMatchObject({
      status: 'connected',
      consecutive_transient_failures: 0,
      last_refresh_success: expect.any(Date),
      doubtful_grant: null,
      doubtful_since: null,
    });
    expect(counted(metricNames.doubtfulCalls)).toEqual([[1, byAcme]]);
    expect(counted(metricNames.doubtsResolved)).toEqual([[1, byAcme]]);
    expect(lines).toMatchObject([{ message: 'refreshed', rotated: true, retriedAfter: 'network_error' }]);
    // The token that is stored is a living one.
    await db.sql(`UPDATE integrations SET expires_at = now()`);
    await refresh([row.id]);
    expect(server.calls.map(({ refreshed, reuse }) => [refreshed, reuse])).toEqual([
      [true, false],
      [true, false],
      [true, false],
    ]);
  });

  it('of many at once is asked for by each alone: no two calls for one grant overlap', async () => {
    const server = await provider(60);
    const rows = await Promise.all(
      Array.from({ length: 40 }, (_, index) => sealedRow(server.mint(`${index}`))),
    );
    server.answersToLose = 30;
    await refresh(rows.map(({ id }) => id));
    expect(server.calls).toHaveLength(70);
    expect(server.calls.filter(({ overlapped, reuse }) => overlapped || reuse)).toEqual([]);
    expect(await db.sql('SELECT FROM integrations WHERE last_refresh_success IS NULL')).toEqual([]);
  });

  it('as its time was up is asked for when the first connection is closed', async () => {
    const endpoint = await startTokenEndpoint(() => granted({ refresh_token: 'new-refresh' }));
    running.push(endpoint);
    configure(endpoint.url, { reuseGraceSeconds: 600 });
    endpoint.answer = () =>
      endpoint.calls.length === 1 ? undefined : granted({ refresh_token: 'new-refresh' });
    const row = await sealedRow('the-token');
    await refresh([row.id], { settings: { ...settings, callTimeoutMs: 1_000 } });
    expect(endpoint.calls.map(({ parameters }) => parameters.get('refresh_token'))).toEqual([
      'the-token',
      'the-token',
    ]);
    expect(endpoint.mostAtOnce).toBe(1);
    expect(await tokenOf(row.id)).toBe('new-refresh');
  });

  it.each([
    ['an HTML page of success', { status: 200, body: '<html>' }],
    ['a fault of the server', { status: 500 }],
  ])('may be %s', async (_, first) => {
    const endpoint = await startTokenEndpoint(() => (endpoint.calls.length === 1 ? first : granted()));
    running.push(endpoint);
    configure(endpoint.url, { reuseGraceSeconds: 600 });
    const row = await sealedRow('the-token');
    await refresh([row.id]);
    expect(endpoint.calls).toHaveLength(2);
    expect((await db.integration(row.id)).last_refresh_success).not.toBeNull();
  });

  it('is asked for with a new assertion, where one is good for one request', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const endpoint = await startTokenEndpoint(() =>
      endpoint.calls.length === 1 ? { status: 502 } : granted(),
    );
    running.push(endpoint);
    secrets.put(`${prefix}acme`, {
      clientId: client.id,
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      provider: {
        displayName: 'Acme',
        tokenEndpoint: endpoint.url,
        clientAuthentication: 'private_key_jwt',
        reuseGraceSeconds: 60,
      },
    });
    const row = await sealedRow('the-token');
    await refresh([row.id]);
    const assertions = endpoint.calls.map(({ parameters }) => parameters.get('client_assertion'));
    expect(assertions).toHaveLength(2);
    expect(new Set(assertions).size).toBe(2);
  });

  it('twice in a row is given up: the doubt is written down, and the next attempt is the usual one', async () => {
    const server = await provider(60);
    const row = await sealedRow(server.mint('ada'));
    server.answersToLose = 5;
    const { counted, lines } = await refresh([row.id]);
    expect(server.calls).toHaveLength(2);
    expect(await db.integration(row.id)).toMatchObject({
      consecutive_transient_failures: 1,
      doubtful_grant: expect.any(Buffer),
    });
    expect(counted(metricNames.doubtfulCalls)).toEqual([
      [1, byAcme],
      [1, byAcme],
    ]);
    expect(counted(metricNames.doubtsResolved)).toEqual([]);
    expect(lines).toMatchObject([
      { message: 'refresh failed', doubtful: true, retriedAfter: 'network_error' },
    ]);
    // Within the grace it heals.
    server.answersToLose = 0;
    await refresh([row.id]);
    expect(await db.integration(row.id)).toMatchObject({ status: 'connected', doubtful_grant: null });
    expect(server.calls.some(({ reuse }) => reuse)).toBe(false);
  });

  it('stays in doubt when the retry is turned away without a word on the grant', async () => {
    const endpoint = await startTokenEndpoint(() => ({ status: endpoint.calls.length === 1 ? 500 : 429 }));
    running.push(endpoint);
    configure(endpoint.url, { reuseGraceSeconds: 600 });
    const row = await sealedRow('the-token');
    await refresh([row.id]);
    expect(endpoint.calls).toHaveLength(2);
    expect(await db.integration(row.id)).toMatchObject({ doubtful_grant: expect.any(Buffer) });
  });

  it('whose retry is refused: the grace was none, and the refusal is told apart', async () => {
    // The provider has no grace, and we were told that it has.
    const server = await provider(60, {}, { graceSeconds: 0 });
    const row = await sealedRow(server.mint('ada'));
    server.answersToLose = 1;
    const { counted, lines } = await refresh([row.id]);
    expect(server.calls.map(({ reuse }) => reuse)).toEqual([false, true]);
    expect(counted(metricNames.refusedAfterDoubt)).toEqual([
      [1, {}],
      [1, byAcme],
    ]);
    expect(lines).toMatchObject([{ code: 'invalid_grant', afterDoubt: true, retriedAfter: 'network_error' }]);
    expect(await db.eventsOf(row.id)).toMatchObject([{ after_doubt: true, email_kind: 'reconnect' }]);
  });
});

describe('no second call', () => {
  async function callsAfterOneLost(definition: object, changes: Partial<RefreshParts> = {}, first = {}) {
    const endpoint = await startTokenEndpoint(() => ({ status: 500, ...first }));
    running.push(endpoint);
    configure(endpoint.url, { reuseGraceSeconds: 600, ...definition });
    const row = await sealedRow('the-token');
    await refresh([row.id], changes);
    return { calls: endpoint.calls.length, row: await db.integration(row.id) };
  }

  it('is made where the grace is too short for it to arrive in time', async () => {
    expect(await callsAfterOneLost({ reuseGraceSeconds: 5 })).toMatchObject({
      calls: 1,
      row: { doubtful_grant: expect.any(Buffer) },
    });
  });

  it('is made where a provider spends no tokens, and there is no doubt', async () => {
    expect(await callsAfterOneLost({ rotation: 'never' })).toMatchObject({
      calls: 1,
      row: { doubtful_grant: null },
    });
  });

  it('is made when the provider asks for patience', async () => {
    const patience = { headers: { 'retry-after': '30' } };
    expect(await callsAfterOneLost({}, {}, patience)).toMatchObject({
      calls: 1,
      row: { doubtful_grant: expect.any(Buffer) },
    });
  });

  it('is made when the invocation has no time left for it', async () => {
    let asked = 0;
    const endpoint = await startTokenEndpoint(() => {
      asked += 1;
      return { status: 500 };
    });
    running.push(endpoint);
    configure(endpoint.url, { reuseGraceSeconds: 600 });
    const row = await sealedRow('the-token');
    await refresh([row.id], { remainingMs: () => (asked === 0 ? 60_000 : settings.callTimeoutMs + 6_000) });
    expect(asked).toBe(1);
    expect(await db.integration(row.id)).toMatchObject({ doubtful_grant: expect.any(Buffer) });
  });

  it('is made past the limit of the provider: it takes a turn, or is none', async () => {
    // A call each 1000 s: the retry's turn would come when the grace is long over.
    expect(await callsAfterOneLost({ callsPerSecond: 0.001 })).toMatchObject({
      calls: 1,
      row: { doubtful_grant: expect.any(Buffer) },
    });
  });

  it('but takes its turn where there is one', async () => {
    expect((await callsAfterOneLost({ callsPerSecond: 50 })).calls).toBe(2);
    const [state] = await db.sql<{ ahead: number }>(
      `SELECT extract(epoch FROM next_call_at - now())::float8 AS ahead FROM evergrant.provider_states`,
    );
    expect(state).toBeDefined();
  });
});

describe('an answer that is lost without a grace', () => {
  it('is not asked for again; the grant that it cost is told apart from others', async () => {
    const server = await provider(0);
    const row = await sealedRow(server.mint('ada'));
    server.answersToLose = 1;
    const first = await refresh([row.id]);
    expect(server.calls).toHaveLength(1);
    expect(await db.integration(row.id)).toMatchObject({
      consecutive_failures: 0,
      consecutive_transient_failures: 1,
      doubtful_grant: expect.any(Buffer),
      doubtful_since: expect.any(Date),
    });
    expect(first.counted(metricNames.doubtfulCalls)).toEqual([[1, byAcme]]);
    expect(first.counted(metricNames.refusedAfterDoubt)).toEqual([]);

    const second = await refresh([row.id]);
    expect(server.calls[1]).toMatchObject({ reuse: true });
    expect(second.lines).toMatchObject([{ code: 'invalid_grant', afterDoubt: true }]);
    expect(second.counted(metricNames.refusedAfterDoubt)).toEqual([
      [1, {}],
      [1, byAcme],
    ]);

    // The same grant, refused again, is no second grant.
    const third = await refresh([row.id]);
    expect(third.lines).toMatchObject([{ afterDoubt: true, consecutiveFailures: 2 }]);
    expect(third.counted(metricNames.refusedAfterDoubt)).toEqual([]);
    expect((await db.eventsOf(row.id)).map(({ after_doubt }) => after_doubt)).toEqual([true, true]);
  });

  it('has nothing to do with a grant that the user took back', async () => {
    const server = await provider(0);
    const token = server.mint('ada');
    const row = await sealedRow(token);
    server.revoke(token);
    const { counted, lines } = await refresh([row.id]);
    expect(lines[0]).not.toHaveProperty('afterDoubt');
    expect(counted(metricNames.refusedAfterDoubt)).toEqual([]);
  });

  it('of the grant before says nothing of the one that the user has given since', async () => {
    const server = await provider(0);
    const row = await sealedRow(server.mint('ada'));
    server.answersToLose = 1;
    await refresh([row.id]);
    const anew = server.mint('ada');
    const refresh_token = await sealer.seal(anew, { integrationId: row.id, column: 'refresh_token' });
    await db.sql('UPDATE integrations SET refresh_token = $2 WHERE id = $1', [row.id, refresh_token]);
    server.revoke(anew);
    const { lines } = await refresh([row.id]);
    expect(lines).toMatchObject([{ code: 'invalid_grant' }]);
    expect(lines[0]).not.toHaveProperty('afterDoubt');
  });

  it('is no doubt when nobody was reached', async () => {
    const server = await provider(0);
    const row = await sealedRow(server.mint('ada'));
    await server.stop();
    running.length = 0;
    const { counted } = await refresh([row.id]);
    expect(await db.integration(row.id)).toMatchObject({
      consecutive_transient_failures: 1,
      doubtful_grant: null,
    });
    expect(counted(metricNames.doubtfulCalls)).toEqual([]);
  });
});
