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

  /**
   * Sends all messages, several batches at a time. Returns the indexes of those that were not accepted. A queue that
   * takes none of the batches under way is away: what is left is refused as well, rather than waited for.
   *
   * `withinMs`: what is not accepted by then is refused.
   */
  async send(messages: readonly OutgoingMessage[], withinMs?: number): Promise<number[]> {
    const signal = withinMs === undefined ? undefined : timeIsUp(withinMs);
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
    let unansweredInARow = 0;
    const worker = async (): Promise<void> => {
      for (let entries = batches[next++]; entries; entries = batches[next++]) {
        const away = unansweredInARow >= parallelBatches || signal?.aborted === true;
        const notAccepted = away ? null : await this.#sendBatch(entries, signal);
        unansweredInARow = notAccepted === null ? unansweredInARow + 1 : 0;
        refused.push(...(notAccepted ?? entries.map(({ Id: id }) => Number(id))));
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallelBatches, batches.length) }, worker));
    return refused;
  }

  /** Returns the indexes that SQS did not accept; `null`: it did not answer for the batch, or with an error. */
  async #sendBatch(
    entries: SendMessageBatchRequestEntry[],
    signal: AbortSignal | undefined,
  ): Promise<number[] | null> {
    try {
      const { Failed: failed = [] } = await this.#client.send(
        new SendMessageBatchCommand({ QueueUrl: this.#url, Entries: entries }),
        { ...(signal && { abortSignal: signal }) },
      );
      return failed.map(({ Id: id }) => Number(id));
    } catch {
      // Accepted or not, we do not know. Both queues' consumers take duplicates, so a repeat is harmless.
      return null;
    }
  }

  /**
   * Makes received messages visible again at once, as far as that is done within the time. Best effort: otherwise they
   * return by their timeout.
   */
  async returnNow(receiptHandles: readonly string[], withinMs: number): Promise<void> {
    const signal = timeIsUp(withinMs);
    for (let start = 0; start < receiptHandles.length && !signal.aborted; start += batchSize) {
      const entries = receiptHandles
        .slice(start, start + batchSize)
        .map((handle, index) => ({ Id: String(index), ReceiptHandle: handle, VisibilityTimeout: 0 }));
      await this.#client
        .send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.#url, Entries: entries }), {
          abortSignal: signal,
        })
        .catch(() => undefined);
    }
  }
}

function timeIsUp(withinMs: number): AbortSignal {
  return AbortSignal.timeout(Math.max(0, Math.floor(withinMs)));
}

/** JSON in ASCII: SQS refuses some characters that Postgres stores, and no name may keep a message from being sent. */
function asciiJson(body: object): string {
  return JSON.stringify(body).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
