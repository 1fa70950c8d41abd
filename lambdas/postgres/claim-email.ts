import type { Database } from './database.ts';

/**
 * Takes the right to send the email of an event. Whoever dies between here and `recordEmail` leaves the
 * email in doubt: sent or not, nobody knows. When the hold has passed it is sent (again), because a user
 * who hears twice is better off than one who never hears.
 */
const statement = `
UPDATE evergrant.threshold_events
SET email_held_until = now() + make_interval(secs => $2)
WHERE id = $1 AND email_outcome IS NULL AND handled_at IS NULL
  AND (email_held_until IS NULL OR email_held_until <= now())
RETURNING email_held_until::text AS until`;

/** Until when the right is held, which names it; `null` while somebody else holds it, or where nothing is to be sent. */
export async function claimEmail(
  database: Database,
  eventId: string,
  holdSeconds: number,
): Promise<string | null> {
  const [claim] = await database.query<{ until: string }>(statement, [eventId, holdSeconds]);
  return claim?.until ?? null;
}
