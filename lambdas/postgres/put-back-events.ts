import type { Database } from './database.ts';

/**
 * Takes back that events were relayed whose message the queue did not take: the next scan publishes them, and a queue
 * that is away for long makes no event wait longer for its next relay.
 */
const statement = `
UPDATE evergrant.threshold_events e
SET relay_count = e.relay_count - 1, relay_after = now()
FROM (
  SELECT id
  FROM evergrant.threshold_events
  WHERE id = ANY($1::uuid[]) AND handled_at IS NULL AND relay_count > 0
  FOR NO KEY UPDATE SKIP LOCKED
) AS refused
WHERE e.id = refused.id`;

export async function putBackEvents(database: Database, eventIds: readonly string[]): Promise<void> {
  await database.query(statement, [eventIds]);
}
