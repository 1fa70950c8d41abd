import type { Database } from './database.ts';
import type { CircuitCause } from './provider-state.ts';

/** What came of a batch's probes of one provider. */
export interface SettledProbes {
  readonly provider: string;
  readonly integrationIds: readonly string[];
  /** The provider spoke to most of them about their grants: it is up. */
  readonly answered: boolean;
  /** How long it asks to be left alone: see `usualRetryAfter`. */
  readonly retryAfterSeconds: number;
}

/** A circuit that closed. */
export interface ClosedCircuit {
  readonly provider: string;
  readonly circuit_cause: CircuitCause;
  readonly circuit_code: string | null;
  readonly open_for_seconds: number;
}

/**
 * Closes the circuits whose probes were answered, and puts the next probes of the others off. A circuit that was
 * opened by hand stays open, whatever its probes came to. Of two batches that share probes the first that is answered
 * closes, and the second finds nothing to do. Waits for a statement that changes the same provider's state, in the order
 * of names and for milliseconds: nothing of the batch is behind this, and skipping would cost all that wait another scan.
 */
const statement = `
WITH settled AS (
  SELECT s.provider, (s.settled->>'answered')::boolean AS answered, (s.settled->>'retryAfterSeconds')::float8 AS retry_after,
         ARRAY(SELECT jsonb_array_elements_text(s.settled->'integrationIds')::uuid) AS ids
  FROM (SELECT settled->>'provider' AS provider, settled FROM jsonb_array_elements($1::jsonb) AS settled) AS s
), circuit AS MATERIALIZED (
  SELECT p.provider, p.circuit_cause, p.circuit_code, p.circuit_opened_at
  FROM evergrant.provider_states p
  JOIN settled s USING (provider)
  WHERE p.circuit_open
  ORDER BY p.provider
  FOR NO KEY UPDATE OF p
), closed AS (
  UPDATE evergrant.provider_states p
  SET circuit_open = false,
      circuit_cause = NULL,
      circuit_code = NULL,
      circuit_failing = NULL,
      circuit_opened_at = NULL,
      circuit_probe_at = NULL,
      circuit_probes = '{}'
  FROM circuit c
  JOIN settled s USING (provider)
  WHERE p.provider = c.provider AND s.answered AND c.circuit_cause <> 'by_hand'
  RETURNING p.provider
), put_off AS (
  UPDATE evergrant.provider_states p
  SET circuit_probe_at = greatest(p.circuit_probe_at,
        now() + make_interval(secs => greatest($2, least(s.retry_after, $3)))),
      circuit_probes = ARRAY(SELECT id FROM unnest(p.circuit_probes) AS id WHERE id <> ALL (s.ids))
  FROM circuit c
  JOIN settled s USING (provider)
  WHERE p.provider = c.provider AND (NOT s.answered OR c.circuit_cause = 'by_hand')
)
SELECT c.provider, c.circuit_cause, c.circuit_code,
       coalesce(extract(epoch FROM now() - c.circuit_opened_at), 0)::float8 AS open_for_seconds
FROM closed
JOIN circuit c USING (provider)`;

export function settleProbes(
  database: Database,
  settled: readonly SettledProbes[],
  limits: { readonly circuitCooldownSeconds: number; readonly maxRetryAfterSeconds: number },
): Promise<ClosedCircuit[]> {
  return database.query<ClosedCircuit>(statement, [
    JSON.stringify(settled),
    limits.circuitCooldownSeconds,
    limits.maxRetryAfterSeconds,
  ]);
}
