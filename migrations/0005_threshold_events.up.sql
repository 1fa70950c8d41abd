-- The outbox: one row for each threshold that a failure crossed, written together with the counter.
CREATE SCHEMA IF NOT EXISTS evergrant;

DO $$
BEGIN
  -- A way down put the table aside with its rows; events that were not handled yet go on from there.
  IF to_regclass('evergrant.threshold_events_put_aside') IS NOT NULL THEN
    ALTER TABLE evergrant.threshold_events_put_aside RENAME TO threshold_events;
  END IF;
END
$$;

CREATE TABLE IF NOT EXISTS evergrant.threshold_events (
  id                             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  integration_id                 uuid NOT NULL,
  user_id                        uuid NOT NULL,
  provider                       text NOT NULL,
  provider_name                  text NOT NULL,
  notification_type              text,
  email_kind                     text,
  failure_code                   text NOT NULL,
  consecutive_failures           integer NOT NULL,
  consecutive_transient_failures integer NOT NULL,
  created_at                     timestamptz NOT NULL DEFAULT now(),
  relay_after                    timestamptz NOT NULL,
  relay_count                    integer NOT NULL DEFAULT 0,
  email_held_until               timestamptz,
  email_sent_at                  timestamptz,
  email_outcome                  text,
  handled_at                     timestamptz,
  CONSTRAINT threshold_events_notification_type_check CHECK (notification_type IN
    ('integration_warning', 'integration_disconnected', 'integration_rate_limit')),
  CONSTRAINT threshold_events_email_kind_check CHECK (email_kind IN ('reconnect', 'disconnected')),
  CONSTRAINT threshold_events_effect_check CHECK (notification_type IS NOT NULL OR email_kind IS NOT NULL)
);

COMMENT ON COLUMN evergrant.threshold_events.relay_after IS 'the scanner publishes the event again from then on, unless it is handled';
COMMENT ON COLUMN evergrant.threshold_events.email_held_until IS 'one notifier is sending the email until then';
COMMENT ON COLUMN evergrant.threshold_events.email_outcome IS 'the SES message id, or why no email was sent';

CREATE INDEX IF NOT EXISTS threshold_events_unhandled ON evergrant.threshold_events (relay_after)
  WHERE handled_at IS NULL;
CREATE INDEX IF NOT EXISTS threshold_events_integration ON evergrant.threshold_events (integration_id, created_at);

-- Who the users are. Point this view at your own table: CREATE OR REPLACE VIEW evergrant.users AS
-- SELECT id, email::text, name::text FROM your_users;  Until then nobody has an address and no email goes out.
DO $$
BEGIN
  IF to_regclass('evergrant.users') IS NULL THEN
    CREATE VIEW evergrant.users AS
      SELECT NULL::uuid AS id, NULL::text AS email, NULL::text AS name WHERE false;
  END IF;
END
$$;
