import type { Database } from './database.ts';
import { dueRows } from './due-rows.ts';

/** How many rows a scan left behind. Counts no further than `limit`: the figure is for an alarm, not a census. */
const statement = `
SELECT count(*)::int AS due
FROM (
  SELECT ${dueRows}
  LIMIT $4
) AS left_over`;

export async function countDue(
  database: Database,
  wanted: {
    readonly windowSeconds: number;
    readonly provider: string | null;
    readonly excludedProviders?: readonly string[];
    readonly limit: number;
  },
): Promise<number> {
  const [row] = await database.query<{ due: number }>(statement, [
    wanted.windowSeconds,
    wanted.provider,
    wanted.excludedProviders ?? [],
    wanted.limit,
  ]);
  return row?.due ?? 0;
}
