import { Duration, Stack } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard as CloudWatchDashboard,
  Color,
  GraphWidget,
  type IAlarm,
  type IMetric,
  MathExpression,
  Metric,
  PeriodOverride,
  SingleValueWidget,
  Stats,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { metricNames, metricsNamespace } from '../lambdas/contract.ts';
import type { QueueWithDeadLetters } from './dead-letter-queue.ts';
import { emailMetric } from './email-metrics.ts';
import type { StageFunction } from './function.ts';

export interface DashboardProps {
  readonly alarms: readonly IAlarm[];
  readonly functions: Readonly<Record<string, StageFunction>>;
  readonly refreshQueue: QueueWithDeadLetters;
  readonly thresholdQueue: QueueWithDeadLetters;
  readonly sealedResultQueue: QueueWithDeadLetters;
  /** SES configuration set that emails go out under; `undefined`: no emails are sent. */
  readonly configurationSetName: string | undefined;
}

const period = Duration.minutes(5);
const full = 24;
const third = 8;
const height = 6;

/** One page that answers, from top to bottom, what an operator asks. */
export class Dashboard extends Construct {
  readonly name: string;

  constructor(scope: Construct, id: string, props: DashboardProps) {
    super(scope, id);
    const { stackName } = Stack.of(this);
    this.name = stackName;
    const metric = (metricName: string, label: string, statistic: string = Stats.SUM, color?: string) =>
      new Metric({
        namespace: metricsNamespace,
        metricName,
        dimensionsMap: { service: stackName },
        statistic,
        period,
        label,
        ...(color !== undefined && { color }),
      });
    const search = (metricName: string, dimensions: readonly string[], statistic: string) =>
      `SEARCH('{${[metricsNamespace, 'service', ...dimensions].join(',')}} service="${stackName}" MetricName="${metricName}"', '${statistic}')`;
    const math = (expression: string, label: string, usingMetrics: Record<string, IMetric> = {}) =>
      new MathExpression({ expression, usingMetrics, label, period });
    /** One line for each value of the dimensions, whatever providers there are. */
    const each = (metricName: string, dimensions: readonly string[], statistic: string = Stats.SUM) =>
      math(search(metricName, dimensions, statistic), '');
    const all = (metricName: string) => `SUM(${search(metricName, ['provider'], Stats.SUM)})`;
    const { refreshQueue, thresholdQueue, sealedResultQueue, configurationSetName } = props;
    const functions = Object.entries(props.functions);
    const ofEach = (metricOf: (stageFunction: StageFunction, label: string) => IMetric) =>
      functions.map(([stage, stageFunction]) => metricOf(stageFunction, stage));
    const waiting = (queue: IQueue, label: string) =>
      queue.metricApproximateNumberOfMessagesVisible({ period, statistic: Stats.MAXIMUM, label });
    const oldest = (queue: IQueue, label: string) =>
      queue.metricApproximateAgeOfOldestMessage({ period, statistic: Stats.MAXIMUM, label });

    new CloudWatchDashboard(this, 'Dashboard', {
      dashboardName: stackName,
      defaultInterval: Duration.hours(6),
      periodOverride: PeriodOverride.AUTO,
      widgets: [
        [new AlarmStatusWidget({ title: 'Alarms', alarms: [...props.alarms], width: full, height: 4 })],
        [heading('Are tokens fresh?', 'The promise is 0 in all three.')],
        [
          graph('Connected integrations whose token has expired (%)', [
            math('100 * expired / connected', 'expired', {
              expired: metric(metricNames.expiredConnected, 'expired', Stats.MAXIMUM),
              connected: metric(metricNames.connected, 'connected', Stats.MAXIMUM),
            }),
          ]),
          graph('Longest-expired token of a connected integration (s)', [
            metric(metricNames.oldestExpiredSeconds, 'expired for', Stats.MAXIMUM, Color.RED),
          ]),
          graph('Due integrations that a scan left for the next one', [
            metric(metricNames.leftDue, 'left', Stats.MAXIMUM, Color.ORANGE),
          ]),
        ],
        [heading('Is the pipeline moving?', 'What is claimed is enqueued, and refreshed within minutes.')],
        [
          graph(
            'Integrations found due and handed on',
            [
              metric(metricNames.claimed, 'due and claimed'),
              metric(metricNames.enqueued, 'handed to the refresh queue'),
            ],
            [
              metric(metricNames.connected, 'connected in all', Stats.MAXIMUM, Color.GREY),
              metric(metricNames.expiredConnected, 'of these expired', Stats.MAXIMUM, Color.RED),
            ],
          ),
          graph('Refreshed, by provider', [each(metricNames.refreshed, ['provider'])]),
          graph(
            'Refresh requests waiting, and lag',
            [waiting(refreshQueue.queue, 'waiting')],
            [oldest(refreshQueue.queue, 'age of the oldest (s)')],
          ),
        ],
        [
          graph(
            'Threshold events on the way to users',
            [
              waiting(thresholdQueue.queue, 'waiting'),
              metric(metricNames.eventsRelayed, 'published again by the scanner'),
            ],
            [
              oldest(thresholdQueue.queue, 'age of the oldest (s)'),
              metric(metricNames.oldestUntoldSeconds, 'nobody told for (s)', Stats.MAXIMUM, Color.RED),
            ],
          ),
          graph('Dead letters', [
            waiting(refreshQueue.deadLetters, 'refresh requests'),
            waiting(thresholdQueue.deadLetters, 'threshold events'),
            waiting(sealedResultQueue.deadLetters, 'sealed results'),
          ]),
          graph(
            'Postgres away, and results that it did not take',
            [
              metric(metricNames.databaseUnreachable, 'statements while it was away', Stats.SUM, Color.RED),
              metric(metricNames.sealed, 'results sealed for later'),
              metric(metricNames.collected, 'of these stored', Stats.SUM, Color.GREEN),
              metric(metricNames.lost, 'results lost', Stats.SUM, Color.PURPLE),
            ],
            [waiting(sealedResultQueue.queue, 'sealed results waiting')],
          ),
        ],
        [
          heading(
            'Who fails, and why?',
            'Transient: it passes. Permanent: the user must act. Operator: you must.',
          ),
        ],
        [
          graph(
            'Integrations refreshed of those that came due, by provider (%)',
            [each(metricNames.successRate, ['provider'], Stats.MINIMUM)],
            [metric(metricNames.lowestSuccessRate, 'lowest', Stats.MINIMUM, Color.RED)],
            { max: 100 },
          ),
          graph('Failed refreshes, by class and provider', [each(metricNames.failed, ['class', 'provider'])]),
          graph('Refreshes failed by our own fault', [
            metric(metricNames.operatorFaults, 'operator faults', Stats.SUM, Color.RED),
          ]),
        ],
        [
          graph('Results that no longer applied, by provider', [each(metricNames.superseded, ['provider'])]),
          graph('Time that token endpoints take, p99 by provider (ms)', [
            each(metricNames.callDuration, ['provider'], 'p99'),
          ]),
          graph(
            'Calls whose answer was lost, and what became of them, by provider',
            [each(metricNames.doubtfulCalls, ['provider']), each(metricNames.doubtsResolved, ['provider'])],
            [
              each(metricNames.refusedAfterDoubt, ['provider']),
              metric(metricNames.refusedAfterDoubt, 'grants refused after one', Stats.SUM, Color.RED),
            ],
          ),
        ],
        [
          graph(
            'Circuits open, by cause and provider',
            [each(metricNames.circuitOpen, ['cause', 'provider'], Stats.MAXIMUM)],
            [
              metric(metricNames.openCircuits, 'providers down', Stats.MAXIMUM, Color.RED),
              metric(metricNames.longestCircuitSeconds, 'open for longest (s)', Stats.MAXIMUM, Color.GREY),
            ],
          ),
          graph('Providers whose disconnections are held', [
            each(metricNames.disconnectionsHeld, ['provider'], Stats.MAXIMUM),
            metric(metricNames.disconnectionsHeld, 'all', Stats.MAXIMUM, Color.RED),
          ]),
          graph(
            'Refreshes put off by the limit of their provider; right: scheduled for short-lived tokens',
            [each(metricNames.putOff, ['provider'])],
            [each(metricNames.scheduled, ['provider'])],
          ),
        ],
        [heading('Whom did we tell?', 'In the app by type of notification, and by email.')],
        [
          graph('Notifications in the app, by type', [each(metricNames.notified, ['type'])]),
          graph('Emails handed to SES', [
            metric(metricNames.emailsSent, 'sent', Stats.SUM, Color.GREEN),
            metric(metricNames.emailsFailed, 'failed', Stats.SUM, Color.RED),
            metric(metricNames.emailsSkipped, 'skipped: no address or no sender', Stats.SUM, Color.GREY),
          ]),
          configurationSetName === undefined
            ? new TextWidget({
                markdown: 'No sender address is set (`senderEmail`): users are told in the app only.',
                width: third,
                height,
              })
            : graph(
                'What became of the emails',
                [
                  emailMetric(configurationSetName, 'Send', period, 'sent'),
                  emailMetric(configurationSetName, 'Delivery', period, 'delivered'),
                ],
                [
                  emailMetric(configurationSetName, 'Bounce', period, 'bounced'),
                  emailMetric(configurationSetName, 'Complaint', period, 'marked as spam'),
                  emailMetric(configurationSetName, 'Reject', period, 'rejected by SES'),
                ],
              ),
        ],
        [heading('Does it serve the users?', 'Look at these over weeks.')],
        [
          graph('Disconnected although the grant works, by provider', [
            each(metricNames.prematureDisconnections, ['provider']),
            metric(metricNames.prematureDisconnections, 'all', Stats.SUM, Color.RED),
          ]),
          new SingleValueWidget({
            title: 'Disconnections, and how many of them followed a warning (%), in this time range',
            metrics: [
              math(all(metricNames.disconnections), 'disconnections'),
              math(
                `100 * ${all(metricNames.disconnectionsWarned)} / ${all(metricNames.disconnections)}`,
                'after a warning (%)',
              ),
            ],
            setPeriodToTimeRange: true,
            width: third,
            height,
          }),
          graph('Mean time connected at a disconnection, by provider (days)', [
            each(metricNames.connectedDays, ['provider'], Stats.AVERAGE),
          ]),
        ],
        [heading('What does it cost?', 'Lambda bills invocations, and duration times memory.')],
        [
          graph(
            'Invocations of functions',
            ofEach((stageFunction, label) => stageFunction.metricInvocations({ period, label })),
          ),
          graph(
            'Average duration of an invocation (ms)',
            ofEach((stageFunction, label) =>
              stageFunction.metricDuration({ period, statistic: Stats.AVERAGE, label }),
            ),
          ),
          graph(
            'Functions running at the same time, and throttled',
            ofEach((stageFunction, label) =>
              stageFunction.metric('ConcurrentExecutions', { period, statistic: Stats.MAXIMUM, label }),
            ),
            ofEach((stageFunction, label) =>
              stageFunction.metricThrottles({ period, label: `${label}, throttled` }),
            ),
          ),
        ],
      ],
    });
  }
}

function graph(
  title: string,
  left: IMetric[],
  right: IMetric[] = [],
  { width = third, max }: { readonly width?: number; readonly max?: number } = {},
): GraphWidget {
  const axis = { min: 0, ...(max !== undefined && { max }) };
  return new GraphWidget({ title, left, right, width, height, leftYAxis: axis, rightYAxis: axis });
}

function heading(question: string, answer: string): TextWidget {
  return new TextWidget({ markdown: `## ${question}\n${answer}`, width: full, height: 2 });
}
