/** The columns of moments in what Evergrant and its product keep: whoever moves all of them has let time pass. */
export const momentColumns = `
SELECT format('%I.%I', n.nspname, c.relname) AS table, array_agg(quote_ident(a.attname)) AS columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind = 'r' AND a.atttypid = 'timestamptz'::regtype AND NOT a.attisdropped
  AND (n.nspname = 'evergrant' OR c.oid IN ('integrations'::regclass, 'notifications'::regclass))
GROUP BY 1`;

/** Moves a table's moments into the past by `$1` seconds. */
export function passingOf({
  table,
  columns,
}: {
  readonly table: string;
  readonly columns: readonly string[];
}): string {
  const moved = columns.map((name) => `${name} = ${name} - make_interval(secs => $1)`);
  return `UPDATE ${table} SET ${moved.join(', ')}`;
}
