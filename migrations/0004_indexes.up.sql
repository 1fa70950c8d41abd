-- no transaction: the product goes on reading and writing while these run
ALTER TABLE notifications VALIDATE CONSTRAINT notifications_type_check;
-- An attempt that was cut short leaves an invalid index behind.
DROP INDEX CONCURRENTLY IF EXISTS evergrant_notifications_event;
CREATE UNIQUE INDEX CONCURRENTLY evergrant_notifications_event ON notifications (event_id);
-- Claiming reads due rows in the order of their expiry and no others. The hold and the claim stand outside
-- the index, so that claiming and starting stay heap-only updates.
DROP INDEX CONCURRENTLY IF EXISTS evergrant_integrations_due;
CREATE INDEX CONCURRENTLY evergrant_integrations_due ON integrations (expires_at)
  WHERE status = 'connected' AND refresh_token IS NOT NULL;
