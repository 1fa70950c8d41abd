import { join } from 'node:path';
import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Runtime } from 'aws-cdk-lib/aws-lambda';
import { type ICommandHooks, NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

const projectRoot = join(import.meta.dirname, '..');

export interface StageFunctionProps {
  /** Folder under `lambdas/` whose `handler.ts` this function runs. */
  readonly stage: 'scanner' | 'refresher' | 'notifier' | 'migrator' | 'operator';
  readonly description: string;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly logRetentionDays: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly commandHooks?: ICommandHooks;
}

/** One function of the pipeline: bundled from its folder, with a role and a log group of its own. */
export class StageFunction extends NodejsFunction {
  constructor(scope: Construct, id: string, props: StageFunctionProps) {
    const logGroup = new LogGroup(scope, `${id}Logs`, {
      retention: props.logRetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(scope, `${id}Role`, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    role.addToPolicy(
      new PolicyStatement({
        effect: Effect.ALLOW,
        actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        resources: [logGroup.logGroupArn],
      }),
    );
    const { stackName } = Stack.of(scope);
    super(scope, id, {
      functionName: `${stackName}-${props.stage}`,
      description: props.description,
      entry: join(projectRoot, 'lambdas', props.stage, 'handler.ts'),
      projectRoot,
      depsLockFilePath: join(projectRoot, 'package-lock.json'),
      handler: 'handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: props.memoryMb,
      timeout: Duration.seconds(props.timeoutSeconds),
      role,
      logGroup,
      environment: { ...props.environment, POWERTOOLS_SERVICE_NAME: stackName },
      bundling: {
        format: OutputFormat.ESM,
        target: 'node24',
        mainFields: ['module', 'main'],
        minify: true,
        // Pinned with everything else, and the bundle runs wherever Node does.
        bundleAwsSDK: true,
        // For CommonJS dependencies inside an ES module.
        banner: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);",
        ...(props.commandHooks && { commandHooks: props.commandHooks }),
      },
    });
  }
}
