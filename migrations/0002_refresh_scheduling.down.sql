SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
  added name;
BEGIN
  FOR added IN
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'integrations'::regclass AND NOT attisdropped
      AND attname IN ('consecutive_transient_failures', 'refresh_held_until', 'refresh_claim',
                      'refresh_claim_open', 'failing_grant', 'failure_emailed_at')
      AND col_description(attrelid, attnum) LIKE 'Evergrant: %'
  LOOP
    EXECUTE format('ALTER TABLE integrations DROP COLUMN %I', added);
  END LOOP;
END
$$;
