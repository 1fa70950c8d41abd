import type { CloudEvent } from '../cloud/events.ts';
import type { QueueCall, QueueDisturbance } from '../cloud/queues.ts';
import { createSqsCaller, type SqsCall } from '../cloud/sqs-client.ts';
import { canary } from './provider.ts';

interface Entry extends Record<string, unknown> {
  readonly Id: string;
  readonly MessageBody?: string;
}

/** What a send of messages is made of. */
export interface Send {
  readonly callerId: string;
  readonly queueUrl: string;
  readonly entries: readonly Entry[];
  readonly call: QueueCall;
}

export type SendFault =
  | 'pass'
  /** SQS answers an error. */
  | 'refuse'
  /** The connection breaks and nothing is sent. */
  | 'drop'
  /** They arrive again, up to so much later. */
  | { readonly duplicateWithinSeconds: number }
  /** Each arrives later by up to so much: in another order, that is. */
  | { readonly delayWithinSeconds: number; readonly random: () => number };

export interface QueueFaultOptions {
  readonly fault: (send: Send) => SendFault;
  /** Messages were taken by the queue. */
  readonly onSent: (send: Send) => void;
  /** How long what a failed batch leaves behind stays invisible, in place of the queue's visibility timeout. */
  readonly returnsAfterMs: (queueId: string) => number;
  /** Time by which that passes once the system settles. */
  readonly nowMs: () => number;
}

/**
 * Stands in front of SQS. What a function that failed or was killed leaves behind comes back sooner than its visibility
 * timeout says: nobody works on it any more, and a run need not wait for minutes.
 */
export class QueueFaults implements QueueDisturbance {
  readonly #options: QueueFaultOptions;
  readonly #receipts = new Map<string, { queueUrl: string; handle: string }>();
  readonly #returning = new Map<string, { dueMs: number; timer: NodeJS.Timeout | undefined }>();
  #settling = false;
  #call: SqsCall | null = null;
  /** Bodies with a token in them, shortened to what is no secret. */
  readonly leaks: string[] = [];

  constructor(options: QueueFaultOptions) {
    this.#options = options;
  }

  /** From then on it can send by itself. */
  connect(endpoint: string): void {
    this.#call = createSqsCaller(endpoint);
  }

  arrived(call: QueueCall): ReturnType<QueueDisturbance['arrived']> {
    const send = sendOf(call);
    if (send === null) return null;
    for (const { MessageBody: body = '' } of send.entries)
      if (body.includes(canary)) this.leaks.push(`a message to ${send.queueUrl}`);
    const fault = this.#options.fault(send);
    if (fault === 'drop') return { drop: true };
    if (fault === 'refuse') {
      return {
        status: 500,
        body: { __type: 'com.amazonaws.sqs#InternalError', message: 'The request processing has failed.' },
      };
    }
    if (fault === 'pass') return null;
    if ('duplicateWithinSeconds' in fault) {
      const again = send.entries.map((entry, index) => ({
        ...entry,
        DelaySeconds: index % (fault.duplicateWithinSeconds + 1),
      }));
      const parameters = { QueueUrl: send.queueUrl, Entries: again };
      this.#call?.('SendMessageBatch', parameters).catch(() => undefined);
      return null;
    }
    for (const entry of send.entries)
      Object.assign(entry, { DelaySeconds: Math.floor(fault.random() * (fault.delayWithinSeconds + 1)) });
    return null;
  }

  answered(call: QueueCall, payload: string): void {
    if (call.action === 'ReceiveMessage') {
      const { Messages: messages = [] } = JSON.parse(payload) as {
        Messages?: { MessageId: string; ReceiptHandle: string }[];
      };
      const queueUrl = String(call.body.QueueUrl);
      for (const { MessageId: id, ReceiptHandle: handle } of messages)
        this.#receipts.set(id, { queueUrl, handle });
    }
    if (call.action === 'DeleteMessageBatch' && !payload.includes('"__type"')) {
      const handles = new Set((call.body.Entries as Entry[]).map((entry) => entry.ReceiptHandle));
      for (const [id, { handle }] of this.#receipts) if (handles.has(handle)) this.#receipts.delete(id);
    }
    const send = sendOf(call);
    if (send && !payload.includes('"__type"')) this.#options.onSent(send);
  }

  /** To be told of everything that happens in the cloud. */
  take(event: CloudEvent): void {
    if (event.type !== 'batch.ended') return;
    for (const id of event.failedMessageIds) {
      clearTimeout(this.#returning.get(id)?.timer);
      const afterMs = this.#options.returnsAfterMs(event.queueId);
      this.#returning.set(id, {
        dueMs: this.#options.nowMs() + afterMs,
        timer: this.#settling ? undefined : setTimeout(() => this.#return(id), afterMs),
      });
    }
  }

  /** From now on messages come back when they are asked to. */
  settle(): void {
    this.#settling = true;
    for (const { timer } of this.#returning.values()) clearTimeout(timer);
  }

  /** Makes visible what has been invisible for long enough. Returns how many messages still wait for that, and how long. */
  returnDue(): { readonly waiting: number; readonly nextInSeconds: number | null } {
    const nowMs = this.#options.nowMs();
    for (const [id, { dueMs }] of [...this.#returning]) if (dueMs <= nowMs) this.#return(id);
    const left = [...this.#returning.values()].map(({ dueMs }) => dueMs - nowMs);
    return {
      waiting: left.length,
      nextInSeconds: left.length === 0 ? null : Math.max(0, Math.min(...left) / 1000),
    };
  }

  stop(): void {
    for (const { timer } of this.#returning.values()) clearTimeout(timer);
    this.#returning.clear();
  }

  /** Messages in a queue: all, whether they are visible, received or delayed, and those that are received. */
  async count(queueUrl: string): Promise<{ readonly all: number; readonly received: number }> {
    const { Attributes: attributes } = await this.#api<{ Attributes: Record<string, string> }>(
      'GetQueueAttributes',
      {
        QueueUrl: queueUrl,
        AttributeNames: [
          'ApproximateNumberOfMessages',
          'ApproximateNumberOfMessagesNotVisible',
          'ApproximateNumberOfMessagesDelayed',
        ],
      },
    );
    return {
      all: Object.values(attributes).reduce((sum, count) => sum + Number(count), 0),
      received: Number(attributes.ApproximateNumberOfMessagesNotVisible),
    };
  }

  /** Sends dead letters back to where they come from, as an operator does once the cause is mended. Returns how many. */
  async redrive(queueUrl: string): Promise<number> {
    const { all } = await this.count(queueUrl);
    if (all === 0) return 0;
    const { Attributes: attributes } = await this.#api<{ Attributes: { QueueArn: string } }>(
      'GetQueueAttributes',
      { QueueUrl: queueUrl, AttributeNames: ['QueueArn'] },
    );
    await this.#api('StartMessageMoveTask', { SourceArn: attributes.QueueArn });
    return all;
  }

  #return(id: string): void {
    clearTimeout(this.#returning.get(id)?.timer);
    this.#returning.delete(id);
    const receipt = this.#receipts.get(id);
    if (!receipt) return;
    this.#api('ChangeMessageVisibility', {
      QueueUrl: receipt.queueUrl,
      ReceiptHandle: receipt.handle,
      VisibilityTimeout: 0,
    }).catch(() => undefined);
  }

  #api<Result>(action: string, parameters: Record<string, unknown>): Promise<Result> {
    if (!this.#call) throw new Error('the queues have not started');
    return this.#call<Result>(action, parameters);
  }
}

/** Of a function; `null`: it is no send, or an administrator's. */
function sendOf(call: QueueCall): Send | null {
  const { callerId, action, body } = call;
  if (callerId === null || (action !== 'SendMessageBatch' && action !== 'SendMessage')) return null;
  const entries = action === 'SendMessageBatch' ? (body.Entries as Entry[]) : [body as Entry];
  return { callerId, queueUrl: String(body.QueueUrl), entries, call };
}
