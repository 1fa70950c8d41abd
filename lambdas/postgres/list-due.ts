import type { Database } from './database.ts';
import { dueRows } from './due-rows.ts';

/** A due row, as a dry run shows it. */
export interface DueIntegration {
  readonly id: string;
  readonly provider: string;
  readonly expires_at: Date;
  readonly expires_in_seconds: number;
}

/** What a scan would claim now, in its order, without claiming it. */
const statement = `
SELECT id, coalesce(provider, '') AS provider, expires_at, extract(epoch FROM expires_at - now())::float8 AS expires_in_seconds
${dueRows}
ORDER BY expires_at
LIMIT $4`;

export function listDue(
  database: Database,
  wanted: {
    readonly windowSeconds: number;
    readonly provider: string | null;
    readonly excludedProviders?: readonly string[];
    readonly limit: number;
  },
): Promise<DueIntegration[]> {
  return database.query<DueIntegration>(statement, [
    wanted.windowSeconds,
    wanted.provider,
    wanted.excludedProviders ?? [],
    wanted.limit,
  ]);
}
