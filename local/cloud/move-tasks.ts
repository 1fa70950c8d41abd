import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SqsCall, SqsMessage } from './sqs-client.ts';

/** An answer of the SQS JSON API. */
export interface SqsAnswer {
  status: number;
  body: object;
}

/** SQS message move tasks ("redrive"), made of ordinary receives, sends and deletes. */
export interface MoveTasks {
  handle(action: string, parameters: Record<string, unknown>): Promise<SqsAnswer>;
  /** ARN of the queue that a task empties; undefined when there is no such task. */
  sourceOf(taskHandle: string): string | undefined;
  stop(): void;
}

interface Task {
  handle: string;
  sourceArn: string;
  destinationArn: string | null;
  messagesPerSecond: number | null;
  status: 'RUNNING' | 'COMPLETED' | 'CANCELLING' | 'CANCELLED' | 'FAILED';
  movedCount: number;
  toMoveCount: number;
  failureReason: string | null;
  startedAtMs: number;
}

/** How long a message may take from its receive to its delete. */
const MOVE_VISIBILITY_S = 30;

/** Messages of one receive, SQS quota. */
const RECEIVE_LIMIT = 10;

/** SQS quotas. */
const HIGHEST_RATE = 500;
const MOST_RESULTS = 10;

const ACTIVE: Task['status'][] = ['RUNNING', 'CANCELLING'];

/** @param urlOf URL of the queue with an ARN. */
export function createMoveTasks(call: SqsCall, urlOf: (queueArn: string) => string): MoveTasks {
  const tasks: Task[] = [];
  const stopping = new AbortController();

  async function start(parameters: Record<string, unknown>): Promise<SqsAnswer> {
    const sourceArn = String(parameters.SourceArn ?? '');
    const sources = await queuesBehind(sourceArn);
    if (sources === null)
      return failure('ResourceNotFoundException', `The resource ${sourceArn} does not exist.`);
    if (sources.length === 0) {
      return failure(
        'UnsupportedOperation',
        `Source queue ${sourceArn} must be configured as a Dead Letter Queue.`,
      );
    }
    const rate = parameters.MaxNumberOfMessagesPerSecond;
    if (rate !== undefined && !isWholeNumber(rate, HIGHEST_RATE)) {
      return failure(
        'InvalidParameterValue',
        `Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and ${HIGHEST_RATE}.`,
      );
    }
    const destinationArn = parameters.DestinationArn === undefined ? null : String(parameters.DestinationArn);
    if (destinationArn === null && sources.length > 1) {
      return failure(
        'UnsupportedOperation',
        'Several queues share this dead-letter queue: give a DestinationArn.',
      );
    }
    if (destinationArn !== null && !(await queueUrls()).includes(urlOf(destinationArn))) {
      return failure('ResourceNotFoundException', `The resource ${destinationArn} does not exist.`);
    }
    const toMoveCount = await countMessages(urlOf(sourceArn));
    // Last, and with nothing awaited after it: of two starts at once only one gets past.
    if (tasks.some((task) => task.sourceArn === sourceArn && ACTIVE.includes(task.status))) {
      return failure(
        'UnsupportedOperation',
        'There is already a task running. Only one active task is allowed.',
      );
    }
    const task: Task = {
      handle: randomUUID(),
      sourceArn,
      destinationArn,
      messagesPerSecond: rate === undefined ? null : Number(rate),
      status: 'RUNNING',
      movedCount: 0,
      toMoveCount,
      failureReason: null,
      startedAtMs: Date.now(),
    };
    tasks.unshift(task);
    void run(task, destinationArn ? urlOf(destinationArn) : sources[0]!);
    return { status: 200, body: { TaskHandle: task.handle } };
  }

  async function run(task: Task, destinationUrl: string): Promise<void> {
    const sourceUrl = urlOf(task.sourceArn);
    try {
      // What arrives meanwhile, such as a message that failed again, is left for the next task.
      while (task.status === 'RUNNING' && task.movedCount < task.toMoveCount && !stopping.signal.aborted) {
        const { Messages: messages = [] } = await call<{ Messages?: SqsMessage[] }>('ReceiveMessage', {
          QueueUrl: sourceUrl,
          // No more than a second's worth at once, so that progress shows and a cancel takes effect.
          MaxNumberOfMessages: Math.min(
            RECEIVE_LIMIT,
            task.messagesPerSecond ?? RECEIVE_LIMIT,
            task.toMoveCount - task.movedCount,
          ),
          VisibilityTimeout: MOVE_VISIBILITY_S,
          MessageAttributeNames: ['All'],
          MessageSystemAttributeNames: ['MessageGroupId'],
        });
        if (messages.length === 0) break;
        await Promise.all(
          messages.map(async (message) => {
            await move(message, sourceUrl, destinationUrl);
            task.movedCount += 1;
          }),
        );
        if (task.messagesPerSecond) {
          await sleep((messages.length / task.messagesPerSecond) * 1_000, undefined, {
            signal: stopping.signal,
          });
        }
      }
      task.status = task.status === 'CANCELLING' ? 'CANCELLED' : 'COMPLETED';
    } catch (error) {
      task.status = 'FAILED';
      task.failureReason = String(error);
    }
  }

  async function move(message: SqsMessage, sourceUrl: string, destinationUrl: string): Promise<void> {
    await call('SendMessage', {
      QueueUrl: destinationUrl,
      MessageBody: message.Body,
      MessageAttributes: message.MessageAttributes ?? {},
      ...(message.Attributes?.MessageGroupId ? { MessageGroupId: message.Attributes.MessageGroupId } : {}),
    });
    await call('DeleteMessage', { QueueUrl: sourceUrl, ReceiptHandle: message.ReceiptHandle });
  }

  /** URLs of the queues whose dead letters go to this one; null when there is no such queue. */
  async function queuesBehind(deadLetterArn: string): Promise<string[] | null> {
    const urls = await queueUrls();
    if (!urls.includes(urlOf(deadLetterArn))) return null;
    const behind: string[] = [];
    for (const url of urls) {
      const { Attributes: attributes } = await call<{ Attributes?: { RedrivePolicy?: string } }>(
        'GetQueueAttributes',
        {
          QueueUrl: url,
          AttributeNames: ['RedrivePolicy'],
        },
      );
      const policy = JSON.parse(attributes?.RedrivePolicy ?? '{}') as { deadLetterTargetArn?: string };
      if (policy.deadLetterTargetArn === deadLetterArn) behind.push(url);
    }
    return behind;
  }

  async function queueUrls(): Promise<string[]> {
    const { QueueUrls: urls = [] } = await call<{ QueueUrls?: string[] }>('ListQueues', {});
    return urls;
  }

  async function countMessages(url: string): Promise<number> {
    const { Attributes: attributes } = await call<{ Attributes?: { ApproximateNumberOfMessages?: string } }>(
      'GetQueueAttributes',
      { QueueUrl: url, AttributeNames: ['ApproximateNumberOfMessages'] },
    );
    return Number(attributes?.ApproximateNumberOfMessages ?? 0);
  }

  async function list(parameters: Record<string, unknown>): Promise<SqsAnswer> {
    const sourceArn = String(parameters.SourceArn ?? '');
    if (!(await queueUrls()).includes(urlOf(sourceArn)))
      return failure('ResourceNotFoundException', `The resource ${sourceArn} does not exist.`);
    const limit = parameters.MaxResults ?? 1;
    if (!isWholeNumber(limit, MOST_RESULTS)) {
      return failure(
        'InvalidParameterValue',
        `Value for parameter MaxResults is invalid. Reason: Must be between 1 and ${MOST_RESULTS}.`,
      );
    }
    const found = tasks.filter((task) => task.sourceArn === sourceArn);
    return {
      status: 200,
      body: { Results: found.slice(0, Number(limit)).map(describe) },
    };
  }

  function cancel(parameters: Record<string, unknown>): SqsAnswer {
    const task = tasks.find(({ handle, status }) => handle === parameters.TaskHandle && status === 'RUNNING');
    if (!task) return failure('ResourceNotFoundException', 'There is no running task with this handle.');
    task.status = 'CANCELLING';
    return { status: 200, body: { ApproximateNumberOfMessagesMoved: task.movedCount } };
  }

  return {
    async handle(action, parameters) {
      if (action === 'StartMessageMoveTask') return start(parameters);
      return action === 'ListMessageMoveTasks' ? list(parameters) : cancel(parameters);
    },
    sourceOf: (taskHandle) => tasks.find(({ handle }) => handle === taskHandle)?.sourceArn,
    stop: () => stopping.abort(),
  };
}

function isWholeNumber(value: unknown, highest: number): boolean {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= highest;
}

function describe(task: Task): object {
  return {
    ...(task.status === 'RUNNING' ? { TaskHandle: task.handle } : {}),
    Status: task.status,
    SourceArn: task.sourceArn,
    ...(task.destinationArn ? { DestinationArn: task.destinationArn } : {}),
    ...(task.messagesPerSecond ? { MaxNumberOfMessagesPerSecond: task.messagesPerSecond } : {}),
    ApproximateNumberOfMessagesMoved: task.movedCount,
    ApproximateNumberOfMessagesToMove: task.toMoveCount,
    ...(task.failureReason ? { FailureReason: task.failureReason } : {}),
    StartedTimestamp: task.startedAtMs,
  };
}

function failure(code: string, message: string): SqsAnswer {
  return { status: 400, body: { __type: `com.amazonaws.sqs#${code}`, message } };
}
