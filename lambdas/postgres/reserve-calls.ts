import type { Database } from './database.ts';

/** Calls that may be made, one after the other in equal steps. */
export interface ReservedCalls {
  /** As many as were wanted, or as fit into the time. */
  readonly granted: number;
  /** From the answer of the statement until the first of them. */
  readonly first_in_seconds: number;
}

/**
 * Reserves calls to a provider for one batch, so that all functions together keep to its limit: the row holds the first
 * moment that nobody has reserved, and moves on by a step for each call (GCRA without a burst). Moments are the
 * database's, and those at which the row is locked, hence `clock_timestamp()`. What does not fit into the time that the
 * batch has left is not granted; what was granted and is not used is not given back, as somebody may have reserved
 * behind it.
 *
 * Batches that reserve at once wait for each other here, one step of a millisecond each: that is the point. The limit
 * itself is written along, for the scanner. Of two that write a provider's first row the second gets nothing, and asks
 * again.
 */
const statement = `
WITH held AS MATERIALIZED (
  SELECT provider, next_call_at
  FROM evergrant.provider_states
  WHERE provider = $1
  FOR NO KEY UPDATE
), locked AS MATERIALIZED (
  SELECT clock_timestamp() AS at, held.next_call_at
  FROM (SELECT) AS always
  LEFT JOIN held ON true
), slots AS (
  SELECT greatest(next_call_at, at) AS first_at,
         extract(epoch FROM greatest(next_call_at, at) - at)::float8 AS first_in_seconds,
         greatest(0, least($3, floor(($4 - extract(epoch FROM greatest(next_call_at, at) - at)::float8) * $2) + 1))::int
           AS granted
  FROM locked
), moved AS (
  UPDATE evergrant.provider_states p
  SET calls_per_second = $2, next_call_at = g.first_at + make_interval(secs => g.granted / $2)
  FROM held, slots g
  WHERE p.provider = held.provider
  RETURNING p.provider
), created AS (
  INSERT INTO evergrant.provider_states (provider, calls_per_second, next_call_at)
  SELECT $1, $2, g.first_at + make_interval(secs => g.granted / $2)
  FROM slots g
  WHERE NOT EXISTS (SELECT FROM held)
  ON CONFLICT (provider) DO NOTHING
  RETURNING provider
)
SELECT g.granted, g.first_in_seconds
FROM slots g
JOIN (SELECT provider FROM moved UNION ALL SELECT provider FROM created) AS written ON true`;

export async function reserveCalls(
  database: Database,
  wanted: {
    readonly provider: string;
    readonly callsPerSecond: number;
    readonly calls: number;
    /** The last of them may begin so long from now. */
    readonly withinSeconds: number;
  },
): Promise<ReservedCalls> {
  const parameters = [wanted.provider, wanted.callsPerSecond, wanted.calls, wanted.withinSeconds];
  const [reserved] = await database.query<ReservedCalls>(statement, parameters);
  if (reserved) return reserved;
  const [again] = await database.query<ReservedCalls>(statement, parameters);
  return again ?? { granted: 0, first_in_seconds: 0 };
}
