import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { App, CfnOutput, CfnParameter, Duration, Fn, SecretValue, Stack, Validations } from 'aws-cdk-lib';
import { Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Code, Function as LambdaFn, Runtime } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { LogLevel, NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { CfnDBCluster, type CfnDBClusterProps } from 'aws-cdk-lib/aws-rds';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Trigger } from 'aws-cdk-lib/triggers';

/** The fixtures' code. */
export const HANDLERS = fileURLToPath(new URL('./handlers', import.meta.url));

/** Properties of a fixture function. */
export interface FunctionOptions {
  environment?: Record<string, string>;
  timeoutS?: number;
  reservedConcurrency?: number;
  onFailure?: Queue;
}

/** A function of test/local/cloud/handlers; `handler` is `file.export`. */
export function addFunction(
  stack: Stack,
  id: string,
  handler: string,
  options: FunctionOptions = {},
): LambdaFn {
  const lambda = new LambdaFn(stack, id, {
    runtime: Runtime.NODEJS_24_X,
    code: Code.fromAsset(HANDLERS),
    handler,
    functionName: id,
    memorySize: 256,
    timeout: Duration.seconds(options.timeoutS ?? 5),
    ...(options.environment ? { environment: options.environment } : {}),
    ...(options.reservedConcurrency ? { reservedConcurrentExecutions: options.reservedConcurrency } : {}),
    ...(options.onFailure ? { retryAttempts: 0, onFailure: new SqsDestination(options.onFailure) } : {}),
  });
  // Logical ids without CDK's hash keep the tests readable.
  stack.renameLogicalId(stack.getLogicalId(lambda.node.defaultChild as never), id);
  return lambda;
}

/** Lets a function do something. */
export function grant(
  lambda: LambdaFn,
  actions: string[],
  resources: string[],
  conditions?: Record<string, unknown>,
): void {
  lambda.addToRolePolicy(new PolicyStatement({ actions, resources, ...(conditions && { conditions }) }));
}

/** A queue under its own id. */
export function addQueue(
  stack: Stack,
  id: string,
  visibilityS: number,
  deadLetters?: Queue,
  maxReceiveCount = 2,
): Queue {
  const queue = new Queue(stack, id, {
    visibilityTimeout: Duration.seconds(visibilityS),
    ...(deadLetters ? { deadLetterQueue: { queue: deadLetters, maxReceiveCount } } : {}),
  });
  stack.renameLogicalId(stack.getLogicalId(queue.node.defaultChild as never), id);
  return queue;
}

/** A database cluster under the id `Database`. */
export function addCluster(stack: Stack, properties: Partial<CfnDBClusterProps> = {}): CfnDBCluster {
  const cluster = new CfnDBCluster(stack, 'Database', {
    engine: 'aurora-postgresql',
    withExpressConfiguration: true,
    enableIamDatabaseAuthentication: true,
    masterUsername: 'postgres',
    ...properties,
  });
  Validations.of(cluster).acknowledge({
    id: 'CloudFormation-Validate::F3002',
    reason: 'the schema of this CDK is older than express configuration',
  });
  return cluster;
}

/** Where a function finds the cluster's database. */
export const databaseUrl = (cluster: CfnDBCluster) =>
  `postgres://postgres@${cluster.attrEndpointAddress}:${cluster.attrEndpointPort}/postgres`;

/** A stack that creates its database, and the function `query`, which connects to that. */
export function withDatabase(stack: Stack): void {
  const projectRoot = path.join(import.meta.dirname, '..', '..', '..');
  const cluster = addCluster(stack);
  const lambda = new NodejsFunction(stack, 'query', {
    runtime: Runtime.NODEJS_24_X,
    entry: path.join(HANDLERS, 'database.mjs'),
    projectRoot,
    depsLockFilePath: path.join(projectRoot, 'package-lock.json'),
    handler: 'handler',
    functionName: 'query',
    timeout: Duration.seconds(10),
    environment: { DATABASE_IAM_URL: databaseUrl(cluster) },
    bundling: {
      format: OutputFormat.ESM,
      bundleAwsSDK: true,
      logLevel: LogLevel.ERROR,
      // For CommonJS dependencies inside an ES module.
      banner: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);",
    },
  });
  grant(
    lambda,
    ['rds-db:connect'],
    [Fn.join('', ['arn:aws:rds-db:us-east-1:000000000000:dbuser:', cluster.attrDbClusterResourceId, '/*'])],
  );
  stack.renameLogicalId(stack.getLogicalId(lambda.node.defaultChild as never), 'query');
}

/** A stack with one of each thing that the local cloud runs. */
export function everything(stack: Stack): void {
  const deadLetters = addQueue(stack, 'WorkDeadLetters', 1);
  const work = addQueue(stack, 'Work', 1, deadLetters);
  const bulk = addQueue(stack, 'Bulk', 30);
  const slow = addQueue(stack, 'Slow', 30);
  const outbox = addQueue(stack, 'Outbox', 30);
  const failures = addQueue(stack, 'Failures', 30);
  const parameter = new CfnParameter(stack, 'Greeting', { default: 'hello' });
  const generated = new Secret(stack, 'Generated', {
    generateSecretString: {
      secretStringTemplate: JSON.stringify({ user: 'evergrant' }),
      generateStringKey: 'password',
      passwordLength: 20,
      excludePunctuation: true,
      excludeCharacters: 'abc',
    },
  });
  stack.renameLogicalId(stack.getLogicalId(generated.node.defaultChild as never), 'Generated');
  new Secret(stack, 'Replaced', {
    secretName: 'evergrant/replaced',
    secretStringValue: SecretValue.unsafePlainText('x'),
  });

  addFunction(stack, 'echo', 'echo.handler', {
    environment: {
      QUEUE_URL: work.queueUrl,
      QUEUE_ARN: work.queueArn,
      QUEUE_NAME: work.queueName,
      SECRET_ARN: generated.secretArn,
      JOINED: Fn.join('-', [parameter.valueAsString, stack.region, work.queueName]),
      // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders.
      SUBSTITUTED: Fn.sub('${Greeting}/${Work.Arn}/${AWS::Partition}'),
    },
  });
  addFunction(stack, 'hang', 'echo.hang', { timeoutS: 1 });
  addFunction(stack, 'oldStyle', 'echo.withCallback');
  addFunction(stack, 'missing', 'echo.nothing');
  addFunction(stack, 'ticker', 'ticker.handler');
  addFunction(stack, 'single', 'echo.hang', { timeoutS: 1, reservedConcurrency: 1 });
  addFunction(stack, 'doomed', 'echo.handler', { onFailure: failures });
  const anySecret = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:*';
  const reader = addFunction(stack, 'readSecret', 'services.readSecret');
  grant(reader, ['secretsmanager:GetSecretValue'], [anySecret]);
  const identity = 'arn:aws:ses:us-east-1:000000000000:identity/example.com';
  grant(addFunction(stack, 'sendEmail', 'services.sendEmail'), ['ses:SendEmail'], [identity]);
  const environment = { QUEUE_URL: outbox.queueUrl };
  const sender = addFunction(stack, 'sendMessage', 'services.sendMessage', { environment });
  grant(sender, ['sqs:SendMessage'], [outbox.queueArn]);

  const partial = addFunction(stack, 'partial', 'worker.partial', { timeoutS: 1 });
  partial.addEventSource(new SqsEventSource(work, { batchSize: 5, reportBatchItemFailures: true }));
  const collect = addFunction(stack, 'collect', 'worker.collect');
  collect.addEventSource(new SqsEventSource(bulk, { batchSize: 25, maxBatchingWindow: Duration.seconds(1) }));
  const slowWorker = addFunction(stack, 'slowWorker', 'worker.slow');
  slowWorker.addEventSource(new SqsEventSource(slow, { batchSize: 1, maxConcurrency: 2 }));

  const migrate = addFunction(stack, 'migrate', 'echo.handler');
  new Trigger(stack, 'Migrate', { handler: migrate });
  const scanned = addFunction(stack, 'scanned', 'echo.handler');
  new Rule(stack, 'Scan', {
    schedule: Schedule.rate(Duration.minutes(5)),
    targets: [
      new LambdaFunction(scanned),
      new LambdaFunction(migrate, { event: RuleTargetInput.fromObject({ a: 1 }) }),
    ],
  });
  const left = new StringParameter(stack, 'Parameter', { stringValue: 'x' });
  new CfnOutput(stack, 'WorkUrl', { value: work.queueUrl });
  new CfnOutput(stack, 'Greeted', { value: Fn.join(' ', [parameter.valueAsString, stack.region]) });
  new CfnOutput(stack, 'OfWhatIsLeftOut', { value: left.parameterName });
}

/** Synthesizes a stack `fixture` with what `define` puts into it. */
export function synthesize(define: (stack: Stack) => void): { assemblyDir: string; remove(): void } {
  const outdir = mkdtempSync(path.join(os.tmpdir(), 'evergrant-fixture-'));
  const app = new App({ outdir, analyticsReporting: false });
  define(new Stack(app, 'fixture'));
  app.synth();
  return { assemblyDir: outdir, remove: () => rmSync(outdir, { recursive: true, force: true }) };
}
