import type { CloudEvent } from './events.ts';
import type { Json } from './json.ts';
import { isObject } from './json.ts';
import type { Resource, Template } from './template.ts';

export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

type MissingData = 'breaching' | 'notBreaching' | 'ignore' | 'missing';

/** What an alarm compares with its threshold, and how it reads what is not there. */
export interface AlarmRule {
  readonly comparison: keyof typeof comparisons;
  readonly threshold: number;
  readonly evaluationPeriods: number;
  readonly datapointsToAlarm: number;
  readonly missingData: MissingData;
}

/** An alarm of the template on a metric that functions print. */
export interface AlarmSpec extends AlarmRule {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly namespace: string;
  readonly metricName: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly statistic: keyof typeof statistics;
  readonly periodMinutes: number;
}

/** A change of an alarm's state. */
export interface AlarmChange {
  /** In the alarms' own time. */
  readonly atMs: number;
  readonly name: string;
  readonly description: string;
  readonly from: AlarmState;
  readonly to: AlarmState;
}

interface Values {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

const statistics = {
  SampleCount: ({ count }: Values) => count,
  Sum: ({ sum }: Values) => sum,
  Average: ({ sum, count }: Values) => sum / count,
  Minimum: ({ min }: Values) => min,
  Maximum: ({ max }: Values) => max,
} as const;

const comparisons = {
  GreaterThanThreshold: (value: number, threshold: number) => value > threshold,
  GreaterThanOrEqualToThreshold: (value: number, threshold: number) => value >= threshold,
  LessThanThreshold: (value: number, threshold: number) => value < threshold,
  LessThanOrEqualToThreshold: (value: number, threshold: number) => value <= threshold,
} as const;

const missingDataRules: readonly string[] = ['breaching', 'notBreaching', 'ignore', 'missing'];

const minuteMs = 60_000;

/**
 * How many periods beyond its own an alarm looks back over, for data points in place of missing ones. CloudWatch does
 * not say; all examples of its guide have 5 periods for an alarm of 3.
 */
const periodsBeyond = 2;

/** The alarms of a template on single metrics that functions print, and the names of all others. */
export function readAlarms(template: Template): { alarms: AlarmSpec[]; alarmsNotEvaluated: string[] } {
  const alarms: AlarmSpec[] = [];
  const alarmsNotEvaluated: string[] = [];
  for (const resource of template.resources) {
    if (resource.type !== 'AWS::CloudWatch::Alarm') continue;
    const spec = readAlarm(resource);
    if (spec) alarms.push(spec);
    else alarmsNotEvaluated.push(String(resource.get('AlarmName') ?? resource.id));
  }
  return { alarms, alarmsNotEvaluated };
}

/** `null`: AWS itself measures it, or it has a part that is not evaluated here, such as an expression or a percentile. */
function readAlarm(resource: Resource): AlarmSpec | null {
  const namespace = resource.get('Namespace');
  const statistic = String(resource.get('Statistic'));
  const comparison = String(resource.get('ComparisonOperator'));
  const missingData = String(resource.get('TreatMissingData') ?? 'missing');
  const evaluationPeriods = Number(resource.get('EvaluationPeriods'));
  const periodMinutes = Number(resource.get('Period')) / 60;
  if (
    typeof namespace !== 'string' ||
    namespace.startsWith('AWS/') ||
    !Object.hasOwn(statistics, statistic) ||
    !Object.hasOwn(comparisons, comparison) ||
    !missingDataRules.includes(missingData) ||
    !Number.isInteger(periodMinutes)
  )
    return null;
  return {
    id: resource.id,
    name: String(resource.get('AlarmName') ?? resource.id),
    description: String(resource.get('AlarmDescription') ?? ''),
    namespace,
    metricName: String(resource.get('MetricName')),
    dimensions: dimensionsOf(resource.get('Dimensions')),
    statistic: statistic as AlarmSpec['statistic'],
    periodMinutes,
    comparison: comparison as AlarmSpec['comparison'],
    threshold: Number(resource.get('Threshold')),
    evaluationPeriods,
    datapointsToAlarm: Number(resource.get('DatapointsToAlarm') ?? evaluationPeriods),
    missingData: missingData as MissingData,
  };
}

function dimensionsOf(list: Json | undefined): Record<string, string> {
  const dimensions: Record<string, string> = {};
  for (const each of Array.isArray(list) ? list : []) {
    if (isObject(each)) dimensions[String(each.Name)] = String(each.Value);
  }
  return dimensions;
}

/**
 * The state that follows from the data points of the evaluation range, oldest first, `null` for a missing one. The rules
 * are those of the CloudWatch guide, "Configuring how CloudWatch alarms treat missing data".
 */
export function stateOf(
  rule: AlarmRule,
  datapoints: readonly (number | null)[],
  current: AlarmState,
): AlarmState {
  const { evaluationPeriods, datapointsToAlarm, missingData, threshold } = rule;
  const breaches = (value: number) => comparisons[rule.comparison](value, threshold);
  const real = datapoints.filter((value) => value !== null);
  const lastBreaching = real.slice(-evaluationPeriods).filter(breaches).length;
  const filled = Math.max(0, evaluationPeriods - real.length);
  if (filled === 0) return lastBreaching >= datapointsToAlarm ? 'ALARM' : 'OK';
  if (missingData === 'notBreaching') return lastBreaching >= datapointsToAlarm ? 'ALARM' : 'OK';
  if (missingData === 'breaching') return lastBreaching + filled >= datapointsToAlarm ? 'ALARM' : 'OK';
  if (real.length === 0) return missingData === 'ignore' ? current : 'INSUFFICIENT_DATA';
  if (!real.every(breaches)) return 'OK';
  // "Premature": the alarm waits until the breach is as old as the data points that it takes.
  const age = datapoints.length - datapoints.findIndex((value) => value !== null);
  return missingData === 'missing' && age >= datapointsToAlarm ? 'ALARM' : current;
}

export interface AlarmsOptions {
  readonly specs: readonly AlarmSpec[];
  /** The time that the alarms live in. */
  readonly nowMs: () => number;
  readonly onEvent: (event: CloudEvent) => void;
}

/** Watches what functions print, and tells when an alarm goes off or ends. */
export class Alarms {
  readonly #options: AlarmsOptions;
  readonly #watched: readonly { readonly spec: AlarmSpec; readonly minutes: Map<number, Values> }[];
  readonly #states = new Map<string, AlarmState>();
  readonly #history: AlarmChange[] = [];
  readonly #startMinute: number;
  #evaluatedMinute: number;

  constructor(options: AlarmsOptions) {
    this.#options = options;
    this.#watched = options.specs.map((spec) => ({ spec, minutes: new Map() }));
    for (const { name } of options.specs) this.#states.set(name, 'INSUFFICIENT_DATA');
    this.#startMinute = Math.floor(options.nowMs() / minuteMs);
    this.#evaluatedMinute = this.#startMinute;
  }

  /** Current states by the alarms' names. */
  states(): ReadonlyMap<string, AlarmState> {
    return this.#states;
  }

  /** Every change of a state so far, oldest first. */
  history(): readonly AlarmChange[] {
    return this.#history;
  }

  /** Takes a line that a function has printed. */
  take(line: string): void {
    if (!line.startsWith('{"_aws"')) return;
    const minute = Math.floor(this.#options.nowMs() / minuteMs);
    for (const metric of embeddedMetrics(line)) {
      for (const { spec, minutes } of this.#watched) {
        if (!isSame(spec, metric)) continue;
        for (const value of metric.values) minutes.set(minute, added(minutes.get(minute), value));
      }
    }
  }

  /** Evaluates every alarm at each full minute since the last time, as CloudWatch does. */
  evaluate(): void {
    const nowMinute = Math.floor(this.#options.nowMs() / minuteMs);
    while (this.#evaluatedMinute < nowMinute) {
      this.#evaluatedMinute += 1;
      for (const watched of this.#watched) this.#evaluateOne(watched, this.#evaluatedMinute);
    }
  }

  #evaluateOne(
    { spec, minutes }: { readonly spec: AlarmSpec; readonly minutes: Map<number, Values> },
    endMinute: number,
  ): void {
    const { periodMinutes, evaluationPeriods } = spec;
    // What nobody could have printed yet is not missing.
    if (spec.missingData === 'breaching' && endMinute - this.#startMinute < periodMinutes * evaluationPeriods)
      return;
    const range = evaluationPeriods + periodsBeyond;
    for (const minute of minutes.keys())
      if (minute < endMinute - range * periodMinutes) minutes.delete(minute);
    const datapoints = Array.from({ length: range }, (_, index) => {
      const first = endMinute - (range - index) * periodMinutes;
      let all: Values | undefined;
      for (const [minute, values] of minutes) {
        if (minute >= first && minute < first + periodMinutes) all = all ? merged(all, values) : values;
      }
      return all ? statistics[spec.statistic](all) : null;
    });
    const from = this.#states.get(spec.name) ?? 'INSUFFICIENT_DATA';
    const to = stateOf(spec, datapoints, from);
    if (to === from) return;
    const { name, description } = spec;
    this.#states.set(name, to);
    this.#history.push({ atMs: endMinute * minuteMs, name, description, from, to });
    this.#options.onEvent({ type: 'alarm', name, description, from, to });
  }
}

interface EmbeddedMetric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly values: readonly number[];
}

/** The metrics of a line in CloudWatch's embedded metric format; none, if it is not one. */
function embeddedMetrics(line: string): EmbeddedMetric[] {
  let document: Json;
  try {
    document = JSON.parse(line) as Json;
  } catch {
    return [];
  }
  if (!isObject(document) || !isObject(document._aws)) return [];
  const { CloudWatchMetrics: directives } = document._aws as unknown as {
    CloudWatchMetrics?: { Namespace: string; Dimensions: string[][]; Metrics: { Name: string }[] }[];
  };
  const numbers = (value: Json | undefined) => [value].flat().filter((each) => typeof each === 'number');
  return (directives ?? []).flatMap(({ Namespace: namespace, Dimensions: sets, Metrics: metrics }) =>
    sets.flatMap((names) =>
      metrics.map(({ Name: name }) => ({
        namespace,
        name,
        dimensions: Object.fromEntries(names.map((each) => [each, String(document[each])])),
        values: numbers(document[name]),
      })),
    ),
  );
}

/** A metric is its name with exactly these dimensions. */
function isSame(spec: AlarmSpec, { namespace, name, dimensions }: EmbeddedMetric): boolean {
  const wanted = Object.entries(spec.dimensions);
  return (
    spec.namespace === namespace &&
    spec.metricName === name &&
    wanted.length === Object.keys(dimensions).length &&
    wanted.every(([key, value]) => dimensions[key] === value)
  );
}

function added(before: Values | undefined, value: number): Values {
  const one = { count: 1, sum: value, min: value, max: value };
  return before ? merged(before, one) : one;
}

function merged(a: Values, b: Values): Values {
  return {
    count: a.count + b.count,
    sum: a.sum + b.sum,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
  };
}
