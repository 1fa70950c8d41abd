import type { FailureClass } from '../domain/outcome.ts';
import type { GuardLimits } from '../domain/provider-guards.ts';
import type { Database } from './database.ts';
import type { CircuitCause } from './provider-state.ts';

/** A failure that says something about its provider. */
export interface ProviderFailure {
  readonly integrationId: string;
  readonly provider: string;
  readonly failureClass: FailureClass;
  readonly code: string;
}

/** What the batch that met the failures knows of a provider beside them. */
export interface BatchAnswers {
  readonly provider: string;
  /** Integrations that it has refreshed: they are written down when it ends. */
  readonly refreshed: number;
  /** Integrations that it is still waiting for. They count as if all went well, so that a few quick refusals decide nothing. */
  readonly pending: number;
  /** How long it asks to be left alone: see `usualRetryAfter`. */
  readonly retryAfterSeconds: number;
}

export interface GuardSettings {
  readonly circuit: GuardLimits;
  readonly massRefusal: GuardLimits;
  /** How far back failures and successes count for the circuit. */
  readonly circuitWindowSeconds: number;
  /** An open circuit is probed after so long, or when the provider said, if that is later. */
  readonly circuitCooldownSeconds: number;
  /** The provider is not waited for longer, whatever it said. */
  readonly maxRetryAfterSeconds: number;
  /** How far back refused grants count for holding disconnections. */
  readonly massRefusalWindowSeconds: number;
  readonly disconnectionHoldSeconds: number;
  /** Long enough that an integration that goes on failing has failed within it before each of the windows. */
  readonly memorySeconds: number;
}

/** A guard that began to act with this statement; its evidence. */
export interface GuardThatActed {
  readonly provider: string;
  /** Its circuit opened. */
  readonly opened: boolean;
  readonly circuit_cause: CircuitCause | null;
  readonly circuit_code: string | null;
  readonly probe_in_seconds: number | null;
  /** Integrations failing, those that the provider answered, and those that are not yet known, in the circuit's window. */
  readonly failing: number;
  readonly answered: number;
  readonly pending: number;
  /** Its disconnections are held from now on. */
  readonly held: boolean;
  /** Integrations that were refused for the first time, and those that were refreshed, in the window of mass refusal. */
  readonly refused: number;
  readonly refreshed: number;
}

/**
 * Writes failures of a batch down, and decides from them and from what is committed whether their providers are to
 * blame. Distinct integrations count, by two rules:
 *
 * - For the circuit those that fail in a passing way, or whose provider refused our client. As long as the provider
 *   answers others, only those count that began to fail within the window: a handful that has been sick for days must
 *   not outweigh the healthy ones, which are tried once in their tokens' lives. Where nobody is answered all count.
 * - For holding disconnections those that were refused for the first time within the window. Those that go on being
 *   refused do not count again, so a hold that has ended is not begun anew by the same integrations.
 *
 * What a guard that acts already would be decided from is not read: a hold lasts for hours in which every integration
 * may be refused again and again. Who refuses is then only asked for as many as settle whether anybody is answered.
 *
 * Nothing is lost between two groups that decide at once: each adds rows, and whoever comes next sees both. A state
 * that somebody is changing right now is left to the next group (`SKIP LOCKED`): results of the batch wait behind this
 * statement, so it waits for nobody; only two that write a provider's first row at the same time meet, for the time
 * of a statement, and in the order of names.
 */
const statement = `
WITH failure AS MATERIALIZED (
  SELECT *
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
    AS f (integration_id, provider, failure_class, code)
), batch AS (
  SELECT * FROM unnest($5::text[], $6::int[], $7::int[], $8::float8[]) AS b (provider, refreshed, pending, retry_after)
), horizon AS (
  SELECT now() - make_interval(secs => $9) AS circuit, now() - make_interval(secs => $10) AS refusal,
         now() - make_interval(secs => $11) AS memory
), added AS (
  INSERT INTO evergrant.recent_failures (provider, integration_id, failure_class, code)
  SELECT provider, integration_id, failure_class, code FROM failure
), pruned AS (
  DELETE FROM evergrant.recent_failures
  WHERE id = ANY (ARRAY(
    SELECT id
    FROM evergrant.recent_failures
    WHERE failed_at < least((SELECT memory FROM horizon), now() - interval '12 hours')
    ORDER BY failed_at
    LIMIT 2 * cardinality($1::uuid[])
    FOR UPDATE SKIP LOCKED
  ))
), able AS MATERIALIZED (
  SELECT c.provider, coalesce(NOT p.circuit_open, true) AS may_open,
         coalesce(p.disconnections_held_until <= now(), true) AS may_hold
  FROM batch AS c
  LEFT JOIN evergrant.provider_states p USING (provider)
  WHERE coalesce(p.trusted_until <= now(), true)
), evidence AS (
  SELECT a.provider, r.integration_id, r.failure_class, r.code, r.failed_at
  FROM able a
  CROSS JOIN LATERAL (
    SELECT integration_id, failure_class, code, failed_at
    FROM evergrant.recent_failures
    WHERE provider = a.provider AND failure_class IN ('transient', 'operator')
      AND a.may_open AND failed_at > (SELECT memory FROM horizon)
    UNION ALL
    SELECT integration_id, failure_class, code, failed_at
    FROM evergrant.recent_failures
    WHERE provider = a.provider AND failure_class = 'permanent'
      AND a.may_hold AND failed_at > (SELECT memory FROM horizon)
    UNION ALL (
      SELECT integration_id, failure_class, code, failed_at
      FROM evergrant.recent_failures
      WHERE provider = a.provider AND failure_class = 'permanent'
        AND a.may_open AND NOT a.may_hold AND failed_at > (SELECT circuit FROM horizon)
      ORDER BY failed_at DESC
      LIMIT $19
    )
  ) AS r
  UNION ALL
  SELECT f.provider, f.integration_id, f.failure_class, f.code, now()
  FROM failure f
  JOIN able a USING (provider)
), of_integration AS (
  SELECT e.provider, e.integration_id, e.failure_class = 'permanent' AS refused,
         min(e.failed_at) AS first, max(e.failed_at) AS latest,
         bool_or(e.failure_class = 'operator' AND e.failed_at > h.circuit) AS client_refused
  FROM evidence e, horizon h
  GROUP BY 1, 2, 3
), failures AS (
  SELECT o.provider,
         count(*) FILTER (WHERE NOT o.refused AND o.latest > h.circuit) AS failing,
         count(*) FILTER (WHERE NOT o.refused AND o.first > h.circuit) AS newly_failing,
         count(*) FILTER (WHERE NOT o.refused AND o.client_refused) AS client_refused,
         count(*) FILTER (WHERE o.refused AND o.latest > h.circuit) AS answered,
         count(*) FILTER (WHERE o.refused AND o.first > h.refusal) AS newly_refused
  FROM of_integration o, horizon h
  GROUP BY 1
), successes AS (
  SELECT o.provider,
         sum(o.refreshed) FILTER (WHERE o.counted_at > h.circuit) AS for_circuit,
         sum(o.refreshed) FILTER (WHERE o.counted_at > h.refusal) AS for_refusal
  FROM evergrant.refresh_outcomes o, horizon h
  WHERE o.provider = ANY ($5::text[]) AND o.counted_at > least(h.circuit, h.refusal)
  GROUP BY 1
), said AS (
  SELECT e.provider, mode() WITHIN GROUP (ORDER BY e.code) AS code
  FROM evidence e, horizon h
  WHERE e.failure_class <> 'permanent' AND e.failed_at > h.circuit
  GROUP BY 1
), weighed AS (
  SELECT f.provider, f.client_refused, f.newly_refused, said.code,
         make_interval(secs => greatest($12, least(coalesce(b.retry_after, 0), $13))) AS cooldown,
         coalesce(b.pending, 0) AS pending,
         f.answered + coalesce(b.refreshed, 0) + coalesce(s.for_circuit, 0) AS answered,
         coalesce(b.refreshed, 0) + coalesce(s.for_refusal, 0) AS refreshed,
         CASE WHEN f.answered + coalesce(b.refreshed, 0) + coalesce(s.for_circuit, 0) > 0
              THEN f.newly_failing ELSE f.failing END AS failing
  FROM failures f
  LEFT JOIN batch b USING (provider)
  LEFT JOIN successes s USING (provider)
  LEFT JOIN said USING (provider)
), decided AS (
  SELECT *,
         failing >= $14 AND failing >= $15::float8 * (failing + answered + pending) AS opens,
         newly_refused >= $16 AND newly_refused >= $17::float8 * (newly_refused + refreshed + pending) AS holds
  FROM weighed
), free AS MATERIALIZED (
  SELECT p.provider
  FROM evergrant.provider_states p
  JOIN decided d USING (provider)
  WHERE coalesce(p.trusted_until <= now(), true)
    AND (d.opens AND NOT p.circuit_open OR d.holds AND coalesce(p.disconnections_held_until <= now(), true))
  FOR NO KEY UPDATE OF p SKIP LOCKED
), changed AS (
  INSERT INTO evergrant.provider_states AS p (provider, circuit_open, circuit_cause, circuit_code, circuit_failing,
    circuit_opened_at, circuit_probe_at, disconnections_held_since, disconnections_held_until, disconnections_failing)
  SELECT d.provider, d.opens,
         CASE WHEN d.opens THEN CASE WHEN 2 * d.client_refused > d.failing THEN 'client_refused' ELSE 'outage' END END,
         CASE WHEN d.opens THEN d.code END,
         CASE WHEN d.opens THEN d.failing END,
         CASE WHEN d.opens THEN now() END,
         CASE WHEN d.opens THEN now() + d.cooldown END,
         CASE WHEN d.holds THEN now() END,
         CASE WHEN d.holds THEN now() + make_interval(secs => $18) END,
         CASE WHEN d.holds THEN d.newly_refused END
  FROM decided d
  WHERE (d.opens OR d.holds)
    AND (d.provider IN (SELECT provider FROM free)
         OR NOT EXISTS (SELECT FROM evergrant.provider_states known WHERE known.provider = d.provider))
  ORDER BY d.provider
  ON CONFLICT (provider) DO UPDATE
  SET circuit_open = p.circuit_open OR excluded.circuit_open,
      circuit_cause = CASE WHEN p.circuit_open THEN p.circuit_cause ELSE excluded.circuit_cause END,
      circuit_code = CASE WHEN p.circuit_open THEN p.circuit_code ELSE excluded.circuit_code END,
      circuit_failing = CASE WHEN p.circuit_open THEN p.circuit_failing ELSE excluded.circuit_failing END,
      circuit_opened_at = CASE WHEN p.circuit_open THEN p.circuit_opened_at ELSE excluded.circuit_opened_at END,
      circuit_probe_at = CASE WHEN p.circuit_open THEN p.circuit_probe_at ELSE excluded.circuit_probe_at END,
      circuit_probes = CASE WHEN p.circuit_open THEN p.circuit_probes ELSE '{}' END,
      disconnections_held_since = CASE WHEN p.disconnections_held_until > now() OR excluded.disconnections_held_until IS NULL
        THEN p.disconnections_held_since ELSE excluded.disconnections_held_since END,
      disconnections_held_until = CASE WHEN p.disconnections_held_until > now() OR excluded.disconnections_held_until IS NULL
        THEN p.disconnections_held_until ELSE excluded.disconnections_held_until END,
      disconnections_failing = CASE WHEN p.disconnections_held_until > now() OR excluded.disconnections_held_until IS NULL
        THEN p.disconnections_failing ELSE excluded.disconnections_failing END
  WHERE coalesce(p.trusted_until <= now(), true)
  RETURNING p.provider, p.circuit_open AND p.circuit_opened_at = now() AS opened, p.circuit_cause, p.circuit_code,
    coalesce(p.disconnections_held_since = now(), false) AS held
)
SELECT c.provider, c.opened,
       CASE WHEN c.opened THEN c.circuit_cause END AS circuit_cause,
       CASE WHEN c.opened THEN c.circuit_code END AS circuit_code,
       CASE WHEN c.opened THEN extract(epoch FROM d.cooldown)::float8 END AS probe_in_seconds,
       d.failing::int AS failing, d.answered::int AS answered, d.pending AS pending,
       c.held, d.newly_refused::int AS refused, d.refreshed::int AS refreshed
FROM changed c
JOIN decided d USING (provider)
WHERE c.opened OR c.held`;

/** Far more answered integrations than the failures of a provider that is worth calling. */
const answeredUpTo = 5_000;

/**
 * Of each provider in `answers`, among which are those of all `failures`. Returns the guards that began to act; most of
 * the time none.
 */
export function watchProviders(
  database: Database,
  failures: readonly ProviderFailure[],
  answers: readonly BatchAnswers[],
  guards: GuardSettings,
): Promise<GuardThatActed[]> {
  return database.query<GuardThatActed>(statement, [
    failures.map(({ integrationId }) => integrationId),
    failures.map(({ provider }) => provider),
    failures.map(({ failureClass }) => failureClass),
    failures.map(({ code }) => code),
    answers.map(({ provider }) => provider),
    answers.map(({ refreshed }) => refreshed),
    answers.map(({ pending }) => pending),
    answers.map(({ retryAfterSeconds }) => retryAfterSeconds),
    guards.circuitWindowSeconds,
    guards.massRefusalWindowSeconds,
    guards.memorySeconds,
    guards.circuitCooldownSeconds,
    guards.maxRetryAfterSeconds,
    guards.circuit.leastFailing,
    guards.circuit.leastShare,
    guards.massRefusal.leastFailing,
    guards.massRefusal.leastShare,
    guards.disconnectionHoldSeconds,
    answeredUpTo,
  ]);
}
