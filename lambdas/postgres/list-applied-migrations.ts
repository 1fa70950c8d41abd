import type { Database } from './database.ts';
import { relationExists } from './relation-exists.ts';

/** What the migrator wrote down, in its order. */
const statement = `
SELECT name FROM evergrant.migrations ORDER BY id`;

export async function listAppliedMigrations(database: Database): Promise<string[]> {
  if (!(await relationExists(database, 'evergrant.migrations'))) return [];
  const rows = await database.query<{ name: string }>(statement, []);
  return rows.map(({ name }) => name);
}
