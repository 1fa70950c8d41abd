import type { Database } from './database.ts';

/**
 * Gives the right to send back after SES refused the email, so that the next delivery may try at once. The moment stays,
 * as the mark of an email that was tried.
 */
const statement = `
UPDATE evergrant.threshold_events SET email_held_until = now() WHERE id = $1 AND email_outcome IS NULL`;

export async function releaseEmail(database: Database, eventId: string): Promise<void> {
  await database.query(statement, [eventId]);
}
