import type { Duration } from 'aws-cdk-lib';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';

/** CloudWatch dimension of what SES counts: the name of the configuration set, whatever the message. */
export const emailMetricsDimension = 'stack';

/**
 * Count of what SES reports of the emails that go out under a configuration set. SES writes a metric only when
 * there is something to count: no data means none.
 */
export function emailMetric(
  configurationSetName: string,
  event: 'Send' | 'Delivery' | 'Bounce' | 'Complaint' | 'Reject',
  period: Duration,
  label?: string,
): Metric {
  return new Metric({
    namespace: 'AWS/SES',
    metricName: event,
    dimensionsMap: { [emailMetricsDimension]: configurationSetName },
    statistic: Stats.SUM,
    period,
    ...(label !== undefined && { label }),
  });
}
