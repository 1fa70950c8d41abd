import { ACCOUNT_ID, REGION } from '../intrinsics.ts';
import type { Denial } from './authorizer.ts';
import { denialMessage } from './authorizer.ts';

/** What one request asks of IAM. */
export interface Needed {
  action: string;
  resource: string;
}

/** Batches need the permission for what they are batches of; there are no others. */
const SINGLE_ACTIONS: Readonly<Record<string, string>> = {
  SendMessageBatch: 'SendMessage',
  DeleteMessageBatch: 'DeleteMessage',
  ChangeMessageVisibilityBatch: 'ChangeMessageVisibility',
};

/** What a move task does on behalf of its caller, at the queue that it empties. */
const MOVING = ['ReceiveMessage', 'DeleteMessage', 'GetQueueAttributes'];

/** What the parameters of a request do not say. */
export interface MoveTaskLookup {
  /** ARNs of the queues whose dead letters go to this one. */
  sourcesOf(deadLetterQueueArn: string): string[];
  /** The queue that a task empties; undefined when there is no such task. */
  queueOfTask(taskHandle: string): string | undefined;
}

/** The permissions that an SQS request needs, all of them. */
export function neededForSqs(
  action: string,
  parameters: Readonly<Record<string, unknown>>,
  lookup: MoveTaskLookup,
): Needed[] {
  const at = (resource: string, ...actions: string[]) =>
    actions.map((name) => ({ action: `sqs:${name}`, resource }));
  switch (action) {
    case 'ListQueues':
      return at('*', action);
    case 'CreateQueue':
    case 'GetQueueUrl':
      return at(queueArn(String(parameters.QueueName)), action);
    case 'StartMessageMoveTask': {
      const source = String(parameters.SourceArn);
      const { DestinationArn: destination } = parameters;
      const destinations = destination === undefined ? lookup.sourcesOf(source) : [String(destination)];
      return [...at(source, action, ...MOVING), ...destinations.flatMap((queue) => at(queue, 'SendMessage'))];
    }
    case 'CancelMessageMoveTask': {
      const source = lookup.queueOfTask(String(parameters.TaskHandle));
      return source === undefined ? [] : at(source, action, ...MOVING);
    }
    case 'ListMessageMoveTasks':
      return at(String(parameters.SourceArn), action, 'GetQueueAttributes');
    default:
      return at(
        queueArn(String(parameters.QueueUrl).split('/').at(-1) ?? ''),
        SINGLE_ACTIONS[action] ?? action,
      );
  }
}

function queueArn(name: string): string {
  return `arn:aws:sqs:${REGION}:${ACCOUNT_ID}:${name}`;
}

/** SQS' answer to a denied call; it writes actions in small letters. */
export function sqsDenial(denial: Denial): {
  status: number;
  headers: Record<string, string>;
  body: object;
} {
  const { action, reason } = denial;
  const inSmallLetters = action.toLowerCase();
  const message = denialMessage({
    ...denial,
    action: inSmallLetters,
    reason: reason.replace(action, inSmallLetters),
  });
  return {
    status: 403,
    headers: { 'x-amzn-query-error': 'AccessDenied;Sender' },
    body: { __type: 'com.amazon.coral.service#AccessDeniedException', message },
  };
}
