import type { Database } from './database.ts';

/** What became of one provider's integrations lately. Each failing integration counts once, however often it is tried. */
export interface ProviderMeasure {
  readonly provider: string;
  /** Refreshes that succeeded in the window. */
  readonly refreshed: number;
  /** Integrations that Evergrant disconnected in the window. */
  readonly disconnected: number;
  /** Integrations that are failing now. */
  readonly failing: number;
  /** Of these: the token came to its end within the window, or is about to. */
  readonly newly_failing: number;
}

/**
 * Successes and disconnections are what the refreshers have written down. What is failing is read from the due
 * part of the index, where every failing row stays until it succeeds or is disconnected; `$3` bounds that part,
 * newest first. A row that waits for its next attempt (the provider may have asked for an hour) is failing all
 * the same; one that failed long ago and has not been tried since is not. Operators' faults move no counter, so
 * they do not count here.
 */
const statement = `
WITH outcome AS (
  SELECT provider, sum(refreshed)::int AS refreshed, sum(disconnected)::int AS disconnected
  FROM evergrant.refresh_outcomes
  WHERE counted_at > now() - make_interval(secs => $1)
  GROUP BY provider
), failing AS (
  SELECT provider,
         count(*)::int AS failing,
         (count(*) FILTER (WHERE expires_at > now() - make_interval(secs => $1)))::int AS newly_failing
  FROM (
    SELECT provider, expires_at, consecutive_failures, consecutive_transient_failures, refresh_held_until,
           last_failure_at
    FROM integrations
    WHERE status = 'connected' AND refresh_token IS NOT NULL
      AND expires_at <= now() + make_interval(secs => $2)
    ORDER BY expires_at DESC
    LIMIT $3
  ) AS due
  WHERE (consecutive_failures > 0 OR consecutive_transient_failures > 0)
    AND (refresh_held_until > now() OR last_failure_at > now() - make_interval(secs => $1))
  GROUP BY provider
)
SELECT provider,
       coalesce(refreshed, 0) AS refreshed,
       coalesce(disconnected, 0) AS disconnected,
       coalesce(failing, 0) AS failing,
       coalesce(newly_failing, 0) AS newly_failing
FROM outcome
FULL JOIN failing USING (provider)
ORDER BY provider`;

export function measureProviders(
  database: Database,
  wanted: {
    /** How far back. */
    readonly windowSeconds: number;
    /** Rows are due so long before their token expires. */
    readonly refreshWindowSeconds: number;
    readonly dueUpTo: number;
  },
): Promise<ProviderMeasure[]> {
  return database.query<ProviderMeasure>(statement, [
    wanted.windowSeconds,
    wanted.refreshWindowSeconds,
    wanted.dueUpTo,
  ]);
}
