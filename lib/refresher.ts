import { Duration } from 'aws-cdk-lib';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Construct } from 'constructs';
import { refresherEnv } from '../lambdas/contract.ts';
import { acknowledge } from './acknowledge.ts';
import { StageFunction } from './function.ts';
import type { StageProps } from './stage.ts';
import { refreshBatchingWindowSeconds } from './timing.ts';

/** Messages per invocation, all of which are under way at once: a token endpoint is waited for, not computed. */
const batchSize = 100;

/** The function that calls token endpoints, fed by the refresh queue. */
export class Refresher extends Construct {
  readonly function: StageFunction;

  constructor(scope: Construct, id: string, props: StageProps) {
    super(scope, id);
    const { settings, timing, refreshQueue, thresholdQueue } = props;
    this.function = new StageFunction(this, 'Function', {
      stage: 'refresher',
      description: 'Evergrant: refreshes integrations at their providers',
      memoryMb: 512,
      timeoutSeconds: timing.refresherTimeout,
      logRetentionDays: settings.logRetentionDays,
      database: props.database,
      environment: {
        [refresherEnv.refreshQueueUrl]: refreshQueue.queue.queueUrl,
        [refresherEnv.thresholdQueueUrl]: thresholdQueue.queue.queueUrl,
        [refresherEnv.tokensAtRest]: settings.tokensAtRest,
        [refresherEnv.attemptHoldSeconds]: String(timing.attemptHold),
        [refresherEnv.callTimeoutMs]: String(settings.callTimeoutSeconds * 1000),
        [refresherEnv.maxInFlight]: String(batchSize),
        [refresherEnv.retryDelaySeconds]: String(timing.retryDelay),
        [refresherEnv.eventRelayHoldSeconds]: String(timing.eventRelayHold),
        [refresherEnv.warningThreshold]: String(settings.warningThreshold),
        [refresherEnv.disconnectThreshold]: String(settings.disconnectThreshold),
        [refresherEnv.rateLimitThreshold]: String(settings.rateLimitThreshold),
        [refresherEnv.disconnectOnInvalidRefreshToken]: String(settings.disconnectOnInvalidRefreshToken),
      },
    });
    props.secrets.grantTokenKey(this.function);
    props.secrets.grantProviders(this.function);
    thresholdQueue.queue.grantSendMessages(this.function);
    this.function.addEventSource(
      new SqsEventSource(refreshQueue.queue, {
        batchSize,
        maxBatchingWindow: Duration.seconds(refreshBatchingWindowSeconds),
        maxConcurrency: settings.maxConcurrency,
        reportBatchItemFailures: true,
      }),
    );
    acknowledge(this, {
      'Serverless-LambdaEventSourceMappingDestination':
        'A message that fails again and again goes to the queue’s dead-letter queue, which is where operators look.',
    });
  }
}
