/** Prints a metric in CloudWatch's embedded format. */
export async function handler({ value = 1 }) {
  const CloudWatchMetrics = [{ Namespace: 'Fixture', Dimensions: [['service']], Metrics: [{ Name: 'Bad' }] }];
  console.log(
    JSON.stringify({ _aws: { Timestamp: Date.now(), CloudWatchMetrics }, service: 'fixture', Bad: value }),
  );
}
