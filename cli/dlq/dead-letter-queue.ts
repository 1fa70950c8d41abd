import {
  CancelMessageMoveTaskCommand,
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  ListMessageMoveTasksCommand,
  type ListMessageMoveTasksResultEntry,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  type SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { messageGroupId } from '../../lambdas/contract.ts';
import type { Target } from '../target.ts';
import { batchesOf, batchSize } from './batches.ts';
import { type DeadLetter, type QueueName, readDeadLetter } from './dead-letter.ts';

/** Batch calls under way at once when there is nothing to wait for in between. */
const parallelBatches = 8;

/** SQS counts approximately. */
export interface Counts {
  readonly visible: number;
  /** Received by somebody and neither deleted nor visible again. */
  readonly inFlight: number;
}

/** A redrive by SQS itself. */
export interface MoveTask {
  readonly status: 'RUNNING' | 'COMPLETED' | 'CANCELLING' | 'CANCELLED' | 'FAILED';
  /** Only while it runs. */
  readonly handle: string | null;
  readonly moved: number;
  /** Unknown until SQS has counted. */
  readonly toMove: number | null;
  readonly startedAt: Date | null;
  readonly failureReason: string | null;
}

export interface Refusal {
  readonly letter: DeadLetter;
  readonly code: string;
}

const outputNames = {
  refresh: { source: 'RefreshQueueUrl', deadLetters: 'RefreshDeadLetterQueueUrl' },
  threshold: { source: 'ThresholdQueueUrl', deadLetters: 'ThresholdDeadLetterQueueUrl' },
  sealed: { source: 'SealedResultQueueUrl', deadLetters: 'SealedResultDeadLetterQueueUrl' },
} as const satisfies Record<QueueName, object>;

/** A dead-letter queue and the queue that its messages come from. */
export class DeadLetterQueue {
  readonly name: QueueName;
  readonly url: string;
  readonly #sourceUrl: string;
  readonly #sqs: SQSClient;
  /** ARNs by URL, as far as they are known. */
  readonly #arns = new Map<string, string>();

  constructor(target: Pick<Target, 'sqs' | 'output'>, name: QueueName) {
    this.name = name;
    this.url = target.output(outputNames[name].deadLetters);
    this.#sourceUrl = target.output(outputNames[name].source);
    this.#sqs = target.sqs;
  }

  async count(): Promise<Counts> {
    const { Attributes: attributes = {} } = await this.#sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: this.url,
        AttributeNames: [
          'ApproximateNumberOfMessages',
          'ApproximateNumberOfMessagesDelayed',
          'ApproximateNumberOfMessagesNotVisible',
        ],
      }),
    );
    const number = (name: keyof typeof attributes) => Number(attributes[name] ?? 0);
    return {
      visible: number('ApproximateNumberOfMessages') + number('ApproximateNumberOfMessagesDelayed'),
      inFlight: number('ApproximateNumberOfMessagesNotVisible'),
    };
  }

  async receive(wanted: {
    readonly limit: number;
    readonly visibilitySeconds: number;
    readonly waitSeconds: number;
  }): Promise<DeadLetter[]> {
    const { Messages: messages = [] } = await this.#sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: this.url,
        MaxNumberOfMessages: Math.min(batchSize, wanted.limit),
        VisibilityTimeout: wanted.visibilitySeconds,
        WaitTimeSeconds: wanted.waitSeconds,
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
      }),
    );
    return messages.map((message) => readDeadLetter(this.name, message));
  }

  /** Makes received messages visible again at once. Best effort: otherwise they return when their time is over. */
  async release(receiptHandles: readonly string[]): Promise<void> {
    const batches = batchesOf(receiptHandles);
    const worker = async (): Promise<void> => {
      for (let batch = batches.shift(); batch; batch = batches.shift()) {
        const Entries = batch.map((ReceiptHandle, index) => ({
          Id: String(index),
          ReceiptHandle,
          VisibilityTimeout: 0,
        }));
        await this.#sqs
          .send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.url, Entries }))
          .catch(() => undefined);
      }
    };
    await Promise.all(Array.from({ length: parallelBatches }, worker));
  }

  /**
   * Sends one batch (see `sendBatches`) to the queue that it came from, with body, attributes and group. Returns what
   * SQS did not accept; throws when it is unknown what it accepted.
   */
  async sendBack(letters: readonly DeadLetter[]): Promise<Refusal[]> {
    const { Failed: failed = [] } = await this.#sqs.send(
      new SendMessageBatchCommand({ QueueUrl: this.#sourceUrl, Entries: letters.map(entryOf) }),
    );
    return failed.map(({ Id: id, Code: code }) => ({
      letter: letters[Number(id)] as DeadLetter,
      code: code ?? 'unknown',
    }));
  }

  /** Deletes up to ten. Returns those that SQS did not delete, after a second try. */
  async delete(letters: readonly DeadLetter[], tries = 2): Promise<DeadLetter[]> {
    if (letters.length === 0 || tries === 0) return [...letters];
    const { Failed: failed = [] } = await this.#sqs.send(
      new DeleteMessageBatchCommand({
        QueueUrl: this.url,
        Entries: letters.map(({ receiptHandle }, index) => ({
          Id: String(index),
          ReceiptHandle: receiptHandle,
        })),
      }),
    );
    return this.delete(
      failed.map(({ Id: id }) => letters[Number(id)] as DeadLetter),
      tries - 1,
    );
  }

  /** The latest redrives, the newest first. */
  async moveTasks(): Promise<MoveTask[]> {
    const { Results: results = [] } = await this.#sqs.send(
      new ListMessageMoveTasksCommand({ SourceArn: await this.#arnOf(this.url), MaxResults: 10 }),
    );
    return results.map(readTask).sort((a, b) => Number(b.startedAt ?? 0) - Number(a.startedAt ?? 0));
  }

  /** Starts SQS's own redrive. The destination is named, as SQS knows no source of what was sent here directly. */
  async startMoveTask(maxPerSecond: number | null): Promise<string> {
    const { TaskHandle: handle = '' } = await this.#sqs.send(
      new StartMessageMoveTaskCommand({
        SourceArn: await this.#arnOf(this.url),
        DestinationArn: await this.#arnOf(this.#sourceUrl),
        ...(maxPerSecond !== null && { MaxNumberOfMessagesPerSecond: maxPerSecond }),
      }),
    );
    return handle;
  }

  async cancelMoveTask(handle: string): Promise<void> {
    await this.#sqs.send(new CancelMessageMoveTaskCommand({ TaskHandle: handle }));
  }

  async #arnOf(url: string): Promise<string> {
    const known = this.#arns.get(url);
    if (known !== undefined) return known;
    const { Attributes: attributes } = await this.#sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['QueueArn'] }),
    );
    const arn = attributes?.QueueArn ?? '';
    this.#arns.set(url, arn);
    return arn;
  }
}

function entryOf(letter: DeadLetter, index: number): SendMessageBatchRequestEntry {
  const groupId = letter.groupId ?? (letter.provider === null ? null : messageGroupId(letter.provider));
  return {
    Id: String(index),
    MessageBody: letter.body,
    ...(Object.keys(letter.attributes).length > 0 && { MessageAttributes: { ...letter.attributes } }),
    ...(groupId !== null && { MessageGroupId: groupId }),
  };
}

function readTask(task: ListMessageMoveTasksResultEntry): MoveTask {
  return {
    status: task.Status as MoveTask['status'],
    handle: task.TaskHandle ?? null,
    moved: Number(task.ApproximateNumberOfMessagesMoved ?? 0),
    toMove:
      task.ApproximateNumberOfMessagesToMove === undefined
        ? null
        : Number(task.ApproximateNumberOfMessagesToMove),
    startedAt: task.StartedTimestamp === undefined ? null : new Date(Number(task.StartedTimestamp)),
    failureReason: task.FailureReason ?? null,
  };
}
