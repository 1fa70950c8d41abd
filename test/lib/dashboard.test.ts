import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { metricNames } from '../../lambdas/contract.ts';
import { emailMetricsDimension } from '../../lib/email-metrics.ts';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';
import { searchesOf, type Widget, widgetsOf } from '../support/metrics.ts';

function synthesize(given: Record<string, unknown> = {}): { template: Template; widgets: Widget[] } {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const settings = parseSettings({ stage: 'dev', ...given });
  const stack = new EvergrantStack(app, 'Test', { stackName: 'evergrant-dev', settings });
  const template = Template.fromStack(stack);
  return { template, widgets: widgetsOf(template) };
}
const withEmail = { senderEmail: 'product@mail.example.com', appBaseUrl: 'https://app.example.com' };
const plain = synthesize();
const emailing = synthesize(withEmail);

describe('the dashboard', () => {
  it('shows every alarm and every metric that the functions write', () => {
    for (const { template, widgets } of [plain, emailing]) {
      const alarmWidget = widgets.find(({ type }) => type === 'alarm');
      expect(alarmWidget?.properties.alarms).toHaveLength(
        Object.keys(template.findResources('AWS::CloudWatch::Alarm')).length,
      );
      const text = JSON.stringify(widgets);
      for (const name of Object.values(metricNames)) expect(text, name).toContain(`${name}`);
    }
  });

  it('asks from top to bottom what an operator asks', () => {
    const questions = plain.widgets
      .filter(({ properties }) => properties.markdown?.startsWith('## '))
      .map(({ properties }) => properties.markdown!.split('\n')[0]);
    expect(questions).toEqual([
      '## Are tokens fresh?',
      '## Is the pipeline moving?',
      '## Who fails, and why?',
      '## Whom did we tell?',
      '## Does it serve the users?',
      '## What does it cost?',
    ]);
  });

  it('has a title that nobody else has on everything that is drawn', () => {
    const titles = plain.widgets
      .filter(({ type }) => type !== 'text')
      .map(({ properties }) => properties.title);
    expect(titles.every(Boolean)).toBe(true);
    expect(new Set(titles).size).toBe(titles.length);
  });

  it('fills its page without a gap and without anything lying over anything', () => {
    for (const { widgets } of [plain, emailing]) {
      expect(widgets.length).toBeLessThanOrEqual(500);
      const taken = new Set<string>();
      for (const { x, y, width, height, properties } of widgets) {
        for (let column = x; column < x + width; column += 1) {
          for (let row = y; row < y + height; row += 1) {
            expect(taken.has(`${column},${row}`), properties.title).toBe(false);
            taken.add(`${column},${row}`);
          }
        }
      }
      const bottom = Math.max(...widgets.map(({ y, height }) => y + height));
      expect(taken.size).toBe(24 * bottom);
      expect(Math.max(...widgets.map(({ x, width }) => x + width))).toBe(24);
    }
  });

  it('keeps to its own stage, also where it searches', () => {
    const searches = plain.widgets
      .flatMap(({ properties }) => properties.metrics ?? [])
      .flatMap((row) => searchesOf(row));
    expect(searches.length).toBeGreaterThan(8);
    for (const search of searches) {
      expect(search).toMatch(/^\{Evergrant,service(,\w+)+\} service="evergrant-dev" MetricName="\w+"$/);
    }
  });

  it('shows what SES says of the emails, where emails are sent', () => {
    const ofSes = ({ widgets }: { widgets: Widget[] }) =>
      widgets
        .flatMap(({ properties }) => properties.metrics ?? [])
        .filter(([namespace]) => namespace === 'AWS/SES')
        .map((row) => row.slice(1, 4));
    expect(ofSes(emailing)).toEqual(
      ['Send', 'Delivery', 'Bounce', 'Complaint', 'Reject'].map((name) => [
        name,
        emailMetricsDimension,
        'evergrant-dev',
      ]),
    );
    expect(ofSes(plain)).toEqual([]);
    expect(JSON.stringify(plain.widgets)).toContain('senderEmail');
  });
});
