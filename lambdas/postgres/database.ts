import pg from 'pg';

/** Runs one statement with parameters. Every statement stands alone, so that any transaction pooler will do. */
export interface Database {
  query<Row>(statement: string, parameters: readonly unknown[]): Promise<Row[]>;
}

/** The database cannot be reached or refused the login. Try again later; nothing was changed. */
export class DatabaseUnavailable extends Error {
  override readonly name = 'DatabaseUnavailable';
  readonly code = 'database_unavailable';
}

/** For connecting and for each statement. None of ours takes long; one that does is better tried again. */
const timeoutMs = 5_000;

/**
 * How to connect to a URL. TLS is verified unless the URL says `sslmode=disable`, which is for databases on
 * the same machine. `ca`: PEM certificates of the authority to trust instead of those that Node knows.
 */
export function clientConfig(url: string, ca?: string): pg.ClientConfig {
  const address = new URL(url);
  const plain = address.searchParams.get('sslmode') === 'disable';
  // Any ssl parameter in the URL replaces the ssl object, so it goes (pg-connection-string).
  for (const name of [...address.searchParams.keys()]) {
    if (name.startsWith('ssl')) address.searchParams.delete(name);
  }
  return {
    connectionString: address.href,
    ssl: plain ? false : { rejectUnauthorized: true, ...(ca !== undefined && { ca }) },
    connectionTimeoutMillis: timeoutMs,
    keepAlive: true,
  };
}

/**
 * One connection to Postgres for one execution environment: opened when first needed, opened anew after it
 * broke (a frozen environment finds its socket dead when it thaws). The statement that met the broken
 * connection fails; whether it took effect is then unknown, and its caller decides.
 */
export class PostgresConnection implements Database {
  readonly #pool: pg.Pool;

  constructor(url: string, ca?: string) {
    this.#pool = new pg.Pool({
      ...clientConfig(url, ca),
      max: 1,
      // On the client's side: poolers refuse statement_timeout as a start-up parameter.
      query_timeout: timeoutMs,
      idleTimeoutMillis: 0,
      allowExitOnIdle: true,
    });
    // Without a listener, an idle connection that breaks would end the process. The pool replaces it.
    this.#pool.on('error', () => {});
    // The pool listens to idle connections only; one that breaks under a statement emits the error as well.
    this.#pool.on('connect', (client) => client.on('error', () => {}));
  }

  async query<Row>(statement: string, parameters: readonly unknown[]): Promise<Row[]> {
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
      const result = await client.query(statement, [...parameters]);
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

/** The SQLSTATE that the server answered with; `null`: the error came from somewhere else. */
export function sqlState(error: unknown): string | null {
  return error instanceof pg.DatabaseError ? (error.code ?? '') : null;
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
