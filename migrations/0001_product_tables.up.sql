-- The product's own tables, for a database that has none yet. Where they exist, nothing of them changes here.
SET LOCAL lock_timeout = '10s';

CREATE TABLE IF NOT EXISTS integrations (
  id                       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id                  uuid NOT NULL,
  provider                 text NOT NULL,
  status                   text NOT NULL DEFAULT 'connected',
  access_token             text,
  refresh_token            text,
  expires_at               timestamptz,
  refresh_token_expires_at timestamptz,
  scopes                   text[],
  metadata                 jsonb,
  consecutive_failures     integer DEFAULT 0,
  disconnect_reason        text,
  last_refresh_attempt     timestamptz,
  last_refresh_success     timestamptz,
  last_failure_at          timestamptz,
  created_at               timestamptz NOT NULL DEFAULT now(),
  updated_at               timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS notifications (
  id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id      uuid NOT NULL,
  type         text NOT NULL,
  title        text NOT NULL,
  message      text,
  action_url   text,
  action_label text,
  metadata     jsonb,
  is_read      boolean DEFAULT false,
  created_at   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT notifications_type_check CHECK (type IN
    ('team_invitation', 'workflow_shared', 'execution_failed', 'integration_disconnected', 'system'))
);
