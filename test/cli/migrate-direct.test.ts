import { mkdtemp, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { MigrationReport } from '../../lambdas/migrator/migrate.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { evergrant, evergrantJson } from './harness.ts';

// Each test runs several processes, one after the other.
vi.setConfig({ testTimeout: 120_000 });

interface ErrorDocument {
  error: { code: string; message: string };
}

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase({ empty: true });
});
afterAll(() => database?.end());

const direct = (word: string, ...options: string[]) => ['migrate', word, '--direct', ...options];

test('migrations go up and down from here, with no stack and no AWS', async () => {
  const env = { DATABASE_URL: database.url };
  const before = await evergrantJson<MigrationReport>(direct('status'), env);
  expect(before.code).toBe(0);
  expect(before.document.applied).toEqual([]);
  const all = before.document.pending;

  const first = await evergrantJson<MigrationReport>(direct('up', '--count', '1'), env);
  expect(first.document).toMatchObject({ ran: all.slice(0, 1), pending: all.slice(1) });
  const rest = await evergrant(direct('up'), env);
  expect(rest.code).toBe(0);
  expect(rest.stdout).toContain(`✓ ${all.at(-1)}\n`);
  await database.insertIntegration();

  const down = await evergrant(direct('down', '--count', '2', '--yes'), env);
  expect(down.code).toBe(0);
  expect(down.stdout).toMatch(
    new RegExp(
      `^↩ ${all.at(-1)}\n↩ ${all.at(-2)}\n\n2 migrations taken back; ${all.length - 2} in force, 2 not\\.\n$`,
    ),
  );
  const empty = await evergrantJson<MigrationReport>(direct('down', '--count', '99', '--yes'), env);
  expect(empty.document.applied).toEqual([]);
  const nothing = await evergrant(direct('down'), env);
  expect(nothing).toMatchObject({ code: 0, stdout: 'Nothing to take back: no migration is in force.\n' });
});

test('a database that cannot be used is named without its password', async () => {
  const { code, document } = await evergrantJson<ErrorDocument>(direct('up'), {
    DATABASE_URL: 'postgres://somebody:a-password@127.0.0.1:1/nowhere?sslmode=disable',
  });
  expect(code).toBe(1);
  expect(document.error.code).toBe('database_unavailable');
  expect(document.error.message).toMatch(
    /^The database nowhere at 127\.0\.0\.1 cannot be used: .*ECONNREFUSED/,
  );
  expect(document.error.message).not.toContain('a-password');
});

test('TLS is asked for, and how to do without is said', async () => {
  const { document } = await evergrantJson<ErrorDocument>(direct('up'), {
    DATABASE_URL: database.url.replace(/\?.*/, ''),
  });
  expect(document.error.message).toMatch(/does not support SSL.*add \?sslmode=disable/);
});

test('--ca must be a file of certificates', async () => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-ca-'));
  const file = path.join(directory, 'ca.pem');
  await writeFile(file, 'no certificate');
  const env = { DATABASE_URL: database.url };
  const wrong = await evergrantJson<ErrorDocument>(direct('status', '--ca', file), env);
  expect(wrong.code).toBe(2);
  expect(wrong.document.error.message).toContain('holds no PEM certificate');
  const missing = await evergrantJson<ErrorDocument>(direct('status', '--ca', `${file}.missing`), env);
  expect(missing.code).toBe(2);
  expect(missing.document.error.message).toContain('ENOENT');
});
