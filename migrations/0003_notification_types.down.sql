-- Rows of the two new types stay, as 'system', and remember in their metadata what they were.
SET LOCAL lock_timeout = '10s';

UPDATE notifications
SET metadata = CASE WHEN jsonb_typeof(metadata) = 'object' THEN metadata ELSE '{}' END
      || jsonb_build_object('evergrant', jsonb_strip_nulls(jsonb_build_object(
           'type', type, 'event_id', event_id, 'metadata', metadata IS NOT NULL))),
    type = CASE WHEN type IN ('integration_warning', 'integration_rate_limit') THEN 'system' ELSE type END
WHERE type IN ('integration_warning', 'integration_rate_limit') OR event_id IS NOT NULL;

ALTER TABLE notifications DROP COLUMN IF EXISTS event_id;
ALTER TABLE notifications DROP CONSTRAINT IF EXISTS notifications_type_check;
ALTER TABLE notifications ADD CONSTRAINT notifications_type_check CHECK (type IN
  ('team_invitation', 'workflow_shared', 'execution_failed', 'integration_disconnected', 'system'));
