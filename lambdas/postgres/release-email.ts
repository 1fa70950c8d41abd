import type { Database } from './database.ts';

/**
 * Gives the right to send back after SES refused the email, so that the next delivery may try at once. The moment stays,
 * as the mark of an email that was tried. Only the right that is held until `$2`: who comes late, after its end, must not
 * take somebody else's.
 */
const statement = `
UPDATE evergrant.threshold_events
SET email_held_until = now()
WHERE id = $1 AND email_outcome IS NULL AND email_held_until = $2::timestamptz`;

export async function releaseEmail(database: Database, eventId: string, heldUntil: string): Promise<void> {
  await database.query(statement, [eventId, heldUntil]);
}
