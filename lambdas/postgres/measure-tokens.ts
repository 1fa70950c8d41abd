import type { Database } from './database.ts';

/** How fresh the tokens of connected integrations are at one moment. */
export interface TokenMeasure {
  /** Connected integrations with a refresh token; estimated where they are many, and never below `expired`. */
  readonly connected: number;
  /** Of these, how many have an access token that has expired; counted no further than asked. */
  readonly expired: number;
}

/**
 * Counts without reading the table. Expired tokens are the front of the index on due rows, without those that nothing
 * renews (`lapse_warned_for`). All connected rows
 * are the index itself, and how many entries it has is what VACUUM, ANALYZE and its creation keep in `pg_class`.
 * That is 0 or -1 for a table that was empty then or never analysed, and off by much for a small one; so up to
 * `countUpTo` entries are counted, and the estimate is taken beyond. A table that has outgrown both shows
 * `countUpTo` until autovacuum has seen it.
 */
const statement = `
WITH estimate AS MATERIALIZED (
  SELECT coalesce(max(c.reltuples), -1)::float8 AS entries
  FROM pg_index x
  JOIN pg_class c ON c.oid = x.indexrelid
  WHERE x.indrelid = 'integrations'::regclass AND x.indisvalid AND c.relname = 'evergrant_integrations_due'
), front AS MATERIALIZED (
  SELECT count(*)::int AS expired
  FROM (
    SELECT FROM integrations
    WHERE status = 'connected' AND refresh_token IS NOT NULL
      AND expires_at < now() AND isfinite(expires_at) AND refresh_token <> ''
      AND lapse_warned_for IS DISTINCT FROM expires_at
    ORDER BY expires_at
    LIMIT $1
  ) AS counted
)
SELECT greatest(
         front.expired,
         CASE WHEN estimate.entries > $2 THEN estimate.entries ELSE (
           SELECT count(*)
           FROM (
             SELECT FROM integrations
             WHERE status = 'connected' AND refresh_token IS NOT NULL
             ORDER BY expires_at
             LIMIT $2
           ) AS counted
         ) END
       )::float8 AS connected,
       front.expired
FROM estimate, front`;

export async function measureTokens(
  database: Database,
  limits: { readonly expiredUpTo: number; readonly countUpTo: number },
): Promise<TokenMeasure> {
  const [row] = await database.query<TokenMeasure>(statement, [limits.expiredUpTo, limits.countUpTo]);
  return row as TokenMeasure;
}
