import type { Database } from './database.ts';

/** A grant that an integration's account was connected with anew. */
export interface NewGrant {
  readonly id: string;
  /** Where the grant was obtained: the integration must be one of this provider. */
  readonly provider: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** From now. */
  readonly expiresInSeconds: number;
  /** From now; `null`: not known. */
  readonly refreshTokenExpiresInSeconds: number | null;
  /** `null`: not known, so the row keeps what it has. */
  readonly scopes: readonly string[] | null;
}

export type ReplaceVerdict =
  | { readonly verdict: 'applied'; readonly expires_at: Date }
  | { readonly verdict: 'gone' }
  /** Somebody else is changing the row right now: try again. */
  | { readonly verdict: 'locked' }
  /** The row is another provider's, or has a status that only the product knows the meaning of. */
  | { readonly verdict: 'refused'; readonly provider: string; readonly status: string | null };

/** The statuses that are Evergrant's own, and the one that stands for the user's wish: a row with any other is the product's. As text: a product's enum need not have all three. */
export const replaceableStatus = "status::text IN ('connected', 'needs_reauthorization', 'disconnected')";

/**
 * Puts a new grant into an integration, which ends its episode of failures. The claim moves on: whatever was claimed
 * or started with the grant before is void, as its refresh token is no longer the row's, and can neither open the
 * row again nor free it. An attempt that may still be calling the provider keeps its hold, so that no second call
 * begins beside it; no attempt lasts longer than `$8` seconds, so a longer hold is the delay after a failure of the
 * grant before, and is cut. An open claim has no call under way: its hold goes.
 */
const statement = `
WITH target AS MATERIALIZED (
  SELECT id, provider, status,
         provider = $2 AND ${replaceableStatus} AS replaceable
  FROM integrations
  WHERE id = $1
  FOR NO KEY UPDATE SKIP LOCKED
), replaced AS (
  UPDATE integrations i
  SET access_token = $3,
      refresh_token = $4,
      expires_at = now() + make_interval(secs => $5),
      refresh_token_expires_at = now() + make_interval(secs => $6),
      scopes = coalesce($7::text[], i.scopes),
      status = 'connected',
      disconnect_reason = NULL,
      consecutive_failures = 0,
      consecutive_transient_failures = 0,
      failing_grant = NULL,
      failure_emailed_at = NULL,
      failure_warned_at = NULL,
      lapse_warned_for = NULL,
      disconnected_grant = NULL,
      grant_connected_since = now(),
      refresh_claim = i.refresh_claim + 1,
      refresh_claim_open = false,
      refresh_started_at = NULL,
      doubtful_grant = NULL,
      doubtful_since = NULL,
      refresh_held_until = CASE WHEN NOT i.refresh_claim_open AND i.refresh_held_until IS NOT NULL
                                THEN least(i.refresh_held_until, now() + make_interval(secs => $8)) END,
      updated_at = now()
  FROM target t
  WHERE i.id = t.id AND t.replaceable
  RETURNING i.id, i.expires_at
)
SELECT CASE WHEN r.id IS NOT NULL THEN 'applied'
            WHEN t.id IS NOT NULL THEN 'refused'
            WHEN i.id IS NULL THEN 'gone'
            ELSE 'locked' END AS verdict,
       r.expires_at, t.provider, t.status
FROM (VALUES ($1::uuid)) AS wanted (id)
LEFT JOIN replaced r ON r.id = wanted.id
LEFT JOIN target t ON t.id = wanted.id
LEFT JOIN integrations i ON i.id = wanted.id`;

/** `attemptHoldSeconds`: how long an attempt holds its row, which outlives the process that makes the call. */
export async function replaceGrant(
  database: Database,
  grant: NewGrant,
  attemptHoldSeconds: number,
): Promise<ReplaceVerdict> {
  const [row] = await database.query<ReplaceVerdict>(statement, [
    grant.id,
    grant.provider,
    grant.accessToken,
    grant.refreshToken,
    grant.expiresInSeconds,
    grant.refreshTokenExpiresInSeconds,
    grant.scopes,
    attemptHoldSeconds,
  ]);
  return row as ReplaceVerdict;
}
