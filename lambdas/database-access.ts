import { text } from './env.ts';
import type { InvocationClock } from './invocation-clock.ts';
import {
  type ConnectionOptions,
  type Database,
  type DatabaseAddress,
  DatabaseUnavailable,
  PostgresConnection,
  type StatementOptions,
  type Transport,
} from './postgres/database.ts';
import { iamPassword } from './postgres/iam-password.ts';
import { rdsAuthorities } from './postgres/rds-authorities.ts';
import { z } from './schema.ts';
import { readDatabaseSecret, type SecretReader, SecretUnusable } from './secrets/secret-reader.ts';

/** The schema of `databaseEnv.source`: an environment variable is no place for a password. */
export const databaseSource = text.check(
  z.refine((source) => !source.includes('://') || isUrl(source), {
    error: 'must be the id of a secret, or a postgres:// URL without a password',
  }),
);

function isUrl(source: string): boolean {
  const url = URL.parse(source);
  return (
    url !== null &&
    /^postgres(ql)?:$/.test(url.protocol) &&
    url.password === '' &&
    !url.searchParams.has('password')
  );
}

/** What time it is, for passwords that are good for some minutes of it. */
type Clock = Pick<InvocationClock, 'nowMs'>;

/** Where a database is, and how it lets us in. */
interface Location {
  readonly url: string;
  readonly directUrl: string;
  readonly ca?: string | undefined;
  readonly iam: boolean;
}

/** Where the database is by now. `source`: see `databaseEnv`. Throws `SecretUnusable` and what the SDK throws. */
async function locate(source: string, secrets: SecretReader): Promise<Location> {
  if (isUrl(source)) return { url: source, directUrl: source, iam: true };
  return { ...(await readDatabaseSecret(secrets, source)), iam: false };
}

async function address(
  { url, ca, iam }: Pick<Location, 'url' | 'ca' | 'iam'>,
  clock: Clock,
): Promise<DatabaseAddress> {
  return {
    url,
    ca: ca ?? (await rdsAuthorities(url)),
    ...(iam && { password: iamPassword(url, () => clock.nowMs()) }),
  };
}

/** The address for what needs a session of its own, past any pooler. Throws as `FunctionDatabase` does. */
export async function directAddress(
  source: string,
  secrets: SecretReader,
  clock: Clock,
): Promise<DatabaseAddress> {
  const { directUrl, ca, iam } = await locate(source, secrets);
  return address({ url: directUrl, ca, iam }, clock);
}

interface OpenConnection {
  readonly at: Location;
  readonly connection: Promise<PostgresConnection>;
  /** Statements that have been asked of it and are not answered. */
  underWay: number;
}

/**
 * The function's database: one connection, opened anew when the secret says another URL or authority. The connection
 * before answers what it was asked, and is closed then.
 */
export class FunctionDatabase implements Database {
  readonly #source: string;
  readonly #secrets: SecretReader;
  readonly #clock: Clock;
  readonly #options: ConnectionOptions;
  #transport: Transport | null = null;
  #open: OpenConnection | undefined;

  constructor(source: string, secrets: SecretReader, clock: Clock, options: ConnectionOptions = {}) {
    this.#source = source;
    this.#secrets = secrets;
    this.#clock = clock;
    this.#options = options;
  }

  /** How the latest statement travelled; `null` before the first. */
  get transport(): Transport | null {
    return this.#transport;
  }

  async query<Row>(
    statement: string,
    parameters: readonly unknown[],
    options?: StatementOptions,
  ): Promise<Row[]> {
    const open = this.#connectionTo(await this.#locate());
    open.underWay += 1;
    try {
      const connection = await open.connection;
      this.#transport = connection.transport;
      return await connection.query<Row>(statement, parameters, options);
    } catch (error) {
      // A rotated password or a moved database: the next try reads the secret again.
      if (error instanceof DatabaseUnavailable && !isUrl(this.#source)) this.#secrets.forget(this.#source);
      throw error;
    } finally {
      open.underWay -= 1;
      if (open !== this.#open && open.underWay === 0) void close(open);
    }
  }

  /** Closes the connection; the next statement opens another one. */
  async end(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open) await close(open);
  }

  async #locate(): Promise<Location> {
    try {
      return await locate(this.#source, this.#secrets);
    } catch (error) {
      if (!(error instanceof SecretUnusable)) throw error;
      // What is mended takes effect at once; a slip in the secret must not cost a result that Postgres would take.
      this.#secrets.forget(this.#source);
      if (this.#open === undefined) throw error;
      return this.#open.at;
    }
  }

  #connectionTo(at: Location): OpenConnection {
    const before = this.#open;
    if (before && before.at.url === at.url && before.at.ca === at.ca) return before;
    const open: OpenConnection = {
      at,
      connection: address(at, this.#clock).then((found) => new PostgresConnection(found, this.#options)),
      underWay: 0,
    };
    // One that cannot even be begun is begun anew by the next statement. The statement that asked for it fails.
    open.connection.catch(() => {
      if (this.#open === open) this.#open = undefined;
    });
    this.#open = open;
    if (before?.underWay === 0) void close(before);
    return open;
  }
}

/** Never throws: what a connection says at its end is nobody's concern. */
async function close({ connection }: OpenConnection): Promise<void> {
  try {
    await (await connection).end();
  } catch {
    // Never opened, or closed already.
  }
}
