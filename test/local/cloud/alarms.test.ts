import { Duration, Fn } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { afterAll, describe, expect, test } from 'vitest';
import { type AlarmSpec, type AlarmState, Alarms, readAlarms, stateOf } from '../../../local/cloud/alarms.ts';
import { type LocalCloudOptions, startCloud } from '../../../local/cloud/cloud.ts';
import type { CloudEvent } from '../../../local/cloud/events.ts';
import type { Json } from '../../../local/cloud/json.ts';
import type { Template } from '../../../local/cloud/template.ts';
import { addFunction, addQueue, synthesize } from './fixture.ts';

const spec: AlarmSpec = {
  id: 'Alarm',
  name: 'evergrant-local: tokens expired',
  description: 'A token has expired. Runbook: docs/runbook.md',
  namespace: 'Evergrant',
  metricName: 'Expired',
  dimensions: { service: 'evergrant-local' },
  statistic: 'Maximum',
  periodMinutes: 5,
  comparison: 'GreaterThanThreshold',
  threshold: 10,
  evaluationPeriods: 3,
  datapointsToAlarm: 3,
  missingData: 'notBreaching',
};

/** As the CloudWatch guide writes it: `0` is within the threshold, `X` breaches it, `-` is missing. */
const datapoints = (text: string) =>
  text.split(' ').map((point) => (point === '-' ? null : point === 'X' ? 11 : 10));

// The two tables of "Configuring how CloudWatch alarms treat missing data"; `=` retains the current state.
describe.each([
  [3, '0 - X - X', 'OK', 'OK', 'OK', 'OK'],
  [3, '0 - - - -', 'OK', 'OK', 'OK', 'OK'],
  [3, '- - - - -', 'INSUFFICIENT_DATA', '=', 'ALARM', 'OK'],
  [3, '0 X X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  [3, '- - X - -', 'ALARM', '=', 'ALARM', 'OK'],
  [2, '0 - X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  [2, '0 0 X 0 X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
  [2, '0 - X - -', 'OK', 'OK', 'ALARM', 'OK'],
  [2, '- - - - 0', 'OK', 'OK', 'ALARM', 'OK'],
  [2, '- - - X -', 'ALARM', '=', 'ALARM', 'OK'],
] as const)('%i of 3, with %s', (datapointsToAlarm, text, ...expected) => {
  const rules = ['missing', 'ignore', 'breaching', 'notBreaching'] as const;
  test.each(rules.map((missingData, index) => [missingData, expected[index]!] as const))(
    'missing data as %s: %s',
    (missingData, state) => {
      for (const current of ['OK', 'ALARM', 'INSUFFICIENT_DATA'] as const) {
        const rule = { ...spec, datapointsToAlarm, missingData };
        expect(stateOf(rule, datapoints(text), current)).toBe(state === '=' ? current : state);
      }
    },
  );
});

test('a lone breach at the end waits for the next data point, if missing data is missing', () => {
  const rule = { ...spec, missingData: 'missing' } as const;
  for (const text of ['- - - - X', '- - - X -']) expect(stateOf(rule, datapoints(text), 'OK')).toBe('OK');
});

test.each([
  ['GreaterThanThreshold', 9, 10, 11, 'OK', 'OK', 'ALARM'],
  ['GreaterThanOrEqualToThreshold', 9, 10, 11, 'OK', 'ALARM', 'ALARM'],
  ['LessThanThreshold', 9, 10, 11, 'ALARM', 'OK', 'OK'],
  ['LessThanOrEqualToThreshold', 9, 10, 11, 'ALARM', 'ALARM', 'OK'],
] as const)('%s compares %i, %i and %i with 10', (comparison, below, at, above, ...states) => {
  const rule = { ...spec, comparison, evaluationPeriods: 1, datapointsToAlarm: 1 };
  expect([below, at, above].map((value) => stateOf(rule, [null, null, value], 'OK'))).toEqual(states);
});

/** A line as the functions print it. */
function line(
  values: Record<string, number | number[]>,
  dimensions = { service: 'evergrant-local' },
): string {
  const directive = {
    Namespace: 'Evergrant',
    Dimensions: [Object.keys(dimensions)],
    Metrics: Object.keys(values).map((Name) => ({ Name, Unit: 'Count' })),
  };
  return JSON.stringify({ _aws: { Timestamp: 0, CloudWatchMetrics: [directive] }, ...dimensions, ...values });
}

/** Alarms whose clock the test turns, with the changes of states that they told. */
function watch(specs: readonly AlarmSpec[]) {
  let minute = 0;
  const told: [number, AlarmState, AlarmState][] = [];
  const alarms = new Alarms({
    specs,
    nowMs: () => minute * 60_000,
    onEvent: (event: CloudEvent) => {
      if (event.type === 'alarm') told.push([alarms.history().at(-1)!.atMs / 60_000, event.from, event.to]);
    },
  });
  const until = (next: number, print?: { readonly every: number; readonly line: string }) => {
    for (; minute < next; minute += 1) {
      if (print && minute % print.every === 0) alarms.take(print.line);
      alarms.evaluate();
    }
    alarms.evaluate();
  };
  return { alarms, told, until };
}

describe('over time', () => {
  test('an alarm goes off when every period of its window is bad, and ends with the first good one', () => {
    const { alarms, told, until } = watch([spec]);
    until(30, { every: 5, line: line({ Expired: 0 }) });
    until(60, { every: 5, line: line({ Expired: [3, 900] }) });
    until(90, { every: 5, line: line({ Expired: 1 }) });
    // Bad values begin in minute 30 and good ones in minute 60; a minute counts when it is over.
    expect(told).toEqual([
      [1, 'INSUFFICIENT_DATA', 'OK'],
      [41, 'OK', 'ALARM'],
      [61, 'ALARM', 'OK'],
    ]);
    expect(alarms.states().get(spec.name)).toBe('OK');
  });

  test('a counter that is written only when there is something lingers while the window holds it', () => {
    const rare = {
      ...spec,
      statistic: 'Sum',
      threshold: 0,
      evaluationPeriods: 1,
      datapointsToAlarm: 1,
    } as const;
    const { told, until } = watch([rare]);
    until(10);
    until(11, { every: 1, line: line({ Expired: 1 }) });
    until(60);
    expect(told).toEqual([
      [1, 'INSUFFICIENT_DATA', 'OK'],
      [11, 'OK', 'ALARM'],
      [26, 'ALARM', 'OK'],
    ]);
  });

  test('silence is bad for an alarm that says so, but not before there could have been anything', () => {
    const silent = {
      ...spec,
      statistic: 'SampleCount',
      comparison: 'LessThanThreshold',
      threshold: 1,
      missingData: 'breaching',
    } as const;
    const { told, until } = watch([silent]);
    until(40, { every: 5, line: line({ Expired: 0 }) });
    expect(told).toEqual([[15, 'INSUFFICIENT_DATA', 'OK']]);
    until(80);
    expect(told.slice(1)).toEqual([[61, 'OK', 'ALARM']]);
  });

  test.each([
    ['SampleCount', 4],
    ['Sum', 10],
    ['Average', 2.5],
    ['Minimum', 1],
    ['Maximum', 4],
  ] as const)('%s of 1, 2, 3 and 4 is %d', (statistic, value) => {
    const one = { ...spec, statistic, evaluationPeriods: 1, datapointsToAlarm: 1 };
    for (const [threshold, state] of [
      [value, 'OK'],
      [value - 0.1, 'ALARM'],
    ] as const) {
      const { alarms, until } = watch([{ ...one, threshold }]);
      alarms.take(line({ Expired: [1, 2] }));
      until(2, { every: 1, line: line({ Expired: 99 }, { service: 'another' }) });
      alarms.take(line({ Expired: 3 }));
      alarms.take(line({ Expired: 4, Other: 77 }));
      until(4);
      expect(alarms.states().get(spec.name)).toBe(state);
    }
  });

  test('lines that are no metrics, or broken ones, are nothing', () => {
    const { alarms, until } = watch([{ ...spec, evaluationPeriods: 1, datapointsToAlarm: 1, threshold: 0 }]);
    alarms.take('{"level":"INFO","Expired":5}');
    alarms.take('{"_aws"');
    alarms.take('{"_aws":7}');
    alarms.take('{"_aws":{}}');
    alarms.take(line({ Expired: 5 }, { service: 'evergrant-local', provider: 'x' } as { service: string }));
    until(3);
    expect(alarms.states().get(spec.name)).toBe('OK');
  });
});

test('alarms on metrics of AWS, on expressions and on percentiles are named as not evaluated', () => {
  const own = {
    Namespace: 'Evergrant',
    MetricName: 'Expired',
    Dimensions: [{ Name: 'service', Value: 'evergrant-local' }],
    Statistic: 'Maximum',
    Period: 300,
    ComparisonOperator: 'GreaterThanThreshold',
    Threshold: 10,
    EvaluationPeriods: 3,
    TreatMissingData: 'notBreaching',
    AlarmDescription: spec.description,
  };
  const alarm = (id: string, properties: Record<string, Json>) => ({
    id,
    type: 'AWS::CloudWatch::Alarm',
    dependsOn: [],
    propertyNames: [],
    references: [],
    get: (path: string) => properties[path],
  });
  const resources = [
    alarm('Alarm', { ...own, AlarmName: spec.name }),
    alarm('Queue', { ...own, Namespace: 'AWS/SQS', AlarmName: 'queue behind' }),
    alarm('Math', { AlarmName: 'share', Metrics: [] }),
    alarm('Slow', { ...own, Statistic: 'p99' }),
  ];
  const { alarms, alarmsNotEvaluated } = readAlarms({ resources } as unknown as Template);
  expect(alarms).toEqual([spec]);
  expect(alarmsNotEvaluated).toEqual(['queue behind', 'share', 'Slow']);
});

describe('in a running stack', () => {
  const assembly = synthesize((stack) => {
    const measure = addFunction(stack, 'measure', 'measure.handler');
    new Rule(stack, 'Scan', {
      schedule: Schedule.rate(Duration.minutes(5)),
      targets: [new LambdaFunction(measure)],
    });
    const queue = addQueue(stack, 'Work', 30);
    const every = { threshold: 0, comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD };
    new Alarm(stack, 'Behind', {
      ...every,
      alarmName: 'behind',
      metric: queue.metricApproximateAgeOfOldestMessage(),
      evaluationPeriods: 1,
    });
    new Alarm(stack, 'BadAlarm', {
      ...every,
      alarmName: Fn.join(': ', [stack.stackName, 'bad']),
      alarmDescription: `It is bad in ${stack.region}.`,
      metric: new Metric({
        namespace: 'Fixture',
        metricName: 'Bad',
        dimensionsMap: { service: 'fixture' },
        statistic: 'Sum',
        period: Duration.minutes(5),
      }),
      evaluationPeriods: 3,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
  });
  afterAll(() => assembly.remove());

  async function start(options: Partial<LocalCloudOptions>) {
    const told: CloudEvent[] = [];
    const cloud = await startCloud({
      assemblyDir: assembly.assemblyDir,
      stackName: 'fixture',
      secrets: {},
      onEvent: (event) => void (event.type === 'alarm' && told.push(event)),
      ...options,
    });
    return { cloud, told, [Symbol.asyncDispose]: () => cloud.stop() };
  }

  test('what functions print moves them, by the clock that is given', async () => {
    let minute = 0;
    await using started = await start({ scanIntervalMs: null, alarmClock: () => minute * 60_000 });
    const { cloud, told } = started;
    const step = async (value: number) => {
      await cloud.invoke('measure', { value });
      minute += 5;
      cloud.alarms.evaluate();
    };
    for (const value of [0, 1, 1, 1, 0]) await step(value);
    const description = 'It is bad in us-east-1.';
    expect(told).toEqual([
      { type: 'alarm', name: 'fixture: bad', description, from: 'INSUFFICIENT_DATA', to: 'OK' },
      { type: 'alarm', name: 'fixture: bad', description, from: 'OK', to: 'ALARM' },
      { type: 'alarm', name: 'fixture: bad', description, from: 'ALARM', to: 'OK' },
    ]);
    expect(cloud.alarms.history().map(({ atMs, to }) => [atMs / 60_000, to])).toEqual([
      [1, 'OK'],
      [16, 'ALARM'],
      [21, 'OK'],
    ]);
    expect([...cloud.alarms.states()]).toEqual([['fixture: bad', 'OK']]);
    expect(cloud.alarms.notEvaluated).toEqual(['behind']);
  });

  test('scans that are quicker than the rule make their time as much quicker', async () => {
    await using started = await start({ scanIntervalMs: 250 });
    await expect
      .poll(() => started.cloud.alarms.states().get('fixture: bad'), { timeout: 10_000 })
      .toBe('ALARM');
    // Three bad periods of five minutes at least, in seconds.
    expect(started.cloud.alarms.history().at(-1)!.atMs).toBeGreaterThanOrEqual(11 * 60_000);
  });
});
