import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@aws-lambda-powertools/logger';
import { startFauxqs } from 'fauxqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { metricNames } from '../../../lambdas/contract.ts';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { InvocationMetrics } from '../../../lambdas/observability/metrics.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import {
  type Database,
  PostgresConnection,
  type StatementOptions,
  sqlState,
} from '../../../lambdas/postgres/database.ts';
import {
  type RefreshParts,
  type RefreshSettings,
  refreshBatch,
} from '../../../lambdas/refresher/refresh-batch.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';
import { SecretSealer } from '../../../lambdas/secret-sealer.ts';
import { ProviderClients } from '../../../lambdas/secrets/provider-clients.ts';
import { SecretReader } from '../../../lambdas/secrets/secret-reader.ts';
import { Queue } from '../../../lambdas/sqs/queue.ts';
import { startSecrets } from '../../support/aws.ts';
import {
  type IntegrationOverrides,
  type IntegrationRow,
  type TestDatabase,
  testDatabase,
} from '../../support/database.ts';
import { guardSettings } from '../../support/guard-settings.ts';
import { startProxy, through } from '../../support/proxy.ts';
import { lapsePolicy } from '../../support/results.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';

const key = randomBytes(32).toString('hex');
const earlierKey = randomBytes(32).toString('hex');
const prefix = 'evergrant/test/providers/';
const plenty = 60_000;

let db: TestDatabase;
let endpoint: TokenEndpoint;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
let sealer: TokenSealer;
let earlierSealer: TokenSealer;

beforeAll(async () => {
  db = await testDatabase();
  secrets = await startSecrets({});
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: key, previous: [earlierKey] }));
  earlierSealer = await TokenSealer.fromSecret(JSON.stringify({ current: earlierKey }));
});
beforeEach(async () => {
  await db.clear();
  endpoint = await startTokenEndpoint(() => granted({ refresh_token: 'new-refresh' }));
  configure('acme');
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await endpoint.stop();
});
afterAll(async () => {
  await secrets.stop();
  await db.end();
});

function configure(provider: string, changes: { clientSecret?: string; [field: string]: unknown } = {}) {
  const { clientSecret = 'the-client-secret', ...definition } = changes;
  secrets.put(prefix + provider, {
    clientId: 'us',
    clientSecret,
    provider: { displayName: 'Acme', tokenEndpoint: endpoint.url, ...definition },
  });
}

const settings: RefreshSettings = {
  attemptHoldSeconds: 45,
  callTimeoutMs: 5_000,
  maxInFlight: 100,
  retryDelaySeconds: 300,
  shortLifetimeSeconds: 600,
  eventRelayHoldSeconds: 360,
  lapseWarningSeconds: lapsePolicy.lapseWarningSeconds,
  tokensAtRest: 'sealed',
  steps: thresholdSteps(defaultPolicy),
  guards: guardSettings,
};

function parts(
  changes: Omit<Partial<RefreshParts>, 'settings'> & { settings?: Partial<RefreshSettings> } = {},
): RefreshParts {
  return {
    database: db.database,
    sealer,
    providers: new ProviderClients(new SecretReader(), prefix),
    // Nobody is there.
    sealedResultQueue: new Queue('http://127.0.0.1:1/queue'),
    refreshQueue: { send: () => Promise.reject(new Error('no token here is short-lived')) },
    logger: silentLogger(),
    metrics: new InvocationMetrics(),
    remainingMs: () => plenty,
    ...changes,
    settings: { ...settings, ...changes.settings },
  };
}

/** A due integration with a sealed refresh token, claimed as the scanner does. */
async function sealedRow(token = `token-${randomUUID()}`, overrides: IntegrationOverrides = {}, by = sealer) {
  const id = randomUUID();
  const refresh_token = await by.seal(token, { integrationId: id, column: 'refresh_token' });
  const row = await db.insertIntegration({ id, refresh_token, ...overrides });
  return { ...row, token };
}

const claim = () =>
  claimDue(db.database, {
    collectedAt: 'infinity',
    windowSeconds: 600,
    holdSeconds: 270,
    provider: null,
    after: null,
    limit: 1_000,
  });

async function open(id: string, column: 'access_token' | 'refresh_token') {
  const stored = (await db.integration(id))[column];
  const opened = await sealer.open(stored ?? '', { integrationId: id, column });
  return opened.ok ? { stored, token: opened.token, current: opened.current } : opened;
}

const sentTokens = () => endpoint.calls.map(({ parameters }) => parameters.get('refresh_token'));

describe('a refreshed integration', () => {
  it('gets its rotated tokens, sealed, and the provider sees the old one once', async () => {
    const row = await sealedRow();
    await claim();
    expect(await refreshBatch(parts(), [row.id])).toEqual({ unfinished: [], events: [] });
    expect(sentTokens()).toEqual([row.token]);
    expect(await open(row.id, 'refresh_token')).toMatchObject({ token: 'new-refresh', current: true });
    expect(await open(row.id, 'access_token')).toMatchObject({ token: 'new-access', current: true });
    const after = await db.integration(row.id);
    expect(`${after.access_token}${after.refresh_token}`).not.toContain('new-');
    expect(after).toMatchObject({ status: 'connected', consecutive_failures: 0 });
    expect(after.expires_at!.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
  });

  it('keeps its stored refresh token letter for letter when the provider does not rotate it', async () => {
    endpoint.answer = () => granted();
    const row = await sealedRow();
    await claim();
    await refreshBatch(parts(), [row.id]);
    expect((await db.integration(row.id)).refresh_token).toBe(row.refresh_token);
    expect(await open(row.id, 'access_token')).toMatchObject({ token: 'new-access' });
  });

  it.each([
    ['plain', async () => db.insertIntegration({ refresh_token: 'plain-token' }), 'plain-token'],
    ['sealed with an earlier key', async () => sealedRow('token-x', {}, earlierSealer), 'token-x'],
  ])('is sealed with the current key at its next refresh when it was %s', async (_, insert, token) => {
    endpoint.answer = () => granted();
    const row = await insert();
    await claim();
    await refreshBatch(parts(), [row.id]);
    expect(sentTokens()).toEqual([token]);
    const opened = await open(row.id, 'refresh_token');
    expect(opened).toMatchObject({ token, current: true });
    expect((await db.integration(row.id)).refresh_token).not.toContain(token);
  });

  it('is asked for at the address that it says itself', async () => {
    configure('shops', {
      tokenEndpoint: `${endpoint.url}/{shop}`,
      variables: { shop: { from: 'integration', pattern: '[a-z]+', description: 'the shop' } },
    });
    const row = await sealedRow(undefined, { provider: 'shops', metadata: { shop: 'acme', other: [1] } });
    await claim();
    await refreshBatch(parts(), [row.id]);
    expect(endpoint.calls.map(({ path }) => path)).toEqual(['/token/acme']);
    expect((await db.integration(row.id)).last_refresh_success).not.toBeNull();
  });

  it('is kept in plain text where the operator wants it so', async () => {
    endpoint.answer = () => granted();
    const sealed = await sealedRow();
    const plain = await db.insertIntegration({ refresh_token: 'plain-token' });
    await claim();
    await refreshBatch(parts({ settings: { tokensAtRest: 'plain' } }), [sealed.id, plain.id]);
    expect(await db.integration(sealed.id)).toMatchObject({
      refresh_token: sealed.token,
      access_token: 'new-access',
    });
    expect(await db.integration(plain.id)).toMatchObject({ refresh_token: 'plain-token' });
  });

  it('is called for once, however often its id is in the batch or the batch arrives', async () => {
    const row = await sealedRow();
    await claim();
    const other = parts({ database: db.connection() });
    await Promise.all([
      refreshBatch(parts(), [row.id, row.id]),
      refreshBatch(other, [row.id]),
      refreshBatch(other, [row.id]),
    ]);
    await refreshBatch(parts(), [row.id]);
    expect(endpoint.calls).toHaveLength(1);
  });
});

describe('calls', () => {
  it('are under way together, but no more than allowed', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 20; i += 1) ids.push((await sealedRow()).id);
    await claim();
    let waiting: (() => void)[] = [];
    endpoint.answer = async () => {
      // Each waits until four are there, so that a bound below four would never end.
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length < 4) return;
        for (const release of waiting) release();
        waiting = [];
      });
      return granted({ refresh_token: randomUUID() });
    };
    await refreshBatch(parts({ settings: { maxInFlight: 4 } }), ids);
    expect(endpoint.mostAtOnce).toBe(4);
    expect(new Set(sentTokens()).size).toBe(20);
    expect(await db.sql('SELECT FROM integrations WHERE last_refresh_success IS NULL')).toEqual([]);
  });

  it('have their results stored as they arrive, not when the last one does', async () => {
    const slow = await sealedRow('slow');
    const quick = await sealedRow('quick');
    await claim();
    const ending = Promise.withResolvers<void>();
    endpoint.answer = async ({ parameters }) => {
      if (parameters.get('refresh_token') === 'slow') await ending.promise;
      return granted({ refresh_token: randomUUID() });
    };
    const batch = refreshBatch(parts(), [slow.id, quick.id]);
    await expect.poll(async () => (await db.integration(quick.id)).last_refresh_success).not.toBeNull();
    expect((await db.integration(slow.id)).last_refresh_success).toBeNull();
    ending.resolve();
    await batch;
    expect((await db.integration(slow.id)).last_refresh_success).not.toBeNull();
  });

  it('share statements: a crowd is committed in few', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 60; i += 1) ids.push((await sealedRow()).id);
    await claim();
    let arrived = 0;
    const everybody = Promise.withResolvers<void>();
    endpoint.answer = async () => {
      arrived += 1;
      if (arrived === ids.length) everybody.resolve();
      await everybody.promise;
      return granted({ refresh_token: randomUUID() });
    };
    let statements = 0;
    const counting: Database = {
      query(statement, parameters) {
        statements += 1;
        return db.database.query(statement, parameters);
      },
    };
    await refreshBatch(parts({ database: counting }), ids);
    expect(await db.sql('SELECT FROM integrations WHERE last_refresh_success IS NULL')).toEqual([]);
    expect(statements).toBeLessThan(ids.length / 2);
  });

  it('do not begin when too little time is left; the message comes again and starts anew', async () => {
    const row = await sealedRow();
    await claim();
    const before = await db.integration(row.id);
    expect(await refreshBatch(parts({ remainingMs: () => settings.callTimeoutMs }), [row.id])).toEqual({
      unfinished: [row.id],
      events: [],
    });
    expect(endpoint.calls).toEqual([]);
    expect(await db.integration(row.id)).toEqual(before);
    await refreshBatch(parts(), [row.id]);
    expect(endpoint.calls).toHaveLength(1);
  });

  it('stop beginning when the time runs out; those not begun are given back and can start again', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 6; i += 1) ids.push((await sealedRow()).id);
    await claim();
    const { unfinished } = await refreshBatch(
      parts({
        settings: { maxInFlight: 1 },
        remainingMs: () => (endpoint.calls.length < 2 ? plenty : settings.callTimeoutMs),
      }),
      ids,
    );
    expect(endpoint.calls).toHaveLength(2);
    expect(unfinished).toHaveLength(4);
    expect(await refreshBatch(parts(), unfinished)).toMatchObject({ unfinished: [] });
    expect(new Set(sentTokens()).size).toBe(6);
    expect(endpoint.calls).toHaveLength(6);
  });

  it('that time out count as transient', async () => {
    endpoint.answer = () => undefined;
    const row = await sealedRow();
    await claim();
    await refreshBatch(parts({ settings: { callTimeoutMs: 100 } }), [row.id]);
    expect(await db.integration(row.id)).toMatchObject({
      status: 'connected',
      consecutive_failures: 0,
      consecutive_transient_failures: 1,
    });
  });
});

describe('a user who acts while the call is under way', () => {
  const during = (change: string, answer: ReturnType<typeof granted>) => {
    endpoint.answer = async () => {
      await db.sql(`UPDATE integrations SET ${change}`);
      return answer;
    };
  };

  it.each([
    ['a success', granted({ refresh_token: 'of the old grant' })],
    ['a refusal', refused('invalid_grant')],
  ])('wins by reconnecting over %s', async (_, answer) => {
    during(`refresh_token = 'of the user', access_token = 'of the user', consecutive_failures = 0`, answer);
    const row = await sealedRow(undefined, { consecutive_failures: 2 });
    await claim();
    const metrics = new InvocationMetrics();
    const count = vi.spyOn(metrics, 'count');
    expect(await refreshBatch(parts({ metrics }), [row.id])).toEqual({ unfinished: [], events: [] });
    expect(await db.integration(row.id)).toMatchObject({
      status: 'connected',
      refresh_token: 'of the user',
      access_token: 'of the user',
      consecutive_failures: 0,
    });
    expect(count.mock.calls).toEqual([[metricNames.superseded, 1, { provider: 'acme' }]]);
  });

  it('stays disconnected after a success', async () => {
    during(`status = 'disconnected'`, granted({ refresh_token: 'new' }));
    const row = await sealedRow();
    await claim();
    await refreshBatch(parts(), [row.id]);
    expect(await db.integration(row.id)).toMatchObject({ status: 'disconnected' });
  });

  it('hears nothing of a failure after disconnecting', async () => {
    during(`status = 'disconnected'`, refused('invalid_grant'));
    const row = await sealedRow(undefined, { consecutive_failures: 2 });
    await claim();
    expect(await refreshBatch(parts(), [row.id])).toMatchObject({ events: [] });
    expect(await db.integration(row.id)).toMatchObject({ status: 'disconnected', consecutive_failures: 2 });
  });
});

describe('a failure', () => {
  it('is counted, and what its threshold leads to is returned for publishing', async () => {
    endpoint.answer = () => refused('invalid_grant');
    const row = await sealedRow();
    await claim();
    const { events } = await refreshBatch(parts(), [row.id]);
    const written = await db.eventsOf(row.id);
    expect(written).toMatchObject([{ email_kind: 'reconnect', provider_name: 'Acme' }]);
    expect(events).toEqual([{ eventId: written[0]!.id, provider: 'acme' }]);
  });

  it('waits as long as the provider asks, and about as long as set otherwise', async () => {
    endpoint.answer = ({ parameters }) =>
      parameters.get('refresh_token') === 'asked'
        ? { status: 429, headers: { 'retry-after': '1200' } }
        : { status: 429 };
    const asked = await sealedRow('asked');
    const free = await sealedRow('free');
    await claim();
    await refreshBatch(parts(), [asked.id, free.id]);
    const held = await db.sql<{ id: string; seconds: number }>(
      'SELECT id, extract(epoch FROM refresh_held_until - last_failure_at)::float8 AS seconds FROM integrations',
    );
    const seconds = Object.fromEntries(held.map((row) => [row.id, row.seconds]));
    expect(seconds[asked.id]).toBeGreaterThanOrEqual(1200);
    expect(seconds[asked.id]).toBeLessThanOrEqual(1350);
    expect(seconds[free.id]).toBeGreaterThanOrEqual(150);
    expect(seconds[free.id]).toBeLessThanOrEqual(450);
  });

  it.each([
    ['a character lost', (stored: string) => `${stored.slice(0, 200)}${stored.slice(201)}`],
    ['cut short', (stored: string) => stored.slice(0, 150)],
  ])(
    'of a damaged token (%s) is an invalid refresh token, and the provider is not asked',
    async (_, damage) => {
      const row = await sealedRow();
      await db.sql('UPDATE integrations SET refresh_token = $1', [damage(row.refresh_token!)]);
      await claim();
      await refreshBatch(parts(), [row.id]);
      expect(endpoint.calls).toEqual([]);
      expect(await db.integration(row.id)).toMatchObject({ consecutive_failures: 1 });
      expect(await db.eventsOf(row.id)).toMatchObject([{ email_kind: 'reconnect' }]);
    },
  );

  it('of a token that was sealed for another row is an invalid refresh token', async () => {
    const owner = await sealedRow('of the owner');
    const thief = await db.insertIntegration({ refresh_token: owner.refresh_token });
    await claim();
    await refreshBatch(parts(), [thief.id]);
    expect(endpoint.calls).toEqual([]);
    expect(await db.integration(thief.id)).toMatchObject({ consecutive_failures: 1 });
  });
});

describe('an operator’s fault', () => {
  const unchanged = async (id: string) => {
    const row = await db.integration(id);
    expect(row).toMatchObject({
      status: 'connected',
      consecutive_failures: 2,
      consecutive_transient_failures: 4,
      last_failure_at: null,
    });
    expect(row.refresh_held_until).not.toBeNull();
    expect(await db.eventsOf(id)).toEqual([]);
  };
  const counters = { consecutive_failures: 2, consecutive_transient_failures: 4 };

  it.each([
    ['the client is refused', () => refused('invalid_client', 401)],
    ['the client may not refresh', () => refused('unauthorized_client')],
    ['the address is wrong', () => ({ status: 404, body: '<html>Not Found</html>' })],
    ['the address has moved', () => ({ status: 302, headers: { location: 'https://example.com/' } })],
  ])('moves no counter and tells nobody: %s', async (_, answer) => {
    endpoint.answer = answer;
    const row = await sealedRow(undefined, counters);
    await claim();
    expect(await refreshBatch(parts(), [row.id])).toMatchObject({ events: [] });
    await unchanged(row.id);
  });

  it.each([
    ['a provider without configuration', { provider: 'nobody-knows' }],
    ['a provider whose name no secret can have', { provider: '../acme' }],
  ])('moves no counter and makes no call: %s', async (_, overrides) => {
    const row = await sealedRow(undefined, { ...counters, ...overrides });
    await claim();
    await refreshBatch(parts(), [row.id]);
    expect(endpoint.calls).toEqual([]);
    await unchanged(row.id);
  });

  it.each([
    ['is not JSON', 'x'],
    ['lacks the client id', { provider: {} }],
  ])('moves no counter and makes no call: a secret that %s', async (_, secret) => {
    secrets.put(`${prefix}broken`, secret);
    const row = await sealedRow(undefined, { ...counters, provider: 'broken' });
    await claim();
    await refreshBatch(parts(), [row.id]);
    expect(endpoint.calls).toEqual([]);
    await unchanged(row.id);
  });

  it('moves no counter and makes no call: a token sealed with a key that we do not have', async () => {
    const foreign = await TokenSealer.fromSecret(JSON.stringify({ current: '00'.repeat(32) }));
    const row = await sealedRow('x', counters, foreign);
    await claim();
    await refreshBatch(parts(), [row.id]);
    expect(endpoint.calls).toEqual([]);
    await unchanged(row.id);
  });

  it('is none when the key was rotated in since the secret was read', async () => {
    const next = randomBytes(32).toString('hex');
    secrets.put('token-key', { current: key });
    const rotating = new SecretSealer(new SecretReader(), 'token-key');
    await rotating.load();
    const row = await sealedRow('of another', {}, await TokenSealer.fromSecret(`{"current":"${next}"}`));
    secrets.put('token-key', { current: next, previous: [key] });
    await claim();
    // A secret is not read twice within a second.
    const { now } = performance;
    vi.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + 2_000);
    await refreshBatch(parts({ sealer: rotating }), [row.id]);
    expect(sentTokens()).toEqual(['of another']);
  });

  it.each([
    ['is missing in the integration', {}],
    ['would lead elsewhere', { shop: '../admin' }],
  ])('moves no counter and makes no call: a part of the address that %s', async (_, metadata) => {
    configure('shops', {
      tokenEndpoint: `${endpoint.url}/{shop}`,
      variables: { shop: { from: 'integration', pattern: '.+', description: 'the shop' } },
    });
    const row = await sealedRow(undefined, { ...counters, provider: 'shops', metadata });
    await claim();
    await refreshBatch(parts(), [row.id]);
    expect(endpoint.calls).toEqual([]);
    await unchanged(row.id);
  });

  it('hurts only its provider', async () => {
    const bad = await sealedRow(undefined, { provider: 'nobody-knows' });
    const good = await sealedRow();
    await claim();
    await refreshBatch(parts(), [bad.id, good.id]);
    expect((await db.integration(good.id)).last_refresh_success).not.toBeNull();
  });

  it('is over as soon as the secret is right: nothing of the wrong one is kept', async () => {
    endpoint.answer = ({ headers }) => {
      const [, credentials = ''] = headers.authorization?.split(' ') ?? [];
      return Buffer.from(credentials, 'base64').toString().endsWith(':right')
        ? granted({ refresh_token: 'new-refresh' })
        : refused('invalid_client', 401);
    };
    configure('acme', { clientSecret: 'wrong' });
    const row = await sealedRow();
    const same = parts();
    await claim();
    await refreshBatch(same, [row.id]);
    configure('acme', { clientSecret: 'right' });
    // A secret is read once a second at most.
    await sleep(1_100);
    await db.sql('UPDATE integrations SET refresh_held_until = NULL');
    await claim();
    await refreshBatch(same, [row.id]);
    expect(await open(row.id, 'refresh_token')).toMatchObject({ token: 'new-refresh' });
  });
});

describe('a commit that meets trouble', () => {
  it('is tried again until Postgres is back: the new token is not lost', async () => {
    const proxy = await startProxy(Number(new URL(db.url).port));
    const connection = new PostgresConnection({ url: through(proxy, db.url) });
    const row = await sealedRow('rotating');
    const failing = await sealedRow('failing');
    await claim();
    const away = Promise.withResolvers<void>();
    let answered = 0;
    endpoint.answer = ({ parameters }) => {
      answered += 1;
      proxy.cut();
      if (answered === 2) away.resolve();
      return parameters.get('refresh_token') === 'failing'
        ? refused('invalid_grant')
        : granted({ refresh_token: 'new-refresh' });
    };
    const batch = refreshBatch(parts({ database: connection }), [row.id, failing.id]);
    await away.promise;
    const refusedBefore = proxy.connections;
    // Several tries have met a closed door.
    await expect.poll(() => proxy.connections).toBeGreaterThan(refusedBefore + 2);
    proxy.restore();
    const { events } = await batch;
    expect(await open(row.id, 'refresh_token')).toMatchObject({ token: 'new-refresh' });
    expect(await db.integration(failing.id)).toMatchObject({ consecutive_failures: 1 });
    expect(events).toHaveLength(1);
    await connection.end();
    await proxy.stop();
  });

  it('is given up at the last moment, and said so without a token', async () => {
    const proxy = await startProxy(Number(new URL(db.url).port));
    const connection = new PostgresConnection({ url: through(proxy, db.url) });
    const row = await sealedRow('canary-old');
    await claim();
    let remaining = plenty;
    endpoint.answer = () => {
      proxy.cut();
      remaining = 100;
      return granted({ access_token: 'canary-access', refresh_token: 'canary-new' });
    };
    const logger = silentLogger();
    const critical = vi.spyOn(logger, 'critical');
    const metrics = new InvocationMetrics();
    const count = vi.spyOn(metrics, 'count');
    await refreshBatch(parts({ database: connection, logger, metrics, remainingMs: () => remaining }), [
      row.id,
    ]);
    expect(count).toHaveBeenCalledWith(metricNames.lost, 1);
    expect(critical).toHaveBeenCalledTimes(1);
    expect(critical.mock.calls[0]?.[1]).toMatchObject({ integrationId: row.id, provider: 'acme' });
    expect(JSON.stringify(critical.mock.calls)).not.toContain('canary');
    await connection.end();
    await proxy.stop();
  });

  it('that hangs is given up while there is time to say so', async () => {
    const proxy = await startProxy(Number(new URL(db.url).port));
    const connection = new PostgresConnection({ url: through(proxy, db.url) });
    const row = await sealedRow();
    await claim();
    let deadlineMs = performance.now() + plenty;
    endpoint.answer = () => {
      proxy.hang();
      deadlineMs = performance.now() + 1_900;
      return granted({ refresh_token: 'new-refresh' });
    };
    const metrics = new InvocationMetrics();
    const count = vi.spyOn(metrics, 'count');
    await refreshBatch(
      parts({ database: connection, metrics, remainingMs: () => deadlineMs - performance.now() }),
      [row.id],
    );
    expect(count).toHaveBeenCalledWith(metricNames.lost, 1);
    proxy.restore();
    await connection.end();
    await proxy.stop();
  });

  it('to a database that may only be read is not made for each result by itself', async () => {
    const count = 20;
    const readOnly = 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY';
    const connection = db.connection();
    const rows = await Promise.all(Array.from({ length: count }, () => sealedRow()));
    await claim();
    const allCalled = Promise.withResolvers<void>();
    endpoint.answer = async () => {
      if (endpoint.calls.length === count) {
        await connection.query(readOnly, []);
        allCalled.resolve();
      }
      await allCalled.promise;
      return granted({ refresh_token: 'new-refresh' });
    };
    const refused = { alone: 0, together: 0 };
    const database: Database = {
      query: async <Row>(statement: string, parameters: readonly unknown[], options?: StatementOptions) => {
        try {
          return await connection.query<Row>(statement, parameters, options);
        } catch (error) {
          expect(sqlState(error)).toBe('25006');
          refused[(parameters[0] as unknown[]).length === 1 ? 'alone' : 'together'] += 1;
          // As long as the server is a replica, the next session is one as well.
          if (refused.together < 3) await connection.query(readOnly, []);
          throw error;
        }
      },
    };
    await refreshBatch(
      parts({ database }),
      rows.map(({ id }) => id),
    );
    expect(refused.together).toBe(3);
    expect(refused.alone).toBeLessThan(count / 2);
    for (const { id } of rows) {
      expect(await open(id, 'refresh_token')).toMatchObject({ token: 'new-refresh' });
    }
  });

  it('waits for a transaction of the product on the same row', async () => {
    const row = await sealedRow();
    await claim();
    const called = Promise.withResolvers<void>();
    const locked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    endpoint.answer = async () => {
      called.resolve();
      await locked.promise;
      answered.resolve();
      return granted({ refresh_token: 'new-refresh' });
    };
    const metrics = new InvocationMetrics();
    let tries = 0;
    const counting: Database = {
      query(statement, parameters) {
        tries += 1;
        return db.database.query(statement, parameters);
      },
    };
    const batch = refreshBatch(parts({ metrics, database: counting }), [row.id]);
    await called.promise;
    await db.inTransaction(async (product) => {
      await product.query(`UPDATE integrations SET metadata = '{"by":"product"}'`);
      locked.resolve();
      await answered.promise;
      const before = tries;
      await expect.poll(() => tries).toBeGreaterThan(before + 1);
    });
    await batch;
    expect(await open(row.id, 'refresh_token')).toMatchObject({ token: 'new-refresh' });
    expect((await db.integration(row.id)).metadata).toEqual({ by: 'product' });
  });

  it('does not lose a grant to an odd scope', async () => {
    const row = await sealedRow();
    const other = await sealedRow();
    await claim();
    let tries = 0;
    endpoint.answer = ({ parameters }) =>
      granted({
        refresh_token: 'new-refresh',
        ...(parameters.get('refresh_token') === row.token && { scope: 'read\u0000 \ud800 write' }),
      });
    await refreshBatch(parts({ remainingMs: () => (tries++ < 40 ? plenty : 0) }), [row.id, other.id]);
    expect(await open(row.id, 'refresh_token')).toMatchObject({ token: 'new-refresh' });
    expect(await open(other.id, 'refresh_token')).toMatchObject({ token: 'new-refresh' });
  });

  it('of a row that Postgres will not take hurts only that row, and holds nobody up', async () => {
    // As a product's own trigger or a short column does.
    await db.sql(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
         IF NEW.metadata IS NOT NULL AND NEW.access_token IS DISTINCT FROM OLD.access_token THEN
           RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation';
         END IF;
         RETURN NEW;
       END $$`,
    );
    await db.sql(
      'CREATE TRIGGER refuse BEFORE UPDATE ON integrations FOR EACH ROW EXECUTE FUNCTION refuse()',
    );
    const poison = await sealedRow('poison', { metadata: { poison: true } });
    const rows = [];
    for (let i = 0; i < 5; i += 1) rows.push(await sealedRow());
    await claim();
    const everybody = Promise.withResolvers<void>();
    endpoint.answer = async () => {
      if (endpoint.calls.length === 6) everybody.resolve();
      await everybody.promise;
      return granted({ refresh_token: 'new-refresh' });
    };
    let asked = 0;
    const metrics = new InvocationMetrics();
    const count = vi.spyOn(metrics, 'count');
    const givenUp = 60;
    const sqs = await startFauxqs({ port: 0, logger: false });
    vi.stubEnv('AWS_ENDPOINT_URL_SQS', `http://127.0.0.1:${sqs.port}`);
    sqs.createQueue('sealed');
    await refreshBatch(
      parts({
        metrics,
        sealedResultQueue: new Queue(`http://127.0.0.1:${sqs.port}/000000000000/sealed`),
        remainingMs: () => {
          asked += 1;
          return asked < givenUp ? plenty : 0;
        },
      }),
      [poison.id, ...rows.map(({ id }) => id)],
    );
    for (const { id } of rows) {
      expect(await open(id, 'refresh_token')).toMatchObject({ token: 'new-refresh' });
    }
    expect(sqs.inspectQueue('sealed')?.messages.ready).toHaveLength(1);
    expect(count).toHaveBeenCalledWith(metricNames.sealed, 1);
    expect(count).not.toHaveBeenCalledWith(metricNames.lost, 1);
    await sqs.stop();
    // It was not tried until the deadline, at which nobody could answer for the others any more.
    expect(asked).toBeLessThan(givenUp);
    await db.sql('DROP TRIGGER refuse ON integrations; DROP FUNCTION refuse()');
  });
});

it('a slip in the token key secret costs no token that came meanwhile', async () => {
  secrets.put('slipping-key', { current: key });
  const reader = new SecretReader();
  const slipping = new SecretSealer(reader, 'slipping-key');
  await slipping.load();
  endpoint.answer = async () => {
    secrets.put('slipping-key', { current: 'a slip of the pen' });
    reader.forget('slipping-key');
    await sleep(1_100);
    return granted({ refresh_token: 'new-refresh' });
  };
  const row = await sealedRow();
  await claim();
  await refreshBatch(parts({ sealer: slipping }), [row.id]);
  expect(await open(row.id, 'refresh_token')).toMatchObject({ token: 'new-refresh', current: true });
  // Nothing is started with it.
  await expect(slipping.load()).rejects.toThrow(/token key secret/);
});

it('outcomes that Postgres does not take keep back neither the answer nor an event', async () => {
  endpoint.answer = ({ parameters }) =>
    parameters.get('refresh_token') === 'good'
      ? granted({ refresh_token: 'new-refresh' })
      : refused('invalid_grant');
  const rows = [await sealedRow('good'), await sealedRow('bad')];
  await claim();
  const database: Database = {
    query: <Row>(statement: string, parameters: readonly unknown[]) =>
      statement.includes('refresh_outcomes')
        ? new Promise<Row[]>(() => {})
        : db.database.query<Row>(statement, parameters),
  };
  const endsAtMs = performance.now() + 14_000;
  const remainingMs = () => endsAtMs - performance.now();
  const { events } = await refreshBatch(
    parts({ database, remainingMs }),
    rows.map(({ id }) => id),
  );
  expect(remainingMs()).toBeGreaterThan(9_000);
  expect(events).toHaveLength(1);
  expect(await open(rows[0]!.id, 'refresh_token')).toMatchObject({ token: 'new-refresh' });
});

describe('what is logged and measured', () => {
  it('has one line per outcome with its particulars, and never a token, secret or key', async () => {
    const written: string[] = [];
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((chunk) => {
        written.push(String(chunk));
        return true;
      });
    }
    configure('acme', { clientSecret: 'canary-client-secret' });
    const answers: Record<string, () => ReturnType<typeof granted>> = {
      'canary-1': () => granted({ access_token: 'canary-access', refresh_token: 'canary-rotated' }),
      'canary-2': () => ({ status: 400, body: { error: 'invalid_grant', error_description: 'canary-2' } }),
      'canary-3': () => ({ status: 503, body: 'canary-3' }),
      'canary-4': () => ({ status: 401, body: { error: 'invalid_client', token: 'canary-4' } }),
      'canary-5': () => ({ status: 400, body: { error: 'canary-5' } }),
      'canary-6': () => ({ status: 200, body: { access_token: 'canary-6 without type', expires_in: 1e9 } }),
      'canary-7': () => ({ status: 400, body: { error: 'ratelimited', error_description: 'canary-7' } }),
    };
    endpoint.answer = ({ parameters }) => answers[parameters.get('refresh_token') ?? '']!();
    const rows: IntegrationRow[] = [];
    for (const token of Object.keys(answers)) rows.push(await sealedRow(token));
    rows.push(await db.insertIntegration({ refresh_token: `eyJcanary.${'x.'.repeat(3)}x` }));
    await claim();
    const metrics = new InvocationMetrics();
    await refreshBatch(
      parts({ logger: new Logger({ logLevel: 'DEBUG' }), metrics }),
      rows.map(({ id }) => id),
    );
    metrics.flush(Date.now());
    vi.restoreAllMocks();

    const output = written.join('');
    expect(output).not.toMatch(/canary/);
    expect(output).not.toContain(key);
    for (const { refresh_token } of rows) expect(output).not.toContain(refresh_token);
    const lines = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const outcomes = lines.filter(({ integrationId }) => integrationId !== undefined);
    expect(outcomes).toHaveLength(rows.length);
    for (const line of outcomes) {
      expect(line).toMatchObject({ provider: 'acme' });
      const called = line.integrationId !== rows.at(-1)!.id;
      expect('durationMs' in line).toBe(called);
    }
    expect(outcomes.find(({ integrationId }) => integrationId === rows[1]!.id)).toMatchObject({
      class: 'permanent',
      code: 'invalid_grant',
      httpStatus: 400,
    });
    expect(outcomes.find(({ remarks }) => remarks !== undefined)).toMatchObject({
      integrationId: rows[5]!.id,
      remarks: ['expires_in_clamped'],
    });
    expect(outcomes.find(({ providerCode }) => providerCode !== undefined)).toMatchObject({
      integrationId: rows[6]!.id,
      class: 'transient',
      code: 'rate_limited',
      providerCode: 'ratelimited',
    });
    // Embedded metrics, CloudWatch's format.
    const emf = lines.filter((line) => '_aws' in line);
    expect(JSON.stringify(emf)).toContain(metricNames.failed);
    expect(JSON.stringify(emf)).toContain(metricNames.refreshed);
  });
});
