import { type CommitVerdict, verdictOf } from './commit-verdict.ts';
import type { Database } from './database.ts';
import { grantToken } from './grant-token.ts';
import { metadataObject } from './metadata-object.ts';

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
  /** From now; `null`: nobody knows, so the row keeps what it has. */
  readonly refreshTokenExpiresInSeconds: number | null;
  /**
   * How long a grant of this provider lives from its user's authorization, whatever is refreshed meanwhile; the user is
   * warned of its end. `null`: refreshing extends it, or it does not end.
   */
  readonly authorizationLifetimeSeconds: number | null;
  /** `null`: unchanged. Separated by spaces, RFC 6749 §3.3. */
  readonly scope: string | null;
  /** Fields of the answer that join the row's `metadata`. */
  readonly kept: Readonly<Record<string, string>>;
  /** As users know the provider: a warning names it. */
  readonly providerName: string;
  /** The next attempt is scheduled, and scans leave the row alone for so long; `null` or not given: scans see to it. */
  readonly scheduledHoldSeconds?: number | null;
}

/** What became of one success. */
export interface StoredResult {
  readonly id: string;
  readonly verdict: CommitVerdict;
  /** Evergrant had disconnected this very grant, and it works: the disconnection was premature. */
  readonly premature_disconnection: boolean;
  /** The row of the outbox with a warning that the grant ends; `null`: there is no need of one. */
  readonly event_id: string | null;
  /** The claim of the scheduled attempt, which is started by the message that names it; `null`: none was scheduled. */
  readonly scheduled_claim: string | null;
}

/**
 * Stores a group of refreshed grants. The condition is the grant, not the claim: as long as the row holds
 * the refresh token that was used, the provider's answer is the only living grant and must be stored, even
 * when a later claim has been made meanwhile; that claim is closed, so that nobody sends the used token
 * again. One that did not rotate the token is worth that only if it lasts longer than what the row has: it may be the
 * copy of a result that a later one has followed. If the user connected anew, the row holds another token and the user
 * wins; the hold of the attempt, which is over, goes. A status that is not ours to change (disconnected by the user, or
 * unknown to us) stays.
 *
 * Whether the grant is the one that Evergrant disconnected is compared on the locked row, and the mark goes with
 * the same update: of two commits one counts it. A success after a disconnection, or with another grant than the
 * one that was failing (the user reconnected), begins the time that the integration is connected for.
 *
 * A next attempt is scheduled where the row is connected now and no later attempt is under way: its claim is there but
 * not open. A commit whose answer was lost, and that is tried again, schedules nothing: the hold ends and a scan claims.
 *
 * The end of the grant is what the answer says, else what the row knows, else what follows from the authorization; one
 * that has passed was wrong, as the refresh succeeded, and so is an authorization that is still to come. Where only the
 * user can renew the grant, they are warned when its end is near, or comes before the next refresh would tell; once for
 * each end, and a day either way is the same end, as what an answer says remains is not exact.
 */
const statement = (metadata: string) => `
WITH result AS (
  SELECT *
  FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::float8[], $7::float8[], $8::float8[],
              $9::text[], $10::jsonb[], $11::text[], $14::float8[])
    AS r (id, used, claim, access_token, refresh_token, expires_in, refresh_token_expires_in, authorization_lifetime,
          scope, kept, provider_name, scheduled_hold)
), target AS MATERIALIZED (
  SELECT i.id, i.user_id, i.status IN ('connected', 'needs_reauthorization') AS ours,
         i.disconnected_grant = sha256(convert_to(r.used, 'UTF8')) AS premature,
         CASE WHEN i.status IN ('connected', 'needs_reauthorization') AND (i.refresh_claim = r.claim OR i.refresh_claim_open)
              THEN make_interval(secs => r.scheduled_hold) END AS scheduled_hold,
         i.refresh_token_expires_at, i.lapse_warned_for, i.created_at,
         CASE WHEN i.disconnected_grant IS NOT NULL OR i.failing_grant <> sha256(convert_to(r.used, 'UTF8'))
              THEN now() ELSE i.grant_connected_since END AS connected_since
  FROM integrations i
  JOIN result r ON r.id = i.id
  FOR NO KEY UPDATE OF i SKIP LOCKED
), dated AS (
  SELECT t.*, r.authorization_lifetime, r.expires_in,
         CASE WHEN r.refresh_token_expires_in IS NOT NULL THEN now() + make_interval(secs => r.refresh_token_expires_in)
              WHEN t.refresh_token_expires_at > now() THEN t.refresh_token_expires_at
              WHEN least(coalesce(t.connected_since, t.created_at), now()) + make_interval(secs => r.authorization_lifetime) > now()
              THEN least(coalesce(t.connected_since, t.created_at), now()) + make_interval(secs => r.authorization_lifetime)
         END AS grant_ends_at
  FROM target t
  JOIN result r ON r.id = t.id
), decided AS (
  SELECT d.id, d.connected_since, d.grant_ends_at, d.scheduled_hold,
         d.authorization_lifetime IS NOT NULL AND d.ours AND d.user_id IS NOT NULL AND d.grant_ends_at > now()
           AND (d.grant_ends_at <= now() + make_interval(secs => $12)
                OR d.grant_ends_at <= now() + make_interval(secs => d.expires_in) + interval '1 day')
           AND (d.lapse_warned_for IS NULL
                OR d.lapse_warned_for NOT BETWEEN d.grant_ends_at - interval '1 day' AND d.grant_ends_at + interval '1 day')
           AS warns
  FROM dated d
), stored AS (
  UPDATE integrations i
  SET access_token = r.access_token,
      refresh_token = CASE WHEN i.refresh_token <> '' THEN r.refresh_token ELSE i.refresh_token END,
      expires_at = now() + make_interval(secs => r.expires_in),
      refresh_token_expires_at = d.grant_ends_at,
      scopes = coalesce(string_to_array(r.scope, ' '), i.scopes),${metadata}
      status = CASE WHEN i.status = 'needs_reauthorization' THEN 'connected' ELSE i.status END,
      disconnect_reason =
        CASE WHEN i.status IN ('connected', 'needs_reauthorization') THEN NULL ELSE i.disconnect_reason END,
      consecutive_failures = 0,
      consecutive_transient_failures = 0,
      grant_connected_since = d.connected_since,
      disconnected_grant = NULL,
      failing_grant = NULL,
      failure_emailed_at = NULL,
      failure_warned_at = NULL,
      lapse_warned_for = CASE WHEN d.warns THEN d.grant_ends_at ELSE i.lapse_warned_for END,
      last_refresh_success = now(),
      refresh_held_until =
        CASE WHEN i.refresh_claim = r.claim OR i.refresh_claim_open THEN now() + d.scheduled_hold
             ELSE i.refresh_held_until END,
      refresh_claim = i.refresh_claim + (d.scheduled_hold IS NOT NULL)::int,
      refresh_claim_open = false,
      refresh_started_at =
        CASE WHEN i.refresh_claim = r.claim OR i.refresh_claim_open THEN NULL ELSE i.refresh_started_at END,
      doubtful_grant = NULL,
      doubtful_since = NULL,
      updated_at = now()
  FROM decided d
  JOIN result r ON r.id = d.id
  WHERE i.id = d.id AND ${grantToken('i')} = r.used
    AND (i.refresh_claim = r.claim OR r.refresh_token <> r.used
         OR i.refresh_claim_open AND (i.expires_at <= now() + make_interval(secs => r.expires_in)) IS NOT FALSE)
  RETURNING i.id, i.user_id, i.provider, r.provider_name, d.warns, d.grant_ends_at,
            CASE WHEN d.scheduled_hold IS NOT NULL THEN i.refresh_claim END AS scheduled_claim
), released AS (
  UPDATE integrations i
  SET refresh_held_until = NULL, refresh_started_at = NULL
  FROM target t
  JOIN result r ON r.id = t.id
  WHERE i.id = t.id AND ${grantToken('i')} IS DISTINCT FROM r.used
    AND i.refresh_claim = r.claim AND NOT i.refresh_claim_open
), event AS (
  INSERT INTO evergrant.threshold_events (integration_id, user_id, provider, provider_name, notification_type,
    failure_code, consecutive_failures, consecutive_transient_failures, relay_after, lapses_at)
  SELECT id, user_id, provider, provider_name, 'integration_warning', 'refresh_token_ends', 0, 0,
         now() + make_interval(secs => $13), grant_ends_at
  FROM stored
  WHERE warns
  RETURNING id AS event_id, integration_id
)
SELECT r.id,
       ${verdictOf('s')} AS verdict,
       s.id IS NOT NULL AND t.premature IS TRUE AS premature_disconnection,
       e.event_id,
       s.scheduled_claim
FROM result r
LEFT JOIN stored s ON s.id = r.id
LEFT JOIN target t ON t.id = r.id
LEFT JOIN event e ON e.integration_id = r.id
LEFT JOIN integrations i ON i.id = r.id`;

/**
 * A column that no row of a group has to do with is not written, as triggers of the product may listen to it. Text
 * stands between jsonb and json, whichever the column is. What cannot be read stays as it is: the tokens matter more.
 */
const withoutKept = statement('');
const withKept = statement(`
      metadata = (CASE WHEN r.kept = '{}' THEN i.metadata::text
                       WHEN i.metadata IS NULL THEN r.kept::text
                       ELSE coalesce((${metadataObject('i')} || r.kept)::text, i.metadata::text) END)::json,`);

/** What Postgres does not take in jsonb: nothing of it is worth the tokens beside it. */
function storable(kept: RefreshedResult['kept']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(kept).filter((entry) =>
      entry.every((text) => text.isWellFormed() && !text.includes('\0')),
    ),
  );
}

export function storeRefreshed(
  database: Database,
  results: readonly RefreshedResult[],
  policy: {
    /** How long before the end of their grant users are warned of it. */
    readonly lapseWarningSeconds: number;
    readonly eventRelayHoldSeconds: number;
  },
): Promise<StoredResult[]> {
  const keeps = results.some(({ kept }) => Object.keys(kept).length > 0);
  return database.query(keeps ? withKept : withoutKept, [
    results.map((result) => result.id),
    results.map((result) => result.usedToken),
    results.map((result) => result.claim),
    results.map((result) => result.accessToken),
    results.map((result) => result.refreshToken),
    results.map((result) => result.expiresInSeconds),
    results.map((result) => result.refreshTokenExpiresInSeconds),
    results.map((result) => result.authorizationLifetimeSeconds),
    results.map((result) => result.scope),
    results.map((result) => JSON.stringify(storable(result.kept))),
    results.map((result) => result.providerName),
    policy.lapseWarningSeconds,
    policy.eventRelayHoldSeconds,
    results.map((result) => result.scheduledHoldSeconds ?? null),
  ]);
}
