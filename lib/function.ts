import { join } from 'node:path';
import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Runtime } from 'aws-cdk-lib/aws-lambda';
import { type ICommandHooks, NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { functionEnv } from '../lambdas/contract.ts';
import { acknowledge } from './acknowledge.ts';
import { bundling, replacements } from './bundling.ts';
import type { Database } from './database.ts';

const projectRoot = join(import.meta.dirname, '..');

export interface StageFunctionProps {
  /** Folder under `lambdas/` whose `handler.ts` this function runs. */
  readonly stage: 'scanner' | 'refresher' | 'notifier' | 'migrator' | 'operator';
  readonly description: string;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly logRetentionDays: number;
  readonly environment: Readonly<Record<string, string>>;
  /** What the function connects to, from where it can. */
  readonly database: Database;
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
    const { network } = props.database;
    if (network) {
      // What Lambda does in a VPC on the function's behalf; EC2 knows no resource to name for the most of it.
      role.addToPolicy(
        new PolicyStatement({
          actions: [
            'ec2:CreateNetworkInterface',
            'ec2:DeleteNetworkInterface',
            'ec2:DescribeNetworkInterfaces',
            'ec2:DescribeSubnets',
            'ec2:AssignPrivateIpAddresses',
            'ec2:UnassignPrivateIpAddresses',
          ],
          resources: ['*'],
        }),
      );
      acknowledge(role, {
        'AwsSolutions-IAM5[Resource::*]':
          'Lambda makes the network interfaces of a function in a VPC with the function’s role, and EC2 names no resource for that.',
      });
    }
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
      ...network,
      environment: {
        ...props.environment,
        [functionEnv.timeoutSeconds]: String(props.timeoutSeconds),
        POWERTOOLS_SERVICE_NAME: stackName,
      },
      bundling: {
        ...bundling,
        esbuildArgs: Object.fromEntries(
          Object.entries(replacements).map(([name, file]) => [`--alias:${name}`, file]),
        ),
        // Pinned with everything else, and the bundle runs wherever Node does.
        bundleAwsSDK: true,
        ...(props.commandHooks && { commandHooks: props.commandHooks }),
      },
    });
    props.database.grantConnect(this, props.stage === 'migrator' ? 'migrator' : 'other');
    acknowledge(this, {
      'Serverless-LambdaDLQ':
        'Functions behind a queue have the queue’s dead-letter queue; those invoked by a rule or by hand do what the next invocation does as well.',
      'Serverless-LambdaTracing':
        'Each refresh is a log line with its durations, and metrics by provider; traces would cost more than all the rest.',
    });
  }
}
