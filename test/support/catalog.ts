import type { TestDatabase } from './database.ts';

/** What a dump of the schema would say about a table, part by part. */
export interface TableCatalog {
  columns: string[];
  constraints: string[];
  indexes: string[];
  triggers: string[];
  policies: string[];
  properties: unknown;
}

export async function catalogOf(db: TestDatabase, table: string): Promise<TableCatalog> {
  const list = async (statement: string) =>
    (await db.sql<{ line: string }>(statement, [table])).map(({ line }) => line);
  const [properties] = await db.sql(
    `SELECT relrowsecurity, relforcerowsecurity, relowner, relacl::text, reloptions, relpersistence, relreplident,
            obj_description(oid, 'pg_class') AS comment
     FROM pg_class WHERE oid = $1::text::regclass`,
    [table],
  );
  return {
    properties,
    columns: await list(
      `SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
                'DEFAULT ' || pg_get_expr(adbin, adrelid), '-- ' || col_description(attrelid, attnum)) AS line
       FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
       WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    ),
    constraints: await list(
      `SELECT conname || ' ' || pg_get_constraintdef(oid) || CASE WHEN convalidated THEN '' ELSE ' (not validated)' END AS line
       FROM pg_constraint
       WHERE conrelid = $1::text::regclass AND contype <> 'n' ORDER BY conname`,
    ),
    indexes: await list(
      `SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' (invalid)' END AS line
       FROM pg_index WHERE indrelid = $1::text::regclass ORDER BY 1`,
    ),
    triggers: await list(
      `SELECT pg_get_triggerdef(oid) || ' ' || tgenabled::text AS line
       FROM pg_trigger WHERE tgrelid = $1::text::regclass AND NOT tgisinternal ORDER BY tgname`,
    ),
    policies: await list(
      `SELECT concat_ws(' ', polname, polcmd::text, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) AS line
       FROM pg_policy WHERE polrelid = $1::text::regclass ORDER BY polname`,
    ),
  };
}

/** Everything else in the database that is neither a table of `except` nor PostgreSQL's own. */
export async function objectsBeside(db: TestDatabase, except: readonly string[]): Promise<string[]> {
  const rows = await db.sql<{ line: string }>(
    `SELECT relkind::text || ' ' || relname AS line FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S') AND NOT relname = ANY($1)
     UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
     UNION ALL SELECT 'view ' || pg_get_viewdef(oid) FROM pg_class
       WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
     ORDER BY 1`,
    [except],
  );
  return rows.map(({ line }) => line);
}
