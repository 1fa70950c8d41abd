import { metricNames } from '../contract.ts';
import { before } from '../deadline.ts';
import type { Failure, Outcome } from '../domain/outcome.ts';
import {
  hasAnswered,
  hasCalled,
  isEvidence,
  isUndecided,
  usualRetryAfter,
} from '../domain/provider-guards.ts';
import { errorFields, type Logger } from '../observability/logger.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import { type Database, isUnreachable, sqlState, withTimeout } from '../postgres/database.ts';
import { type SettledProbes, settleProbes } from '../postgres/settle-probes.ts';
import type { StartedAttempt } from '../postgres/start-attempts.ts';
import { type GuardSettings, watchProviders } from '../postgres/watch-providers.ts';
import type { FailureOfAttempt } from './result-store.ts';

export interface WatchParts {
  readonly database: Database;
  readonly settings: { readonly guards: GuardSettings };
  readonly logger: Logger;
  readonly metrics: InvocationMetrics;
  /** Milliseconds until the function is killed. */
  readonly remainingMs: () => number;
}

/** How long a look at providers lasts at most: results wait for it, on the same connection. */
const watchMs = 2_000;

/** With less time left the results are more urgent: a group without a look is one that the next group makes up for. */
const leastRemainingMs = 5_000;

/**
 * How long a failure waits at most for what its batch comes to at the same provider. It has no token that could be lost,
 * and what is pending keeps the batch from its end anyway.
 */
const gatherMs = 1_000;

interface Known {
  refreshed: number;
  pending: number;
  /** Evidence for a circuit. */
  failing: number;
  /** Grants that the provider refused. */
  refused: number;
  /** Both of these. */
  readonly evidence: Failure[];
}

/**
 * What one batch sees of its providers as a whole. Neither of the two looks may cost a result: if one fails, that is
 * said in the log, and the batch goes on.
 */
export class ProviderWatch {
  readonly #parts: WatchParts;
  readonly #known = new Map<string, Known>();
  readonly #waiting: {
    readonly provider: string;
    readonly kind: Failure['kind'];
    readonly release: () => void;
  }[] = [];
  /** Attempts whose failure was about to be committed when providers were looked at. */
  readonly #watched = new Set<StartedAttempt>();
  /** Evidence that no look has had yet. */
  #unwatched: { readonly attempt: StartedAttempt; readonly failure: Failure }[] = [];
  readonly #probes: { readonly attempt: StartedAttempt; readonly outcome: Outcome }[] = [];

  constructor(parts: WatchParts, attempts: readonly StartedAttempt[]) {
    this.#parts = { ...parts, database: withTimeout(parts.database, watchMs) };
    for (const { provider } of attempts) this.#of(provider).pending += 1;
  }

  /** An attempt has come to something. */
  learned(attempt: StartedAttempt, outcome: Outcome): void {
    const known = this.#of(attempt.provider);
    known.pending -= 1;
    if (outcome.kind === 'refreshed') known.refreshed += 1;
    else if (isEvidence(outcome)) {
      known.evidence.push(outcome);
      if (outcome.kind === 'permanent') known.refused += 1;
      else known.failing += 1;
      this.#unwatched.push({ attempt, failure: outcome });
    }
    this.#release(attempt);
    if (attempt.probe && hasCalled(outcome)) this.#probes.push({ attempt, outcome });
  }

  /** No call was made for an attempt, and none will be. */
  notCalled(attempt: StartedAttempt): void {
    this.#of(attempt.provider).pending -= 1;
    this.#release(attempt);
  }

  /**
   * Resolves when nothing that is pending in the batch could make a failure one of its whole provider any more, or when
   * all has come that could, or after `gatherMs`: failures that are written down one by one count for their
   * integrations, and refused grants are disconnected, before there are enough of them to tell. Never throws.
   */
  async decided({ provider }: StartedAttempt, failure: Failure): Promise<void> {
    const { kind } = failure;
    // So that there is still time for the look.
    const waitMs = Math.min(gatherMs, this.#parts.remainingMs() - leastRemainingMs);
    if (waitMs <= 0 || !isEvidence(failure) || !this.#isUndecided(provider, kind)) return;
    const decision = Promise.withResolvers<void>();
    this.#waiting.push({ provider, kind, release: decision.resolve });
    await before(decision.promise, waitMs).catch(() => undefined);
  }

  /**
   * Looks whether a group of failures is their providers' doing, before it is committed: what is decided holds for this
   * group as well. All that the batch has learned of these providers counts: of those that waited together none is
   * committed before. A group that was looked at is not again when its commit is tried again; without failures nothing
   * is asked.
   */
  async watch(failures: readonly FailureOfAttempt[]): Promise<void> {
    const { database, settings, logger, remainingMs } = this.#parts;
    const fresh = failures.filter(
      ({ attempt, failure }) => !this.#watched.has(attempt) && isEvidence(failure),
    );
    if (fresh.length === 0) return;
    for (const { attempt } of fresh) this.#watched.add(attempt);
    if (remainingMs() < leastRemainingMs) {
      logger.warn('no time left to watch providers', { count: fresh.length });
      return;
    }
    const concerned = new Set(fresh.map(({ attempt }) => attempt.provider));
    const evidence = this.#unwatched.filter(({ attempt }) => concerned.has(attempt.provider));
    this.#unwatched = this.#unwatched.filter(({ attempt }) => !concerned.has(attempt.provider));
    try {
      const acted = await before(
        watchProviders(
          database,
          evidence.map(({ attempt, failure }) => ({
            integrationId: attempt.id,
            provider: attempt.provider,
            failureClass: failure.kind,
            code: failure.code,
          })),
          [...concerned].map((provider) => ({
            provider,
            refreshed: this.#of(provider).refreshed,
            pending: this.#of(provider).pending,
            retryAfterSeconds: usualRetryAfter(this.#of(provider).evidence),
          })),
          settings.guards,
        ),
        watchMs,
      );
      for (const guard of acted) this.#tell(guard);
    } catch (error) {
      // A group that Postgres was away for is committed again, and looked at again. Of another error's group only what
      // belongs to others is: theirs may be right. Should rows stand there already, integrations count all the same.
      if (sqlState(error) === null || isUnreachable(error)) {
        for (const { attempt } of fresh) this.#watched.delete(attempt);
      }
      this.#unwatched.push(...evidence.filter(({ attempt }) => !this.#watched.has(attempt)));
      logger.error('providers not watched', { count: evidence.length, cause: errorFields(error) });
    }
  }

  /** Closes the circuits whose probes were answered in this batch, and puts the next probes of the others off. */
  async settleProbes(): Promise<void> {
    const { database, settings, logger, remainingMs } = this.#parts;
    if (this.#probes.length === 0) return;
    try {
      const closed = await before(
        settleProbes(database, this.#settled(), settings.guards),
        Math.min(watchMs, remainingMs()),
      );
      for (const { provider, circuit_cause, circuit_code, open_for_seconds } of closed) {
        logger.info('circuit closed', {
          provider,
          circuitCause: circuit_cause,
          code: circuit_code,
          openForSeconds: Math.round(open_for_seconds),
        });
      }
    } catch (error) {
      logger.error('probes not settled', { count: this.#probes.length, cause: errorFields(error) });
    }
  }

  #settled(): SettledProbes[] {
    return [...new Set(this.#probes.map(({ attempt }) => attempt.provider))].map((provider) => {
      const probes = this.#probes.filter(({ attempt }) => attempt.provider === provider);
      return {
        provider,
        integrationIds: probes.map(({ attempt }) => attempt.id),
        answered: 2 * probes.filter(({ outcome }) => hasAnswered(outcome)).length > probes.length,
        retryAfterSeconds: usualRetryAfter(probes.map(({ outcome }) => outcome)),
      };
    });
  }

  #tell(guard: Awaited<ReturnType<typeof watchProviders>>[number]): void {
    const { logger, metrics } = this.#parts;
    const { provider } = guard;
    if (guard.opened) {
      // The alarm need not wait for the next scan, which measures as well.
      if (guard.circuit_cause === 'outage') metrics.measure(metricNames.openCircuits, 1);
      logger.error('circuit opened', {
        provider,
        circuitCause: guard.circuit_cause,
        code: guard.circuit_code,
        failing: guard.failing,
        answered: guard.answered,
        pending: guard.pending,
        probeInSeconds: Math.round(guard.probe_in_seconds ?? 0),
      });
    }
    if (guard.held) {
      metrics.measure(metricNames.disconnectionsHeld, 1);
      logger.error('disconnections held', {
        provider,
        refused: guard.refused,
        refreshed: guard.refreshed,
        pending: guard.pending,
      });
    }
  }

  /** Each kind of failure by the guard that protects from it: refusals for disconnections, all others for the circuit. */
  #isUndecided(provider: string, kind: Failure['kind']): boolean {
    const { failing, refreshed, refused, pending } = this.#of(provider);
    const { circuit, massRefusal } = this.#parts.settings.guards;
    return kind === 'permanent'
      ? isUndecided({ failing: refused, answered: refreshed, pending }, massRefusal)
      : isUndecided({ failing, answered: refreshed + refused, pending }, circuit);
  }

  #release({ provider }: StartedAttempt): void {
    for (const waiting of this.#waiting)
      if (waiting.provider === provider && !this.#isUndecided(provider, waiting.kind)) waiting.release();
  }

  #of(provider: string): Known {
    const known = this.#known.get(provider) ?? {
      refreshed: 0,
      pending: 0,
      failing: 0,
      refused: 0,
      evidence: [],
    };
    this.#known.set(provider, known);
    return known;
  }
}
