import type { Database } from './database.ts';

/**
 * Gives back attempts that were started but made no call, for want of time: their messages come again and
 * may start them anew. Only for the claim that the attempt ran under.
 */
const statement = `
UPDATE integrations i
SET refresh_claim = i.refresh_claim + 1, refresh_claim_open = true, refresh_started_at = NULL
FROM (
  SELECT i.id, given_back.claim
  FROM integrations i
  JOIN unnest($1::uuid[], $2::bigint[]) AS given_back (id, claim) USING (id)
  FOR NO KEY UPDATE OF i SKIP LOCKED
) AS given_back
WHERE i.id = given_back.id AND i.refresh_claim = given_back.claim`;

export async function reopenClaims(
  database: Database,
  claims: readonly { readonly id: string; readonly claim: string }[],
): Promise<void> {
  await database.query(statement, [claims.map(({ id }) => id), claims.map(({ claim }) => claim)]);
}
