import type { Database } from './database.ts';

/**
 * Gives up claims, open or scheduled, that could not be handed on, so that the next scan finds the rows. A row that was claimed
 * anew, or whose attempt has started, meanwhile is somebody else's and stays as it is.
 */
const statement = `
UPDATE integrations i
SET refresh_claim_open = false, refresh_held_until = NULL
FROM (
  SELECT i.id, released.claim
  FROM integrations i
  JOIN unnest($1::uuid[], $2::bigint[]) AS released (id, claim) USING (id)
  FOR NO KEY UPDATE OF i SKIP LOCKED
) AS released
WHERE i.id = released.id AND i.refresh_claim = released.claim AND i.refresh_started_at IS NULL`;

export async function releaseClaims(
  database: Database,
  claims: readonly { readonly id: string; readonly claim: string }[],
): Promise<void> {
  await database.query(statement, [claims.map(({ id }) => id), claims.map(({ claim }) => claim)]);
}
