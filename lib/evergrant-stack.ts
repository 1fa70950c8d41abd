import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Alarms } from './alarms.ts';
import { Dashboard } from './dashboard.ts';
import { maxReceiveCount, QueueWithDeadLetters } from './dead-letter-queue.ts';
import { Migrator } from './migrator.ts';
import { Notifier } from './notifier.ts';
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
    const secrets = new Secrets(this, 'Secrets', settings);
    const refreshQueue = new QueueWithDeadLetters(this, 'Refresh', {
      visibilitySeconds: timing.refreshVisibility,
      // Every scan asks anew for what is still due, so an old request is worth nothing; but each gets its receives.
      retention: Duration.seconds(Math.max(3600, 2 * maxReceiveCount * timing.refreshVisibility)),
    });
    const thresholdQueue = new QueueWithDeadLetters(this, 'Threshold', {
      visibilitySeconds: timing.thresholdVisibility,
      retention: Duration.days(4),
    });

    const migrator = new Migrator(this, 'Migrator', { secrets, settings, timing });
    const scanner = new Scanner(this, 'Scanner', { secrets, settings, timing, refreshQueue, thresholdQueue });
    const refresher = new Refresher(this, 'Refresher', {
      secrets,
      settings,
      timing,
      refreshQueue,
      thresholdQueue,
    });
    const notifier = new Notifier(this, 'Notifier', { secrets, settings, timing, thresholdQueue });
    migrator.runsBefore(scanner, refresher, notifier);
    const functions = {
      scanner: scanner.function,
      refresher: refresher.function,
      notifier: notifier.function,
    };
    const configurationSetName = settings.senderEmail === undefined ? undefined : this.stackName;
    const { topic, alarms } = new Alarms(this, 'Alarms', {
      settings,
      functions,
      refreshQueue,
      thresholdQueue,
      configurationSetName,
    });
    const dashboard = new Dashboard(this, 'Dashboard', {
      alarms,
      functions,
      refreshQueue,
      thresholdQueue,
      configurationSetName,
    });

    const outputs: Record<string, string> = {
      RefreshQueueUrl: refreshQueue.queue.queueUrl,
      RefreshDeadLetterQueueUrl: refreshQueue.deadLetters.queueUrl,
      ThresholdQueueUrl: thresholdQueue.queue.queueUrl,
      ThresholdDeadLetterQueueUrl: thresholdQueue.deadLetters.queueUrl,
      ScannerFunction: scanner.function.functionName,
      RefresherFunction: refresher.function.functionName,
      NotifierFunction: notifier.function.functionName,
      MigratorFunction: migrator.function.functionName,
      AlarmTopicArn: topic.topicArn,
      DashboardName: dashboard.name,
      DatabaseSecret: secrets.database.secretName,
      TokenKeySecret: secrets.tokenKey.secretName,
      ProviderSecretPrefix: secrets.providerPrefix,
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}
