-- no transaction: the product goes on reading and writing while these run
-- What a way down has put aside comes back.
UPDATE notifications
SET type = coalesce(metadata #>> '{evergrant,type}', type),
    event_id = coalesce((metadata #>> '{evergrant,event_id}')::uuid, event_id),
    metadata = metadata #> '{evergrant,metadata}'
WHERE metadata #> '{evergrant,event_id}' IS NOT NULL;
ALTER TABLE notifications VALIDATE CONSTRAINT notifications_type_check;
-- An attempt that was cut short leaves an invalid index behind.
DROP INDEX CONCURRENTLY IF EXISTS evergrant_notifications_event;
CREATE UNIQUE INDEX CONCURRENTLY evergrant_notifications_event ON notifications (event_id);
-- Claiming reads due rows in the order of their expiry and no others. The hold and the claim stand outside
-- the index, so that claiming and starting stay heap-only updates.
DROP INDEX CONCURRENTLY IF EXISTS evergrant_integrations_due;
CREATE INDEX CONCURRENTLY evergrant_integrations_due ON integrations (expires_at)
  WHERE status = 'connected' AND refresh_token IS NOT NULL;
