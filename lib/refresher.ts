import { Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { refresherEnv } from '../lambdas/contract.ts';
import { StageFunction } from './function.ts';
import type { StageProps } from './stage.ts';
import { refreshBatchingWindowSeconds, refreshBatchSize, refresherMemoryMb } from './timing.ts';

/** The function that calls token endpoints, fed by the refresh queue. */
export class Refresher extends Construct {
  readonly function: StageFunction;

  constructor(scope: Construct, id: string, props: StageProps) {
    super(scope, id);
    const { settings, timing, refreshQueue, thresholdQueue, sealedResultQueue } = props;
    this.function = new StageFunction(this, 'Function', {
      stage: 'refresher',
      description: 'Evergrant: refreshes integrations at their providers',
      memoryMb: refresherMemoryMb,
      timeoutSeconds: timing.refresherTimeout,
      logRetentionDays: settings.logRetentionDays,
      database: props.database,
      environment: {
        [refresherEnv.tokensAtRest]: settings.tokensAtRest,
        [refresherEnv.attemptHoldSeconds]: String(timing.attemptHold),
        [refresherEnv.callTimeoutMs]: String(settings.callTimeoutSeconds * 1000),
        [refresherEnv.maxInFlight]: String(refreshBatchSize),
        [refresherEnv.retryDelaySeconds]: String(timing.retryDelay),
        [refresherEnv.shortLifetimeSeconds]: String(timing.shortLifetime),
        [refresherEnv.lapseWarningSeconds]: String(timing.lapseWarning),
        [refresherEnv.eventRelayHoldSeconds]: String(timing.eventRelayHold),
        [refresherEnv.warningThreshold]: String(settings.warningThreshold),
        [refresherEnv.disconnectThreshold]: String(settings.disconnectThreshold),
        [refresherEnv.rateLimitThreshold]: String(settings.rateLimitThreshold),
        [refresherEnv.disconnectOnInvalidRefreshToken]: String(settings.disconnectOnInvalidRefreshToken),
        [refresherEnv.circuitWindowSeconds]: String(timing.circuitWindow),
        [refresherEnv.circuitCooldownSeconds]: String(timing.circuitCooldown),
        [refresherEnv.massRefusalWindowSeconds]: String(timing.massRefusalWindow),
        [refresherEnv.failureMemorySeconds]: String(timing.failureMemory),
        [refresherEnv.disconnectionHoldSeconds]: String(settings.disconnectionHoldHours * 3600),
      },
    });
    props.secrets.grantTokenKey(this.function);
    props.secrets.grantProviders(this.function);
    thresholdQueue.grantSend(this.function, refresherEnv.thresholdQueueUrl);
    sealedResultQueue.grantSend(this.function, refresherEnv.sealedResultQueueUrl);
    refreshQueue.grantSend(this.function, refresherEnv.refreshQueueUrl);
    refreshQueue.grantReturn(this.function, refresherEnv.refreshQueueUrl);
    refreshQueue.feed(this.function, {
      batchSize: refreshBatchSize,
      maxBatchingWindow: Duration.seconds(refreshBatchingWindowSeconds),
      maxConcurrency: settings.maxConcurrency,
    });
  }
}
