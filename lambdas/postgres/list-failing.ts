import type { Database } from './database.ts';
import { isFailing } from './failing-rows.ts';

/** A failing row, as an operator sees it. Moments may be at infinity, which the driver gives as a number. */
export interface FailingRow {
  readonly id: string;
  readonly provider: string;
  readonly consecutive_failures: number;
  readonly consecutive_transient_failures: number;
  readonly last_failure_at: Date | number | null;
  readonly expires_at: Date | number | null;
  /** `null` as well when the hold has passed. */
  readonly refresh_held_until: Date | number | null;
}

/** The most failures first; those that the provider refused before those that may pass. */
const statement = `
SELECT id, coalesce(provider, '') AS provider, greatest(0, least(coalesce(consecutive_failures, 0), 2147483647))::int AS consecutive_failures,
       greatest(0, least(coalesce(consecutive_transient_failures, 0), 2147483647))::int AS consecutive_transient_failures,
       last_failure_at, expires_at,
       CASE WHEN refresh_held_until > now() THEN refresh_held_until END AS refresh_held_until
FROM integrations
WHERE ${isFailing}
ORDER BY coalesce(consecutive_failures, 0) DESC, coalesce(consecutive_transient_failures, 0) DESC,
         last_failure_at DESC NULLS LAST, id
LIMIT $1`;

export function listFailing(database: Database, limit: number): Promise<FailingRow[]> {
  return database.query<FailingRow>(statement, [limit]);
}
