import type { Database } from './database.ts';

/**
 * Takes events of the outbox that nobody has handled in time and puts their next relay off, twice as long
 * each time up to a day: an event that cannot be handled does not flood the queue, and is not given up.
 */
const statement = `
UPDATE evergrant.threshold_events e
SET relay_count = e.relay_count + 1,
    relay_after = now() + make_interval(secs => least($1 * 2 ^ least(e.relay_count, 20), 86400))
FROM (
  SELECT id
  FROM evergrant.threshold_events
  WHERE handled_at IS NULL AND relay_after <= now()
  ORDER BY relay_after
  LIMIT $2
  FOR NO KEY UPDATE SKIP LOCKED
) AS waiting
WHERE e.id = waiting.id
RETURNING e.id, e.provider`;

export interface RelayedEvent {
  readonly id: string;
  readonly provider: string;
}

export function relayEvents(
  database: Database,
  wanted: { readonly holdSeconds: number; readonly limit: number },
): Promise<RelayedEvent[]> {
  return database.query<RelayedEvent>(statement, [wanted.holdSeconds, wanted.limit]);
}
