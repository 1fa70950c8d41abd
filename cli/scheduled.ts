import type { HistoryReport } from '../lambdas/operator/reports.ts';

/** Whether a delayed message will ask for the next refresh: only for that is a row held after a success. */
export function isScheduled(
  integration: Pick<
    NonNullable<HistoryReport['integration']>,
    'claimOpen' | 'heldUntil' | 'attempting' | 'lastRefreshAttempt' | 'lastRefreshSuccess'
  >,
): boolean {
  const { claimOpen, heldUntil, attempting, lastRefreshAttempt, lastRefreshSuccess } = integration;
  if (claimOpen || attempting || heldUntil === null) return false;
  // ISO 8601 in UTC sorts as text.
  return (
    lastRefreshSuccess !== null && lastRefreshAttempt !== null && lastRefreshSuccess >= lastRefreshAttempt
  );
}
