import type { Database } from './database.ts';
import {
  type ChangedState,
  changedState,
  type ProviderState,
  providerStateColumns,
} from './provider-state.ts';

/**
 * An operator vouches for a provider: its circuit closes, its disconnections are no longer held, and neither guard
 * acts for a while, since what they judge by is still what made them act. Waits as `open-circuit.ts` does.
 */
const statement = `
WITH closed AS (
  INSERT INTO evergrant.provider_states (provider, trusted_until)
  VALUES ($1, now() + make_interval(secs => $2))
  ON CONFLICT (provider) DO UPDATE
  SET circuit_open = false,
      circuit_cause = NULL,
      circuit_code = NULL,
      circuit_failing = NULL,
      circuit_opened_at = NULL,
      circuit_probe_at = NULL,
      circuit_probes = '{}',
      disconnections_held_since = NULL,
      disconnections_held_until = NULL,
      disconnections_failing = NULL,
      trusted_until = excluded.trusted_until
  RETURNING ${providerStateColumns}
)
SELECT 'before' AS moment, ${providerStateColumns}
FROM evergrant.provider_states
WHERE provider = $1
UNION ALL
SELECT 'after', closed.*
FROM closed`;

export async function closeCircuit(
  database: Database,
  wanted: {
    readonly provider: string;
    /** See `trustedSeconds` in `domain/provider-guards.ts`. */
    readonly trustedSeconds: number;
  },
): Promise<ChangedState> {
  return changedState(
    await database.query<ProviderState & { moment: 'before' | 'after' }>(statement, [
      wanted.provider,
      wanted.trustedSeconds,
    ]),
  );
}
