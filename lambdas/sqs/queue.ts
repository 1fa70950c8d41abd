import {
  ChangeMessageVisibilityBatchCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { messageGroupId } from '../contract.ts';

/** Entries of one batch call, SQS quota. */
const batchSize = 10;

/** Batch calls under way at once. At 20 ms a call this sends 8 000 messages a second. */
export const parallelBatches = 16;

export interface OutgoingMessage {
  readonly body: object;
  /** Groups messages for fair queueing, so that one slow group does not hold up the others. */
  readonly groupId: string;
  /** Nobody receives it before: up to 900, SQS quota; at once by default. */
  readonly delaySeconds?: number;
}

/** One SQS queue. */
export class Queue {
  readonly #client = new SQSClient({
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true },
  });
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** Sends all messages, several batches at a time. Returns the indexes of those that were not accepted. */
  async send(messages: readonly OutgoingMessage[]): Promise<number[]> {
    const batches: SendMessageBatchRequestEntry[][] = [];
    for (const [index, { body, groupId, delaySeconds }] of messages.entries()) {
      if (index % batchSize === 0) batches.push([]);
      batches.at(-1)?.push({
        Id: String(index),
        MessageBody: asciiJson(body),
        MessageGroupId: messageGroupId(groupId),
        ...(delaySeconds !== undefined && { DelaySeconds: delaySeconds }),
      });
    }
    const refused: number[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let entries = batches[next++]; entries; entries = batches[next++]) {
        refused.push(...(await this.#sendBatch(entries)));
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallelBatches, batches.length) }, worker));
    return refused;
  }

  async #sendBatch(entries: SendMessageBatchRequestEntry[]): Promise<number[]> {
    try {
      const { Failed: failed = [] } = await this.#client.send(
        new SendMessageBatchCommand({ QueueUrl: this.#url, Entries: entries }),
      );
      return failed.map(({ Id: id }) => Number(id));
    } catch {
      // Accepted or not, we do not know. Both queues' consumers take duplicates, so a repeat is harmless.
      return entries.map(({ Id: id }) => Number(id));
    }
  }

  /** Makes received messages visible again at once. Best effort: otherwise they return by their timeout. */
  async returnNow(receiptHandles: readonly string[]): Promise<void> {
    for (let start = 0; start < receiptHandles.length; start += batchSize) {
      const entries = receiptHandles
        .slice(start, start + batchSize)
        .map((handle, index) => ({ Id: String(index), ReceiptHandle: handle, VisibilityTimeout: 0 }));
      await this.#client
        .send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.#url, Entries: entries }))
        .catch(() => undefined);
    }
  }
}

/** JSON in ASCII: SQS refuses some characters that Postgres stores, and no name may keep a message from being sent. */
function asciiJson(body: object): string {
  return JSON.stringify(body).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
