import { type ClaimableIntegration, claimableRow, expiresInSeconds } from './claimable-row.ts';
import type { Database } from './database.ts';

/** What `claimOne` would claim now, without claiming it. */
const statement = `
SELECT id, coalesce(provider, '') AS provider, CASE WHEN isfinite(expires_at) THEN expires_at END AS expires_at,
       ${expiresInSeconds} AS expires_in_seconds
${claimableRow}`;

export async function findClaimable(database: Database, id: string): Promise<ClaimableIntegration | null> {
  const [row] = await database.query<ClaimableIntegration>(statement, [id]);
  return row ?? null;
}
