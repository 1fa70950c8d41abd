import type { FailureClass } from '../domain/outcome.ts';
import type { ThresholdStep } from '../domain/policy.ts';
import { longestPatience } from '../domain/provider-guards.ts';
import { type CommitVerdict, verdictOf } from './commit-verdict.ts';
import { counterOf } from './counter-of.ts';
import type { Database } from './database.ts';
import { grantToken } from './grant-token.ts';

/** A failed refresh, ready for its row. */
export interface FailedResult {
  readonly id: string;
  /** The stored token (`grant-token.ts`), letter for letter, that the result was obtained with. */
  readonly usedToken: string;
  /** Fencing token that the attempt ran under. */
  readonly claim: string;
  readonly failureClass: FailureClass;
  readonly invalidRefreshToken: boolean;
  readonly code: string;
  /** As users know the provider: a notification that comes of the failure names it. */
  readonly providerName: string;
  /** The row is not claimed again before. */
  readonly retryDelaySeconds: number;
  /** A call of this attempt may have spent the token, and no tokens came of it. */
  readonly doubtful: boolean;
  /**
   * The provider may end a refresh token when it is used: only then can a call whose answer was lost be why it is
   * refused later.
   */
  readonly mayRotate: boolean;
  /** An early attempt is scheduled, and scans leave the row alone for so long; `null` or not given: none is. */
  readonly scheduledHoldSeconds?: number | null;
}

/** What became of one failure; counters are those after it. */
export interface RecordedFailure {
  readonly id: string;
  readonly verdict: CommitVerdict;
  readonly consecutive_failures: number | null;
  readonly consecutive_transient_failures: number | null;
  readonly disconnected: boolean;
  /** The row of the outbox that came of it; `null`: no threshold was crossed. */
  readonly event_id: string | null;
  /** The provider's circuit is open: the integration waits, and the failure counts for nothing. */
  readonly waiting: boolean;
  /** It would have disconnected or written to the user, but the provider's disconnections are held. */
  readonly held_back: boolean;
  /** The provider calls the grant dead, and a call whose answer was lost may have spent the token before. */
  readonly after_doubt: boolean;
  /** Until the row may be claimed again; `null`: it was not touched, or is disconnected. */
  readonly retry_in_seconds: number | null;
  /**
   * The claim of the early attempt, which is started by the message that names it: the failure counts for nothing.
   * `null`: none was scheduled.
   */
  readonly scheduled_claim: string | null;
}

/**
 * Counts a group of failures, and writes what their thresholds lead to, in one statement: the counter, the
 * status and the outbox row stand or fall together.
 *
 * Counters move from the row's own value as it is under the lock. A failure counts only for the grant that
 * it was obtained with, under the claim that it ran under, and while the integration is connected: a user
 * who reconnected or disconnected meanwhile wins, and the hold of the attempt goes. An episode of failures ends when the row holds another
 * refresh token than the one that was failing, which is how a reconnection by the product shows, and with the
 * disconnection, since only a reconnection leads back from it (marked by an empty hash, which fits no token);
 * rows that were failing before Evergrant have no mark and count on. An operator's fault moves nothing but the hold.
 *
 * What is known of the provider as a whole goes before (`watch-providers.ts` has just looked at it). While
 * its circuit is open, what says nothing about the grant moves what an operator's fault moves, the hold, and that no
 * further than `$11`: when the circuit closes, the next scan finds the row. While its disconnections are held, counting
 * and warning go on, and the first failure after that does what the count has come to by then; until then a row that
 * would have been disconnected is tried half as often each time, down to the part `$12` of its rhythm.
 *
 * A call whose answer was lost puts the grant in doubt, whatever else it moves, and the doubt keeps its first moment. It
 * goes with the next success, and tells apart the refusals of this very grant that come after it.
 *
 * A transient failure with an early attempt behind it moves the hold and `last_failure_at` and no counter: a token that
 * lives for minutes is tried several times in its life, and what counts is that the last of them failed. None is scheduled
 * while the circuit is open.
 *
 * A disconnection remembers for the measures which grant it ended, since when that was connected, and the warning
 * of its episode: `failure_warned_at` is the `created_at` of the warning's event, both being the transaction's now().
 *
 * The claim moves on with the failure, so that a commit whose answer was lost can be tried again: the second
 * time it finds a later claim and counts nothing.
 */
const statement = `
WITH result AS (
  SELECT *
  FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::float8[],
              $13::boolean[], $14::boolean[], $15::float8[])
    AS r (id, used, claim, failure_class, invalid_refresh_token, code, provider_name, retry_delay, doubtful, may_rotate,
          scheduled_hold)
), step AS (
  SELECT *
  FROM jsonb_to_recordset($9::jsonb) AS s ("failureClass" text, "invalidRefreshToken" boolean,
    "fromCount" integer, "toCount" integer, notification text, email text, disconnects boolean)
), target AS MATERIALIZED (
  SELECT i.id, i.user_id, i.provider, r.provider_name, r.claim, r.invalid_refresh_token, r.code,
         p.circuit_open IS TRUE AND r.failure_class <> 'permanent' AS waiting,
         CASE WHEN p.circuit_open AND r.failure_class <> 'permanent'
                OR r.failure_class = 'transient' AND r.scheduled_hold IS NOT NULL
              THEN 'operator' ELSE r.failure_class END AS failure_class,
         CASE WHEN p.circuit_open AND r.failure_class <> 'permanent' THEN least(r.retry_delay, $11)
              WHEN r.failure_class = 'transient' THEN coalesce(r.scheduled_hold, r.retry_delay)
              ELSE r.retry_delay END AS retry_delay,
         p.circuit_open IS NOT TRUE AND r.failure_class = 'transient' AND r.scheduled_hold IS NOT NULL AS scheduled,
         coalesce(p.disconnections_held_until > now(), false) AS held,
         i.status = 'connected' AND ${grantToken('i')} = r.used AND i.refresh_claim = r.claim AS applies,
         sha256(convert_to(r.used, 'UTF8')) AS grant_hash,
         r.doubtful,
         r.invalid_refresh_token AND r.may_rotate
           AND (r.doubtful OR coalesce(i.doubtful_grant = sha256(convert_to(r.used, 'UTF8')), false)) AS after_doubt,
         coalesce(i.failing_grant = sha256(convert_to(r.used, 'UTF8')), true) AS same_episode,
         i.consecutive_failures, i.consecutive_transient_failures, i.failure_emailed_at, i.failure_warned_at,
         coalesce(i.grant_connected_since, i.created_at) AS connected_since
  FROM integrations i
  JOIN result r ON r.id = i.id
  LEFT JOIN evergrant.provider_states p ON p.provider = i.provider
  FOR NO KEY UPDATE OF i SKIP LOCKED
), counted AS (
  SELECT *,
         CASE WHEN same_episode THEN ${counterOf('consecutive_failures')} ELSE 0 END
           + (failure_class = 'permanent')::int AS permanent_count,
         CASE WHEN same_episode THEN ${counterOf('consecutive_transient_failures')} ELSE 0 END
           + (failure_class = 'transient')::int AS transient_count,
         CASE WHEN same_episode THEN failure_emailed_at END AS emailed_at,
         CASE WHEN same_episode THEN failure_warned_at END AS warned_at
  FROM target
  WHERE applies
), decided AS (
  SELECT c.*, CASE WHEN NOT (c.held AND s.disconnects) THEN s.notification END AS notification,
         coalesce(s.disconnects AND NOT c.held, false) AS disconnects,
         CASE WHEN c.emailed_at IS NULL AND NOT c.held THEN s.email END AS email,
         coalesce(c.held AND (s.disconnects OR s.email IS NOT NULL AND c.emailed_at IS NULL), false) AS held_back,
         CASE WHEN s.disconnects AND NOT c.held THEN NULL
              WHEN s.disconnects
              THEN c.retry_delay * least(power(2, least(c.permanent_count - s."fromCount", 16)), $12::float8)
              ELSE c.retry_delay END AS retry_in
  FROM counted c
  LEFT JOIN step s ON s."failureClass" = c.failure_class
    AND s."invalidRefreshToken" = c.invalid_refresh_token
    AND CASE c.failure_class WHEN 'permanent' THEN c.permanent_count ELSE c.transient_count END
        BETWEEN s."fromCount" AND coalesce(s."toCount", 2147483647)
), recorded AS (
  UPDATE integrations i
  SET consecutive_failures =
        CASE WHEN d.failure_class = 'operator' THEN i.consecutive_failures ELSE d.permanent_count END,
      consecutive_transient_failures =
        CASE WHEN d.failure_class = 'operator' THEN i.consecutive_transient_failures ELSE d.transient_count END,
      failing_grant = CASE WHEN d.failure_class = 'operator' THEN i.failing_grant
                           WHEN d.disconnects THEN ''::bytea ELSE d.grant_hash END,
      failure_emailed_at = CASE WHEN d.failure_class = 'operator' THEN i.failure_emailed_at
                                WHEN d.email IS NOT NULL THEN now() ELSE d.emailed_at END,
      failure_warned_at = CASE WHEN d.failure_class = 'operator' THEN i.failure_warned_at
                               WHEN d.notification = 'integration_warning' THEN now() ELSE d.warned_at END,
      disconnected_grant = CASE WHEN d.disconnects THEN d.grant_hash ELSE i.disconnected_grant END,
      last_failure_at = CASE WHEN d.failure_class = 'operator' AND NOT d.scheduled THEN i.last_failure_at ELSE now() END,
      status = CASE WHEN d.disconnects THEN 'needs_reauthorization' ELSE i.status END,
      disconnect_reason = CASE WHEN d.disconnects THEN d.code ELSE i.disconnect_reason END,
      refresh_claim = i.refresh_claim + 1,
      refresh_started_at = NULL,
      doubtful_grant = CASE WHEN d.doubtful THEN d.grant_hash ELSE i.doubtful_grant END,
      doubtful_since = CASE WHEN NOT d.doubtful THEN i.doubtful_since
                            WHEN i.doubtful_grant = d.grant_hash THEN coalesce(i.doubtful_since, now())
                            ELSE now() END,
      refresh_held_until = now() + make_interval(secs => d.retry_in),
      updated_at = CASE WHEN d.failure_class = 'operator' THEN i.updated_at ELSE now() END
  FROM decided d
  WHERE i.id = d.id
  RETURNING i.id, i.refresh_claim
), released AS (
  UPDATE integrations i
  SET refresh_held_until = NULL, refresh_started_at = NULL
  FROM target t
  WHERE i.id = t.id AND t.applies IS NOT TRUE AND i.refresh_claim = t.claim AND NOT i.refresh_claim_open
), event AS (
  INSERT INTO evergrant.threshold_events (integration_id, user_id, provider, provider_name, notification_type, email_kind,
    failure_code, consecutive_failures, consecutive_transient_failures, relay_after, connected_since, warned_at, after_doubt)
  SELECT d.id, d.user_id, d.provider, d.provider_name, d.notification, d.email, d.code, d.permanent_count, d.transient_count,
         now() + make_interval(secs => $10),
         CASE WHEN d.disconnects THEN d.connected_since END,
         CASE WHEN d.disconnects THEN d.warned_at END,
         d.after_doubt
  FROM decided d
  JOIN recorded ON recorded.id = d.id
  WHERE d.user_id IS NOT NULL AND (d.notification IS NOT NULL OR d.email IS NOT NULL)
  RETURNING id AS event_id, integration_id
)
SELECT r.id,
       ${verdictOf('d')} AS verdict,
       d.permanent_count AS consecutive_failures,
       d.transient_count AS consecutive_transient_failures,
       coalesce(d.disconnects, false) AS disconnected,
       e.event_id,
       coalesce(t.waiting AND t.applies, false) AS waiting,
       coalesce(d.held_back, false) AS held_back,
       coalesce(d.after_doubt, false) AS after_doubt,
       d.retry_in AS retry_in_seconds,
       CASE WHEN d.scheduled THEN c.refresh_claim END AS scheduled_claim
FROM result r
LEFT JOIN target t ON t.id = r.id
LEFT JOIN decided d ON d.id = r.id
LEFT JOIN recorded c ON c.id = r.id
LEFT JOIN event e ON e.integration_id = r.id
LEFT JOIN integrations i ON i.id = r.id`;

export function recordFailures(
  database: Database,
  failures: readonly FailedResult[],
  policy: {
    readonly steps: readonly ThresholdStep[];
    readonly eventRelayHoldSeconds: number;
    /** How long a row stays held at most whose provider's circuit is open. */
    readonly waitingHoldSeconds: number;
  },
): Promise<RecordedFailure[]> {
  return database.query(statement, [
    failures.map((failure) => failure.id),
    failures.map((failure) => failure.usedToken),
    failures.map((failure) => failure.claim),
    failures.map((failure) => failure.failureClass),
    failures.map((failure) => failure.invalidRefreshToken),
    failures.map((failure) => failure.code),
    failures.map((failure) => failure.providerName),
    failures.map((failure) => failure.retryDelaySeconds),
    JSON.stringify(policy.steps),
    policy.eventRelayHoldSeconds,
    policy.waitingHoldSeconds,
    longestPatience,
    failures.map((failure) => failure.doubtful),
    failures.map((failure) => failure.mayRotate),
    failures.map((failure) => failure.scheduledHoldSeconds ?? null),
  ]);
}
