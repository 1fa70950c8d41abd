import type { Database } from './database.ts';
import { relationOid } from './relation-oid.ts';

/** An index as the catalog describes it. */
export interface IndexFacts {
  readonly relation: string;
  readonly name: string;
  /** Its schema, to name it by. */
  readonly schema: string;
  readonly unique: boolean;
  /** Finished and used. One whose building was cut short is neither, and hinders writes all the same. */
  readonly valid: boolean;
  /** Columns in their order; `null` stands for an expression. */
  readonly keys: readonly (string | null)[];
  /** `null`: it covers every row. */
  readonly predicate: string | null;
}

const statement = `
SELECT w.relation, ic.relname::text AS name, n.nspname::text AS schema, i.indisunique AND i.indimmediate AS unique,
       i.indisvalid AND i.indisready AND i.indislive AS valid,
       ARRAY(
         SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS k
         LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] ORDER BY k
       ) AS keys,
       pg_get_expr(i.indpred, i.indrelid) AS predicate
FROM (SELECT relation, ${relationOid('relation')} AS oid FROM unnest($1::text[]) AS relation) AS w
JOIN pg_index i ON i.indrelid = w.oid
JOIN pg_class ic ON ic.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = ic.relnamespace
ORDER BY 1, 2`;

export function listIndexes(database: Database, relations: readonly string[]): Promise<IndexFacts[]> {
  return database.query<IndexFacts>(statement, [relations]);
}
