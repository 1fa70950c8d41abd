import type { Database } from './database.ts';
import { relationOid } from './relation-oid.ts';

/** A check constraint on one column and no other. */
export interface CheckFacts {
  readonly name: string;
  /** As `pg_get_expr` writes it. */
  readonly expression: string;
}

const statement = `
SELECT k.conname::text AS name, pg_get_expr(k.conbin, k.conrelid) AS expression
FROM pg_constraint k
JOIN pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
WHERE k.contype = 'c' AND k.conrelid = ${relationOid('$1::text')} AND a.attname = $2
ORDER BY 1`;

export function listChecks(
  database: Database,
  column: { readonly relation: string; readonly name: string },
): Promise<CheckFacts[]> {
  return database.query<CheckFacts>(statement, [column.relation, column.name]);
}
