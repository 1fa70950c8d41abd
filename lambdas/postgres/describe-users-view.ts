import type { Database } from './database.ts';
import { relationOid } from './relation-oid.ts';

/** Whether `evergrant.users` is still the empty view of the migration: one that reads nothing and admits no row. */
const statement = `
SELECT c.relkind = 'v' AND pg_get_viewdef(c.oid) LIKE '%WHERE false%' AND NOT EXISTS (
         SELECT FROM pg_rewrite r
         JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
         WHERE r.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
       ) AS is_empty_default
FROM pg_class c
WHERE c.oid = ${relationOid('$1::text')}`;

/** `missing`: there is no such view. */
export async function describeUsersView(
  database: Database,
): Promise<'missing' | 'empty_default' | 'pointed'> {
  const [row] = await database.query<{ is_empty_default: boolean }>(statement, ['evergrant.users']);
  if (row === undefined) return 'missing';
  return row.is_empty_default ? 'empty_default' : 'pointed';
}
