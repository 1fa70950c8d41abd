-- no transaction: the product goes on reading and writing while these run
DROP INDEX CONCURRENTLY IF EXISTS evergrant_integrations_without_refresh_token;
DROP INDEX CONCURRENTLY IF EXISTS evergrant_integrations_refresh_token_end;
