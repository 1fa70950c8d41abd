import { metricNames, type RefreshMessage } from '../contract.ts';
import { before } from '../deadline.ts';
import type { Failure } from '../domain/outcome.ts';
import { type ScheduledAttempt, scheduleRefresh, scheduleRetry } from '../domain/short-lived.ts';
import { errorFields, type Logger } from '../observability/logger.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import type { Database } from '../postgres/database.ts';
import { releaseClaims } from '../postgres/release-claims.ts';
import type { StartedAttempt } from '../postgres/start-attempts.ts';
import type { Queue } from '../sqs/queue.ts';
import { GroupCommit } from './group-commit.ts';

export interface SchedulerParts {
  readonly database: Database;
  readonly refreshQueue: Pick<Queue, 'send'>;
  readonly logger: Logger;
  readonly metrics: InvocationMetrics;
  readonly settings: {
    /** Tokens that live shorter are short-lived; 0: none are. */
    readonly shortLifetimeSeconds: number;
  };
  /** Milliseconds until the function is killed. */
  readonly remainingMs: () => number;
}

/** What is sent for a claim that a commit has scheduled. */
interface Scheduled {
  readonly attempt: Pick<StartedAttempt, 'id' | 'provider'>;
  readonly claim: string;
  readonly delaySeconds: number;
}

/** Kept back from a send, for the batch's answer. */
const answerMs = 2_000;

/**
 * The next attempts on short-lived tokens: decides when they come, and sends their delayed messages once the claims
 * stand in the rows. Messages gather while others are sent. Whatever goes wrong costs a row the time until a scan finds
 * it, and never the batch.
 */
export class Scheduler {
  readonly #parts: SchedulerParts;
  readonly #startedAtMs = performance.now();
  readonly #messages: GroupCommit<Scheduled, undefined>;

  /** To be made when the attempts have just started: what is left of their tokens' lives counts from now. */
  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.#messages = new GroupCommit((group) => this.#send(group), { mustSplit: () => false });
  }

  afterSuccess(lifetimeSeconds: number): ScheduledAttempt | null {
    return scheduleRefresh(lifetimeSeconds, this.#parts.settings.shortLifetimeSeconds, Math.random());
  }

  /** Only passing failures are tried again early: whoever refuses a grant is not asked more often than ever. */
  afterFailure(attempt: StartedAttempt, failure: Failure): ScheduledAttempt | null {
    if (failure.kind !== 'transient') return null;
    const { lifetime_seconds: lifetimeSeconds, expires_in_seconds: expiresInSeconds } = attempt;
    const goneSeconds = (performance.now() - this.#startedAtMs) / 1000;
    return scheduleRetry(
      {
        lifetimeSeconds,
        expiresInSeconds: expiresInSeconds === null ? null : expiresInSeconds - goneSeconds,
        retryAfterSeconds: failure.retryAfterSeconds,
      },
      this.#parts.settings.shortLifetimeSeconds,
      Math.random(),
    );
  }

  /**
   * Sends the message for what a commit has scheduled, if it has: `claim` is null where the row did not allow it.
   * `decidedAtMs` is `performance.now()` when the delay began to count. Never rejects.
   */
  async send(
    attempt: StartedAttempt,
    claim: string | null,
    next: ScheduledAttempt | null,
    decidedAtMs: number,
  ): Promise<void> {
    if (claim === null || next === null) return;
    const goneSeconds = Math.floor((performance.now() - decidedAtMs) / 1000);
    const delaySeconds = Math.max(0, next.delaySeconds - goneSeconds);
    const { remainingMs, logger } = this.#parts;
    try {
      await before(this.#messages.commit({ attempt, claim, delaySeconds }), remainingMs() - answerMs);
    } catch (error) {
      logger.warn('next refresh left to the scans', {
        integrationId: attempt.id,
        provider: attempt.provider,
        cause: errorFields(error),
      });
    }
  }

  async #send(group: readonly Scheduled[]): Promise<undefined[]> {
    const { database, refreshQueue, logger, metrics } = this.#parts;
    const refused = new Set(
      await refreshQueue.send(
        group.map(({ attempt: { id, provider }, claim, delaySeconds }) => ({
          body: { version: 1, integrationId: id, claim, provider } satisfies RefreshMessage,
          groupId: provider,
          delaySeconds,
        })),
      ),
    );
    for (const [index, { attempt }] of group.entries()) {
      if (!refused.has(index)) metrics.count(metricNames.scheduled, 1, { provider: attempt.provider });
    }
    if (refused.size > 0) {
      logger.warn('next refreshes left to the scans', { count: refused.size });
      const unsent = group.filter((_, index) => refused.has(index));
      const claims = unsent.map(({ attempt, claim }) => ({ id: attempt.id, claim }));
      await releaseClaims(database, claims).catch((error) =>
        logger.warn('claims not given up', { count: claims.length, cause: errorFields(error) }),
      );
    }
    return group.map(() => undefined);
  }
}
