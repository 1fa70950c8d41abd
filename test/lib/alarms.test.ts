import { readFileSync } from 'node:fs';
import path from 'node:path';
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { metricNames, metricsNamespace } from '../../lambdas/contract.ts';
import { emailMetricsDimension } from '../../lib/email-metrics.ts';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';

interface AlarmProperties {
  readonly AlarmName: string;
  readonly AlarmDescription: { 'Fn::Join': [string, unknown[]] };
  readonly AlarmActions: unknown[];
  readonly OKActions: unknown[];
  readonly Namespace?: string;
  readonly MetricName: string;
  readonly Dimensions: { Name: string; Value: unknown }[];
  readonly Metrics?: {
    Id: string;
    Expression?: string;
    MetricStat?: { Metric: { Namespace: string; MetricName: string; Dimensions: unknown }; Period: number };
  }[];
  readonly TreatMissingData: string;
  readonly Statistic?: string;
  readonly ComparisonOperator: string;
  readonly Threshold: number;
  readonly Period: number;
  readonly EvaluationPeriods: number;
  readonly DatapointsToAlarm: number;
}

const withEmail = { senderEmail: 'product@mail.example.com', appBaseUrl: 'https://app.example.com' };
function synthesize(given: Record<string, unknown>): { template: Template; alarms: AlarmProperties[] } {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const stack = new EvergrantStack(app, 'Test', {
    stackName: 'evergrant-prod',
    settings: parseSettings({ alarmEmail: 'ops@example.com', ...given }),
  });
  const template = Template.fromStack(stack);
  const resources = Object.values(template.findResources('AWS::CloudWatch::Alarm'));
  return { template, alarms: resources.map(({ Properties }) => Properties) };
}

let template: Template;
let alarms: AlarmProperties[];
beforeAll(() => {
  ({ template, alarms } = synthesize(withEmail));
});

const nameOf = ({ AlarmName }: AlarmProperties) => AlarmName.replace('evergrant-prod: ', '');
const alarmOf = (name: string) => alarms.find((alarm) => nameOf(alarm) === name)!;
const textOf = ({ AlarmDescription }: AlarmProperties) =>
  AlarmDescription['Fn::Join'][1].map((part) => (typeof part === 'string' ? part : 'eu-west-1')).join('');

describe('alarms', () => {
  it('have a section in the runbook each, and each section has its alarm', () => {
    const runbook = readFileSync(path.join(import.meta.dirname, '..', '..', 'docs', 'runbook.md'), 'utf8');
    const sections = [...runbook.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    expect(sections.toSorted()).toEqual(alarms.map(nameOf).toSorted());
    for (const section of runbook.split(/^## /m).slice(1)) {
      expect(section).toMatch(/\*\*What it means\.\*\*/);
      expect(section).toMatch(/\*\*How to look/);
      expect(section).toMatch(/mend\.\*\*/);
      expect(section).toMatch(/\*\*How to know it is over\.\*\*/);
    }
    for (const [, target] of runbook.matchAll(/\]\(#([\w-]+)\)/g)) {
      expect(sections.map((heading) => heading?.replaceAll(' ', '-'))).toContain(target);
    }
  });

  it('are those that the page on parts that are away leads to', () => {
    const docs = path.join(import.meta.dirname, '..', '..', 'docs');
    const page = readFileSync(path.join(docs, 'degradation.md'), 'utf8');
    const targets = [...page.matchAll(/\]\((\w+\.md)#([\w-]+)\)/g)];
    expect(targets.length).toBeGreaterThan(20);
    for (const [, file = '', section] of targets) {
      const headings = [...readFileSync(path.join(docs, file), 'utf8').matchAll(/^##+ (.+)$/gm)];
      expect(headings.map(([, heading = '']) => heading.toLowerCase().replaceAll(' ', '-'))).toContain(
        section,
      );
    }
    // What is away, what goes on, what waits, what could be lost, who hears of it, what to do.
    for (const line of page.split('\n').filter((each) => each.startsWith('| '))) {
      expect(line.split('|'), line).toHaveLength(6 + 2);
    }
  });

  it('are sentences that name their section, and tell the topic when they begin and end', () => {
    for (const alarm of alarms) {
      const text = textOf(alarm);
      expect(text).toMatch(/^[A-Z].*\. Runbook: docs\/runbook\.md, section "/);
      expect(text).toContain(`"${nameOf(alarm)}"`);
      const [, dashboard = ''] = /\. Dashboard: (https:.*)$/.exec(text) ?? [];
      expect(new URL(dashboard).hash).toBe('#dashboards/dashboard/evergrant-prod');
      expect(text.length).toBeLessThanOrEqual(1024);
      expect(alarm.AlarmActions).toHaveLength(1);
      expect(alarm.OKActions).toEqual(alarm.AlarmActions);
    }
  });

  it('take silence for good, but for the one that watches for silence', () => {
    const breaching = alarms.filter(({ TreatMissingData }) => TreatMissingData === 'breaching');
    expect(breaching.map(nameOf)).toEqual(['scanner silent']);
    expect(
      alarms.every(({ TreatMissingData }) => ['breaching', 'notBreaching'].includes(TreatMissingData)),
    ).toBe(true);
  });

  it('watch metrics that the functions write, under the dimension that they write', () => {
    const own = alarms.filter(({ Namespace }) => Namespace === metricsNamespace);
    expect(own.length).toBeGreaterThan(4);
    for (const { MetricName, Dimensions } of own) {
      expect(Object.values(metricNames)).toContain(MetricName);
      expect(Dimensions).toEqual([{ Name: 'service', Value: 'evergrant-prod' }]);
    }
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: { Variables: Match.objectLike({ POWERTOOLS_SERVICE_NAME: 'evergrant-prod' }) },
    });
  });

  it('wake for sealed results that scans leave, however often received, and for each that is a dead letter', () => {
    const sqs = (name: string) => {
      const { Dimensions, ...alarm } = alarmOf(name);
      const [queue] = (Dimensions[0]!.Value as { 'Fn::GetAtt': string[] })['Fn::GetAtt'];
      return { ...alarm, queue: queue?.replace(/[0-9A-F]{8}$/, '') };
    };
    expect(sqs('sealed results waiting')).toMatchObject({
      queue: 'SealedResultQueue',
      MetricName: 'ApproximateNumberOfMessagesVisible',
      // In no moment of two scans was it empty.
      Statistic: 'Minimum',
      Threshold: 0,
      ComparisonOperator: 'GreaterThanThreshold',
      Period: 300,
      EvaluationPeriods: 2,
      DatapointsToAlarm: 2,
    });
    expect(sqs('sealed result dead letters')).toMatchObject({
      queue: 'SealedResultDeadLetters',
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Threshold: 0,
      EvaluationPeriods: 1,
    });
    const rarely = synthesize({ scanIntervalMinutes: 15, refreshWindowSeconds: 1_200 }).alarms.find(
      (alarm) => nameOf(alarm) === 'sealed results waiting',
    );
    expect(rarely?.Period).toBe(900);
  });

  it('of emails are there where emails are sent, and no others are missing without', () => {
    const without = synthesize({}).alarms.map(nameOf);
    const ofEmails = ['emails failing', 'emails bouncing', 'emails complained about'];
    expect(alarms.map(nameOf).filter((name) => !without.includes(name))).toEqual(ofEmails);
    expect(without.filter((name) => /email/.test(name))).toEqual([]);
  });

  it.each([
    ['emails bouncing', 'Bounce', 20, 5],
    ['emails complained about', 'Complaint', 1_000, 0.1],
  ])(
    '%s: a share of the sends of a day, and of so many that one email is no share',
    (name, event, least, percent) => {
      const { Metrics = [], Threshold } = alarmOf(name);
      expect(Threshold).toBe(percent);
      const [expression, ...metrics] = Metrics;
      expect(expression).toMatchObject({
        Expression: `100 * counted / IF(sends > ${least}, sends, ${least})`,
      });
      expect(new Map(metrics.map(({ Id, MetricStat }) => [Id, MetricStat]))).toEqual(
        new Map(
          Object.entries({ counted: event, sends: 'Send' }).map(([id, MetricName]) => [
            id,
            {
              Metric: {
                Namespace: 'AWS/SES',
                MetricName,
                Dimensions: [{ Name: emailMetricsDimension, Value: 'evergrant-prod' }],
              },
              Period: 86_400,
              Stat: 'Sum',
            },
          ]),
        ),
      );
    },
  );

  it('wake at once for what cannot be undone, and not for what ends by itself', () => {
    for (const name of ['operator fault', 'premature disconnection', 'result lost']) {
      expect(alarmOf(name)).toMatchObject({ Threshold: 0, EvaluationPeriods: 1, Statistic: 'Sum' });
    }
    for (const name of ['provider failing', 'database unreachable', 'scanner failing']) {
      expect(alarmOf(name)).toMatchObject({ EvaluationPeriods: 3, DatapointsToAlarm: 2 });
    }
    expect(alarmOf('provider failing')).toMatchObject({
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 75,
      Statistic: 'Minimum',
    });
  });

  it('can come true at any scan interval: a period of what the scanner meets holds a scan', () => {
    for (const minutes of [1, 60]) {
      const given = { scanIntervalMinutes: minutes, refreshWindowSeconds: 7200 };
      for (const alarm of synthesize(given).alarms) {
        if (
          !['database unreachable', 'scanner failing', 'scanner silent', 'provider failing'].includes(
            nameOf(alarm),
          )
        ) {
          continue;
        }
        expect(alarm.Period, nameOf(alarm)).toBeGreaterThanOrEqual(minutes * 60);
        expect(alarm.Period % 60).toBe(0);
        // Beyond a day, CloudWatch evaluates an alarm once an hour.
        expect(alarm.Period * alarm.EvaluationPeriods).toBeLessThanOrEqual(86_400);
      }
    }
  });

  it('reach the address that was set, over TLS only', () => {
    template.hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'email',
      Endpoint: 'ops@example.com',
    });
    template.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: Match.objectLike({
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      }),
    });
  });
});
