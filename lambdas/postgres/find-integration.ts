import type { Database } from './database.ts';
import { replaceableStatus } from './replace-grant.ts';

export interface IntegrationFacts {
  readonly provider: string;
  readonly user_id: string | null;
  readonly status: string | null;
  readonly scopes: string[] | null;
  /** Whether its grant can be replaced. */
  readonly replaceable: boolean;
}

const statement = `
SELECT provider, user_id, status, scopes, coalesce(${replaceableStatus}, false) AS replaceable
FROM integrations WHERE id = $1`;

/** What an integration is, without its tokens; `null`: there is none with this id. */
export async function findIntegration(database: Database, id: string): Promise<IntegrationFacts | null> {
  const [row] = await database.query<IntegrationFacts>(statement, [id]);
  return row ?? null;
}
