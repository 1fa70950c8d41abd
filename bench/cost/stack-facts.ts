import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { App } from 'aws-cdk-lib';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings, type Settings } from '../../lib/settings.ts';

/** What of the stack has a price, read from the template that `lib/` synthesizes with some settings. */
export interface StackFacts {
  readonly memoryMb: Readonly<Record<Stage, number>>;
  readonly timeoutSeconds: Readonly<Record<Stage, number>>;
  readonly scanIntervalMinutes: number;
  /** A token is due when it expires within this time. */
  readonly refreshWindowMinutes: number;
  /** Messages per invocation of the refresher at most. */
  readonly refreshBatchSize: number;
  /** Refreshers at once at most. */
  readonly maxConcurrency: number;
  /** Queues that Lambda polls. */
  readonly eventSources: number;
  /** Metrics in all alarms together, each of which is billed. */
  readonly alarmMetrics: number;
  readonly compositeAlarms: number;
  readonly dashboards: number;
  readonly logRetentionDays: number;
  /** Types of the resources in the template. */
  readonly resourceTypes: readonly string[];
}

export type Stage = 'scanner' | 'refresher' | 'notifier';
const stages: readonly Stage[] = ['scanner', 'refresher', 'notifier'];

interface Resource {
  readonly Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: properties are JSON of many shapes, each read where it is known
  readonly Properties: Record<string, any>;
}

/** Synthesizes the stack without its bundles and reads it. `given`: settings beside the defaults. */
export async function readStackFacts(given: Readonly<Record<string, unknown>> = {}): Promise<StackFacts> {
  const settings = parseSettings({
    database: 'existing',
    senderEmail: 'product@mail.example.com',
    appBaseUrl: 'https://app.example.com',
    ...given,
  });
  const outdir = await mkdtemp(path.join(tmpdir(), 'evergrant-cost-'));
  try {
    const app = new App({ outdir, context: { 'aws:cdk:bundling-stacks': [] } });
    const stackName = `evergrant-${settings.stage}`;
    new EvergrantStack(app, 'Evergrant', { stackName, settings });
    const template = app.synth().getStackByName(stackName).template as {
      Resources: Record<string, Resource>;
    };
    return factsOf(Object.entries(template.Resources), settings);
  } finally {
    await rm(outdir, { recursive: true, force: true });
  }
}

function factsOf(
  resources: readonly [id: string, Resource][],
  { scanIntervalMinutes, refreshWindowSeconds }: Settings,
): StackFacts {
  const ofType = (type: string) => resources.filter(([, resource]) => resource.Type === type);
  const functionOf = (stage: Stage): [id: string, Resource] => {
    const found = ofType('AWS::Lambda::Function').filter(([, { Properties }]) =>
      JSON.stringify(Properties.FunctionName ?? '').includes(`-${stage}`),
    );
    if (found.length !== 1) throw new Error(`the template has ${found.length} functions named ${stage}`);
    return found[0]!;
  };
  const byStage = <Value>(read: (stage: Stage) => Value) =>
    Object.fromEntries(stages.map((stage) => [stage, read(stage)])) as Record<Stage, Value>;
  const eventSources = ofType('AWS::Lambda::EventSourceMapping').map(([, { Properties }]) => Properties);
  const [refresherId, refresher] = functionOf('refresher');
  const refreshSource = eventSources.find(({ FunctionName }) => FunctionName?.Ref === refresherId);
  if (!refreshSource) throw new Error('no event source feeds the refresher');
  const logGroups = new Map(ofType('AWS::Logs::LogGroup'));
  const logGroup = logGroups.get(refresher.Properties.LoggingConfig?.LogGroup?.Ref ?? '');
  if (!logGroup) throw new Error('the refresher has no log group in the template');
  return {
    memoryMb: byStage((stage) => functionOf(stage)[1].Properties.MemorySize),
    timeoutSeconds: byStage((stage) => functionOf(stage)[1].Properties.Timeout),
    scanIntervalMinutes,
    refreshWindowMinutes: refreshWindowSeconds / 60,
    refreshBatchSize: refreshSource.BatchSize,
    maxConcurrency: refreshSource.ScalingConfig.MaximumConcurrency,
    eventSources: eventSources.length,
    alarmMetrics: ofType('AWS::CloudWatch::Alarm').reduce(
      (sum, [, { Properties }]) => sum + billedMetrics(Properties.Metrics),
      0,
    ),
    compositeAlarms: ofType('AWS::CloudWatch::CompositeAlarm').length,
    dashboards: ofType('AWS::CloudWatch::Dashboard').length,
    logRetentionDays: logGroup.Properties.RetentionInDays,
    resourceTypes: [...new Set(resources.map(([, { Type }]) => Type))].toSorted(),
  };
}

/** An alarm on one metric has no list; in a list, expressions are not billed. */
function billedMetrics(metrics: readonly { MetricStat?: unknown }[] | undefined): number {
  return metrics === undefined ? 1 : metrics.filter(({ MetricStat }) => MetricStat !== undefined).length;
}

/**
 * Types that cost nothing by themselves, or whose use is a line of the estimate (RDS and EC2: by the mode of the
 * database). Any other needs a price.
 */
export const accountedTypes =
  /^AWS::(IAM::.*|Events::Rule|Lambda::(Function|Version|Alias|Permission|EventSourceMapping|EventInvokeConfig)|SQS::(Queue|QueuePolicy)|SNS::(Topic|TopicPolicy|Subscription)|Logs::LogGroup|CloudWatch::(Alarm|CompositeAlarm|Dashboard)|SecretsManager::(Secret|ResourcePolicy)|SES::.*|RDS::.*|EC2::.*|CDK::Metadata)$|^Custom::Trigger$/;
