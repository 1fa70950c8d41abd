import type { CfnResource, Stack } from 'aws-cdk-lib';
import { type CfnRole, ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Trigger } from 'aws-cdk-lib/triggers';
import { describe, expect, it } from 'vitest';
import { createAuthorizer } from '../../../../local/cloud/iam/authorizer.ts';
import { checkExecutionRoles } from '../../../../local/cloud/iam/start-checks.ts';
import { readStack } from '../../../../local/cloud/stack.ts';
import { readTemplate } from '../../../../local/cloud/template.ts';
import { sqsArn } from '../access-fixture.ts';
import { addFunction, addQueue, grant, synthesize } from '../fixture.ts';

/** No template here has a database cluster. */
const databaseEndpoint = { host: 'localhost', port: 1 };

/** Reads the template and checks its roles, as the start does before it starts anything of the stack. */
function check(define: (stack: Stack) => void): void {
  const own = synthesize(define);
  try {
    const { assemblyDir } = own;
    const options = {
      assemblyDir,
      stackName: 'fixture',
      parameters: {},
      sqsEndpoint: 'http://sqs',
      databaseEndpoint,
    };
    const stack = readStack(readTemplate(options));
    checkExecutionRoles(
      stack,
      createAuthorizer(stack.access, () => {}),
    );
  } finally {
    own.remove();
  }
}

describe('the start is refused for', () => {
  const fed =
    (...actions: string[]) =>
    (stack: Stack) => {
      const queue: Queue = addQueue(stack, 'Work', 30);
      const lambda = addFunction(stack, 'worker', 'calls.handler');
      if (actions.length > 0) grant(lambda, actions, [queue.queueArn]);
      lambda.addEventSourceMapping('Messages', { eventSourceArn: queue.queueArn });
    };
  const roleOf = (stack: Stack) => addFunction(stack, 'worker', 'calls.handler').role!;

  it.each<[string, (stack: Stack) => void, string | RegExp]>([
    [
      'an event source without receives',
      fed('sqs:DeleteMessage', 'sqs:GetQueueAttributes'),
      /^worker\w+: The provided execution role does not have permissions to call ReceiveMessage on SQS\. /,
    ],
    [
      'an event source without deletes',
      fed('sqs:ReceiveMessage', 'sqs:GetQueueAttributes'),
      'permissions to call DeleteMessage on SQS',
    ],
    [
      'an event source without attributes',
      fed('sqs:ReceiveMessage', 'sqs:DeleteMessage'),
      'permissions to call GetQueueAttributes on SQS',
    ],
    [
      'a destination that may not be sent to',
      (stack) => {
        const lambda = addFunction(stack, 'doomed', 'calls.handler', {
          onFailure: addQueue(stack, 'Failures', 30),
        });
        lambda.role!.node.tryRemoveChild('DefaultPolicy');
      },
      `doomed: The provided execution role does not have permissions to call SendMessage on ${sqsArn('Failures')}`,
    ],
    [
      'a managed policy that nobody knows',
      (stack) =>
        roleOf(stack).addManagedPolicy(ManagedPolicy.fromAwsManagedPolicyName('AmazonSQSFullAccess')),
      'what arn:aws:iam::aws:policy/AmazonSQSFullAccess allows is not known here',
    ],
    [
      'a role of elsewhere',
      (stack) => {
        const lambda = addFunction(stack, 'worker', 'calls.handler').node.defaultChild as CfnFunction;
        lambda.role = 'arn:aws:iam::000000000000:role/elsewhere';
      },
      'worker (AWS::Lambda::Function), Role: arn:aws:iam::000000000000:role/elsewhere is no role of this stack',
    ],
    [
      'a role that Lambda cannot assume',
      (stack) => {
        const role = roleOf(stack).node.defaultChild as CfnRole;
        role.assumeRolePolicyDocument = {
          Version: '2012-10-17',
          Statement: [
            { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'ec2.amazonaws.com' } },
          ],
        };
      },
      'The role defined for the function cannot be assumed by Lambda',
    ],
    [
      'a permissions boundary',
      (stack) => {
        (roleOf(stack).node.defaultChild as CfnRole).permissionsBoundary = 'arn:aws:iam::aws:policy/X';
      },
      'PermissionsBoundary: the local cloud judges no boundaries',
    ],
    [
      'a condition that nobody knows',
      (stack) => {
        const lambda = addFunction(stack, 'worker', 'calls.handler');
        grant(lambda, ['sqs:SendMessage'], ['*'], { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } });
      },
      /^workerServiceRoleDefaultPolicy\w+ \(AWS::IAM::Policy\), PolicyDocument: the condition operator IpAddress is not known/,
    ],
    [
      'a trigger whose provider may not invoke the function',
      (stack) => {
        new Trigger(stack, 'Migrate', { handler: addFunction(stack, 'migrate', 'calls.handler') });
        const provider = stack.node
          .findAll()
          .find(
            (each) =>
              (each as CfnResource).cfnResourceType === 'AWS::IAM::Role' &&
              each.node.path.includes('Provider'),
          );
        (provider as CfnResource).addOverride('Properties.Policies', []);
      },
      /^Trigger Migrate\w*: User: \S+ is not authorized to perform: lambda:InvokeFunction on resource: arn:\S+:migrate:1/,
    ],
  ])('%s', (_, define, message) => {
    expect(() => check(define)).toThrow(message);
  });
});
