import type { CommitVerdict } from './commit-verdict.ts';
import type { Database } from './database.ts';
import { grantToken } from './grant-token.ts';

/** A successful refresh, ready for its row. */
export interface RefreshedResult {
  readonly id: string;
  /** The stored token (`grant-token.ts`), letter for letter, that the result was obtained with. */
  readonly usedToken: string;
  /** Fencing token that the attempt ran under. */
  readonly claim: string;
  readonly accessToken: string;
  /** What the grant is renewed with from now on. A row without a refresh token keeps none: `accessToken` renews it. */
  readonly refreshToken: string;
  /** From now. */
  readonly expiresInSeconds: number;
  /** From now; `null`: the provider said nothing, so the row keeps what it has. */
  readonly refreshTokenExpiresInSeconds: number | null;
  /** `null`: unchanged. Separated by spaces, RFC 6749 §3.3. */
  readonly scope: string | null;
}

/** What became of one success. */
export interface StoredResult {
  readonly id: string;
  readonly verdict: CommitVerdict;
  /** Evergrant had disconnected this very grant, and it works: the disconnection was premature. */
  readonly premature_disconnection: boolean;
}

/**
 * Stores a group of refreshed grants. The condition is the grant, not the claim: as long as the row holds
 * the refresh token that was used, the provider's answer is the only living grant and must be stored, even
 * when a later claim has been made meanwhile; that claim is closed, so that nobody sends the used token
 * again. If the user connected anew, the row holds another token and the user wins; the hold of the attempt,
 * which is over, goes. A status that is not ours to change (disconnected by the user, or unknown to us) stays.
 *
 * Whether the grant is the one that Evergrant disconnected is compared on the locked row, and the mark goes with
 * the same update: of two commits one counts it. A success after a disconnection, or with another grant than the
 * one that was failing (the user reconnected), begins the time that the integration is connected for.
 */
const statement = `
WITH result AS (
  SELECT *
  FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::float8[], $7::float8[], $8::text[])
    AS r (id, used, claim, access_token, refresh_token, expires_in, refresh_token_expires_in, scope)
), target AS MATERIALIZED (
  SELECT i.id, i.disconnected_grant = sha256(convert_to(r.used, 'UTF8')) AS premature
  FROM integrations i
  JOIN result r ON r.id = i.id
  FOR NO KEY UPDATE OF i SKIP LOCKED
), stored AS (
  UPDATE integrations i
  SET access_token = r.access_token,
      refresh_token = CASE WHEN i.refresh_token <> '' THEN r.refresh_token ELSE i.refresh_token END,
      expires_at = now() + make_interval(secs => r.expires_in),
      refresh_token_expires_at =
        coalesce(now() + make_interval(secs => r.refresh_token_expires_in), i.refresh_token_expires_at),
      scopes = coalesce(string_to_array(r.scope, ' '), i.scopes),
      status = CASE WHEN i.status = 'needs_reauthorization' THEN 'connected' ELSE i.status END,
      disconnect_reason =
        CASE WHEN i.status IN ('connected', 'needs_reauthorization') THEN NULL ELSE i.disconnect_reason END,
      consecutive_failures = 0,
      consecutive_transient_failures = 0,
      grant_connected_since =
        CASE WHEN i.disconnected_grant IS NOT NULL OR i.failing_grant <> sha256(convert_to(r.used, 'UTF8'))
             THEN now() ELSE i.grant_connected_since END,
      disconnected_grant = NULL,
      failing_grant = NULL,
      failure_emailed_at = NULL,
      failure_warned_at = NULL,
      last_refresh_success = now(),
      refresh_held_until =
        CASE WHEN i.refresh_claim = r.claim OR i.refresh_claim_open THEN NULL ELSE i.refresh_held_until END,
      refresh_claim_open = false,
      updated_at = now()
  FROM target t
  JOIN result r ON r.id = t.id
  WHERE i.id = t.id AND ${grantToken('i')} = r.used
    AND (i.refresh_claim = r.claim OR i.refresh_claim_open OR r.refresh_token <> r.used)
  RETURNING i.id
), released AS (
  UPDATE integrations i
  SET refresh_held_until = NULL
  FROM target t
  JOIN result r ON r.id = t.id
  WHERE i.id = t.id AND ${grantToken('i')} IS DISTINCT FROM r.used
    AND i.refresh_claim = r.claim AND NOT i.refresh_claim_open
)
SELECT r.id,
       CASE WHEN s.id IS NOT NULL THEN 'applied'
            WHEN t.id IS NOT NULL THEN 'superseded'
            WHEN i.id IS NULL THEN 'gone'
            ELSE 'locked' END AS verdict,
       s.id IS NOT NULL AND t.premature IS TRUE AS premature_disconnection
FROM result r
LEFT JOIN stored s ON s.id = r.id
LEFT JOIN target t ON t.id = r.id
LEFT JOIN integrations i ON i.id = r.id`;

export function storeRefreshed(
  database: Database,
  results: readonly RefreshedResult[],
): Promise<StoredResult[]> {
  return database.query(statement, [
    results.map((result) => result.id),
    results.map((result) => result.usedToken),
    results.map((result) => result.claim),
    results.map((result) => result.accessToken),
    results.map((result) => result.refreshToken),
    results.map((result) => result.expiresInSeconds),
    results.map((result) => result.refreshTokenExpiresInSeconds),
    results.map((result) => result.scope),
  ]);
}
