import type { Database } from './database.ts';

/** Writes down what became of an event's email, once; a repetition changes nothing. */
const statement = `
UPDATE evergrant.threshold_events
SET email_outcome = $2, email_sent_at = CASE WHEN $3::boolean THEN now() END
WHERE id = $1 AND email_outcome IS NULL`;

export async function recordEmail(
  database: Database,
  eventId: string,
  /** `outcome`: the SES message id, or why no email was sent. */
  email: { readonly sent: boolean; readonly outcome: string },
): Promise<void> {
  await database.query(statement, [eventId, email.outcome, email.sent]);
}
