import type { Database } from './database.ts';

/** Closes an event: its user has been told all that it says. A repetition changes nothing. */
const statement = `
UPDATE evergrant.threshold_events SET handled_at = now() WHERE id = $1 AND handled_at IS NULL`;

export async function finishEvent(database: Database, eventId: string): Promise<void> {
  await database.query(statement, [eventId]);
}
