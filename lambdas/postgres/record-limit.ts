import type { Database } from './database.ts';

/**
 * Writes down that integrations under one name of a provider keep to a limit, for the scanner, where another name's row
 * holds the reservations (`reserve-calls.ts`) because both are one client. A row that somebody is changing is left to the
 * next batch: this only spares the scanner claims that would be given up.
 */
const statement = `
WITH held AS MATERIALIZED (
  SELECT provider
  FROM evergrant.provider_states
  WHERE provider = $1
  FOR NO KEY UPDATE SKIP LOCKED
), kept AS (
  UPDATE evergrant.provider_states p
  SET calls_per_second = $2, next_call_at = greatest(p.next_call_at, now())
  FROM held
  WHERE p.provider = held.provider
)
INSERT INTO evergrant.provider_states (provider, calls_per_second, next_call_at)
SELECT $1, $2, now()
WHERE NOT EXISTS (SELECT FROM evergrant.provider_states WHERE provider = $1)
ON CONFLICT (provider) DO NOTHING`;

export async function recordLimit(
  database: Database,
  limit: { readonly provider: string; readonly callsPerSecond: number },
): Promise<void> {
  await database.query(statement, [limit.provider, limit.callsPerSecond]);
}
