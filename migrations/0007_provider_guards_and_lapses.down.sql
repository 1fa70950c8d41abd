-- The tables are put aside with their rows. Of the product's rows, metadata stays, as the product may keep something
-- in it. The next way up begins anew: nobody is told of what ended meanwhile.
SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
  added name;
BEGIN
  FOR added IN
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'integrations'::regclass AND NOT attisdropped
      AND attname = 'lapse_warned_for'
      AND col_description(attrelid, attnum) LIKE 'Evergrant: %'
  LOOP
    EXECUTE format('ALTER TABLE integrations DROP COLUMN %I', added);
  END LOOP;
END
$$;

-- The product's table is locked from here to the end: what holds an own table must not keep it so for long.
SET LOCAL lock_timeout = '1s';

ALTER TABLE IF EXISTS evergrant.provider_states RENAME TO provider_states_put_aside;
ALTER TABLE IF EXISTS evergrant.recent_failures RENAME TO recent_failures_put_aside;
DROP TABLE IF EXISTS evergrant.installation;
