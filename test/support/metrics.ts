import type { Template } from 'aws-cdk-lib/assertions';
import { metricsNamespace } from '../../lambdas/contract.ts';

/** A line of a graph: namespace, name, dimensions with their values, and how to draw it; or an expression. */
export type MetricRow = (string | { readonly expression?: string })[];

export interface Widget {
  readonly type: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly properties: {
    readonly title?: string;
    readonly markdown?: string;
    readonly metrics?: MetricRow[];
    readonly alarms?: unknown[];
  };
}

/** A dashboard's body is a string with references in it; these stand for what they resolve to. */
export function widgetsOf(template: Template): Widget[] {
  const [dashboard] = Object.values(template.findResources('AWS::CloudWatch::Dashboard'));
  const parts = dashboard?.Properties.DashboardBody['Fn::Join'][1] as unknown[];
  const body = JSON.parse(parts.map((part) => (typeof part === 'string' ? part : 'reference')).join(''));
  return body.widgets;
}

const key = (name: string, dimensions: readonly string[]) => `${name} {${dimensions.toSorted().join(', ')}}`;

/** Our own metrics that a text of embedded metrics writes, as `name {dimensions}`; each line is one JSON object. */
export function emittedMetrics(lines: readonly string[]): Set<string> {
  const emitted = new Set<string>();
  for (const line of lines) {
    const { _aws } = JSON.parse(line) as {
      _aws?: {
        CloudWatchMetrics: { Namespace: string; Dimensions: string[][]; Metrics: { Name: string }[] }[];
      };
    };
    for (const { Namespace, Dimensions, Metrics } of _aws?.CloudWatchMetrics ?? []) {
      if (Namespace !== metricsNamespace) continue;
      for (const dimensions of Dimensions) for (const { Name } of Metrics) emitted.add(key(Name, dimensions));
    }
  }
  return emitted;
}

interface AlarmMetric {
  readonly Namespace?: string;
  readonly MetricName?: string;
  readonly Dimensions?: { readonly Name: string }[];
}

/** Our own metrics that alarms watch, as `name {dimensions}`. */
export function watchedMetrics(template: Template): Set<string> {
  const watched = new Set<string>();
  for (const { Properties } of Object.values(template.findResources('AWS::CloudWatch::Alarm'))) {
    const metrics: AlarmMetric[] = [
      Properties,
      ...(Properties.Metrics ?? []).map(
        ({ MetricStat }: { MetricStat?: { Metric: AlarmMetric } }) => MetricStat?.Metric ?? {},
      ),
    ];
    for (const { Namespace, MetricName = '', Dimensions = [] } of metrics) {
      if (Namespace === metricsNamespace)
        watched.add(
          key(
            MetricName,
            Dimensions.map(({ Name }) => Name),
          ),
        );
    }
  }
  return watched;
}

/** Our own metrics that a dashboard shows, as `name {dimensions}`, by name or by search. */
export function shownMetrics(widgets: readonly Widget[]): Set<string> {
  const shown = new Set<string>();
  for (const row of widgets.flatMap(({ properties }) => properties.metrics ?? [])) {
    const [namespace, name = '', ...dimensions] = row.filter((part) => typeof part === 'string');
    // Names and values of dimensions take turns.
    if (namespace === metricsNamespace)
      shown.add(
        key(
          name,
          dimensions.filter((_, index) => index % 2 === 0),
        ),
      );
    for (const expression of searchesOf(row)) {
      const [, schema = '', found = ''] = /^\{([^}]*)\} .*MetricName="(\w+)"$/.exec(expression) ?? [];
      const [searched, ...wanted] = schema.split(',');
      if (searched === metricsNamespace) shown.add(key(found, wanted));
    }
  }
  return shown;
}

/** The search expressions of a line. */
export function searchesOf(row: MetricRow): string[] {
  return row.flatMap((part) =>
    typeof part === 'string'
      ? []
      : [...(part.expression ?? '').matchAll(/SEARCH\('([^']*)'/g)].map(([, search = '']) => search),
  );
}
