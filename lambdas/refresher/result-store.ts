import { setTimeout as sleep } from 'node:timers/promises';
import { before } from '../deadline.ts';
import type { AttemptPurpose } from '../domain/lapse.ts';
import type { Failure, RefreshedTokens } from '../domain/outcome.ts';
import type { ThresholdStep } from '../domain/policy.ts';
import type { CommitVerdict } from '../postgres/commit-verdict.ts';
import { type Database, isUnreachable, refusesValues, sqlState } from '../postgres/database.ts';
import { type RecordedFailure, recordFailures } from '../postgres/record-failures.ts';
import { type LapseResult, type RecordedLapse, recordLapses } from '../postgres/record-lapses.ts';
import type { StartedAttempt } from '../postgres/start-attempts.ts';
import { type RefreshedResult, type StoredResult, storeRefreshed } from '../postgres/store-refreshed.ts';
import type { ProviderDefinition } from '../providers/definition.ts';
import { sealResult } from '../sealed-result.ts';
import type { Sealer } from '../sealing/token-sealer.ts';
import type { Queue } from '../sqs/queue.ts';
import { GroupCommit } from './group-commit.ts';

/** Between two tries of a commit that met a locked row or a database that is away. */
const retryPauseMs = 100;

/**
 * How long Postgres may take over a success before a sealed copy goes to the queue: longer than a busy commit takes, and
 * short, as until then this process alone has the token.
 */
const patienceMs = 1_000;

/** Kept for what follows the commits: giving back claims, publishing events, the metrics, the answer. */
const closingMs = 1_500;

/** Of that, kept for the log, the metrics and the answer: the last try to send a copy ends before. */
const lastCopyMs = 500;

/** How long a row rests of which nothing is renewed and nothing ends; its provider may be defined otherwise by then. */
const restSeconds = 86_400;

export type LapseDecision = Exclude<AttemptPurpose, 'renew'>;

/** What a commit needs to know of a provider. */
export type ProviderFacts = Pick<ProviderDefinition, 'displayName' | 'refreshTokenLifetime'>;

/** What became of a result. `untaken`: Postgres refuses its values, or did not take it before the function's last moment. */
export type Committed<Result> = Result | { readonly verdict: 'untaken'; readonly error: unknown };

/** What became of a success. `sealed`: it waits in its queue; `lost`: neither that nor Postgres took it. */
export type Kept =
  | StoredResult
  | { readonly verdict: 'sealed'; readonly error: unknown }
  | { readonly verdict: 'lost'; readonly error: unknown };

/**
 * Commits results as they arrive. One that Postgres does not take is tried again until `remainingMs()` runs out. Of a
 * success a sealed copy goes to a queue meanwhile: the provider has spent the old token, and nobody else has the new one.
 */
export class ResultStore {
  readonly #refreshed: GroupCommit<SealedResult, StoredResult>;
  readonly #failed: GroupCommit<FailureOfAttempt, RecordedFailure>;
  readonly #lapsed: GroupCommit<LapseOfAttempt, RecordedLapse>;
  readonly #copies: GroupCommit<SealedResult, boolean>;
  readonly #sealer: Sealer;
  readonly #tokensAtRest: 'sealed' | 'plain';
  readonly #remainingMs: () => number;

  constructor(
    database: Database,
    options: {
      readonly sealer: Sealer;
      readonly sealedResultQueue: Queue;
      /** Seconds since 1970, by the clock of the database. */
      readonly nowSeconds: () => number;
      /** Told of each copy that the queue has taken. */
      readonly onSealed: () => void;
      readonly tokensAtRest: 'sealed' | 'plain';
      readonly steps: readonly ThresholdStep[];
      readonly eventRelayHoldSeconds: number;
      /** How long before a grant ends its user is warned. */
      readonly lapseWarningSeconds: number;
      readonly waitingHoldSeconds: number;
      /** Looks at a group of failures before it is committed. Never throws. */
      readonly watch: (failures: readonly FailureOfAttempt[]) => Promise<void>;
      readonly remainingMs: () => number;
    },
  ) {
    this.#sealer = options.sealer;
    this.#tokensAtRest = options.tokensAtRest;
    this.#remainingMs = options.remainingMs;
    // A SQLSTATE may be about one row's values, unless it says that Postgres is away: from all rows alike.
    const mustSplit = (error: unknown) => sqlState(error) !== null && !isUnreachable(error);
    this.#refreshed = new GroupCommit(
      async (results) => {
        const rows = await storeRefreshed(database, results.map(agedToNow), options);
        const stored = new Map(rows.map((row) => [row.id, row]));
        return results.map(({ attempt }) => stored.get(attempt.id) as StoredResult);
      },
      { mustSplit },
    );
    this.#copies = new GroupCommit(
      async (results) => {
        const messages = await Promise.all(
          results.map(async (result) => ({
            body: await sealResult(
              this.#sealer,
              agedToNow(result),
              result.attempt.provider,
              options.nowSeconds(),
            ),
            groupId: result.attempt.provider,
          })),
        );
        const refused = new Set(
          await options.sealedResultQueue.send(messages, options.remainingMs() - lastCopyMs),
        );
        const taken = results.map((_, index) => !refused.has(index));
        for (const one of taken) if (one) options.onSealed();
        return taken;
      },
      { mustSplit: () => true },
    );
    this.#failed = new GroupCommit(
      async (failures) => {
        await options.watch(failures);
        const rows = await recordFailures(database, failures.map(asFailedResult), options);
        const recorded = new Map(rows.map((row) => [row.id, row]));
        return failures.map(({ attempt }) => recorded.get(attempt.id) as RecordedFailure);
      },
      { mustSplit },
    );
    this.#lapsed = new GroupCommit(
      async (lapses) => {
        const policy = { ...options, restSeconds };
        const rows = await recordLapses(database, lapses.map(asLapseResult), policy);
        const recorded = new Map(rows.map((row) => [row.id, row]));
        return lapses.map(({ attempt }) => recorded.get(attempt.id) as RecordedLapse);
      },
      { mustSplit },
    );
  }

  /**
   * Seals and stores new tokens. `used`: the token that renewed the grant, as it was opened. `receivedAtMs` is
   * `performance.now()` when the answer came. `scheduledHoldSeconds`: as `RefreshedResult` has it, as do failures.
   */
  async storeRefreshed(
    attempt: StartedAttempt,
    used: { readonly opened: string; readonly current: boolean },
    tokens: RefreshedTokens,
    receivedAtMs: number,
    provider: ProviderFacts,
    scheduledHoldSeconds: number | null = null,
  ): Promise<Kept> {
    const accessTokenAtRest = this.#atRest(attempt.id, 'access_token', tokens.accessToken);
    const [accessToken, newRefreshToken] = await Promise.all([
      accessTokenAtRest,
      attempt.token_column === 'access_token'
        ? accessTokenAtRest
        : // Not rotated and stored as it should be: the same string stays.
          tokens.refreshToken === null && used.current === (this.#tokensAtRest === 'sealed')
          ? attempt.token
          : this.#atRest(attempt.id, 'refresh_token', tokens.refreshToken ?? used.opened),
    ]);
    return this.#keep({
      attempt,
      tokens,
      accessToken,
      refreshToken: newRefreshToken,
      receivedAtMs,
      provider,
      scheduledHoldSeconds,
    });
  }

  /**
   * A copy goes to the queue as soon as Postgres has refused the result, or has not taken it within `patienceMs`. Postgres
   * is tried on: a copy of what it has taken after all is void when it is collected.
   */
  async #keep(result: SealedResult): Promise<Kept> {
    let copied = false;
    let copying: Promise<void> | null = null;
    const copy = (): void => {
      copying ??= this.#copies
        .commit(result)
        .catch(() => false)
        .then((taken) => {
          copied = taken;
          if (!taken) copying = null;
        });
    };
    const impatience = setTimeout(copy, patienceMs);
    try {
      const committed = await this.#untilCommitted(() => this.#refreshed.commit(result), copy);
      if (committed.verdict !== 'untaken') return committed;
      const { error } = committed;
      // What Postgres refuses for its values leaves time, and the queue may want more than one try.
      while (!copied && this.#remainingMs() > lastCopyMs + retryPauseMs) {
        copy();
        await before(copying ?? Promise.resolve(), this.#remainingMs() - lastCopyMs).catch(() => undefined);
        if (!copied) await sleep(retryPauseMs);
      }
      return { verdict: copied ? 'sealed' : 'lost', error };
    } finally {
      clearTimeout(impatience);
      // A copy under way must not go on when the function thaws, and arrive long after the result that it is of.
      await before(copying ?? Promise.resolve(), this.#remainingMs() - lastCopyMs).catch(() => undefined);
    }
  }

  async recordFailure(
    attempt: StartedAttempt,
    failure: Failure,
    details: Omit<FailureOfAttempt, 'attempt' | 'failure'>,
  ): Promise<Committed<RecordedFailure>> {
    return this.#untilCommitted(() => this.#failed.commit({ attempt, failure, ...details }));
  }

  /** Of an attempt whose turn needs no call. */
  async recordLapse(
    attempt: StartedAttempt,
    decision: LapseDecision,
    providerName: string,
  ): Promise<Committed<RecordedLapse>> {
    return this.#untilCommitted(() => this.#lapsed.commit({ attempt, decision, providerName }));
  }

  #atRest(
    integrationId: string,
    column: 'access_token' | 'refresh_token',
    token: string,
  ): string | Promise<string> {
    return this.#tokensAtRest === 'plain' ? token : this.#sealer.seal(token, { integrationId, column });
  }

  async #untilCommitted<Result extends { readonly verdict: CommitVerdict }>(
    commit: () => Promise<Result>,
    onRefusal: () => void = () => undefined,
  ): Promise<Committed<Result>> {
    for (;;) {
      let problem: unknown;
      try {
        const result = await before(commit(), this.#remainingMs() - closingMs);
        if (result.verdict !== 'locked') return result;
        problem = new Error('the row stayed locked by another transaction');
      } catch (error) {
        problem = error;
        onRefusal();
      }
      // A missing column or right is no such error: a migration may be under way.
      if (refusesValues(problem) || this.#remainingMs() < closingMs + 2 * retryPauseMs) {
        return { verdict: 'untaken', error: problem };
      }
      await sleep(retryPauseMs);
    }
  }
}

interface SealedResult {
  readonly attempt: StartedAttempt;
  readonly tokens: RefreshedTokens;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly receivedAtMs: number;
  readonly provider: ProviderFacts;
  readonly scheduledHoldSeconds: number | null;
}

/** A failure that waits for its commit. */
export interface FailureOfAttempt {
  readonly attempt: StartedAttempt;
  readonly failure: Failure;
  readonly providerName: string;
  readonly retryDelaySeconds: number;
  /** See `FailedResult`; so is `mayRotate`. */
  readonly doubtful: boolean;
  readonly mayRotate: boolean;
  readonly scheduledHoldSeconds: number | null;
}

interface LapseOfAttempt {
  readonly attempt: StartedAttempt;
  readonly decision: LapseDecision;
  readonly providerName: string;
}

/** Lifetimes run from the provider's answer, and the statement counts them from its own moment. */
function agedToNow({
  attempt,
  tokens,
  accessToken,
  refreshToken,
  receivedAtMs,
  provider,
  scheduledHoldSeconds,
}: SealedResult): RefreshedResult {
  const lifetime = provider.refreshTokenLifetime;
  const refreshTokenLasts =
    tokens.refreshTokenExpiresInSeconds ?? (lifetime?.from === 'refresh' ? lifetime.seconds : null);
  const ageSeconds = (performance.now() - receivedAtMs) / 1000;
  return {
    id: attempt.id,
    usedToken: attempt.token,
    claim: attempt.claim,
    accessToken,
    refreshToken,
    expiresInSeconds: tokens.expiresInSeconds - ageSeconds,
    refreshTokenExpiresInSeconds: refreshTokenLasts === null ? null : refreshTokenLasts - ageSeconds,
    authorizationLifetimeSeconds: lifetime?.from === 'authorization' ? lifetime.seconds : null,
    scope: tokens.scopes?.join(' ') ?? null,
    kept: tokens.kept,
    providerName: provider.displayName,
    scheduledHoldSeconds,
  };
}

function asLapseResult({ attempt, decision, providerName }: LapseOfAttempt): LapseResult {
  return { id: attempt.id, usedToken: attempt.token, claim: attempt.claim, decision, providerName };
}

function asFailedResult({ attempt, failure, ...details }: FailureOfAttempt) {
  return {
    id: attempt.id,
    usedToken: attempt.token,
    claim: attempt.claim,
    failureClass: failure.kind,
    invalidRefreshToken: failure.kind === 'permanent' && failure.invalidRefreshToken,
    code: failure.code,
    ...details,
  };
}
