import type { Database } from './database.ts';
import { isDueByItsHold } from './due-rows.ts';
import { isFailing } from './failing-rows.ts';
import { relationExists } from './relation-exists.ts';

/** Counts of one provider's rows; all but the last three are of connected ones. */
export interface ProviderSummary {
  readonly provider: string;
  readonly connected: number;
  readonly expired: number;
  readonly due: number;
  readonly held: number;
  /** Failing, and no attempt of the episode was refused. */
  readonly failing_transient: number;
  readonly failing_permanent: number;
  readonly without_refresh_token: number;
  /** The latest attempt has ended, and neither as a success nor as a failure of the grant: our own fault, or a lost result. */
  readonly without_result: number;
  readonly needs_reauthorization: number;
  /** Of any row with a status that we know. */
  readonly last_success: Date | number | null;
}

/**
 * An attempt that is under way holds its row for `$2` seconds from its start; whatever became of it sets another hold.
 * A row that is not due any more was connected anew meanwhile; one whose end has been seen to (`lapse_warned_for`)
 * needs no result.
 * Reads the whole table once. Rows with a status that we do not know are the product's own affair; providers that
 * have only users who disconnected are of no interest.
 */
const statement = (notSeenTo: string) => `
SELECT coalesce(provider, '') AS provider,
       count(*) FILTER (WHERE status = 'connected')::int AS connected,
       count(*) FILTER (WHERE status = 'connected' AND expires_at <= now()
         AND ${notSeenTo})::int AS expired,
       count(*) FILTER (WHERE ${isDueByItsHold})::int AS due,
       count(*) FILTER (WHERE status = 'connected' AND refresh_held_until > now())::int AS held,
       count(*) FILTER (WHERE ${isFailing} AND coalesce(consecutive_failures, 0) <= 0)::int AS failing_transient,
       count(*) FILTER (WHERE ${isFailing} AND consecutive_failures > 0)::int AS failing_permanent,
       count(*) FILTER (WHERE status = 'connected' AND coalesce(refresh_token, '') = '')::int AS without_refresh_token,
       count(*) FILTER (WHERE status = 'connected' AND expires_at <= now() + make_interval(secs => $1)
         AND ${notSeenTo}
         AND last_refresh_attempt > coalesce(last_refresh_success, '-infinity')
         AND last_refresh_attempt > coalesce(last_failure_at, '-infinity')
         AND refresh_held_until IS DISTINCT FROM last_refresh_attempt + make_interval(secs => $2))::int AS without_result,
       count(*) FILTER (WHERE status = 'needs_reauthorization')::int AS needs_reauthorization,
       max(last_refresh_success) AS last_success
FROM integrations
WHERE status::text IN ('connected', 'needs_reauthorization', 'disconnected')
GROUP BY 1
HAVING bool_or(status::text <> 'disconnected')
ORDER BY 1`;

/** Before the migration that it came with nothing has an end that was seen to. */
const withEnds = statement('lapse_warned_for IS DISTINCT FROM expires_at');
const withoutEnds = statement('true');

export async function summarizeProviders(
  database: Database,
  wanted: { readonly windowSeconds: number; readonly attemptHoldSeconds: number },
): Promise<ProviderSummary[]> {
  const current = await relationExists(database, 'evergrant.installation');
  return database.query<ProviderSummary>(current ? withEnds : withoutEnds, [
    wanted.windowSeconds,
    wanted.attemptHoldSeconds,
  ]);
}
