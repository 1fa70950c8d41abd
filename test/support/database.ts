import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { inject } from 'vitest';
import { PostgresConnection } from '../../lambdas/postgres/database.ts';
import { createDatabase, dropDatabase } from '../../local/cloud/postgres.ts';
import { templateName } from './server.ts';

/** A row of `integrations` with everything that Evergrant reads or writes. */
export interface IntegrationRow {
  id: string;
  user_id: string | null;
  provider: string;
  status: string;
  access_token: string | null;
  refresh_token: string | null;
  expires_at: Date | null;
  refresh_token_expires_at: Date | null;
  scopes: string[] | null;
  metadata: unknown;
  consecutive_failures: number | null;
  consecutive_transient_failures: number | null;
  disconnect_reason: string | null;
  last_refresh_attempt: Date | null;
  last_refresh_success: Date | null;
  last_failure_at: Date | null;
  created_at: Date;
  updated_at: Date;
  refresh_held_until: Date | null;
  refresh_claim: string;
  refresh_claim_open: boolean;
  failing_grant: Buffer | null;
  failure_emailed_at: Date | null;
  disconnected_grant: Buffer | null;
  grant_connected_since: Date | null;
  failure_warned_at: Date | null;
  lapse_warned_for: Date | null;
  refresh_started_at: Date | null;
  doubtful_grant: Buffer | null;
  doubtful_since: Date | null;
}

/** A row of the outbox. */
export interface EventRow {
  id: string;
  integration_id: string;
  user_id: string;
  provider: string;
  provider_name: string;
  notification_type: string | null;
  email_kind: string | null;
  failure_code: string;
  consecutive_failures: number;
  consecutive_transient_failures: number;
  created_at: Date;
  relay_after: Date;
  relay_count: number;
  email_held_until: Date | null;
  email_sent_at: Date | null;
  email_outcome: string | null;
  handled_at: Date | null;
  connected_since: Date | null;
  warned_at: Date | null;
  lapses_at: Date | null;
  after_doubt: boolean;
}

export type IntegrationOverrides = Partial<Omit<IntegrationRow, 'expires_at' | 'refresh_held_until'>> & {
  /** Seconds from the database's now; negative: expired; `null`: no expiry. A minute unless given. */
  expiresIn?: number | null;
  /** Seconds from the database's now; `null`: not held. */
  heldFor?: number | null;
};

export interface TestDatabase {
  readonly url: string;
  /** What the functions use: one connection, one statement at a time. */
  readonly database: PostgresConnection;
  /** Another `PostgresConnection` to the same database, closed together with it. */
  connection(): PostgresConnection;
  /** Any statement, over connections of the test's own. */
  sql<Row = Record<string, unknown>>(text: string, parameters?: readonly unknown[]): Promise<Row[]>;
  /** A transaction that stays open while `work` runs, and is committed after it. */
  inTransaction<Result>(work: (client: pg.PoolClient) => Promise<Result>): Promise<Result>;
  insertIntegration(overrides?: IntegrationOverrides): Promise<IntegrationRow>;
  integration(id: string): Promise<IntegrationRow>;
  insertEvent(overrides?: Partial<EventRow>): Promise<EventRow>;
  event(id: string): Promise<EventRow>;
  /** Events in the order in which they were written. */
  eventsOf(integrationId: string): Promise<EventRow[]>;
  /** Takes all rows out, for the next test. */
  clear(): Promise<void>;
  end(): Promise<void>;
}

const othersAtWork = `SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND backend_type = 'client backend'`;

/** A fresh database: a copy of the migrated template, or an empty one. */
export async function testDatabase({ empty = false } = {}): Promise<TestDatabase> {
  const adminUrl = inject('postgresUrl');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const url = await createDatabase(adminUrl, name, empty ? undefined : templateName);
  const pool = new pg.Pool({ connectionString: url, max: 6 });
  pool.on('error', () => {});
  const connections: PostgresConnection[] = [];
  const connection = () => {
    const opened = new PostgresConnection({ url });
    connections.push(opened);
    return opened;
  };

  const sql: TestDatabase['sql'] = async <Row>(text: string, parameters: readonly unknown[] = []) => {
    const { rows } = await pool.query(text, [...parameters]);
    return rows as Row[];
  };

  const one = async <Row>(text: string, parameters: readonly unknown[]): Promise<Row> => {
    const [row] = await sql<Row>(text, parameters);
    if (row === undefined) throw new Error(`no row: ${text}`);
    return row;
  };

  const insert = <Row>(table: string, values: Record<string, unknown>): Promise<Row> => {
    const columns = Object.keys(values);
    const names = columns.map((column) => pg.escapeIdentifier(column)).join(', ');
    const places = columns.map((_, index) => `$${index + 1}`).join(', ');
    return one(`INSERT INTO ${table} (${names}) VALUES (${places}) RETURNING *`, Object.values(values));
  };

  return {
    url,
    database: connection(),
    connection,
    sql,
    async inTransaction(work) {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        const result = await work(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.release();
      }
    },
    async insertIntegration({ expiresIn = 60, heldFor = null, ...columns } = {}) {
      const { id } = await insert<{ id: string }>('integrations', {
        user_id: randomUUID(),
        provider: 'acme',
        access_token: 'access-1',
        refresh_token: `refresh-${randomUUID()}`,
        ...columns,
      });
      return one<IntegrationRow>(
        `UPDATE integrations
         SET expires_at = now() + make_interval(secs => $2), refresh_held_until = now() + make_interval(secs => $3)
         WHERE id = $1 RETURNING *`,
        [id, expiresIn, heldFor],
      );
    },
    integration: (id) => one('SELECT * FROM integrations WHERE id = $1', [id]),
    insertEvent: (overrides = {}) =>
      insert('evergrant.threshold_events', {
        integration_id: randomUUID(),
        user_id: randomUUID(),
        provider: 'acme',
        provider_name: 'Acme',
        notification_type: 'integration_warning',
        failure_code: 'invalid_grant',
        consecutive_failures: 2,
        consecutive_transient_failures: 0,
        relay_after: new Date(0),
        ...overrides,
      }),
    event: (id) => one('SELECT * FROM evergrant.threshold_events WHERE id = $1', [id]),
    eventsOf: (integrationId) =>
      sql('SELECT * FROM evergrant.threshold_events WHERE integration_id = $1 ORDER BY created_at, id', [
        integrationId,
      ]),
    clear: async () => {
      // A statement that its client gave up on goes on in the server, and may lock the tables in another order.
      for (let tries = 0; tries < 500 && (await sql(othersAtWork)).length > 0; tries += 1) await sleep(20);
      await sql(
        `TRUNCATE integrations, notifications, evergrant.threshold_events, evergrant.scans, evergrant.refresh_outcomes,
           evergrant.provider_states, evergrant.recent_failures`,
      );
    },
    async end() {
      await Promise.all(connections.map((each) => each.end()));
      await pool.end();
      await dropDatabase(adminUrl, name);
    },
  };
}
