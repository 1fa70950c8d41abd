import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { access } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { createDatabase, dropDatabase, startPostgres } from '../../../local/cloud/postgres.ts';

const directory = mkdtempSync(path.join(os.tmpdir(), 'evergrant-postgres-test-'));
chmodSync(directory, 0o755);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a throwaway server serves, copies databases, and leaves nothing', async () => {
  // A folder that only we may enter, such as root's home, must do as well.
  mkdirSync(path.join(directory, 'private'), { mode: 0o700 });
  const dataDir = path.join(directory, 'private', 'throwaway');
  const server = await startPostgres({ dataDir, persistent: false });
  expect(
    await query(
      server.url,
      'SELECT current_database() AS name, rolsuper FROM pg_roles WHERE rolname = current_user',
    ),
  ).toEqual([{ name: 'evergrant', rolsuper: true }]);
  await query(server.url, 'CREATE TABLE t AS SELECT 7 AS n');
  const copy = await createDatabase(server.url, 'copy "1"', 'evergrant');
  expect(await query(copy, 'SELECT n FROM t')).toEqual([{ n: 7 }]);
  await dropDatabase(server.url, 'copy "1"');
  await expect(query(copy, 'SELECT 1')).rejects.toThrow('does not exist');
  await server.stop();
  expect(isAlive(server.pid)).toBe(false);
  await expect(access(dataDir)).rejects.toThrow();
});

test('a persistent server keeps its data over a restart, and is alone on it', async () => {
  const dataDir = path.join(directory, 'persistent');
  const first = await startPostgres({ dataDir, persistent: true });
  await query(first.url, 'CREATE TABLE t AS SELECT 7 AS n');
  const second = startPostgres({ dataDir, persistent: true });
  await expect(second).rejects.toThrow(`Another PostgreSQL (pid ${first.pid}) runs on`);
  const sameAgain = startPostgres({
    dataDir: path.join(directory, 'other'),
    port: first.port,
    persistent: false,
  });
  await expect(sameAgain).rejects.toThrow(`port ${first.port} (option port) is already in use`);
  await first.stop();
  const third = await startPostgres({ dataDir, persistent: true });
  expect(await query(third.url, 'SELECT n FROM t')).toEqual([{ n: 7 }]);
  await third.stop();
});

test('a server killed without warning starts again on its data', async () => {
  const dataDir = path.join(directory, 'killed');
  const first = await startPostgres({ dataDir, persistent: true });
  await query(first.url, 'CREATE TABLE t AS SELECT 7 AS n');
  process.kill(first.pid, 'SIGKILL');
  await first.stop();
  const second = await startPostgres({ dataDir, persistent: true });
  expect(await query(second.url, 'SELECT n FROM t')).toEqual([{ n: 7 }]);
  await second.stop();
});
