import {
  type ConnectionOptions,
  type Database,
  type DatabaseAddress,
  DatabaseUnavailable,
  PostgresConnection,
  type Transport,
} from './postgres/database.ts';
import { iamPassword } from './postgres/iam-password.ts';
import { rdsAuthorities } from './postgres/rds-authorities.ts';
import { readDatabaseSecret, type SecretReader } from './secrets/secret-reader.ts';

/**
 * Where the database is by now, and how it lets us in. `source`: see `databaseEnv`. Throws `SecretUnusable` and what
 * the SDK throws.
 */
async function locate(
  source: string,
  secrets: SecretReader,
): Promise<{ url: string; directUrl: string; ca?: string | undefined; iam: boolean }> {
  if (isUrl(source)) return { url: source, directUrl: source, iam: true };
  return { ...(await readDatabaseSecret(secrets, source)), iam: false };
}

const isUrl = (source: string) => source.startsWith('postgres://');

async function address(url: string, ca: string | undefined, iam: boolean): Promise<DatabaseAddress> {
  return { url, ca: ca ?? (await rdsAuthorities(url)), ...(iam && { password: iamPassword(url) }) };
}

/** The address for what needs a session of its own, past any pooler. Throws as `FunctionDatabase` does. */
export async function directAddress(source: string, secrets: SecretReader): Promise<DatabaseAddress> {
  const { directUrl, ca, iam } = await locate(source, secrets);
  return address(directUrl, ca, iam);
}

/** The function's database: one connection, opened anew when the secret names another URL. */
export class FunctionDatabase implements Database {
  readonly #source: string;
  readonly #secrets: SecretReader;
  readonly #options: ConnectionOptions;
  #transport: Transport | null = null;
  #open: { readonly url: string; readonly connection: Promise<PostgresConnection> } | undefined;

  constructor(source: string, secrets: SecretReader, options: ConnectionOptions = {}) {
    this.#source = source;
    this.#secrets = secrets;
    this.#options = options;
  }

  /** How the latest statement travelled; `null` before the first. */
  get transport(): Transport | null {
    return this.#transport;
  }

  async query<Row>(statement: string, parameters: readonly unknown[]): Promise<Row[]> {
    const { url, ca, iam } = await locate(this.#source, this.#secrets);
    if (this.#open?.url !== url) {
      void this.#open?.connection.then((connection) => connection.end());
      this.#open = {
        url,
        connection: address(url, ca, iam).then((at) => new PostgresConnection(at, this.#options)),
      };
    }
    try {
      const connection = await this.#open.connection;
      this.#transport = connection.transport;
      return await connection.query<Row>(statement, parameters);
    } catch (error) {
      // A rotated password or a moved database: the next try reads the secret again.
      if (error instanceof DatabaseUnavailable && !isUrl(this.#source)) this.#secrets.forget(this.#source);
      throw error;
    }
  }

  /** Closes the connection; the next statement opens another one. */
  async end(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await (await open?.connection)?.end();
  }
}
