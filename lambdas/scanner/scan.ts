import {
  messageProvider,
  metricNames,
  type RefreshMessage,
  relayGroupId,
  type ThresholdEventMessage,
} from '../contract.ts';
import { before } from '../deadline.ts';
import { errorFields, type Logger } from '../observability/logger.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import { type ClaimedIntegration, claimDue } from '../postgres/claim-due.ts';
import { claimOne } from '../postgres/claim-one.ts';
import type { ClaimableIntegration } from '../postgres/claimable-row.ts';
import { countDue } from '../postgres/count-due.ts';
import { countLapsing } from '../postgres/count-lapsing.ts';
import { type Database, withTimeout } from '../postgres/database.ts';
import { findClaimable } from '../postgres/find-claimable.ts';
import { letThrough } from '../postgres/let-through.ts';
import { listDue } from '../postgres/list-due.ts';
import { measureProviders } from '../postgres/measure-providers.ts';
import { measureTokens } from '../postgres/measure-tokens.ts';
import { measureWaitingEvents } from '../postgres/measure-waiting-events.ts';
import { putBackEvents } from '../postgres/put-back-events.ts';
import { recordScan } from '../postgres/record-scan.ts';
import { type RelayedEvent, relayEvents } from '../postgres/relay-events.ts';
import { releaseClaims } from '../postgres/release-claims.ts';
import type { LoadedSealer } from '../secret-sealer.ts';
import type { Queue } from '../sqs/queue.ts';
import { claimLapses } from './claim-lapses.ts';
import { collectResults } from './collect-results.ts';
import {
  apartFrom,
  type ClaimedRow,
  claimRuns,
  type ProviderGuards,
  probe,
  readGuards,
  reportGuards,
} from './provider-guards.ts';
import type { ScanRequest } from './request.ts';
import { successRates } from './success-rate.ts';

export interface ScanParts {
  readonly database: Database;
  readonly refreshQueue: Queue;
  readonly thresholdQueue: Queue;
  readonly sealedResultQueue: Queue;
  /** Opens sealed results. */
  readonly sealer: LoadedSealer;
  readonly settings: {
    readonly refreshWindowSeconds: number;
    readonly claimHoldSeconds: number;
    readonly eventRelayHoldSeconds: number;
    /** How long before its end an access token is seen to that no refresh token renews. */
    readonly lapseWarningSeconds: number;
    /** How far back the success rate of a provider looks. */
    readonly successWindowSeconds: number;
    /** How long a circuit is not probed again after a scan has claimed probes. */
    readonly circuitCooldownSeconds: number;
    /** Messages for a provider with a limit are spread over so much time; no more of its rows are claimed than fit in. */
    readonly pacedSpreadSeconds: number;
    /** How long received sealed results are hidden from others. */
    readonly sealedResultVisibilitySeconds: number;
    /** How long a sealed result is kept that could not be stored. */
    readonly sealedResultRetentionSeconds: number;
  };
  readonly logger: Logger;
  readonly metrics: InvocationMetrics;
  /** Milliseconds until the function is killed. */
  readonly remainingMs: () => number;
}

export interface ScanReport {
  readonly dryRun: boolean;
  /** Rows claimed; in a dry run, rows that would be. */
  readonly claimed: number;
  /** Claimed rows whose message SQS has accepted. */
  readonly enqueued: number;
  /** Claims given up because their message could not be sent; the next scan finds them. */
  readonly released: number;
  /** Due rows left for the next scan, counted up to 10 000. */
  readonly left: number;
  readonly eventsRelayed: number;
  /** Only when asked for with `verbose`, the first 1 000. */
  readonly integrations?: readonly {
    id: string;
    provider: string;
    /** `null`, here and below: the row says no moment. Only an integration that was asked for by id may lack it. */
    expiresAt: string | null;
    expiresInSeconds: number | null;
  }[];
}

/** Rows per statement: a lock on a chunk lasts some ten milliseconds. */
const chunkSize = 1_000;
const countLimit = 10_000;
const listLimit = 1_000;
const relayLimit = 500;

/** How long the threshold event queue is waited for: what is due comes after. */
const relayMs = 5_000;

/** How far a measure counts: it is for a graph, and must not take a scan's time in an outage. */
const measureLimits = { expiredUpTo: 100_000, countUpTo: 10_000 };
const measuredDueLimit = 100_000;

/** A measure begins only with time for itself and for the end of the scan, and is given up when only that is left. */
const measureMs = 7_000;
const endMs = 5_000;

/** Kept back from the deadline for one more chunk with its messages, and for giving up claims. */
const reserveMs = 10_000;

/**
 * Claims all that is due, most urgent first, and asks the refreshers for each; relays what the outbox holds.
 * A request for one integration claims it whether it is due or not, and does nothing else.
 */
export async function scan(parts: ScanParts, request: ScanRequest): Promise<ScanReport> {
  if (request.integration !== null) return scanOne(parts, request.integration, request);
  return request.dryRun ? dryRun(parts, request) : claimAndEnqueue(parts, request);
}

/** Counts for no metric: that somebody asked for one integration does not say that scans go well. */
async function scanOne(parts: ScanParts, id: string, { dryRun, verbose }: ScanRequest): Promise<ScanReport> {
  const { database, settings, logger } = parts;
  const claimFrom = (collectedAt: string | null) =>
    claimOne(database, { id, holdSeconds: settings.claimHoldSeconds, collectedAt });
  // Only a row that cannot be claimed otherwise is worth waiting for the sealed results.
  const claim = dryRun ? null : ((await claimFrom(null)) ?? (await claimFrom(await collect(parts))));
  if (claim !== null) await letThrough(database, id);
  const found = dryRun ? await findClaimable(database, id) : claim;
  const enqueued = claim === null ? 0 : await enqueue(parts, [claim]);
  const claimed = found === null ? 0 : 1;
  if (!dryRun) logger.info('scanned one', { integrationId: id, claimed, enqueued });
  return {
    dryRun,
    claimed,
    enqueued,
    released: claim === null ? 0 : claimed - enqueued,
    left: 0,
    eventsRelayed: 0,
    ...(verbose && { integrations: found === null ? [] : [shown(found)] }),
  };
}

async function dryRun(parts: ScanParts, { provider, limit, verbose }: ScanRequest): Promise<ScanReport> {
  const { database, settings } = parts;
  const { open } = await readGuards(parts);
  const window = {
    windowSeconds: settings.refreshWindowSeconds,
    provider,
    excludedProviders: open.map((state) => state.provider),
  };
  const due = await countDue(database, { ...window, limit: countLimit });
  const lapsing = await countLapsing(database, {
    leadSeconds: settings.lapseWarningSeconds,
    windowSeconds: settings.refreshWindowSeconds,
    provider,
    excludedProviders: window.excludedProviders,
    limit: countLimit,
  });
  const claimed = Math.min(due + lapsing, limit ?? due + lapsing);
  const listed = verbose
    ? await listDue(database, { ...window, limit: Math.min(limit ?? listLimit, listLimit) })
    : [];
  return {
    dryRun: true,
    claimed,
    enqueued: 0,
    released: 0,
    left: Math.max(0, due - claimed),
    eventsRelayed: 0,
    ...(verbose && { integrations: listed.map(shown) }),
  };
}

async function claimAndEnqueue(parts: ScanParts, request: ScanRequest): Promise<ScanReport> {
  const { provider, limit, verbose } = request;
  const { database, settings, metrics, logger } = parts;
  const startedAtMs = performance.now();
  const guards = await readGuards(parts);
  reportGuards(guards, metrics);
  // Before anything is claimed: a measure of what the scans before have come to.
  await unlessItFails(parts, 'measure', () => measure(parts, guards));
  await unlessItFails(parts, 'age of waiting events', () => measureEvents(parts));
  const eventsRelayed = await relay(parts);
  const totals = { claimed: 0, enqueued: 0, released: 0 };
  const listed: ClaimableIntegration[] = [];
  let oldestExpiredSeconds = 0;
  // Whose disconnections are held fail and stay connected: that has an alarm of its own.
  const held = new Set(guards.held.map((state) => state.provider));
  const most = limit ?? Number.POSITIVE_INFINITY;
  // Behind a crowd that waits for its provider a claim may read for long, and all others are behind it.
  const patient = () => withTimeout(database, Math.max(endMs, parts.remainingMs() - endMs));
  const runs = claimRuns(guards, provider, settings.pacedSpreadSeconds);
  let exhausted = false;
  // A queue that takes nothing of a chunk takes nothing of the next one: to claim all and give it up would serve nobody.
  let queueAway = false;
  const mayClaim = () => !queueAway && parts.remainingMs() >= reserveMs;
  // Claiming the next chunk goes on while the messages of the one before are sent.
  let sending: Promise<void> = Promise.resolve();
  const handOn = async (
    chunk: readonly ClaimedRow[],
    delaySeconds?: (index: number) => number,
  ): Promise<void> => {
    totals.claimed += chunk.length;
    if (verbose) listed.push(...chunk.slice(0, listLimit - listed.length));
    await sending;
    sending = enqueue(parts, chunk, delaySeconds).then((sent) => {
      totals.enqueued += sent;
      totals.released += chunk.length - sent;
      queueAway ||= isAway(chunk, sent);
    });
    // Awaited above or below; until then its failure must not count as unhandled.
    sending.catch(() => undefined);
  };
  // First, as nobody else has these tokens, and by itself, as a claim may keep the connection for long.
  const collectedAt = await collect(parts);
  try {
    if (mayClaim()) await handOn(await probe(parts, guards, request, collectedAt));
    for (const run of runs) {
      let claimedInRun = 0;
      for (const healthyOnly of run.healthyFirst ? [true, false] : [false]) {
        let after: Date | null = null;
        exhausted = false;
        while (!exhausted && totals.claimed < most && claimedInRun < run.limit) {
          if (!mayClaim()) break;
          const wanted = Math.min(chunkSize, most - totals.claimed, run.limit - claimedInRun);
          const chunk: ClaimedIntegration[] = await claimDue(patient(), {
            windowSeconds: settings.refreshWindowSeconds,
            holdSeconds: settings.claimHoldSeconds,
            provider: run.provider,
            excludedProviders: run.excludedProviders,
            healthyOnly,
            after,
            limit: wanted,
            collectedAt,
          });
          exhausted = chunk.length < wanted;
          after = chunk.at(-1)?.expires_at ?? after;
          const oldest = chunk.find((row) => !held.has(row.provider));
          oldestExpiredSeconds = Math.max(oldestExpiredSeconds, -(oldest?.expires_in_seconds ?? 0));
          const before = claimedInRun;
          claimedInRun += chunk.length;
          await handOn(chunk, run.delaySeconds && ((index) => run.delaySeconds?.(before + index) ?? 0));
        }
      }
    }
  } finally {
    // Also when a claim failed: what is claimed is sent now, not when the frozen function thaws.
    await sending;
  }
  const lapses = await claimLapses(
    {
      database,
      settings,
      timeLeft: mayClaim,
      enqueue: async (claims) => {
        const sent = await enqueue(parts, claims);
        queueAway ||= isAway(claims, sent);
        return sent;
      },
    },
    {
      provider,
      excludedProviders: guards.open.map((state) => state.provider),
      limit: limit === null ? null : Math.max(0, limit - totals.claimed),
      collectedAt,
    },
  );
  totals.claimed += lapses.claimed.length;
  totals.enqueued += lapses.enqueued;
  totals.released += lapses.claimed.length - lapses.enqueued;
  if (verbose) listed.push(...lapses.claimed.slice(0, listLimit - listed.length));
  const left = exhausted
    ? 0
    : await countDue(patient(), {
        windowSeconds: settings.refreshWindowSeconds,
        provider,
        // What waits for its provider is not this scan's debt.
        excludedProviders: apartFrom(guards),
        limit: countLimit,
      });

  metrics.count(metricNames.claimed, totals.claimed);
  metrics.count(metricNames.enqueued, totals.enqueued);
  // Also what the refresh queue did not take: the alarm "scanner behind" tells of both.
  metrics.count(metricNames.leftDue, Math.max(left, totals.released));
  metrics.count(metricNames.eventsRelayed, eventsRelayed);
  metrics.seconds(metricNames.oldestExpiredSeconds, Math.round(oldestExpiredSeconds));
  logger.info('scanned', {
    ...totals,
    left,
    eventsRelayed,
    oldestExpiredSeconds: Math.round(oldestExpiredSeconds),
  });
  await unlessItFails(parts, 'record of the scan', () =>
    recordScan(database, {
      ...totals,
      durationMs: performance.now() - startedAtMs,
      left,
      eventsRelayed,
      oldestExpiredSeconds,
    }),
  );
  return {
    dryRun: false,
    ...totals,
    left,
    eventsRelayed,
    ...(verbose && { integrations: listed.map(shown) }),
  };
}

function collect(parts: ScanParts): Promise<string | null> {
  return collectResults({ ...parts, timeLeft: () => parts.remainingMs() >= reserveMs });
}

/** Of a single message the fault may be its own. */
function isAway(claims: readonly unknown[], sent: number): boolean {
  return sent === 0 && claims.length > 1;
}

type Claim = Pick<ClaimedIntegration, 'id' | 'provider' | 'claim'>;

/** How fresh tokens are, and how well the refreshes of each provider go. */
async function measure(
  { database, settings, metrics, logger }: ScanParts,
  { open, held }: ProviderGuards,
): Promise<void> {
  const { connected, expired } = await measureTokens(database, measureLimits);
  metrics.measure(metricNames.connected, connected);
  metrics.measure(metricNames.expiredConnected, expired);
  const rates = successRates(
    await measureProviders(database, {
      windowSeconds: settings.successWindowSeconds,
      refreshWindowSeconds: settings.refreshWindowSeconds,
      dueUpTo: measuredDueLimit,
    }),
  );
  for (const { provider, percent } of rates) metrics.measure(metricNames.successRate, percent, { provider });
  // An open circuit and held disconnections have alarms of their own, and one incident is one alarm.
  const alarmed = new Set([...open, ...held].map(({ provider }) => provider));
  const lowest = rates.find(({ provider }) => !alarmed.has(provider));
  if (lowest) metrics.measure(metricNames.lowestSuccessRate, lowest.percent);
  logger.info('measured', { connected, expired, lowestSuccessRate: lowest ?? null });
}

async function measureEvents({ database, metrics }: ScanParts): Promise<void> {
  const { oldestSeconds } = await measureWaitingEvents(database);
  metrics.seconds(metricNames.oldestUntoldSeconds, Math.round(oldestSeconds));
}

/** What a scan can do without: it neither fails the scan nor takes the time that its end needs. */
async function unlessItFails(
  { logger, remainingMs }: ScanParts,
  what: string,
  work: () => Promise<void>,
): Promise<void> {
  if (remainingMs() < measureMs) {
    logger.warn('no time left', { what });
    return;
  }
  try {
    await before(work(), remainingMs() - endMs);
  } catch (error) {
    logger.error('scan goes on without', { what, cause: errorFields(error) });
  }
}

/** Sends a chunk's messages; claims whose message was refused are given up. Returns how many were sent. */
async function enqueue(
  { database, refreshQueue, logger }: ScanParts,
  chunk: readonly Claim[],
  delaySeconds?: (index: number) => number,
): Promise<number> {
  const refused = await refreshQueue.send(
    chunk.map(({ id, provider }, index) => ({
      body: { version: 1, integrationId: id, provider: messageProvider(provider) } satisfies RefreshMessage,
      groupId: provider,
      ...(delaySeconds && { delaySeconds: delaySeconds(index) }),
    })),
  );
  if (refused.length > 0) {
    logger.error('messages refused by the refresh queue', { count: refused.length });
    await releaseClaims(
      database,
      refused.map((index) => chunk[index] as Claim),
    );
  }
  return chunk.length - refused.length;
}

async function relay({ database, thresholdQueue, settings, logger }: ScanParts): Promise<number> {
  const events = await relayEvents(database, {
    holdSeconds: settings.eventRelayHoldSeconds,
    limit: relayLimit,
  });
  if (events.length === 0) return 0;
  const refused = await thresholdQueue.send(
    events.map(({ id, provider }) => ({
      body: { version: 1, eventId: id, provider: messageProvider(provider) } satisfies ThresholdEventMessage,
      groupId: relayGroupId,
    })),
    relayMs,
  );
  if (refused.length > 0) {
    logger.error('messages refused by the threshold event queue', { count: refused.length });
    try {
      await putBackEvents(
        database,
        refused.map((index) => (events[index] as RelayedEvent).id),
      );
    } catch (error) {
      // They wait for their next relay then, as if they had been sent.
      logger.warn('events not put back', { count: refused.length, cause: errorFields(error) });
    }
  }
  return events.length - refused.length;
}

function shown(row: ClaimableIntegration) {
  // Postgres knows years that no calendar here has.
  const hasMoment = row.expires_at !== null && !Number.isNaN(row.expires_at.getTime());
  return {
    id: row.id,
    provider: row.provider,
    expiresAt: hasMoment ? row.expires_at.toISOString() : null,
    expiresInSeconds: row.expires_in_seconds === null ? null : Math.round(row.expires_in_seconds),
  };
}
