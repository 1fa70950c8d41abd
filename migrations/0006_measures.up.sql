-- What the success measures are computed from. On the product's rows, each column is marked as ours; all of
-- them are null until something happens to the integration.
SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
  added record;
BEGIN
  FOR added IN
    SELECT * FROM (VALUES
      ('disconnected_grant', 'bytea', 'SHA-256 of the stored refresh token at the disconnection by Evergrant; null since the next success'),
      ('grant_connected_since', 'timestamptz', 'first success after the latest disconnection or reconnection; null: created_at'),
      ('failure_warned_at', 'timestamptz', 'when the warning of the current episode of failures was decided')
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

ALTER TABLE evergrant.threshold_events
  ADD COLUMN IF NOT EXISTS connected_since timestamptz,
  ADD COLUMN IF NOT EXISTS warned_at timestamptz;
COMMENT ON COLUMN evergrant.threshold_events.connected_since IS 'of a disconnection: since when the integration had been connected';
COMMENT ON COLUMN evergrant.threshold_events.warned_at IS 'of a disconnection: created_at of the warning in the same episode of failures';

DO $$
BEGIN
  -- A way down put the tables aside with their rows.
  IF to_regclass('evergrant.scans_put_aside') IS NOT NULL THEN
    ALTER TABLE evergrant.scans_put_aside RENAME TO scans;
  END IF;
  IF to_regclass('evergrant.refresh_outcomes_put_aside') IS NOT NULL THEN
    ALTER TABLE evergrant.refresh_outcomes_put_aside RENAME TO refresh_outcomes;
  END IF;
END
$$;

-- One row for each scan that ended well.
CREATE TABLE IF NOT EXISTS evergrant.scans (
  started_at             timestamptz PRIMARY KEY,
  duration_ms            integer NOT NULL,
  claimed                integer NOT NULL,
  enqueued               integer NOT NULL,
  released               integer NOT NULL,
  left_due               integer NOT NULL,
  events_relayed         integer NOT NULL,
  oldest_expired_seconds integer NOT NULL
);

-- What became of the batches of the refreshers, by provider: rows are only added, so that nobody waits for anybody.
CREATE TABLE IF NOT EXISTS evergrant.refresh_outcomes (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  counted_at   timestamptz NOT NULL DEFAULT now(),
  provider     text NOT NULL,
  refreshed    integer NOT NULL,
  disconnected integer NOT NULL
);
CREATE INDEX IF NOT EXISTS refresh_outcomes_counted_at ON evergrant.refresh_outcomes (counted_at);
