import type { Database } from './database.ts';

/** Closes an event: its user has been told all that it says. */
const statement = `
UPDATE evergrant.threshold_events
SET handled_at = now(),
    email_sent_at = CASE WHEN $2::boolean THEN now() ELSE email_sent_at END,
    email_outcome = coalesce($3, email_outcome)
WHERE id = $1 AND handled_at IS NULL`;

export async function finishEvent(
  database: Database,
  eventId: string,
  /** `null`: the event asked for none. */
  email: { readonly sent: boolean; readonly outcome: string } | null,
): Promise<void> {
  await database.query(statement, [eventId, email?.sent ?? false, email?.outcome ?? null]);
}
