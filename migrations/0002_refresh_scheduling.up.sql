-- What scheduling and counting need beside each integration. Each column is marked as ours, so that going
-- down never drops a column that the product had before.
SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
  added record;
BEGIN
  FOR added IN
    SELECT * FROM (VALUES
      ('consecutive_transient_failures', 'integer DEFAULT 0', 'passing failures since the last success'),
      ('refresh_held_until', 'timestamptz', 'nobody claims the row before this moment'),
      ('refresh_claim', 'bigint NOT NULL DEFAULT 0', 'fencing token: the number of the latest claim'),
      ('refresh_claim_open', 'boolean NOT NULL DEFAULT false', 'claimed, and no attempt has started yet'),
      ('failing_grant', 'bytea', 'SHA-256 of the stored refresh token that the current failures were obtained with; empty: disconnected'),
      ('failure_emailed_at', 'timestamptz', 'when the one email of the current episode of failures was decided')
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
