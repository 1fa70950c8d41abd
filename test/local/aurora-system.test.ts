import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Check } from '../../lambdas/operator/reports.ts';
import type { CloudEvent } from '../../local/cloud/events.ts';
import { connectAccount } from '../../local/provider/connect.ts';
import { type LocalSystem, startSystem } from '../../local/system.ts';
import { evergrantJson, temporaryDirectory } from '../cli/harness.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

let db: TestDatabase;
let system: LocalSystem;
const events: CloudEvent[] = [];
let directory = '';
beforeAll(async () => {
  db = await testDatabase({ empty: true });
  directory = await temporaryDirectory();
  system = await startSystem({
    directory,
    databaseUrl: db.url,
    persistent: false,
    // Scans are made by hand.
    scanIntervalMs: 3_600_000,
    settings: { database: 'aurora' },
    providers: [
      {
        name: 'acme-calendar',
        displayName: 'Acme Calendar',
        clientAuth: 'client_secret_basic',
        accessTokenLifetimeSeconds: 3_600,
      },
    ],
    onEvent: (event) => events.push(event),
  });
}, 120_000);
afterAll(async () => {
  await system?.stop();
  await db?.end();
  if (directory) await rm(directory, { recursive: true, force: true });
});

/** Makes the token due, scans, and waits until it is refreshed. Returns the new access token as it is stored. */
async function refreshed(id: string): Promise<string | null> {
  await db.sql('UPDATE integrations SET expires_at = now(), refresh_held_until = NULL WHERE id = $1', [id]);
  const { last_refresh_success: before } = await db.integration(id);
  expect(await system.cloud.invoke(system.functionId('scanner'), {})).toMatchObject({ ok: true });
  await expect
    .poll(async () => (await db.integration(id)).last_refresh_success, { timeout: 30_000, interval: 200 })
    .not.toEqual(before);
  const row = await db.integration(id);
  expect(row).toMatchObject({
    status: 'connected',
    consecutive_failures: 0,
    consecutive_transient_failures: 0,
  });
  expect(row.expires_at?.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
  return row.access_token;
}

/** Backends whose latest statement, or at least a part of it, only the functions send. */
async function backendsOfFunctions(): Promise<number[]> {
  const rows = await db.sql<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query ~ $1',
    ['evergrant[.](scans|refresh_outcomes)|refresh_claim'],
  );
  return rows.map(({ pid }) => pid);
}

/** Connections that a function was let into as IAM has it. */
function connectionsOf(name: string): number {
  return system.cloud
    .permissionUsage()
    .allowed.filter(({ holder, action }) => holder.startsWith(name) && action === 'rds-db:connect')
    .reduce((total, { callCount }) => total + callCount, 0);
}

test('with a cluster of the stack, functions get in by IAM, and in again after a failover', {
  timeout: 90_000,
}, async () => {
  const [{ provider, client } = undefined as never] = system.providers;
  const ada = await system.store.addUser('ada@acme-flows.example', 'Ada');
  const connection = await connectAccount(provider, { account: ada.email, client });
  const id = await system.store.connect(ada.id, provider.name, connection);

  const first = await refreshed(id);
  expect((await backendsOfFunctions()).length).toBeGreaterThan(0);
  system.cloud.cutDatabaseConnections();
  await expect.poll(backendsOfFunctions, { timeout: 10_000 }).toEqual([]);
  expect(await refreshed(id)).not.toBe(first);
  expect(provider.faults.totals()).toEqual({ calls: 2, reuse: 0, overlapped: 0 });

  // One connection before the failover and one after it, and no password in either.
  expect(connectionsOf('RefresherFunction')).toBe(2);
});

test('the checklist finds nothing amiss, and asks IAM for nothing that the roles lack', async () => {
  const { code, document } = await evergrantJson<{ well: boolean; checks: Check[] }>([
    'verify',
    '--local',
    '--directory',
    directory,
  ]);
  expect(document.checks.filter(({ state }) => state === 'failed')).toEqual([]);
  expect({ code, well: document.well }).toEqual({ code: 0, well: true });
  expect(connectionsOf('OperatorFunction')).toBeGreaterThan(0);
  expect(system.cloud.permissionUsage().denied).toEqual([]);
  expect(events.filter(({ type }) => type === 'database.refused')).toEqual([]);
});
