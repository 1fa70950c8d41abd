-- A product's own tables as the migrations expect them, with what products put around such tables.
CREATE TABLE users (id uuid PRIMARY KEY, email varchar(320), name text);
INSERT INTO users SELECT gen_random_uuid(), 'user' || n || '@example.com', 'User ' || n FROM generate_series(1, 4) AS n;

CREATE TABLE integrations (
  id                       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id                  uuid REFERENCES users (id) ON DELETE CASCADE,
  workspace                text DEFAULT 'main',
  provider                 text NOT NULL,
  status                   text DEFAULT 'connected',
  access_token             text,
  refresh_token            text,
  expires_at               timestamptz,
  refresh_token_expires_at timestamptz,
  scopes                   text[] DEFAULT '{}',
  metadata                 jsonb DEFAULT '{}',
  consecutive_failures     integer,
  disconnect_reason        text,
  last_refresh_attempt     timestamptz,
  last_refresh_success     timestamptz,
  last_failure_at          timestamptz,
  created_at               timestamptz DEFAULT now(),
  updated_at               timestamptz DEFAULT now(),
  UNIQUE (user_id, provider)
);
COMMENT ON COLUMN integrations.provider IS 'as in the catalogue';
CREATE INDEX integrations_by_workspace ON integrations (workspace, status);
CREATE INDEX integrations_by_expiry ON integrations (expires_at) WHERE status = 'connected';

CREATE TABLE notifications (
  id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  type         text NOT NULL,
  title        text NOT NULL,
  message      text,
  action_url   text,
  action_label text,
  metadata     jsonb DEFAULT '{}',
  is_read      boolean DEFAULT false,
  priority     integer DEFAULT 0,
  created_at   timestamptz DEFAULT now(),
  CONSTRAINT notifications_type_check CHECK (type IN
    ('team_invitation', 'workflow_shared', 'execution_failed', 'integration_disconnected', 'system')),
  CONSTRAINT notifications_title_check CHECK (title <> '')
);
CREATE INDEX notifications_unread ON notifications (user_id) WHERE NOT is_read;

ALTER TABLE integrations ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_integrations ON integrations USING (user_id = current_setting('app.user', true)::uuid);
CREATE POLICY own_notifications ON notifications FOR SELECT USING (user_id = current_setting('app.user', true)::uuid);
GRANT SELECT ON integrations, notifications TO PUBLIC;

CREATE TABLE audit (at timestamptz DEFAULT now(), what text);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (what) VALUES (TG_OP || ' ' || TG_TABLE_NAME);
  RETURN NULL;
END $$;
CREATE TRIGGER audit_integrations AFTER INSERT OR UPDATE OR DELETE ON integrations FOR EACH ROW EXECUTE FUNCTION audit();
CREATE CONSTRAINT TRIGGER audit_notifications AFTER UPDATE ON notifications
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit();

CREATE TABLE executions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), integration_id uuid REFERENCES integrations (id));
CREATE VIEW connected AS SELECT * FROM integrations WHERE status = 'connected';

INSERT INTO integrations (user_id, provider, status, access_token, refresh_token, expires_at, consecutive_failures, metadata)
SELECT u.id, 'p' || n, (ARRAY['connected', 'needs_reauthorization', 'disconnected', 'paused', 'error'])[n],
       'access' || n, 'refresh' || n, now(), (ARRAY[NULL, 0, 2, 7, NULL]::int[])[n], jsonb_build_object('n', n)
FROM (SELECT id FROM users LIMIT 2) AS u, generate_series(1, 5) AS n;
INSERT INTO integrations (user_id, provider, status, metadata) VALUES (NULL, 'orphan', NULL, NULL);
INSERT INTO executions (integration_id) SELECT id FROM integrations;

INSERT INTO notifications (user_id, type, title, metadata)
SELECT (SELECT id FROM users LIMIT 1), type, type || ' title', metadata
FROM unnest(ARRAY['team_invitation', 'workflow_shared', 'execution_failed', 'integration_disconnected', 'system']) AS type,
     unnest(ARRAY[NULL, '{}', '{"a": 1}', '{"evergrant": {"mine": true}}', '[1, 2]']::jsonb[]) AS metadata;
TRUNCATE audit;
