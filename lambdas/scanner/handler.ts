import { databaseEnv, scannerEnv } from '../contract.ts';
import { databaseSource, FunctionDatabase } from '../database-access.ts';
import { readEnv, text, wholeNumber } from '../env.ts';
import { handler as wrap } from '../handler.ts';
import { functionTimeout, InvocationClock } from '../invocation-clock.ts';
import { MeasuredDatabase } from '../measured-database.ts';
import { createLogger } from '../observability/logger.ts';
import { InvocationMetrics } from '../observability/metrics.ts';
import { z } from '../schema.ts';
import { SecretSealer } from '../secret-sealer.ts';
import { SecretReader } from '../secrets/secret-reader.ts';
import { Queue } from '../sqs/queue.ts';
import { parseScanRequest } from './request.ts';
import { type ScanReport, scan } from './scan.ts';

const env = readEnv({
  timeoutSeconds: functionTimeout,
  database: [databaseEnv.source, databaseSource],
  refreshQueueUrl: [scannerEnv.refreshQueueUrl, z.url()],
  thresholdQueueUrl: [scannerEnv.thresholdQueueUrl, z.url()],
  refreshWindowSeconds: [scannerEnv.refreshWindowSeconds, wholeNumber(1, 30 * 86_400)],
  claimHoldSeconds: [scannerEnv.claimHoldSeconds, wholeNumber(1, 86_400)],
  lapseWarningSeconds: [scannerEnv.lapseWarningSeconds, wholeNumber(1, 90 * 86_400)],
  eventRelayHoldSeconds: [scannerEnv.eventRelayHoldSeconds, wholeNumber(1, 86_400)],
  successWindowSeconds: [scannerEnv.successWindowSeconds, wholeNumber(1, 86_400)],
  circuitCooldownSeconds: [scannerEnv.circuitCooldownSeconds, wholeNumber(1, 86_400)],
  pacedSpreadSeconds: [scannerEnv.pacedSpreadSeconds, wholeNumber(1, 900)],
  sealedResultQueueUrl: [scannerEnv.sealedResultQueueUrl, z.url()],
  sealedResultVisibilitySeconds: [scannerEnv.sealedResultVisibilitySeconds, wholeNumber(1, 43_200)],
  sealedResultRetentionSeconds: [scannerEnv.sealedResultRetentionSeconds, wholeNumber(60, 14 * 86_400)],
  tokenKeySecretId: [scannerEnv.tokenKeySecretId, text],
});

const logger = createLogger();
const metrics = new InvocationMetrics();
const clock = new InvocationClock(env.timeoutSeconds);
const secrets = new SecretReader();
const database = new MeasuredDatabase(new FunctionDatabase(env.database, secrets, clock), metrics);
const sealer = new SecretSealer(secrets, env.tokenKeySecretId);
const sealedResultQueue = new Queue(env.sealedResultQueueUrl);
const refreshQueue = new Queue(env.refreshQueueUrl);
const thresholdQueue = new Queue(env.thresholdQueueUrl);

/** Finds what is due and asks the refreshers for it; by schedule, or by hand with `ScanRequest`'s fields. */
export const handler = wrap<unknown, ScanReport>({ logger, metrics, clock }, (event, remainingMs) =>
  scan(
    {
      database,
      refreshQueue,
      thresholdQueue,
      sealedResultQueue,
      sealer,
      settings: env,
      logger,
      metrics,
      remainingMs,
    },
    parseScanRequest(event),
  ),
);
