import type { Database } from './database.ts';
import { relationOid } from './relation-oid.ts';

/** What the catalog says of one column of a relation that is there. */
export interface ColumnFacts {
  readonly relation: string;
  readonly name: string;
  /** Without its length; of a domain the type below it; `null`: there is no such column. */
  readonly type: string | null;
  readonly is_enum: boolean | null;
  /** Characters at most; `null`: as many as there are. */
  readonly max_length: number | null;
  readonly may_select: boolean | null;
  readonly may_insert: boolean | null;
  readonly may_update: boolean | null;
}

const statement = `
SELECT w.relation, w.name, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS type,
       t.typtype = 'e' AS is_enum,
       CASE WHEN t.oid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 0 THEN a.atttypmod - 4 END AS max_length,
       has_column_privilege(w.oid, a.attnum, 'SELECT') AS may_select,
       has_column_privilege(w.oid, a.attnum, 'INSERT') AS may_insert,
       has_column_privilege(w.oid, a.attnum, 'UPDATE') AS may_update
FROM (
  SELECT relation, name, ${relationOid('relation')} AS oid
  FROM unnest($1::text[], $2::text[]) AS wanted (relation, name)
) AS w
LEFT JOIN pg_attribute a ON a.attrelid = w.oid AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_type t ON t.oid = a.atttypid
WHERE w.oid IS NOT NULL
ORDER BY w.relation, w.name`;

/** Columns of relations that are not there are left out. */
export function describeColumns(
  database: Database,
  wanted: readonly { readonly relation: string; readonly name: string }[],
): Promise<ColumnFacts[]> {
  return database.query<ColumnFacts>(statement, [
    wanted.map(({ relation }) => relation),
    wanted.map(({ name }) => name),
  ]);
}
