import { type ClaimableIntegration, expiresInSeconds } from './claimable-row.ts';
import type { Database } from './database.ts';
import { agingRows, endingRows } from './lapsing-rows.ts';
import { isAccountedFor, leavesDoubt } from './unfinished-attempt.ts';

/** A claimed row: somebody may start one attempt on it. */
export interface LapsingIntegration extends ClaimableIntegration {
  /** Fencing token: the number of this claim. */
  readonly claim: string;
}

/**
 * Claims rows that come to an end by themselves, as `claimDue` claims due ones: refresh tokens near their own end,
 * and then, up to the limit, access tokens that no refresh token renews. No row is both.
 */
const statement = `
WITH aging AS (
  SELECT id ${agingRows} AND ${isAccountedFor('$6')}
  ORDER BY refresh_token_expires_at
  LIMIT $4
  FOR NO KEY UPDATE SKIP LOCKED
), ending AS (
  SELECT id ${endingRows} AND ${isAccountedFor('$6')}
  ORDER BY expires_at
  LIMIT (SELECT $4 - count(*) FROM aging)
  FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
  UPDATE integrations i
  SET refresh_claim = i.refresh_claim + 1,
      refresh_claim_open = true,
      refresh_held_until = now() + make_interval(secs => $5),${leavesDoubt}
  FROM (SELECT id FROM aging UNION ALL SELECT id FROM ending) AS lapsing
  WHERE i.id = lapsing.id
  RETURNING i.id, coalesce(i.provider, '') AS provider, i.expires_at, i.refresh_claim AS claim
)
SELECT id, provider, claim, CASE WHEN isfinite(expires_at) THEN expires_at END AS expires_at,
       ${expiresInSeconds} AS expires_in_seconds
FROM claimed`;

export function claimLapsing(
  database: Database,
  wanted: {
    /** How long before its end an access token is seen to that nothing may renew. */
    readonly leadSeconds: number;
    readonly holdSeconds: number;
    readonly provider: string | null;
    readonly excludedProviders: readonly string[];
    readonly limit: number;
    /** See `isAccountedFor`. */
    readonly collectedAt: string | null;
  },
): Promise<LapsingIntegration[]> {
  return database.query<LapsingIntegration>(statement, [
    wanted.leadSeconds,
    wanted.provider,
    wanted.excludedProviders,
    wanted.limit,
    wanted.holdSeconds,
    wanted.collectedAt,
  ]);
}
