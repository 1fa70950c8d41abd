import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchVerdict } from './batch-response.ts';
import { judgeBatchResponse } from './batch-response.ts';
import type { CloudEvent } from './events.ts';
import type { Functions } from './functions.ts';
import { REGION } from './intrinsics.ts';
import type { Json } from './json.ts';
import { createSlots } from './slots.ts';
import type { SqsCall, SqsMessage } from './sqs-client.ts';
import type { EventSourceSpec, QueueSpec } from './stack.ts';

const LONG_POLL_S = 20;
const RECEIVE_LIMIT = 10;
const RETRY_DELAY_MS = 500;

export interface EventSourceOptions {
  spec: EventSourceSpec;
  queue: QueueSpec;
  /** Calls SQS with the function's role, as Lambda polls. */
  call: SqsCall;
  functions: Functions;
  onEvent: (event: CloudEvent) => void;
}

/**
 * Feeds a queue to a function as Lambda's event source mapping does: batches up to the batch size or the end of the
 * window, at most `maxConcurrency` at once, successes deleted, failures left until their visibility timeout ends.
 */
export function startEventSource({ spec, queue, call, functions, onEvent }: EventSourceOptions): {
  stop(): Promise<void>;
} {
  const stopping = new AbortController();
  const slots = createSlots(spec.maxConcurrency);

  async function poll(): Promise<void> {
    while (!stopping.signal.aborted) {
      // A slot before the receive: a message must not wait here while its visibility timeout runs.
      await slots.acquire();
      let messages: SqsMessage[] = [];
      try {
        if (!stopping.signal.aborted) messages = await gather();
      } catch (error) {
        if (!stopping.signal.aborted) {
          onEvent({ type: 'queue.error', queueId: queue.id, action: 'receive', message: String(error) });
          await sleep(RETRY_DELAY_MS);
        }
      }
      if (messages.length === 0 || stopping.signal.aborted) slots.release();
      else void handle(messages).finally(slots.release);
    }
  }

  async function gather(): Promise<SqsMessage[]> {
    const messages = await receive(spec.batchSize, LONG_POLL_S);
    if (messages.length === 0) return messages;
    const windowEndsAt = Date.now() + spec.windowMs;
    for (;;) {
      const missing = spec.batchSize - messages.length;
      const remainingMs = windowEndsAt - Date.now();
      if (missing <= 0 || remainingMs <= 0) return messages;
      messages.push(...(await receive(missing, Math.min(LONG_POLL_S, remainingMs / 1_000))));
    }
  }

  async function receive(count: number, waitS: number): Promise<SqsMessage[]> {
    const { Messages: messages = [] } = await call<{ Messages?: SqsMessage[] }>(
      'ReceiveMessage',
      {
        QueueUrl: queue.url,
        MaxNumberOfMessages: Math.min(RECEIVE_LIMIT, count),
        WaitTimeSeconds: waitS,
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
      },
      stopping.signal,
    );
    return messages;
  }

  async function handle(messages: SqsMessage[]): Promise<void> {
    const verdict = await process(messages);
    if (stopping.signal.aborted) return;
    const failed = new Set(verdict.failedMessageIds);
    await remove(messages.filter(({ MessageId }) => !failed.has(MessageId)));
    onEvent({
      type: 'batch.ended',
      eventSourceId: spec.id,
      queueId: queue.id,
      functionId: spec.functionId,
      messageCount: messages.length,
      ...verdict,
    });
  }

  async function process(messages: SqsMessage[]): Promise<BatchVerdict> {
    const records = messages.map((message) => toRecord(message, queue.arn));
    const messageIds = messages.map(({ MessageId }) => MessageId);
    const result = await functions.invoke(spec.functionId, { Records: records }, 'event-source');
    if (!result.ok)
      return { failedMessageIds: messageIds, error: `${result.errorType}: ${result.errorMessage}` };
    if (!spec.reportsBatchItemFailures) return { failedMessageIds: [], error: null };
    return judgeBatchResponse(result.payload, messageIds);
  }

  async function remove(messages: SqsMessage[]): Promise<void> {
    try {
      for (let start = 0; start < messages.length; start += RECEIVE_LIMIT) {
        const entries = messages.slice(start, start + RECEIVE_LIMIT);
        await call('DeleteMessageBatch', {
          QueueUrl: queue.url,
          Entries: entries.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
        });
      }
    } catch (error) {
      onEvent({ type: 'queue.error', queueId: queue.id, action: 'delete', message: String(error) });
    }
  }

  const polling = poll();
  return {
    async stop() {
      stopping.abort();
      slots.open();
      await polling;
    },
  };
}

/** The record of an SQS event, as `SQSRecord` of @types/aws-lambda. */
function toRecord(message: SqsMessage, queueArn: string): Json {
  return {
    messageId: message.MessageId,
    receiptHandle: message.ReceiptHandle,
    body: message.Body,
    attributes: message.Attributes ?? {},
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {}).map(
        ([name, { DataType, StringValue, BinaryValue }]) => [
          name,
          {
            ...(StringValue === undefined ? {} : { stringValue: StringValue }),
            ...(BinaryValue === undefined ? {} : { binaryValue: BinaryValue }),
            stringListValues: [],
            binaryListValues: [],
            dataType: DataType,
          },
        ],
      ),
    ),
    md5OfBody: message.MD5OfBody,
    ...(message.MD5OfMessageAttributes ? { md5OfMessageAttributes: message.MD5OfMessageAttributes } : {}),
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: REGION,
  };
}
