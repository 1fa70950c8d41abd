/**
 * An integration's `metadata` as jsonb if it is an object, else null. In a product's column of type json there may
 * stand what jsonb does not take (U+0000, half a surrogate pair, a number beyond numeric): one such row must not make
 * the statement fail for the rows beside it, so its metadata counts as none.
 */
export function metadataObject(alias: string): string {
  const column = `${alias}.metadata`;
  const pairs = String.raw`\\u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`;
  const refused = String.raw`\\u(0000|[dD][89a-fA-F])|\d[eE][+-]?\d{5}`;
  // Shorter than the shortest run of digits that is beyond numeric.
  const readable = `pg_typeof(${column}) = 'jsonb'::regtype OR (length(${column}::text) < 100000
          AND regexp_replace(${column}::text, '${pairs}', '', 'g') !~ '${refused}')`;
  return `CASE WHEN ${readable}
         THEN CASE WHEN jsonb_typeof(${column}::jsonb) = 'object' THEN ${column}::jsonb END END`;
}
