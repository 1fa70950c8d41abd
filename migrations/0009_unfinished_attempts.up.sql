-- Which attempts have no known end, which grants a lost answer has put in doubt, and who collects sealed results.
SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
  added record;
BEGIN
  FOR added IN
    SELECT * FROM (VALUES
      ('refresh_started_at', 'timestamptz', 'an attempt began then whose end is not known; null: all have ended'),
      ('doubtful_grant', 'bytea', 'hash of the stored token of a call whose answer is not known: the provider may have spent it'),
      ('doubtful_since', 'timestamptz', 'when that call was made')
    ) AS wanted (name, definition, purpose)
  LOOP
    IF NOT EXISTS (
      SELECT FROM pg_attribute
      WHERE attrelid = 'integrations'::regclass AND attname = added.name AND NOT attisdropped
    ) THEN
      EXECUTE format('ALTER TABLE integrations ADD COLUMN %I %s', added.name, added.definition);
      EXECUTE format('COMMENT ON COLUMN integrations.%I IS %L', added.name, 'Evergrant: ' || added.purpose);
    END IF;
  END LOOP;
END
$$;

-- The product's table is locked from here to the end: what holds an own table must not keep it so for long.
SET LOCAL lock_timeout = '1s';

ALTER TABLE evergrant.installation ADD COLUMN IF NOT EXISTS collecting_until timestamptz;
COMMENT ON COLUMN evergrant.installation.collecting_until IS
  'sealed results may be in somebody''s hands until then; null: they are all in their queue';

ALTER TABLE evergrant.threshold_events ADD COLUMN IF NOT EXISTS after_doubt boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN evergrant.threshold_events.after_doubt IS
  'the provider refused a grant that a call with an unknown answer may have spent';
