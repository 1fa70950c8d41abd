import type { Database } from './database.ts';
import {
  type ChangedState,
  changedState,
  type ProviderState,
  providerStateColumns,
} from './provider-state.ts';

/**
 * Opens a provider's circuit by hand: nobody calls it until somebody closes the circuit, as there is no moment at
 * which it would be tried again. One that is open already stays open since when it was. Waits for a statement that
 * changes the same provider's state; all of ours take milliseconds, and an operator's word must not get lost.
 */
const statement = `
WITH opened AS (
  INSERT INTO evergrant.provider_states AS s (provider, circuit_open, circuit_cause, circuit_opened_at, circuit_probe_at)
  VALUES ($1, true, 'by_hand', now(), 'infinity')
  ON CONFLICT (provider) DO UPDATE
  SET circuit_open = true,
      circuit_cause = 'by_hand',
      circuit_code = NULL,
      circuit_failing = NULL,
      circuit_opened_at = CASE WHEN s.circuit_open THEN s.circuit_opened_at ELSE now() END,
      circuit_probe_at = 'infinity',
      circuit_probes = '{}',
      trusted_until = NULL
  RETURNING ${providerStateColumns}
)
SELECT 'before' AS moment, ${providerStateColumns}
FROM evergrant.provider_states
WHERE provider = $1
UNION ALL
SELECT 'after', opened.*
FROM opened`;

export async function openCircuit(
  database: Database,
  wanted: { readonly provider: string },
): Promise<ChangedState> {
  return changedState(
    await database.query<ProviderState & { moment: 'before' | 'after' }>(statement, [wanted.provider]),
  );
}
