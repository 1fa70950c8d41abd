/**
 * The oid of a relation by a column or parameter that holds its name, for statements that read the catalog. A
 * plain name is found as our statements find it, by the search path; one with a schema also without any right in
 * that schema, where `to_regclass` would fail.
 */
export const relationOid = (name: string) => `
  CASE WHEN strpos(${name}, '.') = 0 THEN to_regclass(quote_ident(${name}))::oid
       ELSE (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = split_part(${name}, '.', 1) AND c.relname = split_part(${name}, '.', 2)) END`;
