import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { metricNames, type RefreshMessage } from '../../../lambdas/contract.ts';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { InvocationMetrics } from '../../../lambdas/observability/metrics.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { type RefreshParts, refreshBatch } from '../../../lambdas/refresher/refresh-batch.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';
import { ProviderClients } from '../../../lambdas/secrets/provider-clients.ts';
import { SecretReader } from '../../../lambdas/secrets/secret-reader.ts';
import { Queue } from '../../../lambdas/sqs/queue.ts';
import { type Queues, startQueues } from '../../../local/cloud/queues.ts';
import { startSecrets } from '../../support/aws.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { guardSettings } from '../../support/guard-settings.ts';
import { lapsePolicy } from '../../support/results.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { granted, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';

const queueName = 'refresh';
const minutes = 60;

let db: TestDatabase;
let endpoint: TokenEndpoint;
let queues: Queues;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
let sealer: TokenSealer;
/** Seconds that a token lives. */
let lifetime: number;

beforeAll(async () => {
  db = await testDatabase();
  secrets = await startSecrets({});
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: randomBytes(32).toString('hex') }));
});
beforeEach(async () => {
  await db.clear();
  lifetime = 5 * minutes;
  endpoint = await startTokenEndpoint(() =>
    granted({ refresh_token: `refresh-${randomUUID()}`, expires_in: lifetime }),
  );
  secrets.put('providers/acme', {
    clientId: 'us',
    clientSecret: 'the-client-secret',
    provider: { displayName: 'Acme', tokenEndpoint: endpoint.url },
  });
  queues = await startQueues();
  await queues.call('CreateQueue', { QueueName: queueName });
  process.env.AWS_ENDPOINT_URL_SQS = queues.endpoint;
});
afterEach(async () => {
  vi.restoreAllMocks();
  delete process.env.AWS_ENDPOINT_URL_SQS;
  await queues.stop();
  await endpoint.stop();
});
afterAll(async () => {
  await secrets.stop();
  await db.end();
});

function parts(changes: Partial<RefreshParts> = {}, shortLifetimeSeconds = 600): RefreshParts {
  return {
    database: db.database,
    sealer,
    providers: new ProviderClients(new SecretReader(), 'providers/'),
    // Nobody is there.
    sealedResultQueue: new Queue('http://127.0.0.1:1/queue'),
    refreshQueue: new Queue(`${queues.endpoint}/000000000000/${queueName}`),
    logger: silentLogger(),
    metrics: new InvocationMetrics(),
    remainingMs: () => 60_000,
    settings: {
      attemptHoldSeconds: 45,
      callTimeoutMs: 5_000,
      maxInFlight: 100,
      retryDelaySeconds: 300,
      shortLifetimeSeconds,
      eventRelayHoldSeconds: 360,
      lapseWarningSeconds: lapsePolicy.lapseWarningSeconds,
      tokensAtRest: 'plain',
      steps: thresholdSteps(defaultPolicy),
      guards: guardSettings,
    },
    ...changes,
  };
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

/** How many messages wait for their time, and how many could be received. */
async function waiting(): Promise<{ delayed: number; visible: number }> {
  const { Attributes: attributes } = await queues.call<{ Attributes: Record<string, string> }>(
    'GetQueueAttributes',
    { QueueUrl: `${queues.endpoint}/000000000000/${queueName}`, AttributeNames: ['All'] },
  );
  return {
    delayed: Number(attributes.ApproximateNumberOfMessagesDelayed),
    visible: Number(attributes.ApproximateNumberOfMessages),
  };
}

/** Spies on what is sent, which SQS gets as it is. */
function spiedQueue() {
  const queue = parts().refreshQueue;
  const sent: { body: RefreshMessage; delaySeconds: number }[] = [];
  return {
    sent,
    queue: {
      send: (messages: Parameters<Queue['send']>[0]) => {
        sent.push(
          ...messages.map(({ body, delaySeconds = 0 }) => ({ body: body as RefreshMessage, delaySeconds })),
        );
        return queue.send(messages);
      },
    },
  };
}

describe('a short-lived token', () => {
  it('is refreshed by the message of its own, time and again, and no message starts what is not its own', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    const { queue, sent } = spiedQueue();
    const metrics = new InvocationMetrics();
    const counted = vi.spyOn(metrics, 'count');
    await refreshBatch(parts({ refreshQueue: queue, metrics }), [id]);
    for (let round = 1; round <= 5; round += 1) {
      expect(sent).toHaveLength(round);
      const { body, delaySeconds } = sent.at(-1)!;
      expect(body).toEqual({ version: 1, integrationId: id, claim: expect.any(String), provider: 'acme' });
      expect(delaySeconds).toBeGreaterThanOrEqual(0.36 * lifetime - 2);
      expect(delaySeconds).toBeLessThanOrEqual(0.45 * lifetime);
      expect(await claim()).toEqual([]);
      // Messages of scans, and all that were scheduled before, find nothing.
      const earlier = sent.slice(0, -1).map(({ body: each }) => ({ id, claim: each.claim! }));
      await refreshBatch(parts({ refreshQueue: queue }), [id], earlier);
      expect(endpoint.calls).toHaveLength(round);
      await refreshBatch(parts({ refreshQueue: queue, metrics }), [id], [{ id, claim: body.claim! }]);
      expect(endpoint.calls).toHaveLength(round + 1);
    }
    expect(await waiting()).toEqual({ delayed: 6, visible: 0 });
    expect(counted.mock.calls.filter(([name]) => name === metricNames.scheduled)).toEqual(
      Array.from({ length: 6 }, () => [metricNames.scheduled, 1, { provider: 'acme' }]),
    );
  });

  it('gets its messages in few calls with those of its batch', async () => {
    const rows = await Promise.all(Array.from({ length: 60 }, () => db.insertIntegration()));
    await claim();
    const { queue } = spiedQueue();
    const send = vi.spyOn(queue, 'send');
    await refreshBatch(
      parts({ refreshQueue: queue }),
      rows.map(({ id }) => id),
    );
    expect(await waiting()).toEqual({ delayed: 60, visible: 0 });
    expect(send.mock.calls.length).toBeLessThan(60);
    expect(await claim()).toEqual([]);
  });

  it('is left to the next scan when SQS does not take the message', async () => {
    const url = 'http://127.0.0.1:1/queue';
    const { id } = await db.insertIntegration();
    await claim();
    const logger = silentLogger();
    const warned = vi.spyOn(logger, 'warn');
    expect(await refreshBatch(parts({ refreshQueue: new Queue(url), logger }), [id])).toEqual({
      unfinished: [],
      events: [],
    });
    expect(warned).toHaveBeenCalledWith('next refreshes left to the scans', { count: 1 });
    expect(await db.integration(id)).toMatchObject({ refresh_held_until: null, refresh_claim_open: false });
    expect(await claim()).toHaveLength(1);
  });

  it('costs the batch nothing when its sending hangs or fails in an unknown way', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    const endsAtMs = performance.now() + 15_000;
    const remainingMs = () => endsAtMs - performance.now();
    const hangs = { send: () => new Promise<number[]>(() => {}) };
    expect(await refreshBatch(parts({ refreshQueue: hangs, remainingMs }), [id])).toEqual({
      unfinished: [],
      events: [],
    });
    const [row] = await db.sql<{ held: boolean }>(
      'SELECT refresh_held_until > now() AS held FROM integrations',
    );
    // Until the scans may have it.
    expect(row?.held).toBe(true);
  }, 30_000);

  it('schedules nothing where nobody scans', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    await refreshBatch(parts({}, 0), [id]);
    expect(await waiting()).toEqual({ delayed: 0, visible: 0 });
    expect(await claim()).toHaveLength(1);
  });

  it('is not refreshed by what was scheduled before the scans were stopped', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    const { queue, sent } = spiedQueue();
    await refreshBatch(parts({ refreshQueue: queue }), [id]);
    const named = [{ id, claim: sent[0]!.body.claim! }];
    await refreshBatch(parts({}, 0), [id], named);
    expect(endpoint.calls).toHaveLength(1);
    await refreshBatch(parts(), [id], named);
    expect(endpoint.calls).toHaveLength(2);
  });

  it('that ends at once is left to the scans', async () => {
    lifetime = 1;
    const { id } = await db.insertIntegration();
    await claim();
    await refreshBatch(parts(), [id]);
    expect(await waiting()).toEqual({ delayed: 0, visible: 0 });
    expect(await claim()).toHaveLength(1);
  });

  it('is tried again while it is good, and the failures in between count for nothing', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    const { queue, sent } = spiedQueue();
    await refreshBatch(parts({ refreshQueue: queue }), [id]);
    endpoint.answer = () => ({ status: 503 });
    await db.sql(`UPDATE integrations SET expires_at = expires_at - interval '2 minutes',
                  last_refresh_success = last_refresh_success - interval '2 minutes'`);
    await refreshBatch(parts({ refreshQueue: queue }), [id], [{ id, claim: sent[0]!.body.claim! }]);
    expect(sent).toHaveLength(2);
    expect(sent[1]?.delaySeconds).toBeGreaterThanOrEqual(0.36 * 175);
    expect(await db.integration(id)).toMatchObject({ consecutive_transient_failures: 0 });
    // With half a minute left there is no time for another: that counts, and waits for the scans.
    await db.sql(`UPDATE integrations SET expires_at = now() + interval '30 seconds',
                  last_refresh_success = now() - interval '270 seconds'`);
    await refreshBatch(parts({ refreshQueue: queue }), [id], [{ id, claim: sent[1]!.body.claim! }]);
    expect(sent).toHaveLength(2);
    expect(await db.integration(id)).toMatchObject({ consecutive_transient_failures: 1 });
  });

  it('whose grant may have been spent waits as all others do', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    await refreshBatch(parts(), [id]);
    endpoint.answer = () => ({ status: 500 });
    const { refresh_claim } = await db.integration(id);
    await refreshBatch(parts(), [id], [{ id, claim: refresh_claim }]);
    expect(await waiting()).toEqual({ delayed: 1, visible: 0 });
    const row = await db.integration(id);
    expect(row).toMatchObject({ consecutive_transient_failures: 1 });
    expect(row.doubtful_grant).not.toBeNull();
  });

  it('whose grant is refused waits as all others do', async () => {
    const { id } = await db.insertIntegration();
    await claim();
    await refreshBatch(parts(), [id]);
    endpoint.answer = () => ({ status: 400, body: { error: 'invalid_grant' } });
    const { refresh_claim } = await db.integration(id);
    await refreshBatch(parts(), [id], [{ id, claim: refresh_claim }]);
    expect(await waiting()).toEqual({ delayed: 1, visible: 0 });
    expect(await db.integration(id)).toMatchObject({ consecutive_failures: 1 });
  });
});

it('a batch of tokens that live an hour runs no statement and no call to SQS more', async () => {
  lifetime = 60 * minutes;
  const rows = await Promise.all(Array.from({ length: 20 }, () => db.insertIntegration()));
  await claim();
  const statements: string[] = [];
  const database: Database = {
    query: (statement, parameters, options) => {
      statements.push(statement);
      return db.database.query(statement, parameters, options);
    },
  };
  const send = vi.fn();
  await refreshBatch(
    parts({ database, refreshQueue: { send } }),
    rows.map(({ id }) => id),
  );
  expect(endpoint.calls).toHaveLength(20);
  expect(send).not.toHaveBeenCalled();
  const stored = statements.filter((statement) => statement.includes('refresh_token = CASE')).length;
  // The start, the commits, and the outcomes for the success rate.
  expect(statements).toHaveLength(1 + stored + 1);
});
