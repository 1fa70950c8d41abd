import type { Database } from './database.ts';

/** Who gets an email, from the view `evergrant.users` that the operator points at their own users. */
export interface Recipient {
  readonly email: string | null;
  readonly name: string | null;
}

/** The view is the operator's: it may know a user twice, or not at all. */
const statement = `
SELECT email, name FROM evergrant.users WHERE id = $1 ORDER BY email LIMIT 1`;

export async function findRecipient(database: Database, userId: string): Promise<Recipient | null> {
  const [row] = await database.query<Recipient>(statement, [userId]);
  return row ?? null;
}
