import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { vi } from 'vitest';
import {
  databaseEnv,
  functionEnv,
  notifierEnv,
  operatorEnv,
  refresherEnv,
  scannerEnv,
} from '../../lambdas/contract.ts';

export type Stage = 'scanner' | 'refresher' | 'notifier' | 'migrator' | 'operator';
export type Handler = (event: unknown, context: Context) => Promise<unknown>;

const common = { [databaseEnv.source]: 'database', [functionEnv.timeoutSeconds]: '60' };

/** What the stack would put into each function's environment. `queueUrl`: of a queue by its name. */
export const stageEnvironments = (
  queueUrl: (name: 'refresh' | 'threshold' | 'sealed') => string,
): Record<Stage, Record<string, string>> => ({
  scanner: {
    ...common,
    [scannerEnv.refreshQueueUrl]: queueUrl('refresh'),
    [scannerEnv.thresholdQueueUrl]: queueUrl('threshold'),
    [scannerEnv.refreshWindowSeconds]: '600',
    [scannerEnv.claimHoldSeconds]: '270',
    [scannerEnv.eventRelayHoldSeconds]: '360',
    [scannerEnv.lapseWarningSeconds]: '604800',
    [scannerEnv.successWindowSeconds]: '1800',
    [scannerEnv.circuitCooldownSeconds]: '150',
    [scannerEnv.pacedSpreadSeconds]: '240',
    [scannerEnv.sealedResultQueueUrl]: queueUrl('sealed'),
    [scannerEnv.sealedResultVisibilitySeconds]: '60',
    [scannerEnv.sealedResultRetentionSeconds]: '1209600',
    [scannerEnv.tokenKeySecretId]: 'token-key',
  },
  refresher: {
    ...common,
    [refresherEnv.tokenKeySecretId]: 'token-key',
    [refresherEnv.tokensAtRest]: 'sealed',
    [refresherEnv.providerSecretPrefix]: 'providers/',
    [refresherEnv.refreshQueueUrl]: queueUrl('refresh'),
    [refresherEnv.sealedResultQueueUrl]: queueUrl('sealed'),
    [refresherEnv.thresholdQueueUrl]: queueUrl('threshold'),
    [refresherEnv.attemptHoldSeconds]: '45',
    [refresherEnv.callTimeoutMs]: '5000',
    [refresherEnv.maxInFlight]: '100',
    [refresherEnv.retryDelaySeconds]: '300',
    [refresherEnv.shortLifetimeSeconds]: '600',
    [refresherEnv.eventRelayHoldSeconds]: '360',
    [refresherEnv.lapseWarningSeconds]: '604800',
    [refresherEnv.warningThreshold]: '2',
    [refresherEnv.disconnectThreshold]: '3',
    [refresherEnv.rateLimitThreshold]: '5',
    [refresherEnv.disconnectOnInvalidRefreshToken]: 'false',
    [refresherEnv.circuitWindowSeconds]: '300',
    [refresherEnv.circuitCooldownSeconds]: '150',
    [refresherEnv.massRefusalWindowSeconds]: '900',
    [refresherEnv.failureMemorySeconds]: '2100',
    [refresherEnv.disconnectionHoldSeconds]: '43200',
  },
  notifier: {
    ...common,
    [notifierEnv.thresholdQueueUrl]: queueUrl('threshold'),
    [notifierEnv.senderEmail]: 'product@example.com',
    [notifierEnv.configurationSet]: 'evergrant-test',
    [notifierEnv.productName]: 'Acme Flows',
    [notifierEnv.appBaseUrl]: 'https://app.example.com',
    [notifierEnv.reconnectPath]: '/integrations?reconnect={integrationId}',
    [notifierEnv.emailHoldSeconds]: '35',
  },
  migrator: { ...common, LAMBDA_TASK_ROOT: `${import.meta.dirname}/../..` },
  operator: {
    ...common,
    [operatorEnv.tokenKeySecretId]: 'token-key',
    [operatorEnv.providerSecretPrefix]: 'providers/',
    [operatorEnv.refreshWindowSeconds]: '600',
    [operatorEnv.scanIntervalSeconds]: '300',
    [operatorEnv.attemptHoldSeconds]: '45',
    [operatorEnv.senderEmail]: 'product@example.com',
    LAMBDA_TASK_ROOT: `${import.meta.dirname}/../..`,
  },
});

/** Loads a function as Lambda does: its module with this environment and no other of a function. */
export async function loadStage(
  stage: Stage,
  environments: Record<Stage, Record<string, string>>,
  changes: Record<string, string | undefined> = {},
): Promise<Handler> {
  const names = Object.values(environments).flatMap((environment) => Object.keys(environment));
  for (const name of names) vi.stubEnv(name, undefined);
  const environment: Record<string, string | undefined> = { ...environments[stage], ...changes };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  vi.resetModules();
  const module = (await import(`../../lambdas/${stage}/handler.ts`)) as { handler: Handler };
  return module.handler;
}

export const invocationContext = (remainingMs = 60_000) =>
  ({ awsRequestId: 'request-1', getRemainingTimeInMillis: () => remainingMs }) as Context;

/** What Lambda gives a function for a batch of messages with these bodies: `message-0`, `message-1`, … */
export function sqsEvent(...bodies: (string | object)[]): SQSEvent {
  const records = bodies.map((body, index) => ({
    messageId: `message-${index}`,
    receiptHandle: `handle-${index}`,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  }));
  return { Records: records } as unknown as SQSEvent;
}

/** The messages that a partial batch response hands back. */
export const failedOf = (response: unknown) =>
  (response as SQSBatchResponse).batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
