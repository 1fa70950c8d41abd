import type { Database } from './database.ts';
import { relationOid } from './relation-oid.ts';

/** Columns that an INSERT has to give a value, as they may not be null and have no default. */
const statement = `
SELECT attname::text AS name, format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = ${relationOid('$1::text')} AND attnum > 0 AND NOT attisdropped
  AND attnotnull AND NOT atthasdef AND attidentity = ''
ORDER BY attnum`;

export function listRequiredColumns(
  database: Database,
  relation: string,
): Promise<{ readonly name: string; readonly type: string }[]> {
  return database.query(statement, [relation]);
}
