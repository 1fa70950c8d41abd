import { Construct } from 'constructs';
import { notifierEnv } from '../lambdas/contract.ts';
import type { Email } from './email.ts';
import { StageFunction } from './function.ts';
import type { StageProps } from './stage.ts';

export interface NotifierProps extends Omit<StageProps, 'secrets' | 'refreshQueue' | 'sealedResultQueue'> {
  /** `undefined`: only the app tells users. */
  readonly email: Email | undefined;
}

/** Notifiers at the same time at most: events are few, and a new account's concurrency is small. */
const maxConcurrency = 2;

/** The function that tells users, fed by the threshold event queue. */
export class Notifier extends Construct {
  readonly function: StageFunction;

  constructor(scope: Construct, id: string, props: NotifierProps) {
    super(scope, id);
    const { settings, timing, thresholdQueue } = props;
    this.function = new StageFunction(this, 'Function', {
      stage: 'notifier',
      description: 'Evergrant: writes notifications and sends emails',
      memoryMb: 256,
      timeoutSeconds: timing.notifierTimeout,
      logRetentionDays: settings.logRetentionDays,
      database: props.database,
      environment: {
        [notifierEnv.productName]: settings.productName,
        [notifierEnv.reconnectPath]: settings.reconnectPath,
        [notifierEnv.emailHoldSeconds]: String(timing.emailHold),
        ...(settings.appBaseUrl && { [notifierEnv.appBaseUrl]: settings.appBaseUrl }),
      },
    });
    props.email?.grantSend(this.function);
    thresholdQueue.grantReturn(this.function, notifierEnv.thresholdQueueUrl);
    thresholdQueue.feed(this.function, { batchSize: 1, maxConcurrency });
  }
}
