import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { messageGroupId } from '../contract.ts';

/** Entries of one batch call and bytes of their bodies, SQS quotas (the latter counts attributes as well: there are none). */
const batchSize = 10;
const batchBytes = 1_000_000;

/** Batch calls under way at once. At 20 ms a call this sends 8 000 messages a second. */
export const parallelBatches = 16;

export interface OutgoingMessage {
  readonly body: object;
  /** Groups messages for fair queueing, so that one slow group does not hold up the others. */
  readonly groupId: string;
  /** Nobody receives it before: up to 900, SQS quota; at once by default. */
  readonly delaySeconds?: number;
}

/** A message in our hands: hidden from all others until its visibility time-out. */
export interface ReceivedMessage {
  readonly messageId: string;
  readonly body: string;
  readonly receiptHandle: string;
}

export interface Received {
  readonly messages: readonly ReceivedMessage[];
  /** Other messages may be hidden in nobody's hands: the answer to an earlier try of this call was lost. */
  readonly repeated: boolean;
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
    let bytes = 0;
    for (const [index, { body, groupId, delaySeconds }] of messages.entries()) {
      const MessageBody = asciiJson(body);
      bytes += MessageBody.length;
      const latest = batches.at(-1);
      const fits = latest !== undefined && latest.length < batchSize && bytes <= batchBytes;
      const batch = fits ? latest : [];
      if (!fits) {
        batches.push(batch);
        bytes = MessageBody.length;
      }
      batch.push({
        Id: String(index),
        MessageBody,
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
      // Accepted or not, we do not know. The queues' consumers take duplicates, so a repeat is harmless.
      return null;
    }
  }

  /**
   * Up to ten messages. Asks every server of SQS (long polling), so that an empty answer means that no message was
   * visible (developer guide, "Amazon SQS short and long polling"). Throws what the SDK throws.
   */
  async receive(visibilitySeconds: number): Promise<Received> {
    const { Messages: found = [], $metadata: call } = await this.#client.send(
      new ReceiveMessageCommand({
        QueueUrl: this.#url,
        MaxNumberOfMessages: batchSize,
        WaitTimeSeconds: 1,
        VisibilityTimeout: visibilitySeconds,
      }),
    );
    return {
      messages: found.map((message) => ({
        messageId: message.MessageId ?? '',
        body: message.Body ?? '',
        receiptHandle: message.ReceiptHandle ?? '',
      })),
      repeated: (call.attempts ?? 1) > 1,
    };
  }

  /** Takes received messages off the queue, up to ten. Best effort: otherwise they come again. */
  async remove(receiptHandles: readonly string[]): Promise<void> {
    if (receiptHandles.length === 0) return;
    const entries = receiptHandles.map((handle, index) => ({ Id: String(index), ReceiptHandle: handle }));
    await this.#client
      .send(new DeleteMessageBatchCommand({ QueueUrl: this.#url, Entries: entries }))
      .catch(() => undefined);
  }

  /**
   * Makes received messages visible again at once, as far as that is done within the time. `false`: not all of them; they
   * return by their timeout.
   */
  async returnNow(receiptHandles: readonly string[], withinMs: number): Promise<boolean> {
    const signal = timeIsUp(withinMs);
    let all = true;
    for (let start = 0; start < receiptHandles.length; start += batchSize) {
      const entries = receiptHandles
        .slice(start, start + batchSize)
        .map((handle, index) => ({ Id: String(index), ReceiptHandle: handle, VisibilityTimeout: 0 }));
      try {
        const { Failed: failed = [] } = await this.#client.send(
          new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.#url, Entries: entries }),
          { abortSignal: signal },
        );
        all &&= failed.length === 0;
      } catch {
        all = false;
      }
    }
    return all;
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
