import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { identity, reachableTempDir, serverAccount } from '../../local/cloud/postgres-binaries.ts';
import { startWatchdog } from '../../local/cloud/watchdog.ts';

/** The program of this machine, or null where it is not installed. */
export const pgBouncerProgram: string | null =
  [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin']
    .map((directory) => path.join(directory, 'pgbouncer'))
    .find((program) => {
      try {
        accessSync(program, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    }) ?? null;

/** Behind the name of what is tested with PgBouncer: why it is skipped, if it is. */
export const orWhyNot = pgBouncerProgram === null ? ' (skipped: pgbouncer is not installed here)' : '';

export interface PgBouncer {
  /** The database of a URL of the server, behind the pooler. */
  through(url: string): string;
  /** Server connections that it has open now. */
  serverPids(): Promise<number[]>;
  stop(): Promise<void>;
}

export interface PgBouncerOptions {
  /** The Postgres behind it, which lets the user `postgres` in without a password. */
  serverPort: number;
  mode: 'transaction' | 'session';
  /** Server connections per database. */
  poolSize: number;
}

/**
 * Starts a PgBouncer on 127.0.0.1 with its defaults but for what is named, also as root (which it refuses to run as).
 * It ends with this process, even when that is killed. Rejects with its own words when it does not start.
 */
export async function startPgBouncer({ serverPort, mode, poolSize }: PgBouncerOptions): Promise<PgBouncer> {
  if (pgBouncerProgram === null) throw new Error('pgbouncer is not installed here');
  const account = serverAccount();
  const directory = await mkdtemp(path.join(reachableTempDir(account), 'evergrant-pgbouncer-'));
  const watchdog = startWatchdog();
  const port = await freePort();
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'trust',
    auth_file: path.join(directory, 'users.txt'),
    admin_users: 'postgres',
    pool_mode: mode,
    default_pool_size: poolSize,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  const configuration = `[databases]\n* = host=127.0.0.1 port=${serverPort}\n[pgbouncer]\n${lines.join('\n')}\n`;
  await writeFile(path.join(directory, 'pgbouncer.ini'), configuration);
  await writeFile(settings.auth_file, '"postgres" ""\n');
  await chmod(directory, 0o700);
  if (account) await chown(directory, account.uid, account.gid);

  const child = spawn(pgBouncerProgram, [path.join(directory, 'pgbouncer.ini')], {
    ...identity(account),
    // A group of its own: Ctrl-C in the terminal must reach us, not PgBouncer.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (child.pid) watchdog.guard(child.pid, 'KILL');
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output = (output + chunk).slice(-4_000);
  });
  const ended = once(child, 'close');
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    if (child.pid) watchdog.release(child.pid);
    await watchdog.stop();
    await rm(directory, { recursive: true, force: true });
  };
  while (!output.includes('process up')) {
    if (child.exitCode !== null || child.signalCode !== null) {
      await stop();
      throw new Error(`PgBouncer did not start:\n${output}`);
    }
    await sleep(10);
  }
  const base = `postgres://postgres@127.0.0.1:${port}`;
  return {
    through: (url) => `${base}${new URL(url).pathname}?sslmode=disable`,
    async serverPids() {
      const admin = new pg.Client({ connectionString: `${base}/pgbouncer` });
      await admin.connect();
      try {
        // Its console knows the simple protocol only, and no parameters.
        const { rows } = await admin.query<{ remote_pid: string }>('SHOW SERVERS');
        return rows.map(({ remote_pid }) => Number(remote_pid));
      } finally {
        await admin.end();
      }
    },
    stop,
  };
}

async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  return port;
}
