import type { Database } from './database.ts';

/**
 * For how long the event has waited that has waited for longest without anybody telling its user; 0: none waits. One
 * whose email a notifier has tried to send is left out: that has an alarm of its own.
 */
const statement = `
SELECT coalesce(max(extract(epoch FROM now() - created_at)), 0)::float8 AS oldest_seconds
FROM evergrant.threshold_events
WHERE handled_at IS NULL AND (email_kind IS NULL OR email_held_until IS NULL OR email_outcome IS NOT NULL)`;

export async function measureWaitingEvents(database: Database): Promise<{ readonly oldestSeconds: number }> {
  const [row] = await database.query<{ oldest_seconds: number }>(statement, []);
  return { oldestSeconds: row?.oldest_seconds ?? 0 };
}
