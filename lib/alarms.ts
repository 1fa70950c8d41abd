import { Duration, Stack } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { metricNames, metricsNamespace } from '../lambdas/contract.ts';
import { acknowledge } from './acknowledge.ts';
import { dashboardUrl } from './console-links.ts';
import type { QueueWithDeadLetters } from './dead-letter-queue.ts';
import { emailMetric } from './email-metrics.ts';
import type { StageFunction } from './function.ts';
import type { Settings } from './settings.ts';
import { timingOf } from './timing.ts';

export interface AlarmsProps {
  readonly settings: Settings;
  readonly functions: {
    readonly scanner: StageFunction;
    readonly refresher: StageFunction;
    readonly notifier: StageFunction;
  };
  readonly refreshQueue: QueueWithDeadLetters;
  readonly thresholdQueue: QueueWithDeadLetters;
  readonly sealedResultQueue: QueueWithDeadLetters;
  /** SES configuration set that emails go out under; `undefined`: no emails are sent. */
  readonly configurationSetName: string | undefined;
}

interface AlarmDefinition {
  /** Also the heading of its section in `docs/runbook.md`. */
  readonly name: string;
  /** A finished sentence: what is wrong, and what it means for users. */
  readonly sentence: string;
  readonly metric: IMetric;
  readonly threshold: number;
  readonly comparison?: ComparisonOperator;
  readonly periods: number;
  /** Of so many periods this many must be bad; all by default. */
  readonly badPeriods?: number;
  /** No data is good unless something that always reports has fallen silent. */
  readonly missing?: TreatMissingData;
}

/** What an operator is woken for. Each alarm has its section in the runbook, and each section its alarm. */
export class Alarms extends Construct {
  readonly topic: Topic;
  readonly alarms: readonly Alarm[];

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    const { stackName, region } = Stack.of(this);
    this.topic = new Topic(this, 'Topic', {
      displayName: `Evergrant ${props.settings.stage}`,
      enforceSSL: true,
    });
    if (props.settings.alarmEmail)
      this.topic.addSubscription(new EmailSubscription(props.settings.alarmEmail));
    acknowledge(this.topic, {
      'Serverless-SNSRedrivePolicy':
        'An alarm that SNS could not mail is still on the dashboard; a queue of late alarms would serve nobody.',
    });
    const action = new SnsAction(this.topic);
    this.alarms = definitions(props, stackName).map((definition) => {
      const alarm = new Alarm(this, pascalCase(definition.name), {
        alarmName: `${stackName}: ${definition.name}`,
        alarmDescription: `${definition.sentence} Runbook: docs/runbook.md, section "${definition.name}". Dashboard: ${dashboardUrl(region, stackName)}`,
        metric: definition.metric,
        threshold: definition.threshold,
        comparisonOperator: definition.comparison ?? ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluationPeriods: definition.periods,
        datapointsToAlarm: definition.badPeriods ?? definition.periods,
        treatMissingData: definition.missing ?? TreatMissingData.NOT_BREACHING,
      });
      alarm.addAlarmAction(action);
      alarm.addOkAction(action);
      return alarm;
    });
  }
}

function definitions(
  { settings, functions, refreshQueue, thresholdQueue, sealedResultQueue, configurationSetName }: AlarmsProps,
  service: string,
): AlarmDefinition[] {
  const scanInterval = Duration.minutes(settings.scanIntervalMinutes);
  // For what the scanner alone may meet: with a scan in every period, "two of three" can come true.
  const scanPeriod = Duration.minutes(Math.max(5, settings.scanIntervalMinutes));
  const own = (metricName: string, statistic: string, period: Duration) =>
    ownMetric(service, metricName, statistic, period);
  const deadLetters = (queue: QueueWithDeadLetters) =>
    queue.deadLetters.metricApproximateNumberOfMessagesVisible({
      statistic: Stats.MAXIMUM,
      period: Duration.minutes(5),
    });
  return [
    {
      name: 'scanner silent',
      sentence:
        'No scan has ended well for three scan intervals: tokens expire without anybody refreshing them.',
      metric: own(metricNames.claimed, Stats.SAMPLE_COUNT, scanInterval),
      comparison: ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: 1,
      periods: 3,
      missing: TreatMissingData.BREACHING,
    },
    {
      name: 'scanner behind',
      sentence:
        'Three scans in a row left due integrations for the next one: there are more than a scan can claim in its time, or the refresh queue does not take them.',
      metric: own(metricNames.leftDue, Stats.MAXIMUM, scanInterval),
      threshold: 0,
      periods: 3,
    },
    {
      name: 'tokens expired',
      sentence:
        'A connected integration has had an expired token for over three scan intervals: its user notices.',
      metric: own(metricNames.oldestExpiredSeconds, Stats.MAXIMUM, scanInterval),
      threshold: 3 * scanInterval.toSeconds(),
      periods: 2,
    },
    {
      name: 'refresh queue behind',
      sentence:
        'A request to refresh has waited for over a scan interval: the refreshers do not keep up, or do not run.',
      metric: refreshQueue.queue.metricApproximateAgeOfOldestMessage({
        statistic: Stats.MAXIMUM,
        period: Duration.minutes(5),
      }),
      threshold: scanInterval.toSeconds(),
      periods: 2,
    },
    {
      name: 'operator fault',
      sentence:
        'Refreshes fail by our own fault (a wrong client secret, a provider without configuration, an unknown key): no user is told, and nothing mends itself.',
      metric: own(metricNames.operatorFaults, Stats.SUM, Duration.minutes(5)),
      threshold: 0,
      periods: 1,
    },
    {
      name: 'provider failing',
      sentence:
        "Over a quarter of one provider's integrations that came due lately could not be refreshed: the provider is down or has changed, or it refuses our users.",
      // The scanner computes it, as an alarm knows no providers; without a provider that has enough integrations
      // to tell there is no data, and nothing to wake anybody for.
      metric: own(metricNames.lowestSuccessRate, Stats.MINIMUM, scanInterval),
      comparison: ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: 75,
      periods: 3,
      badPeriods: 2,
    },
    {
      name: 'provider outage',
      sentence:
        'A provider is down for many integrations at once: nobody calls it but for a few probes, tokens expire until it is back, and no user is told or disconnected.',
      metric: own(metricNames.openCircuits, Stats.MAXIMUM, scanInterval),
      threshold: 0,
      // One outage is one alarm, also if a scan is late or the provider comes and goes.
      periods: 3,
      badPeriods: 1,
    },
    {
      name: 'circuit left open',
      sentence:
        'A provider has not been called for a day, because somebody opened its circuit by hand, or because it is down or refuses our client: its integrations wait, and their users have not been told.',
      metric: own(metricNames.longestCircuitSeconds, Stats.MAXIMUM, scanInterval),
      threshold: Duration.days(1).toSeconds(),
      // A scan that is late changes nothing about it.
      periods: 3,
      badPeriods: 1,
    },
    {
      name: 'disconnections held',
      sentence: `Implausibly many grants of one provider were refused within minutes: nobody of it is disconnected or mailed for ${settings.disconnectionHoldHours} hours, and by then somebody should know why.`,
      metric: own(metricNames.disconnectionsHeld, Stats.MAXIMUM, scanInterval),
      threshold: 0,
      periods: 3,
      badPeriods: 1,
    },
    {
      name: 'premature disconnection',
      sentence:
        'A grant that Evergrant had disconnected works: a user was disconnected by our fault, and others may be.',
      metric: own(metricNames.prematureDisconnections, Stats.SUM, Duration.minutes(5)),
      threshold: 0,
      periods: 1,
    },
    {
      name: 'result lost',
      sentence:
        'Neither Postgres nor the sealed result queue took the result of a refresh before the function ended: a rotated refresh token may be gone, and with it a connection.',
      metric: own(metricNames.lost, Stats.SUM, Duration.minutes(5)),
      threshold: 0,
      periods: 1,
    },
    {
      name: 'sealed results waiting',
      sentence:
        'New tokens have waited sealed in their queue through two scans or more: Postgres does not take them, or no scan collects them, and their integrations are not refreshed until one does.',
      // Not their age: SQS leaves what was received three times out of it (developer guide, "Available CloudWatch metrics
      // for Amazon SQS"), and a scan receives also what a locked row keeps it from storing.
      metric: sealedResultQueue.queue.metricApproximateNumberOfMessagesVisible({
        statistic: Stats.MINIMUM,
        period: scanPeriod,
      }),
      threshold: 0,
      periods: 2,
    },
    {
      name: 'sealed result dead letters',
      sentence:
        'New tokens that wait sealed cannot be opened or stored: their integrations are held until the cause is mended and the dead letters are replayed.',
      metric: deadLetters(sealedResultQueue),
      threshold: 0,
      periods: 1,
    },
    {
      name: 'grants lost by lost answers',
      sentence:
        'At least three grants were refused within an hour after calls whose answers were lost: providers spent refresh tokens for successors that nobody got, and their users have to reconnect.',
      // One is what a network costs now and then; several have a cause that somebody can mend.
      metric: own(metricNames.refusedAfterDoubt, Stats.SUM, Duration.hours(1)),
      threshold: 2,
      periods: 1,
    },
    {
      name: 'refresh dead letters',
      sentence:
        'A request to refresh went to the dead-letter queue: our own code or infrastructure failed on it five times.',
      metric: deadLetters(refreshQueue),
      threshold: 0,
      periods: 1,
    },
    {
      name: 'threshold event dead letters',
      sentence:
        'A threshold event went to the dead-letter queue: a user has not been told what concerns them.',
      metric: deadLetters(thresholdQueue),
      threshold: 0,
      periods: 1,
    },
    {
      name: 'users not told',
      sentence:
        'A warning, a disconnection or a dead grant has waited for so long that its message was sent twice at least, or could not be: its user knows nothing of it.',
      metric: own(metricNames.oldestUntoldSeconds, Stats.MAXIMUM, scanInterval),
      // What never reached the queue is published by the first scan after the hold, and handled before the second.
      threshold: timingOf(settings).eventRelayHold + 2 * scanInterval.toSeconds(),
      periods: 2,
    },
    {
      name: 'database unreachable',
      sentence:
        'Functions cannot reach Postgres, or it refuses them: nothing is refreshed, and results wait sealed in their queue.',
      metric: own(metricNames.databaseUnreachable, Stats.SUM, scanPeriod),
      threshold: 0,
      // A failover ends by itself within one; the results that come meanwhile have alarms of their own.
      periods: 3,
      badPeriods: 2,
    },
    ...(configurationSetName === undefined ? [] : emailDefinitions(service, configurationSetName)),
    ...Object.entries(functions).map(
      ([stage, stageFunction]): AlarmDefinition => ({
        name: `${stage} failing`,
        sentence: `The ${stage} fails as a whole, again and again.`,
        metric: stageFunction.metricErrors({ statistic: Stats.SUM, period: scanPeriod }),
        threshold: 0,
        periods: 3,
        badPeriods: 2,
      }),
    ),
  ];
}

/**
 * A day of emails, as they are few and SES judges senders by what lasts. Its thresholds: it reviews an account
 * from 5 % bounces and 0.1 % complaints on. With few emails one of them would be as much, so shares are of 20
 * emails for bounces, of 1000 for complaints, at least. A share has no data unless both of its counts have: no
 * bounces, or no emails, are good.
 */
function emailDefinitions(service: string, configurationSetName: string): AlarmDefinition[] {
  const day = Duration.days(1);
  const shareOfSends = (event: 'Bounce' | 'Complaint', ofAtLeast: number) =>
    new MathExpression({
      expression: `100 * counted / IF(sends > ${ofAtLeast}, sends, ${ofAtLeast})`,
      usingMetrics: {
        counted: emailMetric(configurationSetName, event, day),
        sends: emailMetric(configurationSetName, 'Send', day),
      },
      label: `${event}s per 100 emails`,
      period: day,
    });
  return [
    {
      name: 'emails failing',
      sentence:
        'SES did not take emails for a quarter of an hour: users do not learn that only they can help.',
      metric: ownMetric(service, metricNames.emailsFailed, Stats.SUM, Duration.minutes(5)),
      threshold: 0,
      periods: 3,
    },
    {
      name: 'emails bouncing',
      sentence:
        'Over 5 % of the emails of a day came back: users are not reached, and SES reviews accounts at this share.',
      metric: shareOfSends('Bounce', 20),
      threshold: 5,
      periods: 1,
    },
    {
      name: 'emails complained about',
      sentence:
        'Over 0.1 % of the recipients of a day marked our emails as spam: SES reviews accounts at this share.',
      metric: shareOfSends('Complaint', 1_000),
      threshold: 0.1,
      periods: 1,
    },
  ];
}

/** A metric that the functions write without a dimension of its own. */
function ownMetric(service: string, metricName: string, statistic: string, period: Duration): Metric {
  return new Metric({
    namespace: metricsNamespace,
    metricName,
    dimensionsMap: { service },
    statistic,
    period,
  });
}

function pascalCase(name: string): string {
  return name.replaceAll(/(?:^| )(\w)/g, (_, letter: string) => letter.toUpperCase());
}
