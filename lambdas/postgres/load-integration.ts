import type { Database } from './database.ts';
import { grantToken } from './grant-token.ts';

/** A row without its tokens. Moments may be at infinity, which the driver gives as a number. */
export interface LoadedIntegration {
  readonly provider: string;
  readonly user_id: string | null;
  readonly status: string | null;
  readonly disconnect_reason: string | null;
  readonly expires_at: Date | number | null;
  readonly refresh_token_expires_at: Date | number | null;
  readonly consecutive_failures: number;
  readonly consecutive_transient_failures: number;
  readonly refresh_held_until: Date | number | null;
  readonly refresh_claim_open: boolean;
  readonly last_refresh_attempt: Date | number | null;
  readonly last_refresh_success: Date | number | null;
  readonly last_failure_at: Date | number | null;
  readonly created_at: Date | number | null;
  /** When the answer to a call was lost that may have spent the stored token; `null`: no such call is known. */
  readonly doubtful_since: Date | number | null;
  /** Header of the stored token where it is a JOSE string, otherwise an empty one; `null`: there is no token. */
  readonly access_token_header: string | null;
  readonly refresh_token_header: string | null;
}

const headerOf = (token: string) =>
  `CASE WHEN ${token} LIKE 'eyJ%.%' THEN split_part(${token}, '.', 1) WHEN ${token} <> '' THEN '' END`;

/** The tokens themselves stay in the database. */
const statement = `
SELECT coalesce(provider, '') AS provider, user_id, status, disconnect_reason, expires_at, refresh_token_expires_at,
       greatest(0, least(coalesce(consecutive_failures, 0), 2147483647))::int AS consecutive_failures,
       greatest(0, least(coalesce(consecutive_transient_failures, 0), 2147483647))::int AS consecutive_transient_failures,
       CASE WHEN refresh_held_until > now() THEN refresh_held_until END AS refresh_held_until, refresh_claim_open,
       last_refresh_attempt, last_refresh_success, last_failure_at, created_at,
       CASE WHEN doubtful_grant = sha256(convert_to(${grantToken('integrations')}, 'UTF8')) THEN doubtful_since END AS doubtful_since,
       ${headerOf('access_token')} AS access_token_header,
       ${headerOf('refresh_token')} AS refresh_token_header
FROM integrations
WHERE id = $1`;

export async function loadIntegration(database: Database, id: string): Promise<LoadedIntegration | null> {
  const [row] = await database.query<LoadedIntegration>(statement, [id]);
  return row ?? null;
}
