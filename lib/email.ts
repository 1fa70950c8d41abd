import { Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import {
  CloudWatchDimensionSource,
  ConfigurationSet,
  EmailIdentity,
  EmailSendingEvent,
  EventDestination,
  Identity,
  SuppressionReasons,
} from 'aws-cdk-lib/aws-ses';
import { Construct } from 'constructs';
import { notifierEnv } from '../lambdas/contract.ts';
import { emailMetricsDimension } from './email-metrics.ts';
import type { Settings } from './settings.ts';

export interface EmailProps {
  readonly sender: string;
  readonly identity: Settings['senderIdentity'];
}

/** What SES needs to send for us: an identity, and a configuration set that counts and suppresses. */
export class Email extends Construct {
  readonly configurationSetName: string;
  /** DNS records that verify the sender's domain, if the stack made its identity. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly #sender: string;
  readonly #identities: readonly string[];

  constructor(scope: Construct, id: string, { sender, identity }: EmailProps) {
    super(scope, id);
    const { stackName } = Stack.of(this);
    this.#sender = sender;
    const domain = sender.slice(sender.lastIndexOf('@') + 1);
    // SES asks for the address if it is an identity, otherwise for its domain; of an existing one nobody here knows which.
    this.#identities = { address: [sender], domain: [domain], existing: [sender, domain] }[identity];
    this.configurationSetName = stackName;
    const configurationSet = new ConfigurationSet(this, 'ConfigurationSet', {
      configurationSetName: stackName,
      // Who bounced for good or complained gets no more from us: SES keeps the list and drops the email.
      suppressionReasons: SuppressionReasons.BOUNCES_AND_COMPLAINTS,
      reputationMetrics: true,
    });
    configurationSet.addEventDestination('Metrics', {
      destination: EventDestination.cloudWatchDimensions([
        // No message carries such a tag, so that the default counts: this stack's.
        {
          source: CloudWatchDimensionSource.MESSAGE_TAG,
          name: emailMetricsDimension,
          defaultValue: stackName,
        },
      ]),
      events: [
        EmailSendingEvent.SEND,
        EmailSendingEvent.DELIVERY,
        EmailSendingEvent.BOUNCE,
        EmailSendingEvent.COMPLAINT,
        EmailSendingEvent.REJECT,
      ],
    });
    this.outputs = { SenderEmail: sender, ...this.#createIdentity(identity) };
  }

  #createIdentity(kind: EmailProps['identity']): Record<string, string> {
    if (kind === 'existing') return {};
    if (kind === 'address') {
      new EmailIdentity(this, 'Identity', { identity: Identity.email(this.#sender) });
      return {};
    }
    const { dkimRecords } = new EmailIdentity(this, 'Identity', {
      identity: Identity.domain(this.#identities[0] as string),
    });
    return Object.fromEntries(
      dkimRecords.map(({ name, value }, index) => [`SenderDnsRecord${index + 1}`, `${name} CNAME ${value}`]),
    );
  }

  /** SES checks the identity that sends and the configuration set. */
  grantSend(sender: LambdaFunction): void {
    const { partition, region, account } = Stack.of(this);
    const arn = (resource: string) => `arn:${partition}:ses:${region}:${account}:${resource}`;
    sender.addToRolePolicy(
      new PolicyStatement({
        actions: ['ses:SendEmail'],
        resources: [
          ...this.#identities.map((name) => arn(`identity/${name}`)),
          arn(`configuration-set/${this.configurationSetName}`),
        ],
        conditions: { StringEquals: { 'ses:FromAddress': this.#sender } },
      }),
    );
    sender.addEnvironment(notifierEnv.senderEmail, this.#sender);
    sender.addEnvironment(notifierEnv.configurationSet, this.configurationSetName);
  }
}
