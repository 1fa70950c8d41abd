import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { startFauxqs } from 'fauxqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { metricNames } from '../lambdas/contract.ts';
import { defaultPolicy, thresholdSteps } from '../lambdas/domain/policy.ts';
import { circuitLimits, massRefusalLimits } from '../lambdas/domain/provider-guards.ts';
import { maxRetryAfterSeconds } from '../lambdas/domain/retry-delay.ts';
import { InvocationMetrics } from '../lambdas/observability/metrics.ts';
import { beginCollecting } from '../lambdas/postgres/begin-collecting.ts';
import { claimDue } from '../lambdas/postgres/claim-due.ts';
import { type Database, PostgresConnection } from '../lambdas/postgres/database.ts';
import { endCollecting } from '../lambdas/postgres/end-collecting.ts';
import { openCircuit } from '../lambdas/postgres/open-circuit.ts';
import { startAttempts } from '../lambdas/postgres/start-attempts.ts';
import type { RefreshedResult } from '../lambdas/postgres/store-refreshed.ts';
import { type RefreshParts, type RefreshSettings, refreshBatch } from '../lambdas/refresher/refresh-batch.ts';
import { collectResults } from '../lambdas/scanner/collect-results.ts';
import { parseScanRequest } from '../lambdas/scanner/request.ts';
import { type ScanReport, scan } from '../lambdas/scanner/scan.ts';
import { sealResult } from '../lambdas/sealed-result.ts';
import { TokenSealer } from '../lambdas/sealing/token-sealer.ts';
import { SecretSealer } from '../lambdas/secret-sealer.ts';
import { ProviderClients } from '../lambdas/secrets/provider-clients.ts';
import { SecretReader } from '../lambdas/secrets/secret-reader.ts';
import { Queue } from '../lambdas/sqs/queue.ts';
import { deadLetterRetention } from '../lib/dead-letter-queue.ts';
import { parseSettings } from '../lib/settings.ts';
import { timingOf } from '../lib/timing.ts';
import { createSqsCaller } from '../local/cloud/sqs-client.ts';
import { startSecrets } from './support/aws.ts';
import { type IntegrationOverrides, type TestDatabase, testDatabase } from './support/database.ts';
import { loaded } from './support/loaded-sealer.ts';
import { startProxy, type TcpProxy, through } from './support/proxy.ts';
import { silentLogger } from './support/silent-logger.ts';
import { granted, startTokenEndpoint, type TokenEndpoint } from './support/token-endpoint.ts';

/**
 * Results that Postgres does not take, from the provider's answer to the row, through the refresher, SQS and the scanner.
 * The provider rotates: an attempt with a token that was used before would cost the grant.
 */
const settings = parseSettings({});
const timing = timingOf(settings);
const maxReceiveCount = 4;

let db: TestDatabase;
let sqs: Awaited<ReturnType<typeof startFauxqs>>;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
let endpoint: TokenEndpoint;
let key: string;
let sealer: TokenSealer;
let proxy: TcpProxy;
let refresherDatabase: PostgresConnection;
/** Every refresh token that the provider was shown. */
let shown: string[];
let issued: number;

beforeAll(async () => {
  [db, sqs, secrets] = await Promise.all([
    testDatabase(),
    startFauxqs({ port: 0, logger: false }),
    startSecrets({}),
  ]);
  process.env.AWS_ENDPOINT_URL_SQS = `http://127.0.0.1:${sqs.port}`;
  key = randomBytes(32).toString('hex');
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: key }));
  proxy = await startProxy(Number(new URL(db.url).port));
});
beforeEach(async () => {
  await db.clear();
  await db.sql('UPDATE evergrant.installation SET collecting_until = NULL');
  sqs.purgeAll();
  for (const queue of ['refresh', 'threshold']) sqs.createQueue(queue);
  const deadLetterTargetArn = 'arn:aws:sqs:us-east-1:000000000000:sealed-dead';
  sqs.createQueue('sealed-dead');
  await createSqsCaller(`http://127.0.0.1:${sqs.port}`)('CreateQueue', {
    QueueName: 'sealed',
    Attributes: { RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount }) },
  });
  shown = [];
  issued = 0;
  endpoint = await startTokenEndpoint(({ parameters }) => {
    shown.push(parameters.get('refresh_token') ?? '');
    issued += 1;
    return granted({ access_token: `canary-access-${issued}`, refresh_token: `canary-refresh-${issued}` });
  });
  secrets.put('providers/acme', {
    clientId: 'us',
    clientSecret: 'secret',
    provider: { displayName: 'Acme', tokenEndpoint: endpoint.url, rotation: 'always' },
  });
  proxy.restore();
  refresherDatabase = new PostgresConnection({ url: through(proxy, db.url) });
});
afterEach(async () => {
  vi.restoreAllMocks();
  proxy.restore();
  await refresherDatabase.end();
  await endpoint.stop();
});
afterAll(async () => {
  await proxy.stop();
  await Promise.all([sqs.stop(), secrets.stop(), db.end()]);
});

const queueUrl = (name: string) => `http://127.0.0.1:${sqs.port}/000000000000/${name}`;
const messages = (queue = 'sealed') => sqs.inspectQueue(queue)?.messages;

const refreshSettings: RefreshSettings = {
  attemptHoldSeconds: timing.attemptHold,
  callTimeoutMs: 3_000,
  maxInFlight: 100,
  retryDelaySeconds: timing.retryDelay,
  eventRelayHoldSeconds: timing.eventRelayHold,
  lapseWarningSeconds: timing.lapseWarning,
  shortLifetimeSeconds: 600,
  tokensAtRest: 'sealed',
  steps: thresholdSteps(defaultPolicy),
  guards: {
    circuit: circuitLimits,
    massRefusal: massRefusalLimits,
    circuitWindowSeconds: timing.circuitWindow,
    circuitCooldownSeconds: timing.circuitCooldown,
    maxRetryAfterSeconds,
    massRefusalWindowSeconds: timing.massRefusalWindow,
    disconnectionHoldSeconds: settings.disconnectionHoldHours * 3_600,
    memorySeconds: timing.failureMemory,
  },
};

function refresh(ids: readonly string[], changes: Partial<RefreshParts> = {}) {
  return refreshBatch(
    {
      database: refresherDatabase,
      sealer,
      providers: new ProviderClients(new SecretReader(), 'providers/'),
      sealedResultQueue: new Queue(queueUrl('sealed')),
      refreshQueue: new Queue(queueUrl('refresh')),
      settings: refreshSettings,
      logger: silentLogger(),
      metrics: new InvocationMetrics(),
      remainingMs: () => 60_000,
      ...changes,
    },
    ids,
  );
}

/** The function's time runs out `ms` after the provider's answer. */
function untilAfterTheAnswer(ms: number, onAnswer: () => void) {
  const { answer } = endpoint;
  let endsAtMs = Number.POSITIVE_INFINITY;
  endpoint.answer = async (call, response) => {
    const answered = await answer(call, response);
    onAnswer();
    endsAtMs = performance.now() + ms;
    return answered;
  };
  return () => Math.min(60_000, endsAtMs - performance.now());
}

const scanParts = (database: Database = db.database) => ({
  database,
  sealer: loaded(sealer),
  sealedResultQueue: new Queue(queueUrl('sealed')),
  refreshQueue: new Queue(queueUrl('refresh')),
  thresholdQueue: new Queue(queueUrl('threshold')),
  settings: {
    refreshWindowSeconds: settings.refreshWindowSeconds,
    claimHoldSeconds: timing.claimHold,
    eventRelayHoldSeconds: timing.eventRelayHold,
    lapseWarningSeconds: timing.lapseWarning,
    successWindowSeconds: timing.successWindow,
    circuitCooldownSeconds: timing.circuitCooldown,
    pacedSpreadSeconds: timing.pacedSpread,
    sealedResultVisibilitySeconds: timing.sealedResultVisibility,
    sealedResultRetentionSeconds: deadLetterRetention.toSeconds(),
  },
  logger: silentLogger(),
  metrics: new InvocationMetrics(),
  remainingMs: () => 60_000,
  timeLeft: () => true,
});
const scanNow = (event: object = {}): Promise<ScanReport> => scan(scanParts(), parseScanRequest(event));
const collect = (changes: Partial<Parameters<typeof collectResults>[0]> = {}) =>
  collectResults({ ...scanParts(), ...changes });

/** A due row, claimed as a scan does. */
async function claimedRow(overrides: IntegrationOverrides = {}) {
  const row = await db.insertIntegration({
    provider: 'acme',
    refresh_token: `first-${randomUUID()}`,
    ...overrides,
  });
  await claimDue(db.database, {
    windowSeconds: 600,
    holdSeconds: timing.claimHold,
    provider: null,
    after: null,
    limit: 100,
    collectedAt: null,
  });
  return row;
}

/** All holds are over, however long: an outage lasted longer. */
const endHolds = () => db.sql(`UPDATE integrations SET refresh_held_until = now() - interval '1 second'`);

async function refreshTokenOf(id: string) {
  const opened = await sealer.open((await db.integration(id)).refresh_token ?? '', {
    integrationId: id,
    column: 'refresh_token',
  });
  return opened.ok ? opened.token : opened.reason;
}

/** An attempt whose result is in the queue and not in its row. */
async function sealedAway(overrides: IntegrationOverrides = {}) {
  const row = await claimedRow(overrides);
  const { answer } = endpoint;
  await refresh([row.id], { remainingMs: untilAfterTheAnswer(2_500, () => proxy.cut()) });
  proxy.restore();
  endpoint.answer = answer;
  return row;
}

describe('a success while Postgres is away', () => {
  it('goes sealed to its queue, is stored before the row is claimed again, and costs no grant', async () => {
    const row = await claimedRow();
    const metrics = new InvocationMetrics();
    const count = vi.spyOn(metrics, 'count');
    const logger = silentLogger();
    const said = [vi.spyOn(logger, 'warn'), vi.spyOn(logger, 'error'), vi.spyOn(logger, 'critical')];
    const { answer } = endpoint;
    const remainingMs = untilAfterTheAnswer(2_500, () => proxy.cut());
    const result = await refresh([row.id], { metrics, logger, remainingMs });
    endpoint.answer = answer;
    expect(result).toEqual({ unfinished: [], events: [] });
    expect(count).toHaveBeenCalledWith(metricNames.sealed, 1);
    expect(count).not.toHaveBeenCalledWith(metricNames.lost, 1);
    const [message] = messages()!.ready;
    expect(messages()!.ready).toHaveLength(1);
    expect(JSON.parse(message!.body)).toMatchObject({
      version: 1,
      integrationId: row.id,
      claim: '1',
      provider: 'acme',
    });
    expect(message!.body + JSON.stringify(said.map(({ mock }) => mock.calls))).not.toMatch(/canary|first-/);

    await endHolds();
    expect((await db.integration(row.id)).refresh_started_at).not.toBeNull();
    const report = await scanNow();
    expect(report).toMatchObject({ claimed: 0 });
    expect(messages()!.ready).toHaveLength(0);
    expect(messages()!.inflight).toHaveLength(0);
    expect(await refreshTokenOf(row.id)).toBe('canary-refresh-1');
    expect(await db.integration(row.id)).toMatchObject({
      refresh_started_at: null,
      refresh_held_until: null,
      doubtful_grant: null,
      consecutive_failures: 0,
    });

    proxy.restore();
    await db.sql(`UPDATE integrations SET expires_at = now()`);
    expect(await scanNow()).toMatchObject({ claimed: 1 });
    await refresh([row.id]);
    expect(shown).toEqual([row.refresh_token, 'canary-refresh-1']);
  });

  it('is sealed as well where tokens are stored as plain text', async () => {
    const row = await claimedRow();
    const remainingMs = untilAfterTheAnswer(2_500, () => proxy.cut());
    await refresh([row.id], { remainingMs, settings: { ...refreshSettings, tokensAtRest: 'plain' } });
    expect(messages()!.ready[0]!.body).not.toMatch(/canary|first-/);
    await collect();
    expect(await db.integration(row.id)).toMatchObject({
      access_token: 'canary-access-1',
      refresh_token: 'canary-refresh-1',
    });
  });

  it('that hangs instead of refusing goes to the queue while the commit is still waited for', async () => {
    const row = await claimedRow();
    const logger = silentLogger();
    const warn = vi.spyOn(logger, 'warn');
    const batch = refresh([row.id], { logger, remainingMs: untilAfterTheAnswer(60_000, () => proxy.hang()) });
    await expect.poll(() => messages()!.ready.length, { timeout: 20_000 }).toBe(1);
    // Postgres comes back, and this process stores the result itself.
    proxy.restore();
    await batch;
    expect(warn).not.toHaveBeenCalledWith('result sealed', expect.anything());
    expect(await refreshTokenOf(row.id)).toBe('canary-refresh-1');
    await db.sql(`UPDATE integrations SET access_token = 'by the product'`);
    expect(await collect()).not.toBeNull();
    expect(messages()!.ready).toHaveLength(0);
    expect((await db.integration(row.id)).access_token).toBe('by the product');
  }, 30_000);

  it('is in the queue before anybody is impatient, where Postgres refuses it', async () => {
    const row = await claimedRow();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const batch = refresh([row.id], { remainingMs: untilAfterTheAnswer(60_000, () => proxy.cut()) });
      // `expect.poll` would move the timers on.
      for (let tries = 0; tries < 100 && messages()!.ready.length === 0; tries += 1) await sleep(100);
      expect(messages()!.ready).toHaveLength(1);
      proxy.restore();
      await batch;
    } finally {
      vi.useRealTimers();
    }
  }, 30_000);

  it('leaves no copy under way behind, which would go on when the function thaws', async () => {
    const row = await claimedRow();
    const queue = new Queue(queueUrl('sealed'));
    const { send } = queue;
    let ended = false;
    vi.spyOn(queue, 'send').mockImplementation(async (sent) => {
      proxy.restore();
      await expect.poll(() => refreshTokenOf(row.id), { timeout: 20_000 }).toBe('canary-refresh-1');
      await sleep(500);
      const refused = await send.call(queue, sent);
      ended = true;
      return refused;
    });
    await refresh([row.id], {
      sealedResultQueue: queue,
      remainingMs: untilAfterTheAnswer(60_000, () => proxy.cut()),
    });
    expect(ended).toBe(true);
  }, 30_000);

  it('waits for a row that a transaction of the product holds, with a copy in the queue', async () => {
    const row = await claimedRow();
    const locked = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const { answer } = endpoint;
    endpoint.answer = async (call, response) => {
      asked.resolve();
      await locked.promise;
      return answer(call, response);
    };
    const batch = refresh([row.id]);
    await asked.promise;
    await db.inTransaction(async (product) => {
      await product.query('SELECT FROM integrations FOR UPDATE');
      locked.resolve();
      await expect.poll(() => messages()!.ready.length, { timeout: 20_000 }).toBe(1);
    });
    await batch;
    expect(await refreshTokenOf(row.id)).toBe('canary-refresh-1');
  });

  function queueThatRefusesThrice(): Queue {
    const queue = new Queue(queueUrl('sealed'));
    const { send } = queue;
    let tries = 0;
    vi.spyOn(queue, 'send').mockImplementation(async (sent) => {
      tries += 1;
      return tries < 4 ? sent.map((_, index) => index) : send.call(queue, sent);
    });
    return queue;
  }

  it('outlives an outage of the queue as well, if that ends before the function', async () => {
    const row = await claimedRow();
    const queue = queueThatRefusesThrice();
    const remainingMs = untilAfterTheAnswer(4_000, () => proxy.cut());
    await refresh([row.id], { sealedResultQueue: queue, remainingMs });
    expect(messages()!.ready).toHaveLength(1);
  });

  it('that Postgres refuses for its values, and does not try again, is sent as long as there is time', async () => {
    const row = await claimedRow();
    const queue = queueThatRefusesThrice();
    await refusing(row.id, 'raise_exception', async () => {
      await refresh([row.id], { sealedResultQueue: queue });
    });
    expect(messages()!.ready).toHaveLength(1);
  });

  it('is lost only if the queue takes it up to the last moment as little as Postgres: said by id, and counted', async () => {
    const row = await claimedRow();
    const other = await claimedRow();
    const metrics = new InvocationMetrics();
    const count = vi.spyOn(metrics, 'count');
    const logger = silentLogger();
    const critical = vi.spyOn(logger, 'critical');
    const queue = new Queue('http://127.0.0.1:1/queue');
    const refuse = vi.spyOn(queue, 'send').mockImplementation(async (sent) => sent.map((_, index) => index));
    const remainingMs = untilAfterTheAnswer(2_500, () => proxy.cut());
    await refresh([row.id, other.id], { metrics, logger, sealedResultQueue: queue, remainingMs });
    expect(
      critical.mock.calls.map(([text, fields]) => [
        text,
        (fields as { integrationId: string }).integrationId,
      ]),
    ).toEqual(
      expect.arrayContaining([
        ['result lost', row.id],
        ['result lost', other.id],
      ]),
    );
    expect(count.mock.calls.filter(([name]) => name === metricNames.lost)).toHaveLength(2);
    expect(JSON.stringify(critical.mock.calls)).not.toMatch(/canary|first-/);
    expect(refuse.mock.calls.length).toBeGreaterThan(3);
    // The provider may have spent the token: whoever tries next says so.
    await endHolds();
    expect(await scanNow()).toMatchObject({ claimed: 2 });
    expect((await db.integration(row.id)).doubtful_grant).not.toBeNull();
  });

  it('of a failure is no loss: the next attempt finds out the same', async () => {
    const row = await claimedRow();
    endpoint.answer = () => ({ status: 400, body: { error: 'invalid_grant' } });
    const metrics = new InvocationMetrics();
    const count = vi.spyOn(metrics, 'count');
    await refresh([row.id], { metrics, remainingMs: untilAfterTheAnswer(1_800, () => proxy.cut()) });
    expect(count).not.toHaveBeenCalledWith(metricNames.lost, 1);
    expect(messages()!.ready).toHaveLength(0);
  });
});

describe('an attempt without a known end', () => {
  it('keeps its row from every claim until the sealed results are known to be collected', async () => {
    const row = await sealedAway();
    await endHolds();
    // Somebody else collects, or died at it a moment ago.
    await beginCollecting(db.database, 60);
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    expect(await scanNow({ integration: row.id })).toMatchObject({ claimed: 0 });
    expect(messages()!.ready).toHaveLength(1);
    await db.sql(`UPDATE evergrant.installation SET collecting_until = now() - interval '1 second'`);
    // By its id it is claimed at once, with what was collected first.
    expect(await scanNow({ integration: row.id })).toMatchObject({ claimed: 1 });
    await refresh([row.id]);
    expect(shown).toEqual([row.refresh_token, 'canary-refresh-1']);
  });

  it('keeps nobody else waiting: neither other rows nor a scan whose queue is away', async () => {
    const row = await sealedAway();
    const other = await db.insertIntegration({ provider: 'acme' });
    await endHolds();
    const parts = { ...scanParts(), sealedResultQueue: new Queue(queueUrl('nowhere')) };
    expect(await scan(parts, parseScanRequest({ verbose: true }))).toMatchObject({
      claimed: 1,
      integrations: [{ id: other.id }],
    });
    expect(await db.integration(row.id)).toMatchObject({ refresh_claim: '1', refresh_claim_open: false });
  });

  it('whose hold ends while the results are collected waits for the next scan', async () => {
    const row = await claimedRow();
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 1 });
    const queue = new Queue(queueUrl('sealed'));
    const { receive } = queue;
    vi.spyOn(queue, 'receive').mockImplementation(async (seconds) => {
      const received = await receive.call(queue, seconds);
      await db.sql('SELECT pg_sleep(1.1)');
      return received;
    });
    expect(await scan({ ...scanParts(), sealedResultQueue: queue }, parseScanRequest({}))).toMatchObject({
      claimed: 0,
    });
    expect(await scanNow()).toMatchObject({ claimed: 1 });
  });

  it('is nobody else’s while it is under way, though an earlier grant of its row was in doubt', async () => {
    const row = await claimedRow({ doubtful_grant: Buffer.from('another grant') });
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    expect(await scanNow({ integration: row.id })).toMatchObject({ claimed: 0 });
  });

  const ended = { refresh_claim: '1', refresh_started_at: new Date(0), heldFor: -1 };
  it.each<[string, IntegrationOverrides]>([
    ['a probe of an open circuit', { provider: 'probed' }],
    ['an access token that has ended', { refresh_token: null, expiresIn: -60 }],
  ])('keeps its row also as %s', async (_, overrides) => {
    await db.insertIntegration({ provider: 'acme', ...ended, ...overrides });
    await openCircuit(db.database, { provider: 'probed' });
    await db.sql('UPDATE evergrant.provider_states SET circuit_probe_at = now()');
    await beginCollecting(db.database, 60);
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    await db.sql('UPDATE evergrant.installation SET collecting_until = NULL');
    expect(await scanNow()).toMatchObject({ claimed: 1 });
  });

  it('is claimed when nothing of it is in the queue, and leaves a doubt about its grant', async () => {
    const row = await claimedRow();
    await startAttempts(db.database, { ids: [row.id], holdSeconds: 45 });
    const { refresh_started_at: startedAt } = await db.integration(row.id);
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    await endHolds();
    expect(await scanNow()).toMatchObject({ claimed: 1 });
    expect(await db.integration(row.id)).toMatchObject({
      refresh_claim_open: true,
      refresh_started_at: null,
      doubtful_grant: expect.any(Buffer),
      doubtful_since: startedAt,
    });
    await refresh([row.id]);
    expect(await db.integration(row.id)).toMatchObject({ doubtful_grant: null, doubtful_since: null });
  });
});

describe('collecting', () => {
  it('is one scan’s turn at a time, and begins with Postgres: an outage uses up no receives', async () => {
    await sealedAway();
    expect(await Promise.all([collect(), collect({ database: db.connection() })])).toContain(null);
    await sealedAway();
    const down: Database = { query: () => Promise.reject(new Error('away')) };
    const queue = new Queue(queueUrl('sealed'));
    const receive = vi.spyOn(queue, 'receive');
    for (let i = 0; i < maxReceiveCount + 1; i += 1) {
      expect(await collect({ database: down, sealedResultQueue: queue })).toBeNull();
    }
    expect(receive).not.toHaveBeenCalled();
    expect(await collect()).not.toBeNull();
    expect(messages('sealed-dead')!.ready).toHaveLength(0);
  }, 20_000);

  it('begins with the keys: while they cannot be read, results use up no receives and keep their rows waiting', async () => {
    const row = await sealedAway();
    await endHolds();
    const queue = new Queue(queueUrl('sealed'));
    const receive = vi.spyOn(queue, 'receive');
    // Keys that this process has never read, of a secret that is not there and of one that is no secret of keys.
    for (const secretId of ['no-token-key', 'providers/acme']) {
      const keyless = new SecretSealer(new SecretReader(), secretId);
      const parts = { ...scanParts(), sealer: keyless, sealedResultQueue: queue };
      for (let i = 0; i < maxReceiveCount + 1; i += 1) {
        expect(await scan(parts, parseScanRequest({}))).toMatchObject({ claimed: 0 });
      }
    }
    expect(receive).not.toHaveBeenCalled();
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    expect(await refreshTokenOf(row.id)).toBe('canary-refresh-1');
  }, 20_000);

  it('says nothing of what may be hidden: an answer of SQS that was lost, a call that failed', async () => {
    await sealedAway();
    const queue = new Queue(queueUrl('sealed'));
    const { receive } = queue;
    const spy = vi.spyOn(queue, 'receive');
    spy.mockImplementation(async (seconds) => ({ ...(await receive.call(queue, seconds)), repeated: true }));
    expect(await collect({ sealedResultQueue: queue })).toBeNull();
    // The turn goes on, so that nobody else takes the empty queue for an answer.
    expect(await collect()).toBeNull();
    await db.sql('UPDATE evergrant.installation SET collecting_until = NULL');
    spy.mockRejectedValue(new Error('away'));
    expect(await collect({ sealedResultQueue: queue })).toBeNull();
    expect(await collect()).toBeNull();
  });

  it('says nothing of what SQS has not taken back', async () => {
    await sealedAway();
    const otherKey = await TokenSealer.fromSecret(
      JSON.stringify({ current: randomBytes(32).toString('hex') }),
    );
    const queue = new Queue(queueUrl('sealed'));
    vi.spyOn(queue, 'returnNow').mockResolvedValue(false);
    expect(await collect({ sealer: loaded(otherKey), sealedResultQueue: queue })).toBeNull();
    expect(await collect()).toBeNull();
  });

  it('has its turn until everything is visible again that it could receive, and receives no longer', async () => {
    await sealedAway();
    const queue = new Queue(queueUrl('sealed'));
    const { receive } = queue;
    const turns: number[] = [];
    const spy = vi.spyOn(queue, 'receive').mockImplementation(async (seconds) => {
      const [turn] = await db.sql<{ left: number }>(
        'SELECT extract(epoch FROM collecting_until - now())::float8 AS left FROM evergrant.installation',
      );
      turns.push(turn!.left);
      const received = await receive.call(queue, seconds);
      await sleep(1_100);
      return received;
    });
    const parts = scanParts();
    const brief = { ...parts.settings, sealedResultVisibilitySeconds: 1 };
    expect(await collect({ sealedResultQueue: queue, settings: brief })).toBeNull();
    expect(spy).toHaveBeenCalledTimes(1);
    expect(turns[0]).toBeGreaterThan(2);
    // Nothing is in hands, so whoever comes next may go on.
    expect(await collect()).not.toBeNull();
  });

  it('gives back no turn but its own', async () => {
    const passed = await beginCollecting(db.database, 0);
    const present = await beginCollecting(db.database, 60);
    await endCollecting(db.database, passed!.until);
    expect(await beginCollecting(db.database, 60)).toBeNull();
    await endCollecting(db.database, present!.until);
    expect(await beginCollecting(db.database, 60)).not.toBeNull();
  });

  it('has ended when its scan fails: nothing of it goes on in a process that was frozen', async () => {
    await db.sql(
      `INSERT INTO integrations (user_id, provider, access_token, refresh_token, expires_at)
       SELECT gen_random_uuid(), 'acme', 'a', 'r', now() FROM generate_series(1, 1001)`,
    );
    const queue = new Queue(queueUrl('sealed'));
    const { receive } = queue;
    vi.spyOn(queue, 'receive').mockImplementation(async (seconds) => {
      await sleep(3_000);
      return receive.call(queue, seconds);
    });
    const withoutReleases: Database = {
      query: (statement, parameters, options) =>
        statement.includes('AS released (id, claim)')
          ? Promise.reject(new Error('away'))
          : db.database.query(statement, parameters, options),
    };
    const parts = {
      ...scanParts(withoutReleases),
      sealedResultQueue: queue,
      refreshQueue: new Queue(queueUrl('none')),
    };
    await expect(scan(parts, parseScanRequest({}))).rejects.toThrow('away');
    expect(await db.sql('SELECT collecting_until FROM evergrant.installation')).toEqual([
      { collecting_until: null },
    ]);
  }, 20_000);

  it('leaves what a product’s transaction holds for the next scan, and says so', async () => {
    const row = await sealedAway();
    const free = await sealedAway();
    await endHolds();
    await db.inTransaction(async (product) => {
      await product.query('SELECT FROM integrations WHERE id = $1 FOR UPDATE', [row.id]);
      expect(await collect()).toBeNull();
    });
    expect(messages()!.ready).toHaveLength(1);
    expect(await refreshTokenOf(free.id)).toBe('canary-refresh-2');
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    expect(await refreshTokenOf(row.id)).toBe('canary-refresh-1');
  }, 20_000);

  it('takes the time of waiting off the lifetimes, by the clock of the database', async () => {
    // The refresher's own is wrong as well.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 600_000 });
    const row = await sealedAway().finally(() => vi.useRealTimers());
    const { integrationId, sealed } = JSON.parse(messages()!.ready[0]!.body) as {
      integrationId: string;
      sealed: string;
    };
    const { sealedAtSeconds, ...contents } = JSON.parse(
      await openedText({ integrationId, sealed }),
    ) as RefreshedResult & {
      sealedAtSeconds: number;
    };
    expect(sealedAtSeconds).toBeCloseTo(Date.now() / 1000, -2);
    // As a dead letter is that is replayed after a while: SQS counts its age anew.
    sqs.purgeAll();
    sqs.createQueue('sealed');
    const old = { ...contents, refreshTokenExpiresInSeconds: 3_600, id: row.id, claim: '1' };
    await new Queue(queueUrl('sealed')).send([
      { groupId: 'acme', body: await sealResult(sealer, old, 'acme', sealedAtSeconds - 1_000) },
    ]);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 600_000 });
    try {
      await collect();
    } finally {
      vi.useRealTimers();
    }
    for (const column of ['expires_at', 'refresh_token_expires_at']) {
      const [{ left } = { left: 0 }] = await db.sql<{ left: number }>(
        `SELECT extract(epoch FROM ${column} - now())::float8 AS left FROM integrations WHERE id = $1`,
        [row.id],
      );
      // The endpoint said an hour.
      expect(left).toBeGreaterThan(2_400);
      expect(left).toBeLessThan(2_601);
    }
  });

  it('tells of a grant that had been disconnected and works', async () => {
    const row = await sealedAway();
    await db.sql(
      `UPDATE integrations SET status = 'needs_reauthorization', disconnected_grant = sha256(convert_to(refresh_token, 'UTF8'))`,
    );
    const metrics = new InvocationMetrics();
    const count = vi.spyOn(metrics, 'count');
    await collect({ metrics });
    expect(count).toHaveBeenCalledWith(metricNames.prematureDisconnections, 1);
    expect(count).toHaveBeenCalledWith(metricNames.prematureDisconnections, 1, { provider: 'acme' });
    expect(await db.integration(row.id)).toMatchObject({ status: 'connected' });
  });

  it('stores results of one row in their order, also when they come together', async () => {
    const row = await sealedAway();
    const [first] = messages()!.ready;
    const opened = JSON.parse(
      await openedText(JSON.parse(first!.body) as { integrationId: string; sealed: string }),
    ) as { refreshToken: string };
    await new Queue(queueUrl('sealed')).send([
      {
        groupId: 'acme',
        body: await sealResult(
          sealer,
          {
            id: row.id,
            claim: '1',
            usedToken: opened.refreshToken,
            accessToken: 'a',
            refreshToken: await sealer.seal('last', { integrationId: row.id, column: 'refresh_token' }),
            expiresInSeconds: 3_600,
            refreshTokenExpiresInSeconds: null,
            authorizationLifetimeSeconds: null,
            scope: null,
            kept: {},
            providerName: 'Acme',
          },
          'acme',
          Date.now() / 1000,
        ),
      },
    ]);
    expect(await collect()).not.toBeNull();
    expect(await refreshTokenOf(row.id)).toBe('last');
    expect(messages()!.ready).toHaveLength(0);
  });

  it('gives way to a user who has connected anew, and to a row that is gone', async () => {
    const row = await sealedAway();
    const deleted = await sealedAway();
    await db.sql(`UPDATE integrations SET refresh_token = 'reconnected' WHERE id = $1`, [row.id]);
    await db.sql('DELETE FROM integrations WHERE id = $1', [deleted.id]);
    expect(await collect()).not.toBeNull();
    expect(messages()!.ready).toHaveLength(0);
    expect((await db.integration(row.id)).refresh_token).toBe('reconnected');
  }, 20_000);

  it('stores thousands in one turn', async () => {
    await db.sql(
      `INSERT INTO integrations (user_id, provider, access_token, refresh_token, expires_at, refresh_claim, refresh_started_at, refresh_held_until)
       SELECT gen_random_uuid(), 'acme', 'a', 'used-' || n, now(), 1, now(), now() - interval '1 second' FROM generate_series(1, 2000) n`,
    );
    const rows = await db.sql<{ id: string; refresh_token: string }>(
      'SELECT id, refresh_token FROM integrations',
    );
    const bodies = await Promise.all(
      rows.map(async ({ id, refresh_token: usedToken }) => ({
        groupId: 'acme',
        body: await sealResult(
          sealer,
          {
            id,
            claim: '1',
            usedToken,
            accessToken: 'a',
            refreshToken: `new-${id}`,
            expiresInSeconds: 3_600,
            refreshTokenExpiresInSeconds: null,
            authorizationLifetimeSeconds: null,
            scope: null,
            kept: {},
            providerName: 'Acme',
          },
          'acme',
          Date.now() / 1000,
        ),
      })),
    );
    expect(await new Queue(queueUrl('sealed')).send(bodies)).toEqual([]);
    expect(await collect()).not.toBeNull();
    expect(await db.sql(`SELECT FROM integrations WHERE refresh_token <> 'new-' || id`)).toEqual([]);
  }, 30_000);
});

describe('a sealed result that cannot be used', () => {
  it('goes to the dead letters and holds its row until it is replayed', async () => {
    const row = await sealedAway();
    await endHolds();
    const otherKey = await TokenSealer.fromSecret(
      JSON.stringify({ current: randomBytes(32).toString('hex') }),
    );
    const logger = silentLogger();
    const error = vi.spyOn(logger, 'error');
    // It is no reason to wait: the others are accounted for.
    expect(await collect({ sealer: loaded(otherKey), logger })).not.toBeNull();
    expect(messages('sealed-dead')!.ready).toHaveLength(1);
    expect(error.mock.calls[0]?.[1]).toMatchObject({
      integrationId: row.id,
      problem: expect.stringContaining(sealer.currentKeyId),
    });
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    expect(shown).toHaveLength(1);

    await new Queue(queueUrl('sealed')).send(
      messages('sealed-dead')!.ready.map(({ body }) => ({
        body: JSON.parse(body) as object,
        groupId: 'acme',
      })),
    );
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    expect(await refreshTokenOf(row.id)).toBe('canary-refresh-1');
    expect(await db.integration(row.id)).toMatchObject({
      refresh_held_until: null,
      refresh_started_at: null,
    });
  }, 20_000);

  it('holds its row no longer than until the user has connected anew', async () => {
    const row = await sealedAway();
    await endHolds();
    const otherKey = await TokenSealer.fromSecret(
      JSON.stringify({ current: randomBytes(32).toString('hex') }),
    );
    expect(await collect({ sealer: loaded(otherKey) })).not.toBeNull();
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    // As a product does it, which knows nothing of holds.
    await db.sql(`UPDATE integrations SET refresh_token = 'reconnected' WHERE id = $1`, [row.id]);
    expect(await scanNow()).toMatchObject({ claimed: 1 });
    // Nobody has used the new grant, so nothing is doubtful about it.
    const doubt = `doubtful_grant = sha256(convert_to(refresh_token, 'UTF8')) AS of_this`;
    expect(await db.sql(`SELECT ${doubt} FROM integrations`)).toEqual([{ of_this: false }]);
    await refresh([row.id]);
    expect(shown).toEqual([row.refresh_token, 'reconnected']);
  });

  it('holds no row whose user has connected anew before', async () => {
    const row = await sealedAway();
    await endHolds();
    await db.sql(`UPDATE integrations SET refresh_token = 'reconnected' WHERE id = $1`, [row.id]);
    const otherKey = await TokenSealer.fromSecret(
      JSON.stringify({ current: randomBytes(32).toString('hex') }),
    );
    const { refresh_held_until: held } = await db.integration(row.id);
    expect(await collect({ sealer: loaded(otherKey) })).not.toBeNull();
    expect((await db.integration(row.id)).refresh_held_until).toEqual(held);
    expect(await scan({ ...scanParts(), sealer: loaded(otherKey) }, parseScanRequest({}))).toMatchObject({
      claimed: 1,
    });
  });

  it.each([
    ['a later claim has been made', 'refresh_claim = 7'],
    ['the end of the attempt is known', 'refresh_started_at = NULL'],
  ])('does not hold a row whose attempt it no longer is: %s', async (_, change) => {
    const row = await sealedAway();
    await db.sql(`UPDATE integrations SET ${change}`);
    const otherKey = await TokenSealer.fromSecret(
      JSON.stringify({ current: randomBytes(32).toString('hex') }),
    );
    const { refresh_held_until: held } = await db.integration(row.id);
    expect(await collect({ sealer: loaded(otherKey) })).not.toBeNull();
    expect((await db.integration(row.id)).refresh_held_until).toEqual(held);
  });

  it('leaves its row to the next scan where that cannot be held, as somebody is changing it', async () => {
    const row = await sealedAway();
    await endHolds();
    const otherKey = await TokenSealer.fromSecret(
      JSON.stringify({ current: randomBytes(32).toString('hex') }),
    );
    await db.inTransaction(async (product) => {
      await product.query('SELECT FROM integrations WHERE id = $1 FOR UPDATE', [row.id]);
      expect(await collect({ sealer: loaded(otherKey) })).toBeNull();
    });
  });

  it('is nothing that anybody could have written: all that a result needs, in plain text', async () => {
    const row = await sealedAway();
    const message = JSON.parse(messages()!.ready[0]!.body) as { integrationId: string; sealed: string };
    const contents = JSON.parse(await openedText(message)) as RefreshedResult & { sealedAtSeconds: number };
    const sealed = JSON.stringify({
      ...contents,
      refreshToken: 'of somebody else',
      sealedAtSeconds: contents.sealedAtSeconds - 60,
    });
    await new Queue(queueUrl('sealed')).send([{ groupId: 'acme', body: { ...message, sealed } }]);
    expect(await collect()).not.toBeNull();
    expect(await refreshTokenOf(row.id)).toBe('canary-refresh-1');
    expect(messages('sealed-dead')!.ready).toHaveLength(1);
  }, 20_000);

  it.each(['string_data_right_truncation', 'raise_exception'])(
    'because Postgres refuses its values (%s) does not keep its neighbours back',
    async (condition) => {
      const row = await sealedAway();
      const neighbour = await sealedAway();
      await refusing(row.id, condition, async () => expect(await collect()).not.toBeNull());
      expect(await refreshTokenOf(neighbour.id)).toBe('canary-refresh-2');
      expect(messages('sealed-dead')!.ready).toHaveLength(1);
      await endHoldsUpTo(timing.attemptHold);
      expect(await scanNow()).toMatchObject({ claimed: 0 });
    },
    20_000,
  );

  it('for now waits in its queue, keeps its neighbours from nothing, and holds its row should it become a dead letter', async () => {
    const row = await sealedAway();
    const neighbour = await sealedAway();
    await refusing(row.id, 'insufficient_privilege', async () => {
      expect(await collect()).toBeNull();
      expect(await refreshTokenOf(neighbour.id)).toBe('canary-refresh-2');
      for (let i = 1; i < maxReceiveCount + 1; i += 1) await collect();
    });
    expect(messages('sealed-dead')!.ready).toHaveLength(1);
    await endHoldsUpTo(timing.attemptHold);
    expect(await scanNow()).toMatchObject({ claimed: 0 });
    expect(shown).toHaveLength(2);
  }, 20_000);

  const shape = { version: 1, integrationId: randomUUID(), claim: '1', grant: 'ab'.repeat(32) };
  it.each([
    ['no JSON', 'canary {'],
    ['another shape', JSON.stringify({ version: 1, integrationId: randomUUID() })],
    ['plain text in place of a JWE', JSON.stringify({ ...shape, sealed: 'canary' })],
    ['a JWE for another place', JSON.stringify({ ...shape, sealed: 'eyJ.a.b.c.d' })],
  ])(
    'is a dead letter without harm: %s',
    async (_, body) => {
      const logger = silentLogger();
      const error = vi.spyOn(logger, 'error');
      await createSqsCaller(`http://127.0.0.1:${sqs.port}`)('SendMessage', {
        QueueUrl: queueUrl('sealed'),
        MessageBody: body,
      });
      const row = await sealedAway();
      expect(await collect({ logger })).not.toBeNull();
      expect(messages('sealed-dead')!.ready).toHaveLength(1);
      expect(await refreshTokenOf(row.id)).toBe('canary-refresh-1');
      expect(JSON.stringify(error.mock.calls)).not.toContain('canary');
    },
    20_000,
  );
});

/** A trigger of the product refuses the tokens of a row. */
async function refusing(id: string, condition: string, work: () => Promise<void>): Promise<void> {
  await db.sql(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       IF NEW.id = '${id}' AND NEW.access_token IS DISTINCT FROM OLD.access_token THEN
         RAISE EXCEPTION 'no' USING ERRCODE = '${condition}';
       END IF;
       RETURN NEW;
     END $$`,
  );
  await db.sql('CREATE TRIGGER refuse BEFORE UPDATE ON integrations FOR EACH ROW EXECUTE FUNCTION refuse()');
  try {
    await work();
  } finally {
    await db.sql('DROP TRIGGER refuse ON integrations; DROP FUNCTION refuse()');
  }
}

/** Holds of attempts are over, and longer ones are not. */
const endHoldsUpTo = (seconds: number) =>
  db.sql(`UPDATE integrations SET refresh_held_until = refresh_held_until - make_interval(secs => $1)`, [
    seconds,
  ]);

async function openedText({
  integrationId,
  sealed,
}: {
  integrationId: string;
  sealed: string;
}): Promise<string> {
  const opened = await sealer.open(sealed, { integrationId, column: 'result' });
  return opened.ok ? opened.token : '';
}
