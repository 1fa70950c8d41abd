-- Attempts whose end is not known are over after their hold, as they are without these columns.
SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
  added name;
BEGIN
  FOR added IN
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'integrations'::regclass AND NOT attisdropped
      AND attname IN ('refresh_started_at', 'doubtful_grant', 'doubtful_since')
      AND col_description(attrelid, attnum) LIKE 'Evergrant: %'
  LOOP
    EXECUTE format('ALTER TABLE integrations DROP COLUMN %I', added);
  END LOOP;
END
$$;
