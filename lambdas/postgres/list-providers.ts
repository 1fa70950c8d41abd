import type { Database } from './database.ts';
import { grantToken } from './grant-token.ts';

/** A provider of connected rows, counted by what renews them. */
export interface UsedProvider {
  readonly provider: string;
  readonly with_refresh_token: number;
  /** Renewed by their access token, if the provider has that, or not at all. */
  readonly without_refresh_token: number;
}

const statement = `
SELECT coalesce(provider, '') AS provider,
       count(*) FILTER (WHERE refresh_token <> '')::int AS with_refresh_token,
       count(*) FILTER (WHERE coalesce(refresh_token, '') = '')::int AS without_refresh_token
FROM integrations
WHERE status = 'connected' AND ${grantToken()} <> ''
GROUP BY 1
ORDER BY 1`;

export function listProviders(database: Database): Promise<UsedProvider[]> {
  return database.query<UsedProvider>(statement, []);
}
