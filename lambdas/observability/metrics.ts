import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { metricsNamespace } from '../contract.ts';

type Dimensions = Readonly<Record<string, string>>;
type Unit = (typeof MetricUnit)[keyof typeof MetricUnit];

interface Collected {
  readonly name: string;
  readonly unit: Unit;
  readonly values: number[];
}

/**
 * Collects the metrics of one invocation and writes them as CloudWatch embedded metrics on `flush`, one line
 * for each set of dimensions. Dimensions must stay few and bounded: every combination is a billed metric.
 * The dimension `service`, which tells the stages in one account apart, comes from POWERTOOLS_SERVICE_NAME.
 */
export class InvocationMetrics {
  readonly #sets = new Map<string, { dimensions: Dimensions; metrics: Map<string, Collected> }>();

  /** Adds to a counter. */
  count(name: string, value: number, dimensions: Dimensions = {}): void {
    const { values } = this.#metric(name, MetricUnit.Count, dimensions);
    values[0] = (values[0] ?? 0) + value;
  }

  /** One measurement of what has no unit of CloudWatch's: a state, a percentage, days. */
  measure(name: string, value: number, dimensions: Dimensions = {}): void {
    this.#metric(name, MetricUnit.NoUnit, dimensions).values.push(value);
  }

  /** One measurement in seconds. */
  seconds(name: string, value: number): void {
    this.#metric(name, MetricUnit.Seconds, {}).values.push(value);
  }

  /** One measurement of many, in milliseconds. */
  milliseconds(name: string, value: number, dimensions: Dimensions): void {
    this.#metric(name, MetricUnit.Milliseconds, dimensions).values.push(value);
  }

  /** Writes what was collected and begins anew. `nowMs`: what time it is, in milliseconds since 1970. */
  flush(nowMs: number): void {
    const timestamp = Math.round(nowMs);
    const sets = [...this.#sets.values()];
    this.#sets.clear();
    for (const { dimensions, metrics } of sets) {
      const lines = new Metrics({ namespace: metricsNamespace, defaultDimensions: { ...dimensions } });
      for (const { name, unit, values } of metrics.values()) {
        for (const value of values) {
          // Each time: at 100 values of a name the library writes a line by itself, and forgets all but the defaults.
          lines.setTimestamp(timestamp);
          lines.addMetric(name, unit, value);
        }
      }
      if (lines.hasStoredMetrics()) lines.publishStoredMetrics();
    }
  }

  #metric(name: string, unit: Unit, dimensions: Dimensions): Collected {
    const key = JSON.stringify(Object.entries(dimensions).sort());
    const set = this.#sets.get(key) ?? { dimensions, metrics: new Map<string, Collected>() };
    this.#sets.set(key, set);
    const metric = set.metrics.get(name) ?? { name, unit, values: [] };
    set.metrics.set(name, metric);
    return metric;
  }
}
