import {
  type ConnectionOptions,
  type Database,
  DatabaseUnavailable,
  PostgresConnection,
  type Transport,
} from './postgres/database.ts';
import { readDatabaseSecret, type SecretReader } from './secrets/secret-reader.ts';

/** The database that a secret points at: one connection, opened anew when the secret names another URL. */
export class SecretDatabase implements Database {
  readonly #secrets: SecretReader;
  readonly #secretId: string;
  readonly #options: ConnectionOptions;
  #open: { readonly url: string; readonly connection: PostgresConnection } | undefined;

  constructor(secrets: SecretReader, secretId: string, options: ConnectionOptions = {}) {
    this.#secrets = secrets;
    this.#secretId = secretId;
    this.#options = options;
  }

  /** How the latest statement travelled; `null` before the first. */
  get transport(): Transport | null {
    return this.#open?.connection.transport ?? null;
  }

  async query<Row>(statement: string, parameters: readonly unknown[]): Promise<Row[]> {
    const { url, ca } = await readDatabaseSecret(this.#secrets, this.#secretId);
    if (this.#open?.url !== url) {
      void this.#open?.connection.end();
      this.#open = { url, connection: new PostgresConnection(url, ca, this.#options) };
    }
    try {
      return await this.#open.connection.query<Row>(statement, parameters);
    } catch (error) {
      // A rotated password or a moved database: the next try reads the secret again.
      if (error instanceof DatabaseUnavailable) this.#secrets.forget(this.#secretId);
      throw error;
    }
  }

  /** Closes the connection; the next statement opens another one. */
  async end(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.connection.end();
  }
}
