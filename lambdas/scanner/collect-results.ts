import { metricNames, type SealedResultMessage } from '../contract.ts';
import { parseSealedResultMessage } from '../messages.ts';
import { errorFields, type Logger } from '../observability/logger.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import { tellPrematureDisconnection } from '../observability/premature-disconnection.ts';
import { beginCollecting, type Collecting } from '../postgres/begin-collecting.ts';
import { type Database, isUnreachable, refusesValues, sqlState } from '../postgres/database.ts';
import { endCollecting } from '../postgres/end-collecting.ts';
import { holdForReplay } from '../postgres/hold-for-replay.ts';
import { type RefreshedResult, type StoredResult, storeRefreshed } from '../postgres/store-refreshed.ts';
import { openResult } from '../sealed-result.ts';
import type { LoadedSealer } from '../secret-sealer.ts';
import type { Queue, ReceivedMessage } from '../sqs/queue.ts';

export interface CollectParts {
  readonly database: Database;
  readonly sealedResultQueue: Queue;
  readonly sealer: LoadedSealer;
  readonly settings: {
    /** How long received results are hidden from others. */
    readonly sealedResultVisibilitySeconds: number;
    /** How long a dead letter is kept, and its row is held. */
    readonly sealedResultRetentionSeconds: number;
    readonly lapseWarningSeconds: number;
    readonly eventRelayHoldSeconds: number;
  };
  readonly logger: Logger;
  readonly metrics: InvocationMetrics;
  /** Whether there is time for one more batch. */
  readonly timeLeft: () => boolean;
}

/** Receives under way at once: their commits share one connection, and an empty queue is asked by one alone. */
const parallelReceives = 8;

/** How long SQS is waited for to take messages back; otherwise their visibility time-out does. */
const returnMs = 3_000;

/**
 * Beyond the two visibility time-outs: a receive that begins at the last moment may be repeated by the SDK and take a
 * dozen seconds to reach SQS, and the clocks of SQS and Postgres need not agree to the second.
 */
const marginSeconds = 20;

/**
 * Stores what waits in the sealed result queue. Returns the database's moment at which the collecting began, if no
 * result of an attempt whose hold had ended by then can still be on its way: such attempts have no result, and their rows
 * may be claimed. `null`: that is not known, as somebody else collects, Postgres or SQS failed, or a row is locked.
 *
 * Nobody receives before Postgres has answered and the keys are there, so an outage of either uses up no receives, however
 * long it lasts. Never throws.
 */
export async function collectResults(parts: CollectParts): Promise<string | null> {
  const { database, sealer, logger, settings } = parts;
  try {
    await sealer.load();
    const visibility = settings.sealedResultVisibilitySeconds;
    // It receives for as long as what it receives stays hidden, at most: all is visible again when its turn is over.
    const beganAtMs = performance.now();
    const turn = await beginCollecting(database, 2 * visibility + marginSeconds);
    if (turn === null) return null;
    const collection = new Collection(parts, turn, beganAtMs);
    await collection.run();
    if (collection.inDoubt) return null;
    await endCollecting(database, turn.until);
    return collection.left ? null : turn.began_at;
  } catch (error) {
    logger.error('sealed results not collected', { cause: errorFields(error) });
    return null;
  }
}

/** One result in our hands. */
interface InHand {
  readonly message: ReceivedMessage;
  readonly sealed: SealedResultMessage;
  readonly result: RefreshedResult;
  readonly sealedAtSeconds: number;
}

class Collection {
  /** Messages may be hidden that nobody has in hands, or whose end nobody knows. */
  inDoubt = false;
  /** Results are left that could not be stored now. */
  left = false;
  readonly #parts: CollectParts;
  readonly #turn: Collecting;
  /** `performance.now()` before the turn was asked for: an answer that takes its time must not prolong the turn. */
  readonly #beganAtMs: number;
  /** Messages that cannot be used: they come again until they are dead letters. */
  readonly #unusable = new Set<string>();

  constructor(parts: CollectParts, turn: Collecting, beganAtMs: number) {
    this.#parts = parts;
    this.#turn = turn;
    this.#beganAtMs = beganAtMs;
  }

  async run(): Promise<void> {
    // Most scans find nothing: then one call says so.
    if (await this.#batch()) {
      const worker = async () => {
        while (await this.#batch());
      };
      await Promise.all(Array.from({ length: parallelReceives }, worker));
    }
  }

  /** Receives and stores once. `false`: the queue is empty, or somebody said why it is left. */
  async #batch(): Promise<boolean> {
    const { sealedResultQueue, settings, logger } = this.#parts;
    const elapsedSeconds = (performance.now() - this.#beganAtMs) / 1000;
    const visibility = settings.sealedResultVisibilitySeconds;
    if (elapsedSeconds > visibility || !this.#parts.timeLeft()) this.left = true;
    if (this.inDoubt || this.left) return false;
    try {
      const { messages, repeated } = await sealedResultQueue.receive(visibility);
      if (repeated) this.inDoubt = true;
      if (messages.length === 0) return false;
      await this.#take(messages);
      return true;
    } catch (error) {
      this.inDoubt = true;
      logger.error('sealed results left', { cause: errorFields(error) });
      return false;
    }
  }

  async #take(messages: readonly ReceivedMessage[]): Promise<void> {
    const { logger, sealer } = this.#parts;
    const opened: InHand[] = [];
    const poison: { message: ReceivedMessage; sealed: SealedResultMessage | null; problem: string }[] = [];
    const again = messages.filter(({ messageId }) => this.#unusable.has(messageId));
    for (const message of messages) {
      if (again.includes(message)) continue;
      const parsed = parseSealedResultMessage(message.body);
      if (!parsed.ok) {
        poison.push({ message, sealed: null, problem: parsed.problem });
        continue;
      }
      const sealed = parsed.message;
      const result = await openResult(sealer, sealed, this.#nowSeconds());
      if (result.ok) opened.push({ ...result, message, sealed });
      else poison.push({ message, sealed, problem: result.problem });
    }
    for (const group of withoutRepeats(opened)) {
      try {
        await this.#store(group);
      } catch (error) {
        if (sqlState(error) === null) throw error;
        // It may be the fault of a single one.
        for (const alone of group) {
          try {
            await this.#store([alone]);
          } catch (cause) {
            if (sqlState(cause) === null || isUnreachable(cause)) throw cause;
            if (refusesValues(cause)) {
              poison.push({ ...alone, problem: `Postgres refuses its values (${sqlState(cause)})` });
            } else {
              await this.#leave(alone, cause);
            }
          }
        }
      }
    }
    for (const { message, sealed, problem } of poison) {
      this.#unusable.add(message.messageId);
      logger.error('sealed result not usable', {
        ...(sealed && { integrationId: sealed.integrationId, provider: sealed.provider }),
        problem,
      });
      if (sealed !== null) await this.#hold(sealed);
    }
    // At once, so that they are dead letters soon.
    const unusable = [...again, ...poison.map(({ message }) => message)];
    await this.#return(unusable.map(({ receiptHandle }) => receiptHandle));
  }

  async #store(group: readonly InHand[]): Promise<void> {
    const { database, settings, sealedResultQueue, logger, metrics } = this.#parts;
    const rows = await storeRefreshed(
      database,
      group.map(({ result }) => result),
      settings,
    );
    const stored = new Map(rows.map((row): [string, StoredResult] => [row.id, row]));
    const done: string[] = [];
    const locked: string[] = [];
    for (const { message, sealed, result, sealedAtSeconds } of group) {
      const { integrationId, provider } = sealed;
      const { verdict = 'gone', premature_disconnection: premature = false } = stored.get(result.id) ?? {};
      if (verdict === 'locked') {
        locked.push(message.receiptHandle);
        continue;
      }
      if (verdict === 'applied') metrics.count(metricNames.collected, 1);
      logger.info(verdict === 'applied' ? 'sealed result stored' : 'sealed result void', {
        integrationId,
        provider,
        verdict,
        waitedSeconds: Math.round(this.#nowSeconds() - sealedAtSeconds),
      });
      if (premature)
        tellPrematureDisconnection(this.#parts, { integrationId, provider: provider ?? 'unknown' });
      done.push(message.receiptHandle);
    }
    await sealedResultQueue.remove(done);
    if (locked.length > 0) {
      this.left = true;
      await this.#return(locked);
    }
  }

  /**
   * For the next scan, as it may pass or be mended. It is received once more each time, and the row is held already for
   * the case that it becomes a dead letter before.
   */
  async #leave({ message, sealed }: InHand, cause: unknown): Promise<void> {
    const { logger } = this.#parts;
    this.left = true;
    logger.error('sealed result left', {
      integrationId: sealed.integrationId,
      provider: sealed.provider,
      cause: errorFields(cause),
    });
    await this.#hold(sealed);
    await this.#return([message.receiptHandle]);
  }

  /** No attempt may use a token that the provider may have spent: the row waits until its result is stored, or replayed. */
  async #hold({ integrationId, claim, grant }: SealedResultMessage): Promise<void> {
    const { database, settings } = this.#parts;
    const seconds = settings.sealedResultRetentionSeconds;
    if (!(await holdForReplay(database, { id: integrationId, claim, grant, seconds }))) this.left = true;
  }

  async #return(receiptHandles: readonly string[]): Promise<void> {
    if (!(await this.#parts.sealedResultQueue.returnNow(receiptHandles, returnMs))) this.inDoubt = true;
  }

  /** By the clock of Postgres: ours may be wrong. */
  #nowSeconds(): number {
    return this.#turn.began_at_seconds + (performance.now() - this.#beganAtMs) / 1000;
  }
}

/** Groups in which no row stands twice, the earlier results first: one statement changes a row once. */
function withoutRepeats(all: readonly InHand[]): InHand[][] {
  const groups: InHand[][] = [];
  const seen = new Map<string, number>();
  for (const one of all.toSorted((a, b) => a.sealedAtSeconds - b.sealedAtSeconds)) {
    const index = seen.get(one.result.id) ?? 0;
    seen.set(one.result.id, index + 1);
    groups[index] ??= [];
    groups[index].push(one);
  }
  return groups;
}
