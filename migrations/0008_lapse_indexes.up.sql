-- no transaction: the product goes on reading and writing while these run
-- An attempt that was cut short leaves an invalid index behind.
DROP INDEX CONCURRENTLY IF EXISTS evergrant_integrations_without_refresh_token;
-- Access tokens that nothing renews, in the order of their end.
CREATE INDEX CONCURRENTLY evergrant_integrations_without_refresh_token ON integrations (expires_at)
  WHERE status = 'connected' AND (refresh_token IS NULL OR refresh_token = '');
DROP INDEX CONCURRENTLY IF EXISTS evergrant_integrations_refresh_token_end;
-- Refresh tokens in the order of their own end.
CREATE INDEX CONCURRENTLY evergrant_integrations_refresh_token_end ON integrations (refresh_token_expires_at)
  WHERE status = 'connected' AND refresh_token IS NOT NULL AND refresh_token_expires_at IS NOT NULL;
