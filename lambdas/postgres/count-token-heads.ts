import type { Database } from './database.ts';

/**
 * Stored tokens of all rows, grouped by how they begin. Strings that begin as ours do are cut behind the key id,
 * so that they make one group for each key; what else may be a JOSE string is cut behind its header, and all the
 * rest is one group with an empty head. `$1`, `$2`: beginning and length of ours.
 */
const statement = `
SELECT head, count(*)::int AS tokens
FROM (
  SELECT CASE WHEN token NOT LIKE 'eyJ%.%' THEN ''
              WHEN starts_with(token, $1) THEN left(token, $2)
              ELSE split_part(token, '.', 1) END AS head
  FROM integrations
  CROSS JOIN LATERAL (VALUES (access_token), (refresh_token)) AS stored (token)
  WHERE token <> ''
) AS heads
GROUP BY head`;

export function countTokenHeads(
  database: Database,
  ours: { readonly start: string; readonly length: number },
): Promise<{ readonly head: string; readonly tokens: number }[]> {
  return database.query(statement, [ours.start, ours.length]);
}
