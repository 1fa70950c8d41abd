import { metricNames } from '../contract.ts';
import { before } from '../deadline.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { ThresholdStep } from '../domain/policy.ts';
import { retryDelaySeconds } from '../domain/retry-delay.ts';
import { errorFields, type Logger } from '../observability/logger.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import { tellPrematureDisconnection } from '../observability/premature-disconnection.ts';
import { type Database, sqlState } from '../postgres/database.ts';
import { giveUpClaims } from '../postgres/give-up-claims.ts';
import { runningSeconds } from '../postgres/read-clock.ts';
import { type ProviderOutcomes, recordOutcomes } from '../postgres/record-outcomes.ts';
import { reopenClaims } from '../postgres/reopen-claims.ts';
import { type NamedClaim, type StartedAttempt, startAttempts } from '../postgres/start-attempts.ts';
import type { GuardSettings } from '../postgres/watch-providers.ts';
import { buildTokenRequest } from '../providers/request.ts';
import type { Sealer } from '../sealing/token-sealer.ts';
import type { ProviderClients } from '../secrets/provider-clients.ts';
import type { Queue } from '../sqs/queue.ts';
import { purposeOf } from './attempt-purpose.ts';
import { Pacing } from './pacing.ts';
import { ProviderWatch } from './provider-watch.ts';
import { type Renewal, renew } from './renew.ts';
import { type LapseDecision, ResultStore } from './result-store.ts';
import { Scheduler, type SchedulerParts } from './scheduler.ts';

export interface RefreshSettings {
  /** How long nobody else may start an attempt after one has started; longer than the function can live. */
  readonly attemptHoldSeconds: number;
  readonly callTimeoutMs: number;
  /** Calls under way at once. */
  readonly maxInFlight: number;
  readonly retryDelaySeconds: number;
  /** Tokens that live shorter are refreshed by scheduled attempts; 0: none are. */
  readonly shortLifetimeSeconds: number;
  readonly eventRelayHoldSeconds: number;
  /** How long before a grant ends its user is warned. */
  readonly lapseWarningSeconds: number;
  readonly tokensAtRest: 'sealed' | 'plain';
  readonly steps: readonly ThresholdStep[];
  readonly guards: GuardSettings;
}

export interface RefreshParts {
  readonly database: Database;
  readonly sealer: Sealer;
  readonly providers: ProviderClients;
  readonly sealedResultQueue: Queue;
  /** Where the next attempts on short-lived tokens are asked for. */
  readonly refreshQueue: SchedulerParts['refreshQueue'];
  readonly settings: RefreshSettings;
  readonly logger: Logger;
  readonly metrics: InvocationMetrics;
  /** Milliseconds until the function is killed. */
  readonly remainingMs: () => number;
}

export interface BatchResult {
  /** Integrations that no call was made for, for want of time: their messages have to come again. */
  readonly unfinished: readonly string[];
  /** Rows of the outbox that came of this batch and are to be published. */
  readonly events: readonly { readonly eventId: string; readonly provider: string }[];
}

/** Kept back from every call, so that its result can still be committed: one time-out of a statement and a bit. */
const commitReserveMs = 7_000;

/** How long a batch waits for its outcomes to be written down: publishing its events and its answer come after. */
const writeDownMs = 2_000;

/**
 * Refreshes a batch of integrations, at most `maxInFlight` at a time, and commits each result as it comes. `named`: the
 * scheduled claims that messages of the batch name.
 */
export async function refreshBatch(
  parts: RefreshParts,
  integrationIds: readonly string[],
  named: readonly NamedClaim[] = [],
): Promise<BatchResult> {
  if (!timeForACall(parts)) return { unfinished: integrationIds, events: [] };
  const ids = [...new Set(integrationIds)];
  // What was scheduled while scans went on, before somebody else took over, is not ours to start any more.
  const attempts = await start(parts, ids, parts.settings.shortLifetimeSeconds > 0 ? named : []);
  const scheduler = new Scheduler(parts);
  if (attempts.length < ids.length) {
    // Duplicates and integrations that changed meanwhile: nothing is open for them, nothing is to be done.
    parts.logger.debug('nothing to start', { count: ids.length - attempts.length });
  }
  // Of one statement, so of one moment.
  const nowSeconds = runningSeconds(attempts[0]?.now_seconds ?? 0);
  const watch = new ProviderWatch(parts, attempts);
  const pacing = new Pacing(
    {
      database: parts.database,
      providers: parts.providers,
      logger: parts.logger,
      callableMs: () => parts.remainingMs() - parts.settings.callTimeoutMs - commitReserveMs,
    },
    attempts,
  );
  const store = new ResultStore(parts.database, {
    sealer: parts.sealer,
    sealedResultQueue: parts.sealedResultQueue,
    nowSeconds,
    onSealed: () => parts.metrics.count(metricNames.sealed, 1),
    tokensAtRest: parts.settings.tokensAtRest,
    steps: parts.settings.steps,
    eventRelayHoldSeconds: parts.settings.eventRelayHoldSeconds,
    lapseWarningSeconds: parts.settings.lapseWarningSeconds,
    waitingHoldSeconds: parts.settings.guards.circuitCooldownSeconds,
    watch: (failures) => watch.watch(failures),
    remainingMs: parts.remainingMs,
  });

  const outcomes = new Map<string, { provider: string; refreshed: number; disconnected: number }>();
  for (const { provider } of attempts) outcomes.set(provider, { provider, refreshed: 0, disconnected: 0 });
  const notCalled: StartedAttempt[] = [];
  const putOff: StartedAttempt[] = [];
  const events: { eventId: string; provider: string }[] = [];
  const queue = attempts.values();
  const worker = async (): Promise<void> => {
    for (const attempt of queue) {
      const turn = timeForACall(parts) ? await pacing.turn(attempt) : 'unlimited';
      const result =
        turn === 'none' || !timeForACall(parts)
          ? noTimeLeft
          : await refreshOne({ ...parts, nowSeconds }, { watch, pacing, store, scheduler }, attempt).catch(
              (error) => lost(parts, attempt, error),
            );
      if (result === noTimeLeft) {
        (turn === 'unlimited' ? notCalled : putOff).push(attempt);
        watch.notCalled(attempt);
        continue;
      }
      const { provider } = attempt;
      const counts = outcomes.get(provider);
      if (counts && result.refreshed) counts.refreshed += 1;
      if (counts && result.disconnected) counts.disconnected += 1;
      if (result.eventId !== null) events.push({ eventId: result.eventId, provider });
    }
  };
  await Promise.all(Array.from({ length: Math.min(parts.settings.maxInFlight, attempts.length) }, worker));
  await watch.settleProbes();
  if (putOff.length > 0) await giveUp(parts, putOff);
  if (notCalled.length > 0) {
    parts.logger.warn('no time left for calls', { count: notCalled.length });
    await reopenClaims(parts.database, notCalled);
  }
  await writeDown(parts, [...outcomes.values()]);
  return { unfinished: notCalled.map(({ id }) => id), events };
}

/**
 * The provider's limit leaves no room for them, and would not if their messages came again at once: the next scan
 * claims them. If they cannot be given up, the hold of their attempt ends by itself, and a later scan does.
 */
async function giveUp(
  { database, logger, metrics }: RefreshParts,
  attempts: readonly StartedAttempt[],
): Promise<void> {
  for (const { provider } of attempts) metrics.count(metricNames.putOff, 1, { provider });
  logger.info('put off by the limits of providers', { count: attempts.length });
  try {
    await giveUpClaims(database, attempts);
  } catch (error) {
    logger.warn('claims not given up', { count: attempts.length, cause: errorFields(error) });
  }
}

/** For the success rate of each provider. It is worth neither a batch nor the time that its answer needs. */
async function writeDown(
  { database, logger, remainingMs }: RefreshParts,
  outcomes: readonly ProviderOutcomes[],
): Promise<void> {
  const known = outcomes.filter(({ refreshed, disconnected }) => refreshed + disconnected > 0);
  if (known.length === 0 || remainingMs() < commitReserveMs) return;
  try {
    await before(recordOutcomes(database, known), writeDownMs);
  } catch (error) {
    logger.warn('outcomes not recorded', { cause: errorFields(error) });
  }
}

/**
 * Starts with a second try: an environment that was frozen may find its connection dead. If the first try
 * took effect all the same, the second finds nothing, and the rows come again when the hold is over.
 */
async function start(
  { database, settings }: RefreshParts,
  ids: readonly string[],
  named: readonly NamedClaim[],
): Promise<StartedAttempt[]> {
  const wanted = { ids, named, holdSeconds: settings.attemptHoldSeconds };
  try {
    return await startAttempts(database, wanted);
  } catch (error) {
    if (sqlState(error) !== null) throw error;
    return await startAttempts(database, wanted);
  }
}

function timeForACall({ remainingMs, settings }: RefreshParts): boolean {
  return remainingMs() >= settings.callTimeoutMs + commitReserveMs;
}

/** The provider's secret came too late for a call that could still finish. */
const noTimeLeft = Symbol('no time left');

interface AttemptParts extends RefreshParts {
  /** Seconds since 1970 by the database's clock. */
  readonly nowSeconds: () => number;
}

/** What came of one attempt. */
interface AttemptResult {
  readonly refreshed: boolean;
  readonly disconnected: boolean;
  /** Row of the outbox. */
  readonly eventId: string | null;
}

/** One attempt from the stored token to the committed result. */
async function refreshOne(
  parts: AttemptParts,
  {
    watch,
    pacing,
    store,
    scheduler,
  }: {
    readonly watch: ProviderWatch;
    readonly pacing: Pacing;
    readonly store: ResultStore;
    readonly scheduler: Scheduler;
  },
  attempt: StartedAttempt,
): Promise<AttemptResult | typeof noTimeLeft> {
  const { logger, metrics, settings } = parts;
  const { id: integrationId, provider } = attempt;
  const { purpose, definition } = purposeOf(attempt, await parts.providers.get(provider));
  if (purpose !== 'renew') {
    watch.notCalled(attempt);
    return seeToEnd(parts, store, attempt, {
      decision: purpose,
      providerName: definition?.displayName ?? provider,
    });
  }
  const obtained = await obtain(parts, pacing, attempt);
  if (obtained === noTimeLeft) return noTimeLeft;
  const { outcome, opened, providerName, receivedAtMs, callMs, retriedAfter, doubtful } = obtained;
  watch.learned(attempt, outcome);
  if (callMs !== null) metrics.milliseconds(metricNames.callDuration, callMs, { provider });
  const durationMs = callMs === null ? null : Math.round(callMs);

  if (outcome.kind === 'refreshed') {
    const next = scheduler.afterSuccess(outcome.tokens.expiresInSeconds);
    const facts = { displayName: providerName, refreshTokenLifetime: definition?.refreshTokenLifetime };
    const committed = await store.storeRefreshed(
      attempt,
      opened,
      outcome.tokens,
      receivedAtMs,
      facts,
      next?.holdSeconds,
    );
    if (committed.verdict === 'lost') return lost(parts, attempt, committed.error);
    if (committed.verdict === 'sealed') {
      logger.warn('result sealed', { integrationId, provider, cause: errorFields(committed.error) });
      return nothingCommitted;
    }
    await scheduler.send(attempt, committed.scheduled_claim, next, receivedAtMs);
    const applied = committed.verdict === 'applied';
    metrics.count(applied ? metricNames.refreshed : metricNames.superseded, 1, { provider });
    logger.info(applied ? 'refreshed' : 'result void', {
      integrationId,
      provider,
      verdict: committed.verdict,
      rotated: outcome.tokens.refreshToken !== null,
      expiresInSeconds: outcome.tokens.expiresInSeconds,
      ...(committed.scheduled_claim !== null && { nextRefreshInSeconds: next?.delaySeconds }),
      ...(outcome.tokens.remarks.length > 0 && { remarks: outcome.tokens.remarks }),
      ...(retriedAfter !== null && { retriedAfter }),
      durationMs,
    });
    if (committed.premature_disconnection) tellPrematureDisconnection(parts, { integrationId, provider });
    return { refreshed: applied, disconnected: false, eventId: committed.event_id };
  }

  // The provider refused our client: what we hold of it may be out of date.
  if (outcome.kind === 'operator') parts.providers.forget(provider);
  await watch.decided(attempt, outcome);
  const delaySeconds = retryDelaySeconds(outcome, settings.retryDelaySeconds, Math.random());
  // What may have spent the token is not asked sooner than ever.
  const early = doubtful ? null : scheduler.afterFailure(attempt, outcome);
  const decidedAtMs = performance.now();
  const committed = await store.recordFailure(attempt, outcome, {
    providerName,
    retryDelaySeconds: delaySeconds,
    doubtful,
    mayRotate: obtained.mayRotate,
    scheduledHoldSeconds: early?.holdSeconds ?? null,
  });
  if (committed.verdict === 'untaken') return untaken(parts, attempt, committed.error);
  await scheduler.send(attempt, committed.scheduled_claim, early, decidedAtMs);
  const retryInSeconds =
    committed.scheduled_claim === null ? committed.retry_in_seconds : (early?.delaySeconds ?? null);
  const applied = committed.verdict === 'applied';
  if (applied) metrics.count(metricNames.failed, 1, { provider, class: outcome.kind });
  else metrics.count(metricNames.superseded, 1, { provider });
  if (outcome.kind === 'operator') metrics.count(metricNames.operatorFaults, 1);
  // Later refusals of the same grant are no further grants.
  if (committed.after_doubt && committed.consecutive_failures === 1) {
    metrics.count(metricNames.refusedAfterDoubt, 1);
    metrics.count(metricNames.refusedAfterDoubt, 1, { provider });
  }
  const fields = {
    integrationId,
    provider,
    class: outcome.kind,
    code: outcome.code,
    httpStatus: outcome.httpStatus,
    ...(outcome.providerCode !== null && { providerCode: outcome.providerCode }),
    verdict: committed.verdict,
    ...(outcome.kind === 'permanent' && { invalidRefreshToken: outcome.invalidRefreshToken }),
    ...(outcome.kind === 'operator' && { fix: outcome.fix }),
    consecutiveFailures: committed.consecutive_failures,
    consecutiveTransientFailures: committed.consecutive_transient_failures,
    disconnected: committed.disconnected,
    ...(committed.waiting && { waiting: true }),
    ...(committed.held_back && { heldBack: true }),
    ...(retriedAfter !== null && { retriedAfter }),
    ...(doubtful && { doubtful }),
    ...(committed.after_doubt && { afterDoubt: true }),
    ...(committed.scheduled_claim !== null && { early: true }),
    retryInSeconds: retryInSeconds === null ? null : Math.round(retryInSeconds),
    durationMs,
  };
  if (!applied) logger.info('result void', fields);
  else if (outcome.kind === 'operator') logger.error('operator fault', fields);
  else logger.warn('refresh failed', fields);
  return { refreshed: false, disconnected: committed.disconnected, eventId: committed.event_id };
}

/**
 * An attempt that calls nobody, as there is nothing to renew. It counts neither for the provider's success rate nor
 * against it.
 */
async function seeToEnd(
  parts: RefreshParts,
  store: ResultStore,
  attempt: StartedAttempt,
  { decision, providerName }: { readonly decision: LapseDecision; readonly providerName: string },
): Promise<AttemptResult> {
  const { logger, metrics } = parts;
  const { id: integrationId, provider } = attempt;
  const committed = await store.recordLapse(attempt, decision, providerName);
  if (committed.verdict === 'untaken') return untaken(parts, attempt, committed.error);
  const applied = committed.verdict === 'applied';
  if (!applied) metrics.count(metricNames.superseded, 1, { provider });
  logger.info(applied ? lapseMessages[decision] : 'result void', {
    integrationId,
    provider,
    verdict: committed.verdict,
    disconnected: committed.disconnected,
    userTold: committed.event_id !== null,
  });
  return { refreshed: false, disconnected: false, eventId: committed.event_id };
}

const lapseMessages: Readonly<Record<LapseDecision, string>> = {
  warn: 'access token ends soon',
  end: 'access token ended',
  keep: 'nothing to renew',
};

function lost(
  { logger, metrics }: RefreshParts,
  { id, provider }: StartedAttempt,
  error: unknown,
): AttemptResult {
  metrics.count(metricNames.lost, 1);
  logger.critical('result lost', {
    integrationId: id,
    provider,
    cause: errorFields(error),
  });
  return nothingCommitted;
}

/** A failure says nothing that the next attempt, when the hold is over, would not find out again. */
function untaken({ logger }: RefreshParts, { id, provider }: StartedAttempt, error: unknown): AttemptResult {
  logger.warn('failure not recorded', { integrationId: id, provider, cause: errorFields(error) });
  return nothingCommitted;
}

const nothingCommitted: AttemptResult = { refreshed: false, disconnected: false, eventId: null };

interface Obtained extends Omit<Renewal, 'callMs'> {
  /** The refresh token as it was opened, for providers that do not rotate it. */
  readonly opened: { readonly opened: string; readonly current: boolean };
  /** As users know the provider. */
  readonly providerName: string;
  /** The provider may have ended the token that was presented to it. */
  readonly mayRotate: boolean;
  /** `null`: no call was made. */
  readonly callMs: number | null;
}

async function obtain(
  parts: AttemptParts,
  pacing: Pacing,
  attempt: StartedAttempt,
): Promise<Obtained | typeof noTimeLeft> {
  const found = await parts.providers.get(attempt.provider);
  const withoutCall = (outcome: Outcome): Obtained => ({
    outcome,
    opened: { opened: '', current: false },
    providerName: found.ok ? found.client.provider.displayName : attempt.provider,
    mayRotate: false,
    receivedAtMs: performance.now(),
    callMs: null,
    retriedAfter: null,
    doubtful: false,
  });
  if (!found.ok)
    return withoutCall({
      kind: 'operator',
      code: found.code,
      httpStatus: null,
      providerCode: null,
      fix: found.fix,
    });

  const opened = await parts.sealer.open(attempt.token, {
    integrationId: attempt.id,
    column: attempt.token_column,
  });
  if (!opened.ok && opened.reason === 'unknown_key') {
    const fix = `Put the key with the id ${opened.keyId} back into the token key secret, under "previous".`;
    return withoutCall({
      kind: 'operator',
      code: 'token_key_unknown',
      httpStatus: null,
      providerCode: null,
      fix,
    });
  }
  if (!opened.ok) {
    return withoutCall({
      kind: 'permanent',
      code: 'refresh_token_damaged',
      httpStatus: null,
      providerCode: null,
      invalidRefreshToken: true,
    });
  }

  const grant = { token: opened.token, variables: attempt.variables };
  const built = await buildTokenRequest(found.client, grant, { nowSeconds: parts.nowSeconds() });
  if (!built.ok) {
    const { code, fix } = built;
    return withoutCall({ kind: 'operator', code, httpStatus: null, providerCode: null, fix });
  }

  if (!timeForACall(parts)) return noTimeLeft;
  const renewal = await renew(
    {
      metrics: parts.metrics,
      callTimeoutMs: parts.settings.callTimeoutMs,
      nowSeconds: parts.nowSeconds,
      timeForACall: () => timeForACall(parts),
      anotherTurn: (withinMs) => pacing.anotherTurn(attempt, withinMs),
    },
    { provider: attempt.provider, client: found.client, grant, request: built.request },
  );
  return {
    ...renewal,
    opened: { opened: opened.token, current: opened.current },
    providerName: found.client.provider.displayName,
    mayRotate: found.client.provider.rotation !== 'never',
  };
}
