-- What is known of each provider as a whole, what failed lately, and when grants end that only their user can renew.
SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
  added record;
BEGIN
  FOR added IN
    SELECT * FROM (VALUES
      ('metadata', 'jsonb', 'what differs by user in the address of a provider, and what answers say beside tokens'),
      ('lapse_warned_for', 'timestamptz', 'the end, of the access token or of the grant, that its user has been told of or need not be')
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

ALTER TABLE evergrant.threshold_events ADD COLUMN IF NOT EXISTS lapses_at timestamptz;
COMMENT ON COLUMN evergrant.threshold_events.lapses_at IS 'of a warning: when the grant ends unless its user renews it';

DO $$
BEGIN
  -- A way down put the tables aside with their rows.
  IF to_regclass('evergrant.provider_states_put_aside') IS NOT NULL THEN
    ALTER TABLE evergrant.provider_states_put_aside RENAME TO provider_states;
  END IF;
  IF to_regclass('evergrant.recent_failures_put_aside') IS NOT NULL THEN
    ALTER TABLE evergrant.recent_failures_put_aside RENAME TO recent_failures;
  END IF;
END
$$;

-- One row for each provider that something is to be remembered of.
CREATE TABLE IF NOT EXISTS evergrant.provider_states (
  provider                   text PRIMARY KEY,
  circuit_open               boolean NOT NULL DEFAULT false,
  circuit_cause              text,
  circuit_code               text,
  circuit_failing            integer,
  circuit_opened_at          timestamptz,
  circuit_probe_at           timestamptz,
  circuit_probes             uuid[] NOT NULL DEFAULT '{}',
  disconnections_held_since  timestamptz,
  disconnections_held_until  timestamptz,
  disconnections_failing     integer,
  trusted_until              timestamptz,
  calls_per_second           double precision,
  next_call_at               timestamptz,
  CONSTRAINT provider_states_circuit_cause_check CHECK (circuit_cause IN ('outage', 'client_refused', 'by_hand'))
);
COMMENT ON COLUMN evergrant.provider_states.circuit_open IS 'nobody calls the provider but for probes';
COMMENT ON COLUMN evergrant.provider_states.circuit_probe_at IS 'a few integrations may try from then on; infinity: until it is closed by hand';
COMMENT ON COLUMN evergrant.provider_states.circuit_probes IS 'the integrations that try';
COMMENT ON COLUMN evergrant.provider_states.disconnections_held_until IS 'implausibly many grants were refused: nobody is disconnected before';
COMMENT ON COLUMN evergrant.provider_states.trusted_until IS 'closed by hand: neither guard acts before';
COMMENT ON COLUMN evergrant.provider_states.next_call_at IS 'the first moment that no call is reserved for';

-- Failures of the last hours, one row for each attempt: rows are only added, so that nobody waits for anybody.
CREATE TABLE IF NOT EXISTS evergrant.recent_failures (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  failed_at      timestamptz NOT NULL DEFAULT now(),
  provider       text NOT NULL,
  integration_id uuid NOT NULL,
  failure_class  text NOT NULL,
  code           text NOT NULL
);
CREATE INDEX IF NOT EXISTS recent_failures_provider ON evergrant.recent_failures (provider, failure_class, failed_at);
CREATE INDEX IF NOT EXISTS recent_failures_failed_at ON evergrant.recent_failures (failed_at);

-- Nobody is told of what ended before: a single row.
CREATE TABLE IF NOT EXISTS evergrant.installation (installed_at timestamptz NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS installation_single_row ON evergrant.installation ((true));
INSERT INTO evergrant.installation SELECT now() ON CONFLICT DO NOTHING;
