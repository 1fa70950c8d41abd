import type { Database } from './database.ts';
import { agingRows, endingRows } from './lapsing-rows.ts';

/**
 * How many rows a scan would claim now by `claimLapsing`, beside those that are due within the window and claimed
 * before; counts no further than `limit` of either kind.
 */
const statement = `
SELECT ((SELECT count(*) FROM (SELECT ${agingRows}
         AND coalesce(expires_at > now() + make_interval(secs => $5), true) LIMIT $4) AS aging)
      + (SELECT count(*) FROM (SELECT ${endingRows} LIMIT $4) AS ending))::int AS lapsing`;

export async function countLapsing(
  database: Database,
  wanted: {
    readonly leadSeconds: number;
    readonly windowSeconds: number;
    readonly provider: string | null;
    readonly excludedProviders: readonly string[];
    readonly limit: number;
  },
): Promise<number> {
  const [row] = await database.query<{ lapsing: number }>(statement, [
    wanted.leadSeconds,
    wanted.provider,
    wanted.excludedProviders,
    wanted.limit,
    wanted.windowSeconds,
  ]);
  return row?.lapsing ?? 0;
}
