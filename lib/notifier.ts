import { Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { notifierEnv } from '../lambdas/contract.ts';
import { StageFunction } from './function.ts';
import type { StageProps } from './stage.ts';

/** The function that tells users, fed by the threshold event queue. */
export class Notifier extends Construct {
  readonly function: StageFunction;

  constructor(scope: Construct, id: string, props: Omit<StageProps, 'refreshQueue'>) {
    super(scope, id);
    const { settings, timing, thresholdQueue } = props;
    this.function = new StageFunction(this, 'Function', {
      stage: 'notifier',
      description: 'Evergrant: writes notifications and sends emails',
      memoryMb: 256,
      timeoutSeconds: timing.notifierTimeout,
      logRetentionDays: settings.logRetentionDays,
      environment: {
        [notifierEnv.productName]: settings.productName,
        [notifierEnv.reconnectPath]: settings.reconnectPath,
        [notifierEnv.emailHoldSeconds]: String(timing.emailHold),
        ...(settings.appBaseUrl && { [notifierEnv.appBaseUrl]: settings.appBaseUrl }),
        ...(settings.senderEmail && { [notifierEnv.senderEmail]: settings.senderEmail }),
      },
    });
    props.secrets.grantDatabase(this.function);
    if (settings.senderEmail) this.#grantSendEmail(settings.senderEmail);
    thresholdQueue.grantReturn(this.function, notifierEnv.thresholdQueueUrl);
    thresholdQueue.feed(this.function, { batchSize: 1, maxConcurrency: settings.maxConcurrency });
  }

  /** SES checks the identity that sends: the address if it is verified itself, otherwise its domain. */
  #grantSendEmail(sender: string): void {
    const { partition, region, account } = Stack.of(this);
    const domain = sender.slice(sender.lastIndexOf('@') + 1);
    this.function.addToRolePolicy(
      new PolicyStatement({
        effect: Effect.ALLOW,
        actions: ['ses:SendEmail'],
        resources: [sender, domain].map(
          (identity) => `arn:${partition}:ses:${region}:${account}:identity/${identity}`,
        ),
        conditions: { StringEquals: { 'ses:FromAddress': sender } },
      }),
    );
  }
}
