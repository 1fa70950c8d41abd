import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, it } from 'vitest';
import { metricNames } from '../../lambdas/contract.ts';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';

interface Widget {
  readonly type: string;
  readonly width: number;
  readonly properties: {
    readonly title?: string;
    readonly metrics?: ({ expression?: string } | string)[][];
    readonly alarms?: unknown[];
  };
}

/** The body is a string with references in it; these stand for what they resolve to. */
function bodyOf(template: Template): { widgets: Widget[] } {
  const [dashboard] = Object.values(template.findResources('AWS::CloudWatch::Dashboard'));
  const parts = dashboard?.Properties.DashboardBody['Fn::Join'][1] as unknown[];
  return JSON.parse(parts.map((part) => (typeof part === 'string' ? part : 'reference')).join(''));
}

it('the dashboard shows every alarm and every metric that the functions write', () => {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const stack = new EvergrantStack(app, 'Test', {
    stackName: 'evergrant-dev',
    settings: parseSettings({ stage: 'dev' }),
  });
  const template = Template.fromStack(stack);
  const { widgets } = bodyOf(template);
  const alarmWidget = widgets.find(({ type }) => type === 'alarm');
  expect(alarmWidget?.properties.alarms).toHaveLength(
    Object.keys(template.findResources('AWS::CloudWatch::Alarm')).length,
  );

  const text = JSON.stringify(widgets);
  for (const name of Object.values(metricNames)) {
    expect(text, name).toContain(name);
  }
  const searches = widgets
    .flatMap(({ properties }) => properties.metrics ?? [])
    .flatMap((row) =>
      row.flatMap((part) =>
        typeof part === 'object' && part.expression !== undefined ? [part.expression] : [],
      ),
    );
  expect(searches.length).toBeGreaterThan(4);
  // Another stage in the same account must not show up here.
  for (const search of searches) expect(search).toContain('service="evergrant-dev"');
  for (const { width } of widgets) expect([12, 24]).toContain(width);
  for (const { type, properties } of widgets) if (type === 'metric') expect(properties.title).toBeTruthy();
});
