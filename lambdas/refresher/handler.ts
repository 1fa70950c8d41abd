import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { databaseEnv, messageProvider, refresherEnv, type ThresholdEventMessage } from '../contract.ts';
import { databaseSource, FunctionDatabase } from '../database-access.ts';
import { thresholdSteps } from '../domain/policy.ts';
import { circuitLimits, massRefusalLimits } from '../domain/provider-guards.ts';
import { maxRetryAfterSeconds } from '../domain/retry-delay.ts';
import { flag, readEnv, text, wholeNumber } from '../env.ts';
import { handler as wrap } from '../handler.ts';
import { functionTimeout, InvocationClock } from '../invocation-clock.ts';
import { MeasuredDatabase } from '../measured-database.ts';
import { parseRefreshMessage } from '../messages.ts';
import { createLogger } from '../observability/logger.ts';
import { InvocationMetrics } from '../observability/metrics.ts';
import type { NamedClaim } from '../postgres/start-attempts.ts';
import { z } from '../schema.ts';
import { SecretSealer } from '../secret-sealer.ts';
import { ProviderClients } from '../secrets/provider-clients.ts';
import { SecretReader } from '../secrets/secret-reader.ts';
import { Queue } from '../sqs/queue.ts';
import { CommitCheck } from './commit-check.ts';
import { refreshBatch } from './refresh-batch.ts';

const env = readEnv({
  timeoutSeconds: functionTimeout,
  database: [databaseEnv.source, databaseSource],
  tokenKeySecretId: [refresherEnv.tokenKeySecretId, text],
  tokensAtRest: [refresherEnv.tokensAtRest, z.enum(['sealed', 'plain'])],
  providerSecretPrefix: [refresherEnv.providerSecretPrefix, text],
  refreshQueueUrl: [refresherEnv.refreshQueueUrl, z.url()],
  thresholdQueueUrl: [refresherEnv.thresholdQueueUrl, z.url()],
  sealedResultQueueUrl: [refresherEnv.sealedResultQueueUrl, z.url()],
  attemptHoldSeconds: [refresherEnv.attemptHoldSeconds, wholeNumber(1, 86_400)],
  callTimeoutMs: [refresherEnv.callTimeoutMs, wholeNumber(100, 300_000)],
  maxInFlight: [refresherEnv.maxInFlight, wholeNumber(1, 1_000)],
  retryDelaySeconds: [refresherEnv.retryDelaySeconds, wholeNumber(1, 86_400)],
  shortLifetimeSeconds: [refresherEnv.shortLifetimeSeconds, wholeNumber(0, 86_400)],
  lapseWarningSeconds: [refresherEnv.lapseWarningSeconds, wholeNumber(1, 90 * 86_400)],
  eventRelayHoldSeconds: [refresherEnv.eventRelayHoldSeconds, wholeNumber(1, 86_400)],
  warningThreshold: [refresherEnv.warningThreshold, wholeNumber(1, 1_000)],
  disconnectThreshold: [refresherEnv.disconnectThreshold, wholeNumber(1, 1_000)],
  rateLimitThreshold: [refresherEnv.rateLimitThreshold, wholeNumber(1, 1_000)],
  disconnectOnInvalidRefreshToken: [refresherEnv.disconnectOnInvalidRefreshToken, flag],
  circuitWindowSeconds: [refresherEnv.circuitWindowSeconds, wholeNumber(1, 86_400)],
  circuitCooldownSeconds: [refresherEnv.circuitCooldownSeconds, wholeNumber(1, 86_400)],
  massRefusalWindowSeconds: [refresherEnv.massRefusalWindowSeconds, wholeNumber(1, 86_400)],
  failureMemorySeconds: [refresherEnv.failureMemorySeconds, wholeNumber(1, 30 * 86_400)],
  disconnectionHoldSeconds: [refresherEnv.disconnectionHoldSeconds, wholeNumber(1, 7 * 86_400)],
});
const settings = {
  ...env,
  steps: thresholdSteps(env),
  guards: {
    ...env,
    circuit: circuitLimits,
    massRefusal: massRefusalLimits,
    maxRetryAfterSeconds,
    memorySeconds: env.failureMemorySeconds,
  },
};

const logger = createLogger();
const metrics = new InvocationMetrics();
const clock = new InvocationClock(env.timeoutSeconds);
const secrets = new SecretReader();
const providers = new ProviderClients(secrets, env.providerSecretPrefix);
const refreshQueue = new Queue(env.refreshQueueUrl);
const thresholdQueue = new Queue(env.thresholdQueueUrl);
const sealedResultQueue = new Queue(env.sealedResultQueueUrl);
const database = new CommitCheck(
  new MeasuredDatabase(new FunctionDatabase(env.database, secrets, clock), metrics),
);
const sealer = new SecretSealer(secrets, env.tokenKeySecretId);

/** Kept for what follows the queues: the metrics and the answer. */
const answerMs = 500;

const observed = { logger, metrics, clock };

/** Refreshes the integrations that a batch of messages asks for. */
export const handler = wrap<SQSEvent, SQSBatchResponse>(observed, async (event, remainingMs) => {
  const wanted = new Map<string, SQSRecord[]>();
  const named: NamedClaim[] = [];
  const failed: SQSRecord[] = [];
  for (const record of event.Records) {
    const parsed = parseRefreshMessage(record.body);
    if (!parsed.ok) {
      logger.error('malformed message', { messageId: record.messageId, problem: parsed.problem });
      failed.push(record);
      continue;
    }
    // As Postgres writes it.
    const integrationId = parsed.message.integrationId.toLowerCase();
    wanted.set(integrationId, [...(wanted.get(integrationId) ?? []), record]);
    const { claim } = parsed.message;
    if (claim !== undefined) named.push({ id: integrationId, claim });
  }

  // Without keys nothing is started, nor where its result would not be taken: a rotated token would be lost.
  await sealer.load();
  await database.check();
  const result = await refreshBatch(
    {
      database,
      sealer,
      providers,
      sealedResultQueue,
      refreshQueue,
      settings,
      logger,
      metrics,
      remainingMs,
    },
    [...wanted.keys()],
    named,
  );
  for (const id of result.unfinished) failed.push(...(wanted.get(id) ?? []));
  // A queue that is away must not cost the answer and the metrics, which come after.
  const queuesMs = () => remainingMs() - answerMs;
  await publish(result.events, queuesMs());

  // Waiting would mend neither a malformed message nor one that only lacked time.
  await refreshQueue.returnNow(
    failed.map(({ receiptHandle }) => receiptHandle),
    queuesMs(),
  );
  return { batchItemFailures: failed.map(({ messageId }) => ({ itemIdentifier: messageId })) };
});

async function publish(
  events: readonly { readonly eventId: string; readonly provider: string }[],
  withinMs: number,
): Promise<void> {
  if (events.length === 0) return;
  const refused = await thresholdQueue.send(
    events.map(({ eventId, provider }) => ({
      body: { version: 1, eventId, provider: messageProvider(provider) } satisfies ThresholdEventMessage,
      groupId: provider,
    })),
    withinMs,
  );
  // The outbox has them: the scanner relays what is not handled in time.
  if (refused.length > 0) logger.warn('events left to the relay', { count: refused.length });
}
