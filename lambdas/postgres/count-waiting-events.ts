import type { Database } from './database.ts';

/** Threshold events whose user has not been told yet. */
const statement = `
SELECT count(*)::int AS count, min(created_at) AS oldest
FROM evergrant.threshold_events
WHERE handled_at IS NULL`;

export async function countWaitingEvents(
  database: Database,
): Promise<{ readonly count: number; readonly oldest: Date | null }> {
  const [row] = await database.query<{ count: number; oldest: Date | null }>(statement, []);
  return row ?? { count: 0, oldest: null };
}
