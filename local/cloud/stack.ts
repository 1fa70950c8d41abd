import type { AlarmSpec } from './alarms.ts';
import { readAlarms } from './alarms.ts';
import type { AccessSpec } from './iam/read-access.ts';
import { ACCESS_TYPES, readAccess } from './iam/read-access.ts';
import type { EmailIdentity } from './iam/ses.ts';
import type { Json, JsonObject } from './json.ts';
import { isObject } from './json.ts';
import { parseRateMs } from './schedule.ts';
import type { Resource, Template } from './template.ts';
import { lambdaNameIn } from './template.ts';

/** A Lambda function of the stack. */
export interface FunctionSpec {
  id: string;
  name: string;
  arn: string;
  /** Directory of the bundle. */
  assetDir: string;
  /** Module and export, such as `index.handler`. */
  handler: string;
  timeoutMs: number;
  memoryMb: number;
  environment: Record<string, string>;
  logGroupName: string;
  /** ReservedConcurrentExecutions, or null for as many as are asked for. */
  reservedConcurrency: number | null;
  /** It has a VpcConfig; the VPC itself is nothing here. */
  inVpc: boolean;
  asynchronous: AsynchronousSpec;
}

/** How asynchronous invocations of a function are retried, and where they end. */
export interface AsynchronousSpec {
  maxRetryAttempts: number;
  maxEventAgeMs: number;
  /** Queue that gets an invocation record when the retries are used up. */
  onFailureQueueArn: string | null;
}

/** An SQS queue of the stack, with its attributes as the SQS API spells them. */
export interface QueueSpec {
  id: string;
  name: string;
  arn: string;
  url: string;
  attributes: Record<string, string>;
  visibilityTimeoutMs: number;
  /** Logical id of the queue whose dead letters come here. */
  deadLetterOf?: string;
}

/** A queue that feeds a function. */
export interface EventSourceSpec {
  id: string;
  functionId: string;
  queueId: string;
  batchSize: number;
  windowMs: number;
  maxConcurrency: number;
  reportsBatchItemFailures: boolean;
}

/** A schedule that invokes functions. */
export interface RuleSpec {
  id: string;
  name: string;
  arn: string;
  /** As the template has it. */
  expression: string;
  intervalMs: number;
  /** `input` replaces the scheduled event when given. */
  targets: { functionId: string; input?: Json }[];
}

export interface SecretSpec {
  id: string;
  name: string;
  secretString?: string;
  /** The template's GenerateSecretString. */
  generate?: JsonObject;
}

/** An Aurora PostgreSQL cluster with IAM authentication. */
export interface DatabaseClusterSpec {
  id: string;
  /** By which policies name it. */
  resourceId: string;
  masterUser: string;
  /** The database that it is created with. */
  database: string;
}

/** A function to invoke once at start. */
export interface TriggerSpec {
  id: string;
  functionId: string;
  /** What is invoked: a version of the function. */
  handlerArn: string;
  /** The function that CloudFormation would have invoke it. */
  providerId: string;
}

/** What the local cloud runs of a template. */
export interface StackSpec {
  functions: FunctionSpec[];
  queues: QueueSpec[];
  eventSources: EventSourceSpec[];
  rules: RuleSpec[];
  secrets: SecretSpec[];
  databaseCluster: DatabaseClusterSpec | null;
  /** In the order of their dependencies. */
  triggers: TriggerSpec[];
  /** The sending identities of the template. */
  emailIdentities: EmailIdentity[];
  access: AccessSpec;
  alarms: AlarmSpec[];
  /** Names of the alarms that only AWS can evaluate. */
  alarmsNotEvaluated: string[];
  /** `logical id (type)` of each resource that the local cloud leaves out. */
  unsupported: string[];
}

const IGNORED_TYPES =
  /^AWS::(CloudWatch::.*|SNS::.*|CDK::Metadata|Logs::LogGroup|SES::ConfigurationSet|SES::ConfigurationSetEventDestination)$|^AWS::Lambda::(Version|Alias|EventInvokeConfig)$/;
const DEFAULT_LOCAL_CONCURRENCY = 5;
const MAX_ENVIRONMENT_BYTES = 4_096;

/**
 * Reads what the local cloud can run out of a template.
 * @throws Error that names the resource and the property, for what AWS would refuse (a function timeout above its
 *   queue's visibility timeout, …) and for what can't be run faithfully here.
 */
export function readStack(template: Template): StackSpec {
  const stack: StackSpec = {
    functions: [],
    queues: [],
    eventSources: [],
    rules: [],
    secrets: [],
    databaseCluster: null,
    triggers: [],
    emailIdentities: [],
    access: { roles: [], resourcePolicies: [] },
    ...readAlarms(template),
    unsupported: [],
  };
  const backing = customResourceFunctions(template);
  const readers: Record<string, (resource: Resource) => void> = {
    'AWS::Lambda::Function': (resource) => {
      if (!backing.has(resource.id)) stack.functions.push(readFunction(resource, template));
    },
    'AWS::SQS::Queue': (resource) => void stack.queues.push(readQueue(resource, template)),
    'AWS::SecretsManager::Secret': (resource) => void stack.secrets.push(readSecret(resource, template)),
    'AWS::RDS::DBCluster': (resource) => {
      if (stack.databaseCluster) throw refuse(resource, 'Type', 'the local cloud has one cluster only');
      stack.databaseCluster = readDatabaseCluster(resource, template);
    },
    'AWS::Lambda::EventSourceMapping': (resource) => {
      if (resource.get('Enabled') !== false) stack.eventSources.push(readEventSource(resource, template));
    },
    'AWS::Events::Rule': (resource) => {
      if (resource.get('ScheduleExpression') === undefined) stack.unsupported.push(describe(resource));
      else if (resource.get('State') !== 'DISABLED') stack.rules.push(readRule(resource, template));
    },
    'AWS::SES::EmailIdentity': (resource) => void stack.emailIdentities.push(readEmailIdentity(resource)),
    'Custom::Trigger': () => {},
  };
  for (const resource of template.resources) {
    const read = readers[resource.type];
    if (read) read(resource);
    else if (!IGNORED_TYPES.test(resource.type) && !ACCESS_TYPES.test(resource.type))
      stack.unsupported.push(describe(resource));
  }
  stack.triggers = readTriggers(template);
  linkDeadLetterQueues(stack.queues);
  for (const source of stack.eventSources) checkVisibilityTimeout(source, stack);
  const callers = [
    ...stack.functions.map(({ id }) => id),
    ...stack.triggers.map(({ providerId }) => providerId),
  ];
  stack.access = readAccess(template, [...new Set(callers)]);
  return stack;
}

function describe(resource: Resource): string {
  return `${resource.id} (${resource.type})`;
}

/** Functions that only answer CloudFormation, such as the provider behind `triggers.Trigger`. */
function customResourceFunctions(template: Template): Set<string> {
  const ids = template.resources
    .filter((resource) => resource.propertyNames.includes('ServiceToken'))
    .map((resource) => findFunction(template, String(resource.get('ServiceToken'))));
  return new Set(ids.filter((id) => id !== undefined));
}

function findFunction(template: Template, nameOrArn: string): string | undefined {
  const name = lambdaNameIn(nameOrArn);
  return template.resources.find(
    ({ id, type }) => type === 'AWS::Lambda::Function' && template.attribute(id, null) === name,
  )?.id;
}

function functionAt(resource: Resource, path: string, template: Template): string {
  const reference = text(resource, path);
  const id = findFunction(template, reference);
  if (!id) throw refuse(resource, path, `"${reference}" is no function of this stack`);
  return id;
}

function readFunction(resource: Resource, template: Template): FunctionSpec {
  const runtime = resource.get('Runtime');
  if (runtime !== 'nodejs24.x')
    throw refuse(resource, 'Runtime', `is ${runtime}; the local cloud runs nodejs24.x only`);
  const s3Key = resource.get('Code.S3Key');
  const assetDir = typeof s3Key === 'string' ? template.assetDir(s3Key) : undefined;
  if (!assetDir) throw refuse(resource, 'Code', 'is no directory asset of this assembly');
  const name = template.attribute(resource.id, null)!;
  return {
    id: resource.id,
    name,
    arn: template.attribute(resource.id, 'Arn')!,
    assetDir,
    handler: text(resource, 'Handler'),
    timeoutMs: numberAt(resource, 'Timeout', 3) * 1_000,
    memoryMb: numberAt(resource, 'MemorySize', 128),
    environment: readEnvironment(resource),
    logGroupName: String(resource.get('LoggingConfig.LogGroup') ?? `/aws/lambda/${name}`),
    reservedConcurrency:
      resource.get('ReservedConcurrentExecutions') === undefined
        ? null
        : numberAt(resource, 'ReservedConcurrentExecutions', 0),
    inVpc: resource.propertyNames.includes('VpcConfig'),
    asynchronous: readAsynchronous(resource, template),
  };
}

function readEnvironment(resource: Resource): Record<string, string> {
  const variables = resource.get('Environment.Variables') ?? {};
  if (!isObject(variables)) throw refuse(resource, 'Environment.Variables', 'is no map');
  const environment = Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, String(value)]),
  );
  const bytes = Buffer.byteLength(JSON.stringify(environment));
  if (bytes > MAX_ENVIRONMENT_BYTES) {
    throw refuse(
      resource,
      'Environment.Variables',
      `has ${bytes} bytes; Lambda takes ${MAX_ENVIRONMENT_BYTES}`,
    );
  }
  return environment;
}

function readAsynchronous(resource: Resource, template: Template): AsynchronousSpec {
  const config = template.resources.find(
    (other) =>
      other.type === 'AWS::Lambda::EventInvokeConfig' &&
      findFunction(template, String(other.get('FunctionName'))) === resource.id,
  );
  const destination = config?.get('DestinationConfig.OnFailure.Destination');
  return {
    maxRetryAttempts: config ? numberAt(config, 'MaximumRetryAttempts', 2) : 2,
    maxEventAgeMs: (config ? numberAt(config, 'MaximumEventAgeInSeconds', 21_600) : 21_600) * 1_000,
    onFailureQueueArn:
      typeof destination === 'string' && destination.startsWith('arn:aws:sqs:') ? destination : null,
  };
}

/** Template properties that are SQS queue attributes under the same name. */
const QUEUE_ATTRIBUTES = [
  'VisibilityTimeout',
  'DelaySeconds',
  'MessageRetentionPeriod',
  'MaximumMessageSize',
  'ReceiveMessageWaitTimeSeconds',
  'FifoQueue',
  'ContentBasedDeduplication',
];

function readQueue(resource: Resource, template: Template): QueueSpec {
  const attributes: Record<string, string> = {};
  for (const name of QUEUE_ATTRIBUTES) {
    const value = resource.get(name);
    if (value !== undefined) attributes[name] = String(value);
  }
  for (const name of ['RedrivePolicy', 'RedriveAllowPolicy']) {
    const value = resource.get(name);
    if (value !== undefined) attributes[name] = JSON.stringify(value);
  }
  return {
    id: resource.id,
    name: template.attribute(resource.id, 'QueueName')!,
    arn: template.attribute(resource.id, 'Arn')!,
    url: template.attribute(resource.id, null)!,
    attributes,
    visibilityTimeoutMs: Number(attributes.VisibilityTimeout ?? 30) * 1_000,
  };
}

function linkDeadLetterQueues(queues: QueueSpec[]): void {
  for (const source of queues) {
    const policy = source.attributes.RedrivePolicy;
    if (!policy) continue;
    const { deadLetterTargetArn } = JSON.parse(policy) as { deadLetterTargetArn: string };
    const target = queues.find((queue) => queue.arn === deadLetterTargetArn);
    if (!target)
      throw new Error(`${source.id}, RedrivePolicy: ${deadLetterTargetArn} is no queue of this stack.`);
    target.deadLetterOf = source.id;
  }
}

function readEventSource(resource: Resource, template: Template): EventSourceSpec {
  const sourceArn = text(resource, 'EventSourceArn');
  const queue = template.resources.find(
    ({ id, type }) => type === 'AWS::SQS::Queue' && template.attribute(id, 'Arn') === sourceArn,
  );
  if (!queue) throw refuse(resource, 'EventSourceArn', `${sourceArn} is no queue of this stack`);
  if (resource.get('FilterCriteria') !== undefined) {
    throw refuse(resource, 'FilterCriteria', 'the local cloud has no filters');
  }
  const batchSize = numberAt(resource, 'BatchSize', 10);
  const windowMs = numberAt(resource, 'MaximumBatchingWindowInSeconds', 0) * 1_000;
  if (batchSize > 10 && windowMs < 1_000) {
    throw refuse(resource, 'BatchSize', 'above 10 needs MaximumBatchingWindowInSeconds of at least 1');
  }
  const responseTypes = resource.get('FunctionResponseTypes');
  return {
    id: resource.id,
    functionId: functionAt(resource, 'FunctionName', template),
    queueId: queue.id,
    batchSize,
    windowMs,
    maxConcurrency: numberAt(resource, 'ScalingConfig.MaximumConcurrency', DEFAULT_LOCAL_CONCURRENCY),
    reportsBatchItemFailures:
      Array.isArray(responseTypes) && responseTypes.includes('ReportBatchItemFailures'),
  };
}

function checkVisibilityTimeout(source: EventSourceSpec, stack: StackSpec): void {
  const lambda = stack.functions.find(({ id }) => id === source.functionId);
  const queue = stack.queues.find(({ id }) => id === source.queueId);
  if (!lambda || !queue || lambda.timeoutMs <= queue.visibilityTimeoutMs) return;
  throw new Error(
    `${source.id}: Queue visibility timeout: ${queue.visibilityTimeoutMs / 1_000} seconds (${queue.id}) ` +
      `is less than Function timeout: ${lambda.timeoutMs / 1_000} seconds (${lambda.id}).`,
  );
}

function readRule(resource: Resource, template: Template): RuleSpec {
  const expression = text(resource, 'ScheduleExpression');
  const intervalMs = parseRateMs(expression);
  if (intervalMs === null) {
    throw refuse(resource, 'ScheduleExpression', `is ${expression}; the local cloud runs rate(…) only`);
  }
  const targets = resource.get('Targets');
  return {
    id: resource.id,
    name: template.attribute(resource.id, null)!,
    arn: template.attribute(resource.id, 'Arn')!,
    expression,
    intervalMs,
    targets: (Array.isArray(targets) ? targets : []).map((target, index) => {
      const path = `Targets[${index}]`;
      if (!isObject(target)) throw refuse(resource, path, 'is no target');
      const functionId = findFunction(template, String(target.Arn));
      if (!functionId) throw refuse(resource, `${path}.Arn`, `${target.Arn} is no function of this stack`);
      if (target.InputTransformer !== undefined || target.InputPath !== undefined) {
        throw refuse(resource, path, 'transforms its input; the local cloud takes a constant Input only');
      }
      return typeof target.Input === 'string'
        ? { functionId, input: JSON.parse(target.Input) as Json }
        : { functionId };
    }),
  };
}

function readSecret(resource: Resource, template: Template): SecretSpec {
  const secretString = resource.get('SecretString');
  const generate = resource.get('GenerateSecretString');
  return {
    id: resource.id,
    name: secretName(template.attribute(resource.id, null)!),
    ...(typeof secretString === 'string' ? { secretString } : {}),
    ...(isObject(generate) ? { generate } : {}),
  };
}

function readDatabaseCluster(resource: Resource, template: Template): DatabaseClusterSpec {
  const engine = resource.get('Engine');
  if (engine !== 'aurora-postgresql')
    throw refuse(resource, 'Engine', `is ${engine}; the local cloud has PostgreSQL only`);
  // Express configuration knows no other way in.
  if (
    ![resource.get('WithExpressConfiguration'), resource.get('EnableIAMDatabaseAuthentication')].includes(
      true,
    )
  )
    throw refuse(resource, 'EnableIAMDatabaseAuthentication', 'is needed: the local cloud knows no password');
  return {
    id: resource.id,
    resourceId: template.attribute(resource.id, 'DBClusterResourceId')!,
    masterUser: String(resource.get('MasterUsername') ?? 'postgres'),
    database: String(resource.get('DatabaseName') ?? 'postgres'),
  };
}

function readEmailIdentity(resource: Resource): EmailIdentity {
  const configurationSet = resource.get('ConfigurationSetAttributes.ConfigurationSetName');
  return {
    name: text(resource, 'EmailIdentity'),
    configurationSet: typeof configurationSet === 'string' ? configurationSet : null,
  };
}

function secretName(arn: string): string {
  return arn.slice(arn.indexOf(':secret:') + ':secret:'.length, -7);
}

function readTriggers(template: Template): TriggerSpec[] {
  const triggers: TriggerSpec[] = [];
  const visited = new Set<string>();
  const visit = (id: string): void => {
    const resource = template.byId(id);
    if (!resource || visited.has(id)) return;
    visited.add(id);
    for (const dependency of [...resource.dependsOn, ...resource.references]) visit(dependency);
    if (resource.type !== 'Custom::Trigger') return;
    triggers.push({
      id,
      functionId: functionAt(resource, 'HandlerArn', template),
      handlerArn: text(resource, 'HandlerArn'),
      providerId: functionAt(resource, 'ServiceToken', template),
    });
  };
  for (const { id } of template.resources) visit(id);
  return triggers;
}

function text(resource: Resource, path: string): string {
  const value = resource.get(path);
  if (typeof value !== 'string') throw refuse(resource, path, 'is missing or no string');
  return value;
}

function numberAt(resource: Resource, path: string, fallback: number): number {
  const value = resource.get(path);
  if (value === undefined) return fallback;
  const number = Number(value);
  if (!Number.isFinite(number)) throw refuse(resource, path, `is ${JSON.stringify(value)}, no number`);
  return number;
}

function refuse(resource: Resource, path: string, reason: string): Error {
  return new Error(`${describe(resource)}, ${path}: ${reason}.`);
}
