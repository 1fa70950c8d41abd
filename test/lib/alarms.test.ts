import { readFileSync } from 'node:fs';
import path from 'node:path';
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { metricNames, metricsNamespace } from '../../lambdas/contract.ts';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';

interface AlarmProperties {
  readonly AlarmName: string;
  readonly AlarmDescription: string;
  readonly AlarmActions: unknown[];
  readonly OKActions: unknown[];
  readonly Namespace: string;
  readonly MetricName: string;
  readonly Dimensions: { Name: string; Value: unknown }[];
  readonly TreatMissingData: string;
}

let template: Template;
let alarms: AlarmProperties[];
beforeAll(() => {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const settings = parseSettings({ alarmEmail: 'ops@example.com', scanIntervalMinutes: 5 });
  template = Template.fromStack(new EvergrantStack(app, 'Test', { stackName: 'evergrant-prod', settings }));
  alarms = Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(
    ({ Properties }) => Properties,
  );
});

const nameOf = ({ AlarmName }: AlarmProperties) => AlarmName.replace('evergrant-prod: ', '');

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

  it('are sentences that name their section, and tell the topic when they begin and end', () => {
    for (const alarm of alarms) {
      expect(alarm.AlarmDescription).toMatch(/^[A-Z].*\. Runbook: docs\/runbook\.md, section "/);
      expect(alarm.AlarmDescription).toContain(`"${nameOf(alarm)}"`);
      expect(alarm.AlarmDescription.length).toBeLessThanOrEqual(1024);
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
