import type { Output } from '../output.ts';
import type { DeadLetter } from './dead-letter.ts';
import type { Counts, DeadLetterQueue } from './dead-letter-queue.ts';
import { createProgress } from './progress.ts';
import { interrupted, type Runtime } from './runtime.ts';
import { type SweepResult, sweep } from './sweep.ts';

/** A look takes seconds; a process killed during it leaves messages hidden for this long. */
const visibilitySeconds = 60;

export interface Look {
  readonly counts: Counts;
  readonly letters: readonly DeadLetter[];
  /** How many of the messages that SQS counted were not seen. */
  readonly unseen: number;
}

/** Receives messages, up to a limit, and makes them visible again: nothing changes but their receive counts. */
export async function look(
  queue: DeadLetterQueue,
  { runtime, output }: { readonly runtime: Runtime; readonly output: Output },
  options: { readonly limit: number; readonly signal: AbortSignal; enough?(letter: DeadLetter): boolean },
): Promise<Look> {
  const counts = await queue.count();
  const letters: DeadLetter[] = [];
  const progress = createProgress(output, runtime);
  let enough = false;
  const { end } = await sweep(queue, runtime, {
    visibilitySeconds,
    limit: options.limit,
    signal: options.signal,
    enough: () => enough,
    async visit(fresh) {
      letters.push(...fresh);
      progress(
        () => `${queue.name}: looked at ${letters.length} of about ${counts.visible + counts.inFlight}`,
      );
      enough ||= fresh.some((letter) => options.enough?.(letter) ?? false);
      return [];
    },
  });
  if (end === 'interrupted')
    throw interrupted('What was looked at is visible again, and nothing has changed.');
  return { counts, letters, unseen: unseenOf(counts, letters.length) };
}

export function unseenOf({ visible, inFlight }: Counts, seen: number): number {
  return Math.max(0, visible + inFlight - seen);
}

/** Why messages were not seen, in a sentence; empty when all were. */
export function unseenText(unseen: number, end?: SweepResult['end'] | 'failed'): string {
  if (unseen === 0) return '';
  const why =
    end === 'in_flight'
      ? 'no more messages can be hidden at once. Replay or discard some of the others, then run it again'
      : 'they are in flight with somebody else (another command, a redrive, one that was killed) or SQS counts late. Run it again in a few minutes';
  return `About ${unseen} more were not seen: ${why}.`;
}
