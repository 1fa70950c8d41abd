import { Duration } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { Construct } from 'constructs';
import { scannerEnv } from '../lambdas/contract.ts';
import { acknowledge } from './acknowledge.ts';
import { deadLetterRetention } from './dead-letter-queue.ts';
import { StageFunction } from './function.ts';
import type { StageProps } from './stage.ts';
import { scannerMemoryMb } from './timing.ts';

/** The rule and the function that claims due integrations. */
export class Scanner extends Construct {
  readonly function: StageFunction;
  readonly rule: Rule;

  constructor(scope: Construct, id: string, props: StageProps) {
    super(scope, id);
    const { settings, timing, refreshQueue, thresholdQueue, sealedResultQueue } = props;
    this.function = new StageFunction(this, 'Function', {
      stage: 'scanner',
      description: 'Evergrant: claims integrations whose token is about to expire',
      memoryMb: scannerMemoryMb,
      timeoutSeconds: timing.scannerTimeout,
      logRetentionDays: settings.logRetentionDays,
      database: props.database,
      environment: {
        [scannerEnv.refreshWindowSeconds]: String(settings.refreshWindowSeconds),
        [scannerEnv.claimHoldSeconds]: String(timing.claimHold),
        [scannerEnv.lapseWarningSeconds]: String(timing.lapseWarning),
        [scannerEnv.eventRelayHoldSeconds]: String(timing.eventRelayHold),
        [scannerEnv.successWindowSeconds]: String(timing.successWindow),
        [scannerEnv.circuitCooldownSeconds]: String(timing.circuitCooldown),
        [scannerEnv.pacedSpreadSeconds]: String(timing.pacedSpread),
        [scannerEnv.sealedResultVisibilitySeconds]: String(timing.sealedResultVisibility),
        [scannerEnv.sealedResultRetentionSeconds]: String(deadLetterRetention.toSeconds()),
      },
    });
    refreshQueue.grantSend(this.function, scannerEnv.refreshQueueUrl);
    thresholdQueue.grantSend(this.function, scannerEnv.thresholdQueueUrl);
    sealedResultQueue.grantReceive(this.function, scannerEnv.sealedResultQueueUrl);
    props.secrets.grantTokenKey(this.function);

    const interval = Duration.minutes(settings.scanIntervalMinutes);
    // A late scan is worth nothing: the next one does its work. So neither EventBridge nor Lambda tries again.
    this.function.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: interval });
    this.rule = new Rule(this, 'Schedule', {
      description: 'Evergrant: scans for integrations whose token is about to expire',
      schedule: Schedule.rate(interval),
      enabled: settings.scanning,
      targets: [new LambdaFunction(this.function, { retryAttempts: 0, maxEventAge: interval })],
    });
    const reason =
      'A scan that failed is worth nothing any more: the next one does its work, and an alarm tells of silence.';
    acknowledge(this, {
      'Serverless-EventBusDLQ': reason,
      'Serverless-LambdaAsyncFailureDestination': reason,
    });
  }
}
