-- The tables are put aside with their rows, and the outbox keeps what its events remember; what stands on the
-- product's rows goes, and measures begin anew on the way up.
SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
  added name;
BEGIN
  FOR added IN
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'integrations'::regclass AND NOT attisdropped
      AND attname IN ('disconnected_grant', 'grant_connected_since', 'failure_warned_at')
      AND col_description(attrelid, attnum) LIKE 'Evergrant: %'
  LOOP
    EXECUTE format('ALTER TABLE integrations DROP COLUMN %I', added);
  END LOOP;
END
$$;

-- The product's table is locked from here to the end: what holds an own table must not keep it so for long.
SET LOCAL lock_timeout = '1s';

ALTER TABLE IF EXISTS evergrant.scans RENAME TO scans_put_aside;
ALTER TABLE IF EXISTS evergrant.refresh_outcomes RENAME TO refresh_outcomes_put_aside;
