import { batchSize, sendBatches } from './batches.ts';
import { type DeadLetter, type Selection, selects } from './dead-letter.ts';
import type { Counts, DeadLetterQueue } from './dead-letter-queue.ts';
import { unseenOf } from './look.ts';
import { createPace } from './pace.ts';
import type { Runtime } from './runtime.ts';
import { type SweepResult, sweep } from './sweep.ts';

/** What became of the dead letters of a selection. */
export interface TakeOutReport {
  readonly seen: number;
  /** Messages that SQS counted and nobody saw. */
  readonly unseen: number;
  readonly matched: number;
  /** Replayed or discarded. */
  readonly taken: number;
  /** Malformed ones that a selection without them passed over. */
  readonly malformedLeft: number;
  /** Not accepted by the source queue; they stay, by SQS's error code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Taken, and yet not deleted: they are in both queues, or still there. */
  readonly undeleted: number;
  readonly end: SweepResult['end'] | 'failed';
  /** What ended it, when it failed. */
  readonly error: Error | null;
}

export interface TakeOutOptions {
  readonly selection: Selection;
  readonly signal: AbortSignal;
  onProgress(report: { readonly seen: number; readonly taken: number; readonly counts: Counts }): void;
}

/** Messages a second that a sweep makes at least, from any network. */
const slowestRate = 100;
const leastVisibilitySeconds = 120;
/** SQS quota. */
const mostVisibilitySeconds = 43_200;

/**
 * Sends what is selected back to its queue and deletes it only after SQS has accepted it. Killed at any point it loses
 * nothing: at worst a message is in both queues, which starts no second attempt and tells no user twice.
 */
export function replaySelected(
  queue: DeadLetterQueue,
  runtime: Runtime,
  options: TakeOutOptions & { readonly maxPerSecond: number | null },
): Promise<TakeOutReport> {
  const { maxPerSecond, signal } = options;
  const pace = createPace(maxPerSecond, runtime);
  return takeOut(queue, runtime, options, maxPerSecond, {
    picks: (letter) => selects(options.selection, letter),
    batches: (letters) => sendBatches(letters, maxPerSecond ?? batchSize),
    async take(batch) {
      await pace(batch.length, signal);
      if (signal.aborted) return { gone: [], refused: [] };
      const refused = await queue.sendBack(batch);
      const stay = new Set(refused.map(({ letter }) => letter));
      return { gone: batch.filter((letter) => !stay.has(letter)), refused };
    },
  });
}

/** Deletes what is selected, after `save` has kept it. */
export function discardSelected(
  queue: DeadLetterQueue,
  runtime: Runtime,
  options: TakeOutOptions & {
    /** Of the selected, only these; `null`: all. */
    readonly only: ReadonlySet<string> | null;
    save(letters: readonly DeadLetter[]): Promise<void>;
  },
): Promise<TakeOutReport> {
  const { only, signal } = options;
  return takeOut(queue, runtime, options, null, {
    picks: (letter) => selects(options.selection, letter) && (only?.has(letter.messageId) ?? true),
    batches: (letters) => (letters.length > 0 ? [letters] : []),
    async take(batch) {
      if (signal.aborted) return { gone: [], refused: [] };
      await options.save(batch);
      return { gone: batch, refused: [] };
    },
  });
}

interface Taking {
  picks(letter: DeadLetter): boolean;
  /** Cuts up to ten letters into what is taken together. */
  batches(letters: readonly DeadLetter[]): readonly (readonly DeadLetter[])[];
  /** Does what must be done before they are deleted; `gone` are deleted then. */
  take(batch: readonly DeadLetter[]): Promise<{
    readonly gone: readonly DeadLetter[];
    readonly refused: readonly { readonly code: string }[];
  }>;
}

async function takeOut(
  queue: DeadLetterQueue,
  runtime: Runtime,
  { selection, signal, onProgress }: TakeOutOptions,
  maxPerSecond: number | null,
  { picks, batches, take }: Taking,
): Promise<TakeOutReport> {
  const counts = await queue.count();
  const refused: Record<string, number> = {};
  let seen = 0;
  let matched = 0;
  let taken = 0;
  let malformedLeft = 0;
  let undeleted = 0;
  let found = false;

  async function visit(letters: readonly DeadLetter[]): Promise<DeadLetter[]> {
    seen += letters.length;
    const wanted = letters.filter(picks);
    matched += wanted.length;
    malformedLeft += letters.filter(
      (letter) => letter.problem !== null && selects({ ...selection, malformed: 'only' }, letter),
    ).length;
    const gone: DeadLetter[] = [];
    for (const batch of batches(wanted)) {
      const outcome = await take(batch);
      for (const { code } of outcome.refused) refused[code] = (refused[code] ?? 0) + 1;
      taken += outcome.gone.length;
      gone.push(...outcome.gone);
      undeleted += (await queue.delete(outcome.gone)).length;
      onProgress({ seen, taken, counts });
    }
    found ||= selection.messageId !== null && wanted.length > 0;
    onProgress({ seen, taken, counts });
    return gone;
  }

  let end: TakeOutReport['end'] = 'failed';
  let error: Error | null = null;
  try {
    ({ end } = await sweep(queue, runtime, {
      visibilitySeconds: visibilityFor(counts, maxPerSecond),
      limit: Number.POSITIVE_INFINITY,
      signal,
      visit,
      enough: () => found,
    }));
  } catch (thrown) {
    error = thrown as Error;
  }
  return {
    seen,
    unseen: found ? 0 : unseenOf(counts, seen),
    matched,
    taken,
    malformedLeft: selection.malformed === 'left out' ? malformedLeft : 0,
    refused,
    undeleted,
    end,
    error,
  };
}

/** Twice as long as it should take: what stays must not come back meanwhile, nor be hidden long after a kill. */
function visibilityFor({ visible, inFlight }: Counts, maxPerSecond: number | null): number {
  const expectedSeconds = (visible + inFlight) / Math.min(maxPerSecond ?? slowestRate, slowestRate);
  return Math.min(mostVisibilitySeconds, Math.max(leastVisibilitySeconds, Math.ceil(2 * expectedSeconds)));
}
