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
  Stats,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { metricNames, metricsNamespace } from '../lambdas/contract.ts';
import type { QueueWithDeadLetters } from './dead-letter-queue.ts';
import type { StageFunction } from './function.ts';

export interface DashboardProps {
  readonly alarms: readonly IAlarm[];
  readonly functions: Readonly<Record<string, StageFunction>>;
  readonly refreshQueue: QueueWithDeadLetters;
  readonly thresholdQueue: QueueWithDeadLetters;
}

const period = Duration.minutes(5);
const half = 12;

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
    /** One line for each value of the dimensions, whatever providers there are. */
    const each = (metricName: string, dimensions: readonly string[], statistic: string = Stats.SUM) =>
      new MathExpression({
        expression: `SEARCH('{${[metricsNamespace, 'service', ...dimensions].join(',')}} service="${stackName}" MetricName="${metricName}"', '${statistic}')`,
        usingMetrics: {},
        label: '',
        period,
      });
    const graph = (title: string, left: IMetric[], right: IMetric[] = []) =>
      new GraphWidget({
        title,
        left,
        right,
        width: half,
        height: 6,
        leftYAxis: { min: 0 },
        rightYAxis: { min: 0 },
      });
    const { refreshQueue, thresholdQueue } = props;
    const functions = Object.entries(props.functions);

    new CloudWatchDashboard(this, 'Dashboard', {
      dashboardName: stackName,
      defaultInterval: Duration.hours(6),
      periodOverride: PeriodOverride.AUTO,
      widgets: [
        [new AlarmStatusWidget({ title: 'Alarms', alarms: [...props.alarms], width: 2 * half, height: 3 })],
        [heading('Are tokens fresh? The promise is 0 in both.')],
        [
          graph('Longest-expired token of a connected integration (s)', [
            metric(metricNames.oldestExpiredSeconds, 'expired for', Stats.MAXIMUM, Color.RED),
          ]),
          graph('Due integrations left for the next scan', [
            metric(metricNames.leftDue, 'left', Stats.MAXIMUM, Color.ORANGE),
          ]),
        ],
        [heading('Is the pipeline moving?')],
        [
          graph('Claimed and enqueued', [
            metric(metricNames.claimed, 'claimed'),
            metric(metricNames.enqueued, 'enqueued'),
          ]),
          graph('Refreshed, by provider', [each(metricNames.refreshed, ['provider'])]),
        ],
        [
          graph(
            'Refresh queue',
            [
              refreshQueue.queue.metricApproximateNumberOfMessagesVisible({
                period,
                statistic: Stats.MAXIMUM,
                label: 'waiting',
              }),
            ],
            [
              refreshQueue.queue.metricApproximateAgeOfOldestMessage({
                period,
                statistic: Stats.MAXIMUM,
                label: 'age of the oldest (s)',
              }),
            ],
          ),
          graph('Dead letters, and events published again', [
            refreshQueue.deadLetters.metricApproximateNumberOfMessagesVisible({
              period,
              statistic: Stats.MAXIMUM,
              label: 'refresh',
            }),
            thresholdQueue.deadLetters.metricApproximateNumberOfMessagesVisible({
              period,
              statistic: Stats.MAXIMUM,
              label: 'threshold events',
            }),
            metric(metricNames.eventsRelayed, 'events published again'),
          ]),
        ],
        [heading('Who fails, and why?')],
        [
          graph('Failures, by class and provider', [each(metricNames.failed, ['class', 'provider'])]),
          graph('Our own fault', [
            metric(metricNames.operatorFaults, 'operator faults', Stats.SUM, Color.RED),
            metric(metricNames.lost, 'results lost', Stats.SUM, Color.PURPLE),
          ]),
        ],
        [
          graph('Results that no longer applied, by provider', [each(metricNames.superseded, ['provider'])]),
          graph('Token endpoint, p99 by provider (ms)', [
            each(metricNames.callDuration, ['provider'], 'p99'),
          ]),
        ],
        [heading('Whom did we tell?')],
        [
          graph('Notifications, by type', [each(metricNames.notified, ['type'])]),
          graph('Emails', [
            metric(metricNames.emailsSent, 'sent', Stats.SUM, Color.GREEN),
            metric(metricNames.emailsFailed, 'failed', Stats.SUM, Color.RED),
            metric(metricNames.emailsSkipped, 'skipped: no address or no sender', Stats.SUM, Color.GREY),
          ]),
        ],
        [heading('What does it cost?')],
        [
          graph(
            'Invocations',
            functions.map(([stage, stageFunction]) =>
              stageFunction.metricInvocations({ period, label: stage }),
            ),
          ),
          graph(
            'Duration, average (ms)',
            functions.map(([stage, stageFunction]) =>
              stageFunction.metricDuration({ period, statistic: Stats.AVERAGE, label: stage }),
            ),
          ),
        ],
      ],
    });
  }
}

function heading(question: string): TextWidget {
  return new TextWidget({ markdown: `## ${question}`, width: 2 * half, height: 1 });
}
