import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { metricsNamespace } from '../contract.ts';

type Dimensions = Readonly<Record<string, string>>;

/**
 * Collects the metrics of one invocation and writes them as CloudWatch embedded metrics on `flush`, one line
 * for each set of dimensions. Dimensions must stay few and bounded: every combination is a billed metric.
 * The dimension `service`, which tells the stages in one account apart, comes from POWERTOOLS_SERVICE_NAME.
 */
export class InvocationMetrics {
  readonly #sets = new Map<string, { metrics: Metrics; counts: Map<string, number> }>();

  /** Adds to a counter. */
  count(name: string, value: number, dimensions: Dimensions = {}): void {
    const { counts } = this.#set(dimensions);
    counts.set(name, (counts.get(name) ?? 0) + value);
  }

  /** One measurement of what has no unit of CloudWatch's: a state, a percentage, days. */
  measure(name: string, value: number, dimensions: Dimensions = {}): void {
    this.#set(dimensions).metrics.addMetric(name, MetricUnit.NoUnit, value);
  }

  /** One measurement in seconds. */
  seconds(name: string, value: number): void {
    this.#set({}).metrics.addMetric(name, MetricUnit.Seconds, value);
  }

  /** One measurement of many, in milliseconds. */
  milliseconds(name: string, value: number, dimensions: Dimensions): void {
    this.#set(dimensions).metrics.addMetric(name, MetricUnit.Milliseconds, value);
  }

  /** Writes what was collected and begins anew. `nowMs`: what time it is, in milliseconds since 1970. */
  flush(nowMs: number): void {
    for (const { metrics, counts } of this.#sets.values()) {
      for (const [name, value] of counts) metrics.addMetric(name, MetricUnit.Count, value);
      metrics.setTimestamp(Math.round(nowMs));
      metrics.publishStoredMetrics();
    }
    this.#sets.clear();
  }

  #set(dimensions: Dimensions): { metrics: Metrics; counts: Map<string, number> } {
    const key = JSON.stringify(Object.entries(dimensions).sort());
    const known = this.#sets.get(key);
    if (known) return known;
    // As defaults: at 100 values of a name the library writes by itself, and forgets all other dimensions.
    const metrics = new Metrics({ namespace: metricsNamespace, defaultDimensions: { ...dimensions } });
    const set = { metrics, counts: new Map<string, number>() };
    this.#sets.set(key, set);
    return set;
  }
}
