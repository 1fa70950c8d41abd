import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { access } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
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

test('a persistent server keeps its data over restarts and crashes, and is alone on it', async () => {
  const options = { dataDir: path.join(directory, 'persistent'), persistent: true };
  const first = await startPostgres(options);
  await query(first.url, 'CREATE TABLE t AS SELECT 7 AS n');
  await expect(startPostgres(options)).rejects.toThrow(`Another PostgreSQL (pid ${first.pid}) runs on`);
  await first.stop();

  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port } = blocker.address() as AddressInfo;
  await expect(startPostgres({ ...options, port })).rejects.toThrow(
    `port ${port} (option port) is already in use`,
  );
  blocker.close();

  const second = await startPostgres({ ...options, port });
  expect(second.port).toBe(port);
  expect(await query(second.url, 'SELECT n FROM t')).toEqual([{ n: 7 }]);
  process.kill(second.pid, 'SIGKILL');
  await second.stop();

  const third = await startPostgres(options);
  expect(await query(third.url, 'SELECT n FROM t')).toEqual([{ n: 7 }]);
  await third.stop();
});
