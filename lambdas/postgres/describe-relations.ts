import type { Database } from './database.ts';
import { relationOid } from './relation-oid.ts';

/** What the catalog says of a table or view by its name. */
export interface RelationFacts {
  readonly name: string;
  /** Where it is; `null`: there is none, or the search path does not lead to it. */
  readonly schema: string | null;
  /** Other schemas that have one of this name. */
  readonly elsewhere: readonly string[];
  readonly owner: string | null;
  readonly schema_usage: boolean | null;
  readonly may_delete: boolean | null;
  /** Row-level security applies to our role: it sees what policies let it see, and says nothing of the rest. */
  readonly row_security_active: boolean | null;
  /** A policy lets our role do everything with every row, and none takes anything away. */
  readonly policy_lets_all: boolean;
}

const statement = `
SELECT w.name, n.nspname::text AS schema, pg_get_userbyid(c.relowner)::text AS owner,
       has_schema_privilege(n.oid, 'USAGE') AS schema_usage,
       has_table_privilege(c.oid, 'DELETE') AS may_delete,
       row_security_active(c.oid) AS row_security_active,
       ARRAY(
         SELECT en.nspname::text FROM pg_class ec JOIN pg_namespace en ON en.oid = ec.relnamespace
         WHERE ec.relname = w.name AND ec.relkind IN ('r', 'p', 'v', 'f') AND ec.oid IS DISTINCT FROM c.oid
         ORDER BY 1
       ) AS elsewhere,
       EXISTS (
         SELECT FROM pg_policy p
         WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd = '*' AND pg_get_expr(p.polqual, p.polrelid) = 'true'
           AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true'
           AND EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_has_role(r, 'USAGE'))
       ) AND NOT EXISTS (
         SELECT FROM pg_policy p
         WHERE p.polrelid = c.oid AND NOT p.polpermissive
           AND EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_has_role(r, 'USAGE'))
       ) AS policy_lets_all
FROM (SELECT name, ${relationOid('name')} AS oid FROM unnest($1::text[]) AS name) AS w
LEFT JOIN pg_class c ON c.oid = w.oid
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace`;

/** In the order of `names`; a name may have its schema in front. */
export async function describeRelations(
  database: Database,
  names: readonly string[],
): Promise<RelationFacts[]> {
  const rows = await database.query<RelationFacts>(statement, [names]);
  return rows.toSorted((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
}
