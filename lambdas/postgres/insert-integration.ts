import type { Database } from './database.ts';

/** A new integration with its first grant. */
export interface NewIntegration {
  readonly id: string;
  readonly userId: string;
  readonly provider: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** From now. */
  readonly expiresInSeconds: number;
  /** From now; `null`: not known. */
  readonly refreshTokenExpiresInSeconds: number | null;
  readonly scopes: readonly string[] | null;
}

/**
 * Inserts a connected integration. A repetition, after an answer that was lost, finds the row with the same refresh
 * token and changes nothing. The moments are named, as a product's own table may have no defaults for them.
 */
const statement = `
WITH inserted AS (
  INSERT INTO integrations (id, user_id, provider, status, access_token, refresh_token, expires_at,
    refresh_token_expires_at, scopes, consecutive_failures, consecutive_transient_failures, created_at, updated_at)
  SELECT $1::uuid, $2::uuid, $3, 'connected', $4, $5, now() + make_interval(secs => $6),
         now() + make_interval(secs => $7), $8::text[], 0, 0, now(), now()
  WHERE NOT EXISTS (SELECT FROM integrations WHERE id = $1)
  RETURNING expires_at
)
SELECT expires_at FROM inserted
UNION ALL
SELECT expires_at FROM integrations WHERE id = $1 AND refresh_token = $5`;

/** When the access token expires; `null`: another integration has this id. */
export async function insertIntegration(database: Database, row: NewIntegration): Promise<Date | null> {
  const [inserted] = await database.query<{ expires_at: Date }>(statement, [
    row.id,
    row.userId,
    row.provider,
    row.accessToken,
    row.refreshToken,
    row.expiresInSeconds,
    row.refreshTokenExpiresInSeconds,
    row.scopes,
  ]);
  return inserted?.expires_at ?? null;
}
