/**
 * What the functions' statements need of the database: relations, columns with their types, and the privileges on
 * each. A test holds this against the statements themselves, which run with exactly these privileges.
 */
export interface NeededColumn {
  readonly relation: string;
  readonly name: string;
  /** Type and constraints as `ALTER TABLE … ADD COLUMN` takes them. */
  readonly definition: string;
  /** Types that do. */
  readonly types: readonly string[];
  /** An enum does as well. */
  readonly mayBeEnum: boolean;
  /** Characters that must fit in. */
  readonly length: number;
  /** As in PostgreSQL's access control lists: `r` SELECT, `a` INSERT, `w` UPDATE. */
  readonly privileges: string;
}

interface Kind {
  readonly definition: string;
  readonly types: readonly string[];
  readonly mayBeEnum?: boolean;
  readonly length?: number;
}

const text: Kind = { definition: 'text', types: ['text', 'character varying', 'citext'] };
const uuid: Kind = { definition: 'uuid', types: ['uuid'] };
const timestamp: Kind = { definition: 'timestamptz', types: ['timestamp with time zone'] };
const count: Kind = { definition: 'integer DEFAULT 0', types: ['integer', 'bigint', 'smallint'] };
const flag: Kind = { definition: 'boolean NOT NULL DEFAULT false', types: ['boolean'] };
/** `length`: of what we write into it. */
const ofLength = (length: number, mayBeEnum = false): Kind => ({ ...text, length, mayBeEnum });
/** Sealed, a token is a third longer than plain and has a header beside it. */
const token = ofLength(Number.POSITIVE_INFINITY);

const columns: Readonly<Record<string, Readonly<Record<string, readonly [Kind, string]>>>> = {
  integrations: {
    id: [uuid, 'r'],
    user_id: [uuid, 'r'],
    provider: [text, 'r'],
    status: [ofLength('needs_reauthorization'.length, true), 'rw'],
    access_token: [token, 'rw'],
    refresh_token: [token, 'rw'],
    expires_at: [timestamp, 'rw'],
    refresh_token_expires_at: [timestamp, 'rw'],
    scopes: [{ definition: 'text[]', types: ['text[]', 'character varying[]'] }, 'rw'],
    metadata: [{ definition: 'jsonb', types: ['jsonb', 'json'] }, 'rw'],
    consecutive_failures: [count, 'rw'],
    consecutive_transient_failures: [count, 'rw'],
    disconnect_reason: [ofLength(64), 'rw'],
    last_refresh_attempt: [timestamp, 'rw'],
    last_refresh_success: [timestamp, 'rw'],
    last_failure_at: [timestamp, 'rw'],
    created_at: [timestamp, 'r'],
    updated_at: [timestamp, 'rw'],
    refresh_held_until: [timestamp, 'rw'],
    refresh_claim: [{ definition: 'bigint NOT NULL DEFAULT 0', types: ['bigint'] }, 'rw'],
    refresh_claim_open: [flag, 'rw'],
    failing_grant: [{ definition: 'bytea', types: ['bytea'] }, 'rw'],
    failure_emailed_at: [timestamp, 'rw'],
    failure_warned_at: [timestamp, 'rw'],
    disconnected_grant: [{ definition: 'bytea', types: ['bytea'] }, 'rw'],
    grant_connected_since: [timestamp, 'rw'],
    lapse_warned_for: [timestamp, 'rw'],
    refresh_started_at: [timestamp, 'rw'],
    doubtful_grant: [{ definition: 'bytea', types: ['bytea'] }, 'rw'],
    doubtful_since: [timestamp, 'rw'],
  },
  notifications: {
    id: [{ ...uuid, types: ['uuid', 'bigint', 'integer', 'text', 'character varying'] }, 'r'],
    user_id: [{ ...uuid, types: ['uuid', 'text', 'character varying'] }, 'a'],
    type: [ofLength('integration_disconnected'.length, true), 'a'],
    title: [ofLength(100), 'a'],
    message: [ofLength(255), 'a'],
    action_url: [ofLength(255), 'a'],
    action_label: [ofLength(20), 'a'],
    metadata: [{ definition: 'jsonb', types: ['jsonb', 'json'] }, 'a'],
    is_read: [{ ...flag, definition: 'boolean DEFAULT false' }, 'ra'],
    created_at: [timestamp, 'r'],
    event_id: [uuid, 'ra'],
  },
  'evergrant.threshold_events': {
    id: [uuid, 'r'],
    integration_id: [uuid, 'ra'],
    user_id: [uuid, 'ra'],
    provider: [text, 'ra'],
    provider_name: [text, 'ra'],
    notification_type: [text, 'ra'],
    email_kind: [text, 'ra'],
    failure_code: [text, 'ra'],
    consecutive_failures: [count, 'ra'],
    consecutive_transient_failures: [count, 'ra'],
    created_at: [timestamp, 'r'],
    relay_after: [timestamp, 'raw'],
    relay_count: [count, 'rw'],
    email_held_until: [timestamp, 'rw'],
    email_sent_at: [timestamp, 'rw'],
    email_outcome: [text, 'rw'],
    handled_at: [timestamp, 'rw'],
    connected_since: [timestamp, 'ra'],
    warned_at: [timestamp, 'ra'],
    lapses_at: [timestamp, 'ra'],
    after_doubt: [flag, 'ra'],
  },
  'evergrant.scans': {
    started_at: [timestamp, 'raw'],
    duration_ms: [count, 'ra'],
    claimed: [count, 'ra'],
    enqueued: [count, 'ra'],
    released: [count, 'ra'],
    left_due: [count, 'ra'],
    events_relayed: [count, 'ra'],
    oldest_expired_seconds: [count, 'ra'],
  },
  'evergrant.refresh_outcomes': {
    id: [{ definition: 'bigint GENERATED ALWAYS AS IDENTITY', types: ['bigint'] }, 'rw'],
    counted_at: [timestamp, 'r'],
    provider: [text, 'ra'],
    refreshed: [count, 'ra'],
    disconnected: [count, 'ra'],
  },
  'evergrant.provider_states': {
    provider: [text, 'ra'],
    circuit_open: [flag, 'raw'],
    circuit_cause: [text, 'raw'],
    circuit_code: [text, 'raw'],
    circuit_failing: [count, 'raw'],
    circuit_opened_at: [timestamp, 'raw'],
    circuit_probe_at: [timestamp, 'raw'],
    circuit_probes: [{ definition: 'uuid[]', types: ['uuid[]'] }, 'rw'],
    disconnections_held_since: [timestamp, 'raw'],
    disconnections_held_until: [timestamp, 'raw'],
    disconnections_failing: [count, 'raw'],
    trusted_until: [timestamp, 'raw'],
    calls_per_second: [{ definition: 'double precision', types: ['double precision'] }, 'raw'],
    next_call_at: [timestamp, 'raw'],
  },
  'evergrant.recent_failures': {
    id: [{ definition: 'bigint GENERATED ALWAYS AS IDENTITY', types: ['bigint'] }, 'rw'],
    failed_at: [timestamp, 'r'],
    provider: [text, 'ra'],
    integration_id: [uuid, 'ra'],
    failure_class: [text, 'ra'],
    code: [text, 'ra'],
  },
  'evergrant.installation': {
    installed_at: [timestamp, 'r'],
    collecting_until: [timestamp, 'rw'],
  },
  'evergrant.users': {
    id: [{ ...uuid, types: ['uuid', 'text', 'character varying'] }, 'r'],
    email: [text, 'r'],
    name: [text, 'r'],
  },
};

/** Where the migrations keep what is ours; without a right in it nothing in it can be used. */
export const ownSchema = 'evergrant';

export const usersView = 'evergrant.users';

export const neededRelations = Object.keys(columns);

/** Tables whose old rows go in time, which takes the privilege DELETE. */
export const prunedRelations = ['evergrant.scans', 'evergrant.refresh_outcomes', 'evergrant.recent_failures'];

export const neededColumns: readonly NeededColumn[] = Object.entries(columns).flatMap(
  ([relation, ofRelation]) =>
    Object.entries(ofRelation).map(([name, [kind, privileges]]) => ({
      relation,
      name,
      privileges,
      definition: kind.definition,
      types: kind.types,
      mayBeEnum: kind.mayBeEnum ?? false,
      length: kind.length ?? 0,
    })),
);

export const privilegeNames: Readonly<Record<string, 'SELECT' | 'INSERT' | 'UPDATE'>> = {
  r: 'SELECT',
  a: 'INSERT',
  w: 'UPDATE',
};

/** An index that a statement cannot do without, or would read whole tables without. */
export interface NeededIndex {
  readonly relation: string;
  /** Its columns; a unique index has these and no others, another one begins with them. */
  readonly keys: readonly string[];
  readonly unique: boolean;
  /** What a predicate has to speak of, if the index has one. An index without a predicate does as well, unless it is unique. */
  readonly covers: readonly string[];
  readonly without: string;
  readonly create: string;
}

export const neededIndexes: readonly NeededIndex[] = [
  {
    relation: 'integrations',
    keys: ['id'],
    unique: true,
    covers: [],
    without: 'every statement about one integration reads the whole table',
    create: 'CREATE UNIQUE INDEX CONCURRENTLY ON integrations (id)',
  },
  {
    relation: 'integrations',
    keys: ['expires_at'],
    unique: false,
    covers: ['connected', 'refresh_token IS NOT NULL'],
    without: 'every scan reads the whole table',
    create: `CREATE INDEX CONCURRENTLY evergrant_integrations_due ON integrations (expires_at) WHERE status = 'connected' AND refresh_token IS NOT NULL`,
  },
  {
    relation: 'integrations',
    keys: ['expires_at'],
    unique: false,
    covers: ['connected', 'refresh_token IS NULL'],
    without: 'every scan reads the whole table for access tokens that end',
    create: `CREATE INDEX CONCURRENTLY evergrant_integrations_without_refresh_token ON integrations (expires_at) WHERE status = 'connected' AND (refresh_token IS NULL OR refresh_token = '')`,
  },
  {
    relation: 'integrations',
    keys: ['refresh_token_expires_at'],
    unique: false,
    covers: ['connected', 'refresh_token IS NOT NULL'],
    without: 'every scan reads the whole table for refresh tokens that end',
    create: `CREATE INDEX CONCURRENTLY evergrant_integrations_refresh_token_end ON integrations (refresh_token_expires_at) WHERE status = 'connected' AND refresh_token IS NOT NULL AND refresh_token_expires_at IS NOT NULL`,
  },
  {
    relation: 'notifications',
    keys: ['event_id'],
    unique: true,
    covers: [],
    without: 'no notification can be written',
    create: 'CREATE UNIQUE INDEX CONCURRENTLY evergrant_notifications_event ON notifications (event_id)',
  },
  {
    relation: 'evergrant.threshold_events',
    keys: ['id'],
    unique: true,
    covers: [],
    without: 'every statement about one threshold event reads the whole table',
    create: 'CREATE UNIQUE INDEX CONCURRENTLY ON evergrant.threshold_events (id)',
  },
  {
    relation: 'evergrant.threshold_events',
    keys: ['relay_after'],
    unique: false,
    covers: ['handled_at IS NULL'],
    without: 'every scan reads the whole table of threshold events',
    create:
      'CREATE INDEX CONCURRENTLY threshold_events_unhandled ON evergrant.threshold_events (relay_after) WHERE handled_at IS NULL',
  },
  {
    relation: 'evergrant.provider_states',
    keys: ['provider'],
    unique: true,
    covers: [],
    without: 'neither a circuit nor a hold of disconnections can be written down',
    create: 'CREATE UNIQUE INDEX CONCURRENTLY ON evergrant.provider_states (provider)',
  },
  {
    relation: 'evergrant.recent_failures',
    keys: ['provider', 'failure_class', 'failed_at'],
    unique: false,
    covers: [],
    without: 'every group of failures reads those of all providers',
    create:
      'CREATE INDEX CONCURRENTLY recent_failures_provider ON evergrant.recent_failures (provider, failure_class, failed_at)',
  },
];
