import pg from 'pg';
import { clientConfig } from '../../lambdas/postgres/database.ts';
import type { Connection } from '../provider/connect.ts';

export interface User {
  readonly id: string;
  readonly email: string;
  readonly name: string;
}

/** An integration as the product's pages show it. */
export interface IntegrationRow {
  readonly id: string;
  readonly user_id: string;
  readonly user_name: string | null;
  readonly user_email: string | null;
  readonly provider: string;
  readonly status: string;
  readonly expires_at: Date | null;
  readonly disconnect_reason: string | null;
  readonly last_refresh_success: Date | null;
}

/** The database of a small product that people connect their accounts to: it knows nothing of Evergrant. */
export class ProductStore {
  readonly #pool: pg.Pool;

  constructor(databaseUrl: string) {
    this.#pool = new pg.Pool({ ...clientConfig({ url: databaseUrl }), max: 2 });
    this.#pool.on('error', () => undefined);
  }

  /** Creates the product's own table of users. */
  async createUsers(): Promise<void> {
    await this.#pool.query(`
      CREATE SCHEMA IF NOT EXISTS local_product;
      CREATE TABLE IF NOT EXISTS local_product.users (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE, name text NOT NULL);`);
  }

  /**
   * Points Evergrant's view at the product's users, unless the view is somebody's already (an existing
   * database): then their users are the ones that get mail.
   */
  async pointView(): Promise<void> {
    const { rows } = await this.#pool.query<{ untouched: boolean }>(
      `SELECT pg_get_viewdef('evergrant.users'::regclass) LIKE '%WHERE false%' AS untouched`,
    );
    if (rows[0]?.untouched) {
      await this.#pool.query(
        'CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email, name FROM local_product.users',
      );
    }
  }

  async addUser(email: string, name: string): Promise<User> {
    const { rows } = await this.#pool.query<User>(
      `INSERT INTO local_product.users (email, name) VALUES ($1, $2)
       ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING id, email, name`,
      [email, name],
    );
    return rows[0] as User;
  }

  /** Stores a new connection as plain text, the way products did before Evergrant; its next refresh seals it. */
  async connect(userId: string, provider: string, connection: Connection): Promise<string> {
    const { rows } = await this.#pool.query<{ id: string }>(
      `INSERT INTO integrations (user_id, provider, status, access_token, refresh_token, expires_at, scopes)
       VALUES ($1, $2, 'connected', $3, $4, now() + make_interval(secs => $5), $6) RETURNING id`,
      [
        userId,
        provider,
        connection.accessToken,
        connection.refreshToken,
        connection.expiresInSeconds,
        connection.scopes,
      ],
    );
    return rows[0]?.id as string;
  }

  /** The user has connected the account anew. */
  async reconnect(integrationId: string, connection: Connection): Promise<void> {
    await this.#pool.query(
      `UPDATE integrations
       SET status = 'connected', access_token = $2, refresh_token = $3,
           expires_at = now() + make_interval(secs => $4), scopes = $5,
           disconnect_reason = NULL, updated_at = now()
       WHERE id = $1`,
      [
        integrationId,
        connection.accessToken,
        connection.refreshToken,
        connection.expiresInSeconds,
        connection.scopes,
      ],
    );
  }

  /** The product's users with a connection to one of these providers, oldest connection first. */
  async integrations(providers: readonly string[]): Promise<IntegrationRow[]> {
    const { rows } = await this.#pool.query<IntegrationRow>(
      `SELECT i.id, i.user_id, u.name AS user_name, u.email AS user_email, i.provider, i.status, i.expires_at,
              i.disconnect_reason, i.last_refresh_success
       FROM integrations i JOIN local_product.users u ON u.id = i.user_id
       WHERE i.provider = ANY($1) ORDER BY i.created_at, i.id`,
      [providers],
    );
    return rows;
  }

  async integration(id: string): Promise<IntegrationRow | undefined> {
    const { rows } = await this.#pool.query<IntegrationRow>(
      `SELECT i.id, i.user_id, u.name AS user_name, u.email AS user_email, i.provider, i.status, i.expires_at,
              i.disconnect_reason, i.last_refresh_success
       FROM integrations i LEFT JOIN local_product.users u ON u.id = i.user_id WHERE i.id = $1`,
      [id],
    );
    return rows[0];
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }
}
