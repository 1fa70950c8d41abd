import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { databaseEnv, notifierEnv } from '../contract.ts';
import { databaseSource, FunctionDatabase } from '../database-access.ts';
import { EnvironmentError, readEnv, text, wholeNumber } from '../env.ts';
import { handler as wrap } from '../handler.ts';
import { functionTimeout, InvocationClock } from '../invocation-clock.ts';
import { MeasuredDatabase } from '../measured-database.ts';
import { parseThresholdEventMessage } from '../messages.ts';
import { createLogger, errorFields } from '../observability/logger.ts';
import { InvocationMetrics } from '../observability/metrics.ts';
import { z } from '../schema.ts';
import { SecretReader } from '../secrets/secret-reader.ts';
import { Queue } from '../sqs/queue.ts';
import { notify } from './notify.ts';
import { EmailSender } from './send-email.ts';

const env = readEnv({
  timeoutSeconds: functionTimeout,
  database: [databaseEnv.source, databaseSource],
  thresholdQueueUrl: [notifierEnv.thresholdQueueUrl, z.url()],
  senderEmail: [notifierEnv.senderEmail, z.optional(text)],
  configurationSet: [notifierEnv.configurationSet, z.optional(text)],
  productName: [notifierEnv.productName, text],
  appBaseUrl: [notifierEnv.appBaseUrl, z.optional(z.url({ protocol: /^https?$/ }))],
  reconnectPath: [notifierEnv.reconnectPath, text],
  emailHoldSeconds: [notifierEnv.emailHoldSeconds, wholeNumber(1, 86_400)],
});
if (env.senderEmail !== undefined && env.appBaseUrl === undefined) {
  throw new EnvironmentError([
    `${notifierEnv.appBaseUrl} is not set, but ${notifierEnv.senderEmail} is: the button of an email must lead somewhere`,
  ]);
}

const logger = createLogger();
const metrics = new InvocationMetrics();
const clock = new InvocationClock(env.timeoutSeconds);
const database = new MeasuredDatabase(new FunctionDatabase(env.database, new SecretReader(), clock), metrics);
const thresholdQueue = new Queue(env.thresholdQueueUrl);
const sender = env.senderEmail === undefined ? null : new EmailSender(env.senderEmail, env.configurationSet);

/** Kept for what follows the queue: the metrics and the answer. */
const answerMs = 500;

const observed = { logger, metrics, clock };

/** Tells users what threshold events say. */
export const handler = wrap<SQSEvent, SQSBatchResponse>(observed, async (event, remainingMs) => {
  const parts = {
    database,
    sender,
    settings: { ...env, appBaseUrl: env.appBaseUrl ?? null },
    logger,
    metrics,
    remainingMs,
  };
  const failed: string[] = [];
  const atOnce: string[] = [];
  for (const { messageId, receiptHandle, body } of event.Records) {
    const parsed = parseThresholdEventMessage(body);
    if (!parsed.ok) {
      logger.error('malformed message', { messageId, problem: parsed.problem });
      failed.push(messageId);
      atOnce.push(receiptHandle);
      continue;
    }
    const { eventId } = parsed.message;
    try {
      const result = await notify(parts, eventId);
      if (result.done) continue;
      logger.warn('event not handled', { eventId, reason: result.reason });
      if (result.reason === 'no_time_left') atOnce.push(receiptHandle);
    } catch (error) {
      logger.error('event failed', { eventId, cause: errorFields(error) });
    }
    failed.push(messageId);
  }
  // Waiting would mend neither a malformed message, which five quick receives take to the dead-letter queue, nor one
  // that only lacked time.
  await thresholdQueue.returnNow(atOnce, remainingMs() - answerMs);
  return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
});
