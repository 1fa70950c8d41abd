import { ACCOUNT_ID, REGION } from '../intrinsics.ts';
import type { StackSpec } from '../stack.ts';
import type { Authorizer, Denial } from './authorizer.ts';
import { denialMessage } from './authorizer.ts';

/** Lambda polls with the function's role, and makes sure of these when the mapping is created. */
const POLLING = ['ReceiveMessage', 'DeleteMessage', 'GetQueueAttributes'];

/** What Lambda does in a VPC with the function's role: the first three it insists on, the others it may need. */
const NETWORK_INTERFACES = [
  'CreateNetworkInterface',
  'DescribeNetworkInterfaces',
  'DeleteNetworkInterface',
] as const;
const NETWORK_INTERFACES_BESIDES = [
  'DescribeSubnets',
  'AssignPrivateIpAddresses',
  'UnassignPrivateIpAddresses',
] as const;

/**
 * Checks the roles where AWS checks them in a deployment: when event sources, destinations and functions in a VPC are
 * created, and when the provider of a trigger invokes its function.
 * @throws Error with the resource's id and Lambda's message.
 */
export function checkExecutionRoles(stack: StackSpec, iam: Authorizer): void {
  for (const { id, functionId, queueId } of stack.eventSources) {
    const { arn } = stack.queues.find((queue) => queue.id === queueId)!;
    for (const action of POLLING) {
      const verdict = iam.authorize({ callerId: functionId, action: `sqs:${action}`, resource: arn });
      if (!verdict.allowed) throw refuse(id, `permissions to call ${action} on SQS`, verdict);
    }
  }
  for (const { id, asynchronous, inVpc } of stack.functions) {
    const { onFailureQueueArn: arn } = asynchronous;
    if (arn !== null) {
      const verdict = iam.authorize({ callerId: id, action: 'sqs:SendMessage', resource: arn });
      if (!verdict.allowed) throw refuse(id, `permissions to call SendMessage on ${arn}`, verdict);
    }
    if (inVpc) checkNetworkInterfaces(id, iam);
  }
  for (const { id, providerId, handlerArn } of stack.triggers) {
    const call = { callerId: providerId, action: 'lambda:InvokeFunction', resource: handlerArn };
    const verdict = iam.authorize(call);
    if (!verdict.allowed) throw new Error(`Trigger ${id}: ${denialMessage(verdict)}`);
  }
}

function checkNetworkInterfaces(functionId: string, iam: Authorizer): void {
  const call = (action: string) => ({
    callerId: functionId,
    action: `ec2:${action}`,
    resource: action.startsWith('Describe') ? '*' : `arn:aws:ec2:${REGION}:${ACCOUNT_ID}:network-interface/*`,
  });
  for (const action of NETWORK_INTERFACES) {
    const verdict = iam.authorize(call(action));
    if (!verdict.allowed) throw refuse(functionId, `permissions to call ${action} on EC2`, verdict);
  }
  for (const action of NETWORK_INTERFACES_BESIDES) iam.useIfAllowed(call(action));
}

function refuse(resourceId: string, what: string, denial: Denial): Error {
  return new Error(
    `${resourceId}: The provided execution role does not have ${what}. (${denialMessage(denial)})`,
  );
}
