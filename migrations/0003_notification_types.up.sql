-- Two more notification types, and the event that a notification tells of.
SET LOCAL lock_timeout = '10s';

ALTER TABLE notifications DROP CONSTRAINT IF EXISTS notifications_type_check;
-- NOT VALID: the old rows are checked in the next migration, not under the lock that this takes.
ALTER TABLE notifications ADD CONSTRAINT notifications_type_check CHECK (type IN
  ('team_invitation', 'workflow_shared', 'execution_failed', 'integration_disconnected', 'system',
   'integration_warning', 'integration_rate_limit')) NOT VALID;

DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = 'notifications'::regclass AND attname = 'event_id' AND NOT attisdropped
  ) THEN
    ALTER TABLE notifications ADD COLUMN event_id uuid;
    COMMENT ON COLUMN notifications.event_id IS 'Evergrant: the threshold event that this row tells of, once';
  END IF;
END
$$;
