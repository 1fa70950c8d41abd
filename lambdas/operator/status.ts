import { countWaitingEvents } from '../postgres/count-waiting-events.ts';
import type { Database } from '../postgres/database.ts';
import { findLastScan, type ScanRow } from '../postgres/find-last-scan.ts';
import { type FailingRow, listFailing } from '../postgres/list-failing.ts';
import { readClock } from '../postgres/read-clock.ts';
import { type ProviderSummary, summarizeProviders } from '../postgres/summarize-providers.ts';
import { moment } from './moment.ts';
import { readGuards } from './provider-guards.ts';
import type { FailingIntegration, ProviderStatus, ScanRecord, StatusReport } from './reports.ts';

const failingLimit = 20;

/** How integrations, providers, scans and threshold events stand. */
export async function status(
  database: Database,
  settings: { readonly refreshWindowSeconds: number; readonly attemptHoldSeconds: number },
): Promise<StatusReport> {
  const now = await readClock(database);
  const summaries = await summarizeProviders(database, {
    windowSeconds: settings.refreshWindowSeconds,
    attemptHoldSeconds: settings.attemptHoldSeconds,
  });
  const failing = await listFailing(database, failingLimit);
  const lastScan = await findLastScan(database);
  const guards = await readGuards(database);
  const waiting = await countWaitingEvents(database);
  return {
    now: now.toISOString(),
    providers: summaries.map(providerStatus),
    failing: failing.map(failingIntegration),
    failingCount: summaries.reduce((sum, each) => sum + each.failing_transient + each.failing_permanent, 0),
    lastScan: typeof lastScan === 'string' ? null : scanRecord(lastScan),
    circuits: guards.flatMap(({ circuit }) => circuit ?? []),
    disconnectionsHeld: guards.flatMap(({ disconnectionsHeld }) => disconnectionsHeld ?? []),
    eventsWaiting: { count: waiting.count, oldest: moment(waiting.oldest) },
  };
}

function providerStatus(summary: ProviderSummary): ProviderStatus {
  return {
    provider: summary.provider,
    connected: summary.connected,
    expired: summary.expired,
    due: summary.due,
    held: summary.held,
    failingTransient: summary.failing_transient,
    failingPermanent: summary.failing_permanent,
    needsReauthorization: summary.needs_reauthorization,
    withoutRefreshToken: summary.without_refresh_token,
    withoutResult: summary.without_result,
    lastSuccess: moment(summary.last_success),
  };
}

function failingIntegration(row: FailingRow): FailingIntegration {
  return {
    id: row.id,
    provider: row.provider,
    consecutiveFailures: row.consecutive_failures,
    consecutiveTransientFailures: row.consecutive_transient_failures,
    lastFailure: moment(row.last_failure_at),
    expiresAt: moment(row.expires_at),
    heldUntil: moment(row.refresh_held_until),
  };
}

function scanRecord(row: ScanRow): ScanRecord {
  return {
    startedAt: row.started_at.toISOString(),
    durationMs: row.duration_ms,
    claimed: row.claimed,
    enqueued: row.enqueued,
    released: row.released,
    left: row.left_due,
    eventsRelayed: row.events_relayed,
    oldestExpiredSeconds: row.oldest_expired_seconds,
  };
}
