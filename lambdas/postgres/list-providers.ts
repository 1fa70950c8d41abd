import type { Database } from './database.ts';

/** Providers whose token endpoints are called: those of connected rows with a refresh token. */
const statement = `
SELECT coalesce(provider, '') AS provider, count(*)::int AS integrations
FROM integrations
WHERE status = 'connected' AND refresh_token <> ''
GROUP BY 1
ORDER BY 1`;

export function listProviders(
  database: Database,
): Promise<{ readonly provider: string; readonly integrations: number }[]> {
  return database.query(statement, []);
}
