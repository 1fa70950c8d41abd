import { Annotations, CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Alarms } from './alarms.ts';
import { Dashboard } from './dashboard.ts';
import { createDatabase } from './database.ts';
import { deadLetterRetention, maxReceiveCount, QueueWithDeadLetters } from './dead-letter-queue.ts';
import { Email } from './email.ts';
import { Migrator } from './migrator.ts';
import { Notifier } from './notifier.ts';
import { Operator } from './operator.ts';
import { Refresher } from './refresher.ts';
import { Scanner } from './scanner.ts';
import { Secrets } from './secrets.ts';
import type { Settings } from './settings.ts';
import { timingOf } from './timing.ts';

export interface EvergrantStackProps extends StackProps {
  readonly settings: Settings;
}

/** The system of one stage, in the order in which an integration passes through it. */
export class EvergrantStack extends Stack {
  constructor(scope: Construct, id: string, props: EvergrantStackProps) {
    super(scope, id, { description: 'Evergrant: keeps OAuth grants alive', ...props });
    const { settings } = props;
    const timing = timingOf(settings);
    if (settings.senderEmail === undefined) {
      Annotations.of(this).addWarningV2(
        'evergrant:no-sender',
        'No senderEmail is set: users are told in the app only, and nobody gets an email when only they can help. Set senderEmail and appBaseUrl.',
      );
    }
    if (!settings.scanning) {
      Annotations.of(this).addWarningV2(
        'evergrant:not-scanning',
        'scanning is false: nothing is refreshed but by hand. Set it to true when no other refresher runs any more.',
      );
    }
    const database = createDatabase(this, 'Database', settings);
    const secrets = new Secrets(this, 'Secrets', settings);
    const { senderEmail } = settings;
    const email = senderEmail
      ? new Email(this, 'Email', { sender: senderEmail, identity: settings.senderIdentity })
      : undefined;
    const refreshQueue = new QueueWithDeadLetters(this, 'Refresh', {
      visibilitySeconds: timing.refreshVisibility,
      // Every scan asks anew for what is still due, so an old request is worth nothing; but each gets its receives.
      retention: Duration.seconds(Math.max(3600, 2 * maxReceiveCount * timing.refreshVisibility)),
    });
    const thresholdQueue = new QueueWithDeadLetters(this, 'Threshold', {
      visibilitySeconds: timing.thresholdVisibility,
      retention: Duration.days(4),
    });
    const sealedResultQueue = new QueueWithDeadLetters(this, 'SealedResult', {
      visibilitySeconds: timing.sealedResultVisibility,
      // Each may be the only copy of a grant.
      retention: deadLetterRetention,
      // What a product's transaction keeps from its row is received once in each scan, and what nobody can use so often at once.
      maxReceiveCount: 100,
    });

    const migrator = new Migrator(this, 'Migrator', { database, settings, timing });
    const scanner = new Scanner(this, 'Scanner', {
      database,
      settings,
      timing,
      secrets,
      refreshQueue,
      thresholdQueue,
      sealedResultQueue,
    });
    const refresher = new Refresher(this, 'Refresher', {
      database,
      secrets,
      settings,
      timing,
      refreshQueue,
      thresholdQueue,
      sealedResultQueue,
    });
    const notifier = new Notifier(this, 'Notifier', { database, settings, timing, thresholdQueue, email });
    migrator.runsBefore(scanner, refresher, notifier);
    const operator = new Operator(this, 'Operator', { database, secrets, settings, timing });
    const functions = {
      scanner: scanner.function,
      refresher: refresher.function,
      notifier: notifier.function,
    };
    const configurationSetName = email?.configurationSetName;
    const { topic, alarms } = new Alarms(this, 'Alarms', {
      settings,
      functions,
      refreshQueue,
      thresholdQueue,
      sealedResultQueue,
      configurationSetName,
    });
    const dashboard = new Dashboard(this, 'Dashboard', {
      alarms,
      functions,
      refreshQueue,
      thresholdQueue,
      sealedResultQueue,
      configurationSetName,
    });

    const outputs: Record<string, string> = {
      RefreshQueueUrl: refreshQueue.queue.queueUrl,
      RefreshDeadLetterQueueUrl: refreshQueue.deadLetters.queueUrl,
      ThresholdQueueUrl: thresholdQueue.queue.queueUrl,
      ThresholdDeadLetterQueueUrl: thresholdQueue.deadLetters.queueUrl,
      SealedResultQueueUrl: sealedResultQueue.queue.queueUrl,
      SealedResultDeadLetterQueueUrl: sealedResultQueue.deadLetters.queueUrl,
      ScheduleRule: scanner.rule.ruleName,
      ScannerFunction: scanner.function.functionName,
      RefresherFunction: refresher.function.functionName,
      NotifierFunction: notifier.function.functionName,
      MigratorFunction: migrator.function.functionName,
      OperatorFunction: operator.function.functionName,
      AlarmTopicArn: topic.topicArn,
      DashboardName: dashboard.name,
      ...database.outputs,
      ...email?.outputs,
      TokenKeySecret: secrets.tokenKey.secretName,
      ProviderSecretPrefix: secrets.providerPrefix,
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}
