-- Rows of the two new types stay, as 'system', and remember in their metadata what they were.
SET LOCAL lock_timeout = '10s';
-- Taken at once: a weaker lock that grows could wait for somebody who waits for us.
LOCK TABLE notifications IN ACCESS EXCLUSIVE MODE;

WITH ours AS (
  -- An event id that the product had before is not ours to put aside, nor to drop.
  SELECT EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = 'notifications'::regclass AND attname = 'event_id' AND NOT attisdropped
      AND col_description(attrelid, attnum) LIKE 'Evergrant: %'
  ) AS event_id
)
UPDATE notifications n
SET metadata = CASE WHEN jsonb_typeof(n.metadata) = 'object' THEN n.metadata ELSE '{}' END
      || jsonb_build_object('evergrant',
           jsonb_build_object('type', n.type, 'event_id', CASE WHEN ours.event_id THEN n.event_id END)
           || CASE WHEN n.metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', n.metadata) END),
    type = CASE WHEN n.type IN ('integration_warning', 'integration_rate_limit') THEN 'system' ELSE n.type END
FROM ours
WHERE n.type IN ('integration_warning', 'integration_rate_limit') OR (ours.event_id AND n.event_id IS NOT NULL);

-- A table cannot be altered while deferred triggers of the product wait for the rows just written.
SET CONSTRAINTS ALL IMMEDIATE;

DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = 'notifications'::regclass AND attname = 'event_id' AND NOT attisdropped
      AND col_description(attrelid, attnum) LIKE 'Evergrant: %'
  ) THEN
    ALTER TABLE notifications DROP COLUMN event_id;
  END IF;
END
$$;

ALTER TABLE notifications DROP CONSTRAINT IF EXISTS notifications_type_check;
ALTER TABLE notifications ADD CONSTRAINT notifications_type_check CHECK (type IN
  ('team_invitation', 'workflow_shared', 'execution_failed', 'integration_disconnected', 'system'));
