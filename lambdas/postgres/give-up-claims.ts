import type { Database } from './database.ts';

/**
 * Gives up attempts that were started and whose call is not made, since the provider's limit leaves no room for it:
 * the next scan claims the rows anew, and their messages are done. Only for the claim that the attempt ran under.
 * The latest attempt is again the one before, as none was made.
 */
const statement = `
UPDATE integrations i
SET refresh_claim = i.refresh_claim + 1,
    refresh_held_until = NULL,
    refresh_started_at = NULL,
    last_refresh_attempt = greatest(i.last_refresh_success, i.last_failure_at)
FROM (
  SELECT i.id, given_up.claim
  FROM integrations i
  JOIN unnest($1::uuid[], $2::bigint[]) AS given_up (id, claim) USING (id)
  FOR NO KEY UPDATE OF i SKIP LOCKED
) AS given_up
WHERE i.id = given_up.id AND i.refresh_claim = given_up.claim AND NOT i.refresh_claim_open`;

export async function giveUpClaims(
  database: Database,
  claims: readonly { readonly id: string; readonly claim: string }[],
): Promise<void> {
  await database.query(statement, [claims.map(({ id }) => id), claims.map(({ claim }) => claim)]);
}
