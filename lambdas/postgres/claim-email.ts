import type { Database } from './database.ts';

/**
 * Takes the right to send the email of an event. Whoever dies between here and `recordEmail` leaves the
 * email in doubt: sent or not, nobody knows. When the hold has passed it is sent (again), because a user
 * who hears twice is better off than one who never hears. Returns false while somebody else holds it.
 */
const statement = `
UPDATE evergrant.threshold_events
SET email_held_until = now() + make_interval(secs => $2)
WHERE id = $1 AND email_outcome IS NULL AND handled_at IS NULL
  AND (email_held_until IS NULL OR email_held_until <= now())
RETURNING id`;

export async function claimEmail(database: Database, eventId: string, holdSeconds: number): Promise<boolean> {
  return (await database.query(statement, [eventId, holdSeconds])).length === 1;
}
