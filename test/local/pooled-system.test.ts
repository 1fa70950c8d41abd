import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectAccount } from '../../local/provider/connect.ts';
import { type LocalSystem, startSystem } from '../../local/system.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { orWhyNot, type PgBouncer, pgBouncerProgram, startPgBouncer } from '../support/pgbouncer.ts';

describe.skipIf(pgBouncerProgram === null)(
  `the system behind PgBouncer in transaction mode${orWhyNot}`,
  () => {
    let db: TestDatabase;
    let pooler: PgBouncer;
    let system: LocalSystem;
    const directories: string[] = [];
    beforeAll(async () => {
      db = await testDatabase({ empty: true });
      pooler = await startPgBouncer({
        serverPort: Number(new URL(db.url).port),
        mode: 'transaction',
        poolSize: 2,
      });
      const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-pooled-'));
      directories.push(directory);
      system = await startSystem({
        directory,
        databaseUrl: db.url,
        pooledUrl: pooler.through(db.url),
        persistent: false,
        scanIntervalMs: 1_000,
        providers: [
          {
            name: 'acme-calendar',
            displayName: 'Acme Calendar',
            clientAuth: 'client_secret_basic',
            accessTokenLifetimeSeconds: 3_600,
          },
        ],
      });
    }, 120_000);
    afterAll(async () => {
      await system?.stop();
      await pooler?.stop();
      await db?.end();
      for (const directory of directories) await rm(directory, { recursive: true, force: true });
    });

    /** Connects a person's account, with a token that is due. */
    async function connect(name: string, failures: number) {
      const { provider, client } = system.providers[0]!;
      const user = await system.store.addUser(`${name}@acme-flows.example`, name);
      const connection = await connectAccount(provider, { account: user.email, client });
      if (failures > 0) provider.faults.revokeAccount(user.email);
      const id = await system.store.connect(user.id, provider.name, connection);
      await db.sql('UPDATE integrations SET expires_at = now(), consecutive_failures = $2 WHERE id = $1', [
        id,
        failures,
      ]);
      return { id, user };
    }

    test('refreshes one integration, and warns the user of another', { timeout: 60_000 }, async () => {
      const [ada, grace] = await Promise.all([connect('ada', 0), connect('grace', 1)]);

      const within = { timeout: 45_000, interval: 200 };
      await expect
        .poll(async () => (await db.integration(ada.id)).last_refresh_success, within)
        .not.toBe(null);
      const notifications = () =>
        db.sql('SELECT user_id, type FROM notifications WHERE user_id = $1', [grace.user.id]);
      await expect
        .poll(notifications, within)
        .toEqual([{ user_id: grace.user.id, type: 'integration_warning' }]);
      await expect
        .poll(async () => (await system.cloud.listEmails()).map(({ destination }) => destination.to), within)
        .toEqual([[grace.user.email]]);

      expect(await db.integration(ada.id)).toMatchObject({ status: 'connected', consecutive_failures: 0 });
      expect(await db.integration(grace.id)).toMatchObject({ status: 'connected', consecutive_failures: 2 });
      // Nobody but the functions goes through the pooler, and they go no other way.
      const pids = await pooler.serverPids();
      expect(pids.length).toBeGreaterThan(0);
      const writers = await db.sql<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND query LIKE '%refresh_held_until%' AND pid <> pg_backend_pid()`,
      );
      expect(pids).toEqual(expect.arrayContaining(writers.map(({ pid }) => pid)));
    });
  },
);
