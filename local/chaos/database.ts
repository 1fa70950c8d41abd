import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { clientConfig } from '../../lambdas/postgres/database.ts';
import { type PostgresServer, startPostgres } from '../cloud/postgres.ts';

/** The Postgres of a run, which is stopped, killed and paused, and whose committed rows survive all of it. */
export class ChaosDatabase {
  readonly #directory: string;
  #server: PostgresServer;
  #backends: number[] = [];
  restarts = 0;

  private constructor(directory: string, server: PostgresServer) {
    this.#directory = directory;
    this.#server = server;
  }

  static async start(directory: string): Promise<ChaosDatabase> {
    const server = await startPostgres({ dataDir: directory, persistent: true });
    const database = new ChaosDatabase(directory, server);
    // Its processes die and the machine does not: what is written need not reach the disk, but has to be written.
    await database.sql('ALTER SYSTEM SET fsync = off');
    await database.sql('ALTER SYSTEM SET full_page_writes = off');
    await database.sql('SELECT pg_reload_conf()');
    return database;
  }

  get url(): string {
    return this.#server.url;
  }

  get port(): number {
    return this.#server.port;
  }

  /** One statement on a connection of its own, past the gate. Rejects while Postgres is away. */
  async sql<Row extends pg.QueryResultRow>(
    statement: string,
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    const client = new pg.Client({ ...clientConfig({ url: this.url }), query_timeout: 60_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query<Row>(statement, [...parameters])).rows;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Ends Postgres without a farewell, keeps it away for so long, and starts it again. */
  async crash(signal: 'SIGQUIT' | 'SIGKILL', awayMs: number): Promise<void> {
    const before = this.#server;
    process.kill(before.pid, signal);
    await sleep(awayMs);
    await this.#startAgain(before);
    this.restarts += 1;
  }

  /** Stops every process of it in its tracks for so long. */
  async pause(ms: number): Promise<void> {
    const { pid } = this.#server;
    const rows = await this.sql<{ pid: number }>(
      'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()',
    );
    this.#backends = [pid, ...rows.map((row) => row.pid)];
    for (const each of this.#backends) signal(each, 'SIGSTOP');
    await sleep(ms);
    this.resume();
  }

  resume(): void {
    for (const each of this.#backends) signal(each, 'SIGCONT');
    this.#backends = [];
  }

  async stop(): Promise<void> {
    this.resume();
    await this.#server.stop();
  }

  /** What a killed postmaster leaves behind takes a moment to notice, and until then nobody may start on its files. */
  async #startAgain(before: PostgresServer): Promise<void> {
    await before.stop();
    const deadlineMs = performance.now() + startTimeoutMs;
    for (;;) {
      try {
        this.#server = await startPostgres({ dataDir: this.#directory, persistent: true, port: before.port });
        return;
      } catch (error) {
        if (performance.now() > deadlineMs) throw error;
        await sleep(100);
      }
    }
  }
}

const startTimeoutMs = 60_000;

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
