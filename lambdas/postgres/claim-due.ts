import type { Database } from './database.ts';
import { dueRows } from './due-rows.ts';
import { isAccountedFor, leavesDoubt } from './unfinished-attempt.ts';

/** A claimed row: somebody may start one attempt on it. */
export interface ClaimedIntegration {
  readonly id: string;
  readonly provider: string;
  readonly expires_at: Date;
  /** Fencing token: the number of this claim. */
  readonly claim: string;
  /** Seconds until the access token expires by the database's clock; negative when it has. */
  readonly expires_in_seconds: number;
}

/**
 * Claims the most urgent due rows and holds them, so that no overlapping scan claims them as well.
 * `SKIP LOCKED` lets two scans pass each other without waiting; the rows that one skips are the other's.
 * `NO KEY`, here and in every statement: a row of the product that refers to the integration (a foreign key
 * takes a key share lock) must not make it look as if somebody were changing it.
 * `after` is where the chunk before ended: a chunk never reads what earlier chunks have claimed.
 */
const statement = `
WITH due AS (
  SELECT id ${dueRows}
    AND expires_at >= $4
    AND ${isAccountedFor('$8')}
    AND ($7::boolean IS NOT TRUE OR last_refresh_attempt IS NULL OR last_refresh_attempt <= last_refresh_success)
  ORDER BY expires_at
  LIMIT $5
  FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
  UPDATE integrations i
  SET refresh_claim = i.refresh_claim + 1,
      refresh_claim_open = true,
      refresh_held_until = now() + make_interval(secs => $6),${leavesDoubt}
  FROM due
  WHERE i.id = due.id
  RETURNING i.id, coalesce(i.provider, '') AS provider, i.expires_at, i.refresh_claim AS claim
)
SELECT *, extract(epoch FROM expires_at - now())::float8 AS expires_in_seconds
FROM claimed
ORDER BY expires_at`;

export function claimDue(
  database: Database,
  chunk: {
    readonly windowSeconds: number;
    readonly holdSeconds: number;
    readonly provider: string | null;
    readonly excludedProviders?: readonly string[];
    readonly after: Date | null;
    readonly limit: number;
    /** Leaves out rows whose latest attempt did not succeed. */
    readonly healthyOnly?: boolean;
    /** See `isAccountedFor`. */
    readonly collectedAt: string | null;
  },
): Promise<ClaimedIntegration[]> {
  return database.query<ClaimedIntegration>(statement, [
    chunk.windowSeconds,
    chunk.provider,
    chunk.excludedProviders ?? [],
    chunk.after ?? '-infinity',
    chunk.limit,
    chunk.holdSeconds,
    chunk.healthyOnly ?? false,
    chunk.collectedAt,
  ]);
}
