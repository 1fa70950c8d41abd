import { batchSize } from './batches.ts';
import type { DeadLetter } from './dead-letter.ts';
import type { DeadLetterQueue } from './dead-letter-queue.ts';
import type { Runtime } from './runtime.ts';

/** SQS allows 120 000 messages in flight; the rest is for whoever else receives. */
const heldLimit = 100_000;

export interface SweepOptions {
  /** How long received messages stay hidden, should this process be killed. */
  readonly visibilitySeconds: number;
  /** At most so many messages. */
  readonly limit: number;
  readonly signal: AbortSignal;
  /** Gets each message once. Returns those that are done with, which is to say deleted; the others are held. */
  visit(letters: readonly DeadLetter[]): Promise<readonly DeadLetter[]>;
  /** Nothing more is looked for. */
  enough?(): boolean;
}

export interface SweepResult {
  readonly seen: number;
  /** `limit`: there may be more; `in_flight`: no more can be held. */
  readonly end: 'empty' | 'limit' | 'enough' | 'in_flight' | 'interrupted';
}

/**
 * Goes through a queue: receives every message, and holds those that stay until the end, so that SQS does not hand
 * them out again and again. At the end, also after an interruption or an error, they become visible again. A process
 * that is killed leaves them hidden until their visibility timeout ends. Throws the first error of a call or a visit.
 */
export async function sweep(
  queue: DeadLetterQueue,
  runtime: Runtime,
  options: SweepOptions,
): Promise<SweepResult> {
  /** Receipt handles of the messages that stay, by message id. */
  const held = new Map<string, string>();
  const done = new Set<string>();
  let wanted = 0;
  let seenAgain = 0;
  let end: SweepResult['end'] | 'failed' | null = null;

  const seen = () => held.size + done.size;
  const reasonToStop = (): SweepResult['end'] | null => {
    if (options.signal.aborted) return 'interrupted';
    if (options.enough?.()) return 'enough';
    if (seen() >= options.limit) return 'limit';
    if (held.size >= heldLimit) return 'in_flight';
    return null;
  };

  async function take(letters: readonly DeadLetter[]): Promise<void> {
    const fresh = letters.filter(({ messageId }) => !held.has(messageId) && !done.has(messageId));
    const undeleted = letters.filter(({ messageId }) => done.has(messageId));
    for (const { messageId, receiptHandle } of letters) {
      // Also those seen before: only the latest handle makes a message visible.
      if (!done.has(messageId)) held.set(messageId, receiptHandle);
    }
    seenAgain = fresh.length > 0 ? 0 : seenAgain + letters.length;
    if (undeleted.length > 0) await queue.delete(undeleted);
    if (fresh.length === 0 || end === 'failed' || options.signal.aborted) return;
    for (const { messageId } of await options.visit(fresh)) {
      held.delete(messageId);
      done.add(messageId);
    }
  }

  async function worker(): Promise<void> {
    while (end === null) {
      const reason = reasonToStop();
      if (reason !== null) {
        end = reason;
        return;
      }
      const limit = Math.min(batchSize, options.limit - seen() - wanted);
      // The others are about to receive the last ones.
      if (limit <= 0) return;
      wanted += limit;
      const letters = await queue.receive({
        limit,
        visibilitySeconds: options.visibilitySeconds,
        waitSeconds: runtime.longPollSeconds,
      });
      wanted -= limit;
      await take(letters);
      // A hold that ended too early brings messages back; once all of them have come again, there is nothing new.
      if (letters.length === 0 || seenAgain > held.size + batchSize * runtime.workers) end ??= 'empty';
    }
  }

  const workers = Array.from({ length: runtime.workers }, () =>
    worker().catch((error: unknown) => {
      end = 'failed';
      throw error;
    }),
  );
  const results = await Promise.allSettled(workers);
  await queue.release([...held.values()]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return { seen: seen(), end: (end as SweepResult['end'] | null) ?? 'limit' };
}
