import pg from 'pg';

/** Runs one statement with parameters. Every statement stands alone, so that any transaction pooler will do. */
export interface Database {
  query<Row>(statement: string, parameters: readonly unknown[], options?: StatementOptions): Promise<Row[]>;
}

export interface StatementOptions {
  /**
   * How long the answer is waited for once the statement is sent, where that is not the usual time. Then the connection
   * is given up and the statement fails, so that what waits behind it goes on; the server may still carry it out.
   */
  readonly timeoutMs?: number;
}

/** A database for statements that are waited for longer than usual, or not as long. */
export function withTimeout(database: Database, timeoutMs: number): Database {
  return { query: (statement, parameters) => database.query(statement, parameters, { timeoutMs }) };
}

/** The database cannot be reached or refused the login. Try again later; nothing was changed. */
export class DatabaseUnavailable extends Error {
  override readonly name = 'DatabaseUnavailable';
  readonly code = 'database_unavailable';
}

/** For connecting and for each statement. None of ours takes long; one that does is better tried again. */
const timeoutMs = 5_000;

/** Where a database is and how to be let in. */
export interface DatabaseAddress {
  /** With the password, unless `password` makes one. */
  readonly url: string;
  /** PEM certificates of the authorities to trust instead of those that Node knows. */
  readonly ca?: string | readonly string[] | undefined;
  /** Makes a password for each connection. */
  readonly password?: (() => Promise<string>) | undefined;
}

/** How statements travel: `loopback` and `plain` are both without TLS, the former on one machine. */
export type Transport = 'tls' | 'loopback' | 'plain';

export interface ConnectionOptions {
  /** How long a statement is waited for, where that is not the usual time. */
  readonly queryTimeoutMs?: number;
}

/**
 * How to connect to an address. TLS is verified unless the URL says `sslmode=disable`, which is for databases on
 * the same machine.
 */
export function clientConfig({ url, ca, password }: DatabaseAddress): pg.ClientConfig {
  const address = new URL(url);
  const plain = address.searchParams.get('sslmode') === 'disable';
  // Any ssl parameter in the URL replaces the ssl object, so it goes (pg-connection-string).
  for (const name of [...address.searchParams.keys()]) {
    if (name.startsWith('ssl')) address.searchParams.delete(name);
  }
  return {
    ...(password ? { ...partsOf(address), password } : { connectionString: address.href }),
    ssl: plain ? false : { rejectUnauthorized: true, ...(ca !== undefined && { ca: [ca].flat() }) },
    connectionTimeoutMillis: timeoutMs,
    keepAlive: true,
  };
}

/** For a password of our own making: beside a connection string, pg takes the password that is in it, or none. */
function partsOf(address: URL) {
  return {
    host: address.hostname,
    port: Number(address.port || 5432),
    user: decodeURIComponent(address.username),
    database: decodeURIComponent(address.pathname.slice(1)),
  };
}

/**
 * One connection to Postgres for one execution environment: opened when first needed, opened anew after it
 * broke (a frozen environment finds its socket dead when it thaws). The statement that met the broken
 * connection fails; whether it took effect is then unknown, and its caller decides.
 */
export class PostgresConnection implements Database {
  readonly transport: Transport;
  readonly #pool: pg.Pool;

  constructor(address: DatabaseAddress, { queryTimeoutMs = timeoutMs }: ConnectionOptions = {}) {
    const config = clientConfig(address);
    this.transport = config.ssl ? 'tls' : isLoopback(new URL(address.url).hostname) ? 'loopback' : 'plain';
    this.#pool = new pg.Pool({
      ...config,
      max: 1,
      // On the client's side: poolers refuse statement_timeout as a start-up parameter.
      query_timeout: queryTimeoutMs,
      idleTimeoutMillis: 0,
      allowExitOnIdle: true,
    });
    // Without a listener, an idle connection that breaks would end the process. The pool replaces it.
    this.#pool.on('error', () => {});
    // The pool listens to idle connections only; one that breaks under a statement emits the error as well.
    this.#pool.on('connect', (client) => client.on('error', () => {}));
  }

  async query<Row>(
    statement: string,
    parameters: readonly unknown[],
    { timeoutMs }: StatementOptions = {},
  ): Promise<Row[]> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw new DatabaseUnavailable(`Postgres is not reachable: ${(error as Error).message}`, {
        cause: error,
      });
    }
    let broken: Error | undefined;
    try {
      const result = await client.query({
        text: statement,
        values: [...parameters],
        ...(timeoutMs !== undefined && { query_timeout: timeoutMs }),
      });
      return result.rows as Row[];
    } catch (error) {
      // An error with a SQLSTATE came from the server, and the connection is as good as before. After a
      // time-out on our side the answer could still arrive and be taken for the next statement's.
      if (!(error instanceof pg.DatabaseError) || speaksOfTheSession(error)) broken = error as Error;
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** Closes the connection. */
  async end(): Promise<void> {
    await this.#pool.end();
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** The SQLSTATE that the server answered with; `null`: the error came from somewhere else. */
export function sqlState(error: unknown): string | null {
  return error instanceof pg.DatabaseError ? (error.code ?? '') : null;
}

/**
 * Whether the values themselves are refused, which no repetition mends: SQLSTATE classes 22 (data), 23 (constraints), 44
 * (a view's check option) and P0 (what a trigger of the product raises).
 */
export function refusesValues(error: unknown): boolean {
  return /^(22|23|44|P0)/.test(sqlState(error) ?? '');
}

/**
 * Whether an error says that Postgres itself is away: not reachable, or stopping, starting, full, or no longer
 * the primary. A pooler in front of it says so with the same codes.
 */
export function isUnreachable(error: unknown): boolean {
  return (
    error instanceof DatabaseUnavailable || (error instanceof pg.DatabaseError && speaksOfTheSession(error))
  );
}

/** 08, 53, 57P, 58: the session or its server is ending; 25006: it leads to what is a replica now. */
function speaksOfTheSession({ code = '' }: pg.DatabaseError): boolean {
  return /^(08|53|57P|58|25006)/.test(code);
}
