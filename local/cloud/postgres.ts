import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, mkdtemp, realpath, rename, rm, rmdir, symlink } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import type { PostgresBinaries, ServerAccount } from './postgres-binaries.ts';
import { canEnter, identity, locateBinaries, reachableTempDir, serverAccount } from './postgres-binaries.ts';
import type { Watchdog } from './watchdog.ts';
import { startWatchdog } from './watchdog.ts';

export interface PostgresOptions {
  /** Where the cluster lives. As root it may become a link to a temp folder, when PostgreSQL's account can't reach it. */
  dataDir: string;
  /** A fixed TCP port on 127.0.0.1; by default a free one. */
  port?: number;
  /** true keeps the data for the next start; false starts empty, skips every fsync, and removes the data at stop. */
  persistent: boolean;
  /** Settings of the server, such as `shared_buffers=2GB`, beyond those that it has here. */
  settings?: readonly string[];
}

export interface PostgresServer {
  /** Superuser URL of the database "evergrant". */
  url: string;
  port: number;
  /** Process id of the postmaster. */
  pid: number;
  /** Fast shutdown; SIGKILL after 5 s. */
  stop(): Promise<void>;
}

const DATABASE = 'evergrant';
const STOP_TIMEOUT_MS = 5_000;
const START_TIMEOUT_MS = 60_000;
/** The postmaster of a killed run needs a moment to hear of it from its watchdog. */
const SETTLE_MS = 500;

/**
 * Starts a real PostgreSQL on 127.0.0.1 (no password, no Unix socket, max_connections 200), also as root.
 * It ends with this process, even when that is killed.
 * @throws Error when the port is taken, when another server runs on `dataDir` (with its pid), or with the server's own
 *   last lines when it doesn't start.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const account = serverAccount();
  const binaries = await locateBinaries(account);
  const directory = await prepareDirectory(options, account);
  const cluster = path.join(directory, 'cluster');
  if (!existsSync(cluster)) await initialize(binaries, directory, cluster, account);
  const { postmaster, port, release } = await launch(binaries, cluster, options, account);
  const url = `postgresql://postgres@127.0.0.1:${port}/${DATABASE}?sslmode=disable`;

  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      await shutDown(postmaster);
      await release();
      if (!options.persistent) await removeDirectory(options.dataDir);
    })();
    return stopping;
  };
  try {
    await ensureDatabase(url.replace(`/${DATABASE}?`, '/postgres?'), DATABASE);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, port, pid: postmaster.pid!, stop };
}

/**
 * Creates a database, optionally as a copy of another one (nobody may be connected to that one meanwhile).
 * @param adminUrl URL of any database of the server, as a superuser.
 * @returns The new database's URL.
 */
export async function createDatabase(adminUrl: string, name: string, template?: string): Promise<string> {
  const source = template === undefined ? '' : ` TEMPLATE ${pg.escapeIdentifier(template)}`;
  await execute(adminUrl, `CREATE DATABASE ${pg.escapeIdentifier(name)}${source}`);
  const url = new URL(adminUrl);
  url.pathname = `/${encodeURIComponent(name)}`;
  return url.href;
}

/** Drops a database, ending the connections to it; one that doesn't exist is fine. */
export async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await execute(adminUrl, `DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
}

async function ensureDatabase(adminUrl: string, name: string): Promise<void> {
  const found = await execute(adminUrl, `SELECT FROM pg_database WHERE datname = ${pg.escapeLiteral(name)}`);
  if (found.rowCount === 0) await createDatabase(adminUrl, name);
}

async function execute(url: string, statement: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(statement);
  } finally {
    await client.end();
  }
}

async function prepareDirectory(options: PostgresOptions, account: ServerAccount | null): Promise<string> {
  const { dataDir, persistent } = options;
  if (!persistent) await removeDirectory(dataDir);
  if (!existsSync(dataDir)) {
    await mkdir(path.dirname(dataDir), { recursive: true });
    // A link may be left over whose target has been cleaned away.
    await rm(dataDir, { force: true });
    if (account && !canEnter(path.dirname(dataDir), account)) {
      await symlink(await mkdtemp(path.join(reachableTempDir(account), 'evergrant-postgres-data-')), dataDir);
    } else {
      await mkdir(dataDir);
    }
  }
  const directory = await realpath(dataDir);
  await chmod(directory, 0o700);
  if (account) await chown(directory, account.uid, account.gid);
  if (!canEnter(directory, account)) {
    throw new Error(
      `PostgreSQL's account ${account?.name ?? ''} can't enter ${directory}. Choose another dataDir.`,
    );
  }
  return directory;
}

/** Removes the cluster, and its folder unless that holds anything else. */
async function removeDirectory(dataDir: string): Promise<void> {
  const entry = await lstat(dataDir).catch(() => null);
  if (!entry) return;
  const directory = await realpath(dataDir).catch(() => null);
  if (directory) {
    await waitForOldPostmaster(path.join(directory, 'cluster'));
    await rm(path.join(directory, 'cluster'), { recursive: true, force: true });
    await rm(path.join(directory, 'cluster.new'), { recursive: true, force: true });
    await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  }
  if (entry.isSymbolicLink()) await rm(dataDir, { force: true });
}

async function initialize(
  binaries: PostgresBinaries,
  directory: string,
  cluster: string,
  account: ServerAccount | null,
): Promise<void> {
  // Renamed into place when complete, so that an interrupted initdb is never taken for a cluster.
  const staging = path.join(directory, 'cluster.new');
  await rm(staging, { recursive: true, force: true });
  const flags = ['--username=postgres', '--auth=trust', '--no-sync', '--no-instructions'];
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  await promisify(execFile)(binaries.initdb, ['-D', staging, ...flags, ...locale], identity(account));
  await rename(staging, cluster);
}

interface Launched {
  postmaster: ChildProcess;
  port: number;
  release: () => Promise<void>;
}

async function launch(
  binaries: PostgresBinaries,
  cluster: string,
  options: PostgresOptions,
  account: ServerAccount | null,
): Promise<Launched> {
  await waitForOldPostmaster(cluster);
  const watchdog = startWatchdog();
  try {
    for (let attempt = 1; ; attempt++) {
      const port = options.port ?? (await freePort());
      const postmaster = spawn(binaries.postgres, serverArguments(cluster, port, options), {
        ...identity(account),
        // A group of its own: Ctrl-C in the terminal must reach us, not PostgreSQL.
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      if (postmaster.pid) watchdog.guard(postmaster.pid, 'INT');
      const failure = await untilReady(postmaster);
      if (failure === null) return { postmaster, port, release: () => releasing(postmaster, watchdog) };
      if (postmaster.pid) watchdog.release(postmaster.pid);
      const portTaken = /could not bind|Address already in use/.test(failure);
      if (portTaken && options.port !== undefined) {
        throw new Error(`PostgreSQL's port ${port} (option port) is already in use on 127.0.0.1.`);
      }
      if (!portTaken || attempt === 5) throw new Error(`PostgreSQL didn't start on ${cluster}:\n${failure}`);
    }
  } catch (error) {
    await watchdog.stop();
    throw error;
  }
}

async function releasing(postmaster: ChildProcess, watchdog: Watchdog): Promise<void> {
  if (postmaster.pid) watchdog.release(postmaster.pid);
  await watchdog.stop();
}

function serverArguments(
  cluster: string,
  port: number,
  { persistent, settings: wanted = [] }: PostgresOptions,
): string[] {
  const durability = persistent ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'];
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    'timezone=UTC',
    ...durability,
    ...wanted,
  ];
  return ['-D', cluster, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
}

/** Resolves with null when the server accepts connections, or with its last lines when it ended instead. */
function untilReady(postmaster: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    let tail = '';
    const timer = setTimeout(() => {
      tail += `\nnot ready after ${START_TIMEOUT_MS} ms`;
      postmaster.kill('SIGKILL');
    }, START_TIMEOUT_MS);
    postmaster.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      tail = (tail + chunk).slice(-4_000);
      if (!tail.includes('ready to accept connections')) return;
      clearTimeout(timer);
      resolve(null);
    });
    postmaster.once('error', (error) => {
      clearTimeout(timer);
      resolve(error.message);
    });
    postmaster.once('close', () => {
      clearTimeout(timer);
      resolve(tail.trim());
    });
  });
}

async function shutDown(postmaster: ChildProcess): Promise<void> {
  if (postmaster.exitCode !== null || postmaster.signalCode !== null) return;
  const ended = once(postmaster, 'exit');
  postmaster.kill('SIGINT');
  const timer = setTimeout(() => postmaster.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}

async function waitForOldPostmaster(cluster: string): Promise<void> {
  const startedAt = Date.now();
  for (;;) {
    const old = runningPostmaster(cluster);
    if (old === null) return;
    if (Date.now() - startedAt > (old.isStopping ? STOP_TIMEOUT_MS : SETTLE_MS)) {
      throw new Error(
        `Another PostgreSQL (pid ${old.pid}) runs on ${cluster}. Stop it first: kill -INT ${old.pid}`,
      );
    }
    await sleep(50);
  }
}

/** The live process that postmaster.pid names, unless it evidently isn't PostgreSQL but a later owner of that pid. */
function runningPostmaster(cluster: string): { pid: number; isStopping: boolean } | null {
  let lockFile: string;
  let pid: number;
  try {
    lockFile = readFileSync(path.join(cluster, 'postmaster.pid'), 'utf8');
    pid = Number.parseInt(lockFile, 10);
    process.kill(pid, 0);
  } catch {
    // No lock file, no such process, or one of another user, which could not own our cluster.
    return null;
  }
  const commandLine = `/proc/${pid}/cmdline`;
  if (existsSync(commandLine) && !readFileSync(commandLine, 'utf8').includes('postgres')) return null;
  return { pid, isStopping: lockFile.includes('stopping') };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as net.AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
