import { type ClaimableIntegration, claimableRow, expiresInSeconds } from './claimable-row.ts';
import type { Database } from './database.ts';
import { isAccountedFor, leavesDoubt } from './unfinished-attempt.ts';

/**
 * Claims one row by its id, as a scan claims due ones, and whatever its expiry. A row that somebody is changing
 * right now is passed over (`SKIP LOCKED`); of two claims at once the second finds the first one's hold when it
 * gets the row. So a claim that is open, an attempt that is under way and the delay after a failure stay as they are.
 */
const statement = `
WITH wanted AS (
  SELECT id ${claimableRow} AND ${isAccountedFor('$3')}
  FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
  UPDATE integrations i
  SET refresh_claim = i.refresh_claim + 1,
      refresh_claim_open = true,
      refresh_held_until = now() + make_interval(secs => $2),${leavesDoubt}
  FROM wanted
  WHERE i.id = wanted.id
  RETURNING i.id, coalesce(i.provider, '') AS provider, i.expires_at, i.refresh_claim AS claim
)
SELECT id, provider, claim, CASE WHEN isfinite(expires_at) THEN expires_at END AS expires_at,
       ${expiresInSeconds} AS expires_in_seconds
FROM claimed`;

/** Returns the claim, or `null` when there is nothing that may be claimed now. */
export async function claimOne(
  database: Database,
  wanted: {
    readonly id: string;
    readonly holdSeconds: number;
    /** See `isAccountedFor`. */
    readonly collectedAt: string | null;
  },
): Promise<(ClaimableIntegration & { readonly claim: string }) | null> {
  const [row] = await database.query<ClaimableIntegration & { claim: string }>(statement, [
    wanted.id,
    wanted.holdSeconds,
    wanted.collectedAt,
  ]);
  return row ?? null;
}
