import type { Database } from './database.ts';

/** Gives back the turn that lasts until `$1`, as no result is in its holder's hands any more. Somebody else's stays. */
const statement = `
UPDATE evergrant.installation
SET collecting_until = NULL
WHERE collecting_until = $1::timestamptz`;

export async function endCollecting(database: Database, until: string): Promise<void> {
  await database.query(statement, [until]);
}
