import { type CommitVerdict, verdictOf } from './commit-verdict.ts';
import { counterOf } from './counter-of.ts';
import type { Database } from './database.ts';
import { grantToken } from './grant-token.ts';
import { accessTokenBorn } from './lapsing-rows.ts';

/** What an attempt came to that called nobody, ready for its row. */
export interface LapseResult {
  readonly id: string;
  /** The stored token (`grant-token.ts`), letter for letter, that was decided on. */
  readonly usedToken: string;
  /** Fencing token that the attempt ran under. */
  readonly claim: string;
  /** As `domain/lapse.ts` has it. */
  readonly decision: 'warn' | 'end' | 'keep';
  /** As users know the provider: a notification that comes of it names it. */
  readonly providerName: string;
}

/** What became of one. */
export interface RecordedLapse {
  readonly id: string;
  readonly verdict: CommitVerdict;
  readonly disconnected: boolean;
  /** The row of the outbox that came of it; `null`: nobody is told. */
  readonly event_id: string | null;
}

/**
 * Sees to grants that end by themselves. `warn`: the user is told of the coming end once, if the access token lived
 * for longer than the time before its end in which that is due; of one that lives an hour only the end is told. An end
 * that has moved by less than a day since it was seen to is no news: something else than the user renews the token.
 * `end`: the integration is disconnected, and the user told, unless the token had ended before the installation, or the
 * user has been told of this very end: what sets the row connected again without a new token is no reconnection.
 * `keep`: the row rests for a while. `lapse_warned_for` is the end that has been seen to: it is not claimed for again,
 * and the measures of expired tokens pass over it.
 *
 * It is decided from the row as it is under the lock, and only for the token that was found, under the claim of the
 * attempt, while the integration is connected; an end only if it still is one. The claim moves on, so that repeating
 * a commit whose answer was lost does nothing. The disconnection leaves the marks that one by failures leaves
 * (`record-failures.ts`), but no failure: nothing was refused.
 */
const statement = `
WITH result AS (
  SELECT *
  FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[])
    AS r (id, used, claim, decision, provider_name)
), target AS MATERIALIZED (
  SELECT i.id, i.user_id, i.provider, i.expires_at, i.lapse_warned_for, i.failure_warned_at, i.disconnected_grant,
         ${counterOf('i.consecutive_failures')} AS permanent_count,
         ${counterOf('i.consecutive_transient_failures')} AS transient_count,
         coalesce(i.grant_connected_since, i.created_at) AS connected_since,
         ${accessTokenBorn('i')} AS born,
         r.provider_name, r.claim, r.decision, sha256(convert_to(r.used, 'UTF8')) AS grant_hash,
         i.status = 'connected' AND ${grantToken('i')} = r.used AND i.refresh_claim = r.claim
           AND (r.decision <> 'end' OR i.expires_at <= now()) AS applies
  FROM integrations i
  JOIN result r ON r.id = i.id
  FOR NO KEY UPDATE OF i SKIP LOCKED
), considered AS (
  SELECT *,
         decision = 'end' AS ends,
         decision = 'warn' AND expires_at <= now() + make_interval(secs => $6)
           AND lapse_warned_for IS DISTINCT FROM expires_at AS sees_to_end
  FROM target
  WHERE applies
), decided AS (
  SELECT *,
         sees_to_end AND user_id IS NOT NULL AND provider IS NOT NULL AND expires_at > now()
           AND born <= expires_at - make_interval(secs => $6)
           AND coalesce(lapse_warned_for NOT BETWEEN expires_at - interval '1 day' AND expires_at + interval '1 day', true)
             AS warns,
         ends AND user_id IS NOT NULL AND provider IS NOT NULL
           AND (lapse_warned_for = expires_at AND disconnected_grant = grant_hash) IS NOT TRUE
           AND expires_at >= coalesce((SELECT installed_at FROM evergrant.installation), '-infinity') AS tells_end
  FROM considered
), recorded AS (
  UPDATE integrations i
  SET status = CASE WHEN d.ends THEN 'needs_reauthorization' ELSE i.status END,
      disconnect_reason = CASE WHEN d.ends THEN 'access_token_ended' ELSE i.disconnect_reason END,
      failing_grant = CASE WHEN d.ends THEN ''::bytea ELSE i.failing_grant END,
      disconnected_grant = CASE WHEN d.ends THEN d.grant_hash ELSE i.disconnected_grant END,
      failure_emailed_at = CASE WHEN d.tells_end THEN now() ELSE i.failure_emailed_at END,
      failure_warned_at = CASE WHEN d.warns THEN now() WHEN d.sees_to_end THEN NULL ELSE i.failure_warned_at END,
      lapse_warned_for = CASE WHEN d.sees_to_end OR d.decision <> 'warn' THEN i.expires_at ELSE i.lapse_warned_for END,
      refresh_claim = i.refresh_claim + 1,
      refresh_started_at = NULL,
      refresh_held_until = CASE WHEN d.decision = 'keep' THEN now() + make_interval(secs => $7) END,
      updated_at = CASE WHEN d.ends THEN now() ELSE i.updated_at END
  FROM decided d
  WHERE i.id = d.id
  RETURNING i.id
), released AS (
  UPDATE integrations i
  SET refresh_held_until = NULL, refresh_started_at = NULL
  FROM target t
  WHERE i.id = t.id AND t.applies IS NOT TRUE AND i.refresh_claim = t.claim AND NOT i.refresh_claim_open
), event AS (
  INSERT INTO evergrant.threshold_events (integration_id, user_id, provider, provider_name, notification_type, email_kind,
    failure_code, consecutive_failures, consecutive_transient_failures, relay_after, connected_since, warned_at, lapses_at)
  SELECT d.id, d.user_id, d.provider, d.provider_name,
         CASE WHEN d.ends THEN 'integration_disconnected' ELSE 'integration_warning' END,
         CASE WHEN d.ends THEN 'disconnected' END,
         CASE WHEN d.ends THEN 'access_token_ended' ELSE 'access_token_ends' END,
         d.permanent_count, d.transient_count, now() + make_interval(secs => $8),
         CASE WHEN d.ends THEN d.connected_since END,
         CASE WHEN d.ends AND d.lapse_warned_for = d.expires_at THEN d.failure_warned_at END,
         d.expires_at
  FROM decided d
  JOIN recorded ON recorded.id = d.id
  WHERE d.warns OR d.tells_end
  RETURNING id AS event_id, integration_id
)
SELECT r.id,
       ${verdictOf('d')} AS verdict,
       coalesce(d.ends, false) AS disconnected,
       e.event_id
FROM result r
LEFT JOIN target t ON t.id = r.id
LEFT JOIN decided d ON d.id = r.id
LEFT JOIN event e ON e.integration_id = r.id
LEFT JOIN integrations i ON i.id = r.id`;

export function recordLapses(
  database: Database,
  lapses: readonly LapseResult[],
  policy: {
    /** How long before its end the user is warned of it. */
    readonly lapseWarningSeconds: number;
    /** How long a row rests of which nothing ends. */
    readonly restSeconds: number;
    readonly eventRelayHoldSeconds: number;
  },
): Promise<RecordedLapse[]> {
  return database.query(statement, [
    lapses.map((lapse) => lapse.id),
    lapses.map((lapse) => lapse.usedToken),
    lapses.map((lapse) => lapse.claim),
    lapses.map((lapse) => lapse.decision),
    lapses.map((lapse) => lapse.providerName),
    policy.lapseWarningSeconds,
    policy.restSeconds,
    policy.eventRelayHoldSeconds,
  ]);
}
