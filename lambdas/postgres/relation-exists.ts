import type { Database } from './database.ts';

/** Whether a relation is there, for statements that have to work on a database that is some migrations behind. */
const statement = `
SELECT to_regclass($1) IS NOT NULL AS exists`;

export async function relationExists(database: Database, relation: string): Promise<boolean> {
  const [row] = await database.query<{ exists: boolean }>(statement, [relation]);
  return row?.exists ?? false;
}
