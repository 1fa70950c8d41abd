import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { MigrationFailed, migrate } from '../../lambdas/migrator/migrate.ts';
import { catalogOf, objectsBeside, type TableCatalog } from '../support/catalog.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { startProxy, through } from '../support/proxy.ts';
import { silentLogger } from '../support/silent-logger.ts';

const directory = path.join(import.meta.dirname, '..', '..', 'migrations');
const brownfieldSql = await readFile(path.join(import.meta.dirname, 'brownfield.sql'), 'utf8');

const opened: TestDatabase[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((db) => db.end()));
});

async function emptyDatabase(): Promise<TestDatabase> {
  const db = await testDatabase({ empty: true });
  opened.push(db);
  return db;
}

async function brownfield(): Promise<TestDatabase> {
  const db = await emptyDatabase();
  await db.sql(brownfieldSql);
  return db;
}

const run = (
  db: TestDatabase,
  direction: 'up' | 'down' | 'status',
  count: number | null = null,
  from = directory,
) => migrate({ url: db.url }, from, { direction, count }, silentLogger());
const up = (db: TestDatabase) => run(db, 'up');
const down = (db: TestDatabase, count = 99) => run(db, 'down', count);

const all = [
  '0001_product_tables',
  '0002_refresh_scheduling',
  '0003_notification_types',
  '0004_indexes',
  '0005_threshold_events',
  '0006_measures',
  '0007_provider_guards_and_lapses',
  '0008_lapse_indexes',
  '0009_unfinished_attempts',
];

const everyRow = async (db: TestDatabase, table: string) =>
  (await db.sql<{ row: string }>(`SELECT to_jsonb(t)::text AS row FROM ${table} AS t ORDER BY id`)).map(
    ({ row }) => JSON.parse(row) as Record<string, unknown>,
  );

const oldTypes = [
  'team_invitation',
  'workflow_shared',
  'execution_failed',
  'integration_disconnected',
  'system',
];
const newTypes = ['integration_warning', 'integration_rate_limit'];

/** Which of some types the check constraint lets in; nothing stays. */
async function admitted(db: TestDatabase): Promise<string[]> {
  const types: string[] = [];
  for (const type of [...oldTypes, ...newTypes, 'other', '']) {
    const [user] = await db.sql<{ user_id: string }>(
      'SELECT user_id FROM notifications UNION ALL SELECT gen_random_uuid() LIMIT 1',
    );
    const insert = db.inTransaction(async (client) => {
      await client.query(`INSERT INTO notifications (user_id, type, title) VALUES ($1, $2, 'x')`, [
        user!.user_id,
        type,
      ]);
      await client.query('ROLLBACK');
      types.push(type);
    });
    await insert.catch((error: { code?: string }) => expect(error.code).toBe('23514'));
  }
  return types;
}

/** Rows as the notifier writes them, with their events; returns how they stand. */
async function writeOurNotifications(db: TestDatabase) {
  await db.sql(
    `INSERT INTO notifications (user_id, type, title, metadata, event_id)
     SELECT (SELECT user_id FROM notifications UNION ALL SELECT gen_random_uuid() LIMIT 1), type, type, metadata,
            gen_random_uuid()
     FROM unnest(ARRAY['integration_warning', 'integration_rate_limit', 'integration_disconnected']) AS type,
          unnest(ARRAY[NULL, '{}', '{"provider": "acme", "evergrant": 1}', '[1, {"a": null}]', 'null', '"text"']::jsonb[])
            AS metadata`,
  );
  return everyRow(db, 'notifications');
}

it('waits for a server that does not answer yet, and not for one that refuses', async () => {
  const db = await emptyDatabase();
  const proxy = await startProxy(Number(new URL(db.url).port));
  try {
    const status = { direction: 'status', count: null } as const;
    const within = { connectWithinMs: 30_000 };
    proxy.cut();
    const away = migrate({ url: through(proxy, db.url) }, directory, status, silentLogger());
    await expect(away).rejects.toThrow(/ECONNRESET|terminated/);
    const waiting = migrate({ url: through(proxy, db.url) }, directory, status, silentLogger(), within);
    await new Promise((resolve) => setTimeout(resolve, 200));
    proxy.restore();
    expect((await waiting).applied).toEqual([]);
    const nowhere = new URL(db.url);
    nowhere.pathname = '/there-is-no-such-database';
    await expect(
      migrate({ url: nowhere.href }, directory, status, silentLogger(), within),
    ).rejects.toMatchObject({ code: '3D000' });
  } finally {
    await proxy.stop();
  }
});

describe('an empty database', () => {
  it('gets everything, in order', async () => {
    const db = await emptyDatabase();
    expect(await run(db, 'status')).toEqual({ direction: 'status', ran: [], applied: [], pending: all });
    expect(await up(db)).toEqual({ direction: 'up', ran: all, applied: all, pending: [] });
    expect(await admitted(db)).toEqual([...oldTypes, ...newTypes]);
    const { columns } = await catalogOf(db, 'integrations');
    expect(columns.join('\n')).toMatch(/^consecutive_transient_failures integer/m);
  });

  it('has nothing left to do the second time', async () => {
    const db = await emptyDatabase();
    await up(db);
    const before = await catalogOf(db, 'integrations');
    expect(await up(db)).toMatchObject({ ran: [], pending: [] });
    expect(await catalogOf(db, 'integrations')).toEqual(before);
  });

  it('comes to the same after going down and up again, all the way and step by step', async () => {
    const db = await emptyDatabase();
    await up(db);
    const before = [await catalogOf(db, 'integrations'), await catalogOf(db, 'notifications')];
    const events = await catalogOf(db, 'evergrant.threshold_events');
    expect(await down(db)).toMatchObject({ ran: all.toReversed(), applied: [] });
    await up(db);
    expect([await catalogOf(db, 'integrations'), await catalogOf(db, 'notifications')]).toEqual(before);
    expect(await catalogOf(db, 'evergrant.threshold_events')).toEqual(events);
    for (let steps = 1; steps <= all.length; steps += 1) {
      for (let i = 0; i < steps; i += 1) expect((await down(db, 1)).ran).toHaveLength(1);
      expect((await up(db)).ran).toEqual(all.slice(-steps));
    }
    expect([await catalogOf(db, 'integrations'), await catalogOf(db, 'notifications')]).toEqual(before);
  });

  it('is migrated once by three migrators at once', async () => {
    const db = await emptyDatabase();
    const reports = await Promise.all([up(db), up(db), up(db)]);
    expect(reports.flatMap(({ ran }) => ran).toSorted()).toEqual(all);
    for (const { applied } of reports) expect(applied).toEqual(all);
  });

  it('keeps product tables and their rows on the way down', async () => {
    const db = await emptyDatabase();
    await up(db);
    await db.sql(`INSERT INTO integrations (user_id, provider) VALUES (gen_random_uuid(), 'acme')`);
    await down(db);
    expect(await db.sql('SELECT provider FROM integrations')).toEqual([{ provider: 'acme' }]);
  });
});

describe('a product’s database', () => {
  const ours = [
    'consecutive_transient_failures',
    'refresh_held_until',
    'refresh_claim',
    'refresh_claim_open',
    'failing_grant',
    'failure_emailed_at',
    'disconnected_grant',
    'grant_connected_since',
    'failure_warned_at',
    'lapse_warned_for',
    'refresh_started_at',
    'doubtful_grant',
    'doubtful_since',
    'event_id',
  ];
  const withoutOurs = (catalog: TableCatalog): TableCatalog => ({
    ...catalog,
    columns: catalog.columns.filter((line) => !ours.includes(line.split(' ')[0]!)),
    indexes: catalog.indexes.filter((line) => !line.includes('evergrant_')),
    constraints: catalog.constraints.filter((line) => !line.startsWith('notifications_type_check')),
  });
  const withoutOurColumns = (rows: Record<string, unknown>[]) =>
    rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !ours.includes(name))));

  it('has nothing changed but what is named', async () => {
    const db = await brownfield();
    const tables = ['integrations', 'notifications', 'users', 'executions', 'audit'];
    const before = await Promise.all(tables.map((table) => catalogOf(db, table)));
    const beside = await objectsBeside(db, []);
    const rows = [await everyRow(db, 'integrations'), await everyRow(db, 'notifications')];
    await up(db);

    const after = await Promise.all(tables.map((table) => catalogOf(db, table)));
    expect(after.map(withoutOurs)).toEqual(before.map(withoutOurs));
    expect(await objectsBeside(db, [])).toEqual(beside);
    expect([
      withoutOurColumns(await everyRow(db, 'integrations')),
      withoutOurColumns(await everyRow(db, 'notifications')),
    ]).toEqual(rows);
    // Not even a trigger of the product has fired.
    expect(await db.sql('SELECT what FROM audit')).toEqual([]);
    // Old columns first, ours behind them: a product's INSERT without column names goes on working in front.
    expect(after[0]!.columns.slice(0, before[0]!.columns.length)).toEqual(before[0]!.columns);
  });

  it('has the named changes', async () => {
    const db = await brownfield();
    await up(db);
    expect(await admitted(db)).toEqual([...oldTypes, ...newTypes]);
    const integrations = await catalogOf(db, 'integrations');
    const notifications = await catalogOf(db, 'notifications');
    const names = [...integrations.columns, ...notifications.columns].map((line) => line.split(' ')[0]);
    for (const column of ours) expect(names).toContain(column);
    expect(notifications.constraints.join()).not.toContain('not validated');
    expect([...integrations.indexes, ...notifications.indexes].join()).not.toContain('invalid');
  });

  it('tells nobody of rows that were failing already', async () => {
    const db = await brownfield();
    await up(db);
    expect(await db.sql('SELECT * FROM evergrant.threshold_events')).toEqual([]);
  });

  it('is as it was after going down', async () => {
    const db = await brownfield();
    const before = [await catalogOf(db, 'integrations'), await catalogOf(db, 'notifications')];
    const rows = [await everyRow(db, 'integrations'), await everyRow(db, 'notifications')];
    await up(db);
    await down(db);
    expect([await catalogOf(db, 'integrations'), await catalogOf(db, 'notifications')]).toEqual(before);
    expect([await everyRow(db, 'integrations'), await everyRow(db, 'notifications')]).toEqual(rows);
    expect(await admitted(db)).toEqual(oldTypes);
  });

  it('keeps every notification on the way down, and has them as they were when up again', async () => {
    const db = await brownfield();
    await up(db);
    const before = await writeOurNotifications(db);
    expect(before.some(({ type }) => type === 'integration_warning')).toBe(true);
    await down(db);
    const between = await everyRow(db, 'notifications');
    expect(between.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(between.filter(({ type }) => !oldTypes.includes(String(type)))).toEqual([]);
    expect(await admitted(db)).toEqual(oldTypes);
    const untouched = ({ metadata: _m, type: _t, event_id: _e, ...rest }: Record<string, unknown>) => rest;
    expect(between.map(untouched)).toEqual(before.map(untouched));
    await up(db);
    expect(await everyRow(db, 'notifications')).toEqual(before);
  });

  it('leaves alone what users did to a notification while the migrations were down', async () => {
    const db = await brownfield();
    await up(db);
    await writeOurNotifications(db);
    await down(db);
    await db.sql('UPDATE notifications SET is_read = true');
    await up(db);
    expect(await db.sql('SELECT FROM notifications WHERE NOT is_read')).toEqual([]);
    expect(await db.sql(`SELECT FROM notifications WHERE type = 'integration_warning'`)).toHaveLength(6);
  });

  it('keeps a counter of its own on the way down, with its values', async () => {
    const db = await brownfield();
    await db.sql('ALTER TABLE integrations ADD COLUMN consecutive_transient_failures integer');
    await db.sql('UPDATE integrations SET consecutive_transient_failures = 3');
    const before = [await catalogOf(db, 'integrations'), await everyRow(db, 'integrations')];
    await up(db);
    await down(db);
    expect([await catalogOf(db, 'integrations'), await everyRow(db, 'integrations')]).toEqual(before);
  });

  it('keeps an event id of its own on the way down, with its values', async () => {
    const db = await brownfield();
    await db.sql('ALTER TABLE notifications ADD COLUMN event_id uuid');
    await db.sql('UPDATE notifications SET event_id = gen_random_uuid()');
    const before = [await catalogOf(db, 'notifications'), await everyRow(db, 'notifications')];
    await up(db);
    await down(db);
    expect([await catalogOf(db, 'notifications'), await everyRow(db, 'notifications')]).toEqual(before);
  });

  it('may have its status in an enum and its metadata in json', async () => {
    const db = await brownfield();
    await db.sql('DROP VIEW connected');
    await db.sql('DROP INDEX integrations_by_expiry');
    await db.sql(
      `CREATE TYPE connection AS ENUM ('connected', 'needs_reauthorization', 'disconnected', 'paused', 'error')`,
    );
    await db.sql(
      `ALTER TABLE integrations ALTER COLUMN metadata DROP DEFAULT, ALTER COLUMN status DROP DEFAULT,
         ALTER COLUMN status TYPE connection USING status::connection, ALTER COLUMN metadata TYPE json`,
    );
    const before = [await catalogOf(db, 'integrations'), await everyRow(db, 'integrations')];
    await up(db);
    const { indexes } = await catalogOf(db, 'integrations');
    expect(indexes.filter((line) => line.includes(' evergrant_'))).toHaveLength(3);
    await down(db);
    expect([await catalogOf(db, 'integrations'), await everyRow(db, 'integrations')]).toEqual(before);
  });

  it('gets metadata where it has none, and keeps what stands in it on the way down', async () => {
    const db = await brownfield();
    await db.sql('DROP VIEW connected');
    await db.sql('ALTER TABLE integrations DROP COLUMN metadata');
    await up(db);
    await db.sql(`UPDATE integrations SET metadata = '{"instance_url": "https://eu1.acme.example"}'`);
    const rows = async () =>
      (await everyRow(db, 'integrations')).map(({ id, metadata }) => ({ id, metadata }));
    const before = await rows();
    await down(db);
    expect(await rows()).toEqual(before);
    await up(db);
    expect(await rows()).toEqual(before);
  });

  it('goes up without the old constraint as well', async () => {
    const db = await brownfield();
    await db.sql('ALTER TABLE notifications DROP CONSTRAINT notifications_type_check');
    await up(db);
    expect(await admitted(db)).toEqual([...oldTypes, ...newTypes]);
  });

  it('goes on being used while the migrations run: reads and writes are let in', async () => {
    const db = await brownfield();
    await up(db);
    await down(db, all.length - all.indexOf('0004_indexes'));
    // A product's transaction that has read and written both tables and is not done yet.
    const ending = Promise.withResolvers<void>();
    const busy = Promise.withResolvers<void>();
    const product = db.inTransaction(async (client) => {
      await client.query(`UPDATE integrations SET workspace = 'busy'`);
      busy.resolve();
      await ending.promise;
    });
    await busy.promise;
    const migrating = up(db);
    await expect
      .poll(() =>
        db.sql(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        ),
      )
      .not.toHaveLength(0);
    // The migration waits for that transaction, but others do not wait for the migration.
    await db.sql(`INSERT INTO integrations (provider) VALUES ('meanwhile')`);
    await db.sql('SELECT count(*) FROM integrations');
    ending.resolve();
    await product;
    expect((await migrating).pending).toEqual([]);
  });
});

describe('the outbox', () => {
  it('keeps events that are not handled yet through down and up', async () => {
    const db = await emptyDatabase();
    await up(db);
    const waiting = await db.insertEvent();
    const handled = await db.insertEvent({ handled_at: new Date(0) });
    await down(db);
    expect(await db.sql(`SELECT to_regclass('evergrant.threshold_events') AS t`)).toEqual([{ t: null }]);
    await up(db);
    expect(await db.event(waiting.id)).toEqual(waiting);
    expect(await db.event(handled.id)).toEqual(handled);
  });

  it('keeps what it remembers of disconnections, and so do the records of scans and outcomes', async () => {
    const db = await emptyDatabase();
    await up(db);
    await db.insertEvent({
      connected_since: new Date(1_000),
      warned_at: new Date(2_000),
      lapses_at: new Date(3_000),
    });
    await db.sql(`INSERT INTO evergrant.scans VALUES (now(), 1, 2, 3, 4, 5, 6, 7)`);
    await db.sql(
      `INSERT INTO evergrant.refresh_outcomes (provider, refreshed, disconnected) VALUES ('acme', 8, 9)`,
    );
    const everything = async () => [
      await db.sql('SELECT * FROM evergrant.threshold_events'),
      await db.sql('SELECT * FROM evergrant.scans'),
      await db.sql('SELECT * FROM evergrant.refresh_outcomes'),
    ];
    const before = await everything();
    await down(db);
    expect(await db.sql(`SELECT to_regclass('evergrant.scans') AS t`)).toEqual([{ t: null }]);
    await up(db);
    expect(await everything()).toEqual(before);
  });

  it('takes events of functions that do not know the measures yet', async () => {
    const db = await emptyDatabase();
    await up(db);
    await db.sql(
      `INSERT INTO evergrant.threshold_events (integration_id, user_id, provider, provider_name, notification_type,
         failure_code, consecutive_failures, consecutive_transient_failures, relay_after)
       VALUES (gen_random_uuid(), gen_random_uuid(), 'acme', 'Acme', 'integration_disconnected', 'x', 3, 0, now())`,
    );
    await db.sql(`INSERT INTO integrations (user_id, provider) VALUES (gen_random_uuid(), 'acme')`);
    expect(
      await db.sql('SELECT disconnected_grant, grant_connected_since, failure_warned_at FROM integrations'),
    ).toEqual([{ disconnected_grant: null, grant_connected_since: null, failure_warned_at: null }]);
  });

  it('keeps what is known of providers and what failed lately, through going down and up twice', async () => {
    const db = await emptyDatabase();
    await up(db);
    await db.sql(
      `INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_cause, circuit_probe_at, circuit_probes)
       VALUES ('acme', true, 'by_hand', 'infinity', ARRAY[gen_random_uuid()])`,
    );
    await db.sql(
      `INSERT INTO evergrant.recent_failures (provider, integration_id, failure_class, code)
       VALUES ('acme', gen_random_uuid(), 'transient', 'timeout')`,
    );
    const everything = async () => [
      await db.sql('SELECT * FROM evergrant.provider_states'),
      await db.sql('SELECT * FROM evergrant.recent_failures'),
      await catalogOf(db, 'evergrant.provider_states'),
      await catalogOf(db, 'evergrant.recent_failures'),
    ];
    const before = await everything();
    for (let round = 0; round < 2; round += 1) {
      await down(db);
      expect(await db.sql(`SELECT to_regclass('evergrant.provider_states') AS t`)).toEqual([{ t: null }]);
      await up(db);
      expect(await everything()).toEqual(before);
    }
  });

  it('knows when it was installed, once, and anew after going down', async () => {
    const db = await emptyDatabase();
    const installedAt = async () => {
      const rows = await db.sql<{ installed_at: Date }>('SELECT installed_at FROM evergrant.installation');
      expect(rows).toHaveLength(1);
      return rows[0]!.installed_at.getTime();
    };
    await up(db);
    const first = await installedAt();
    await up(db);
    expect(await installedAt()).toBe(first);
    await expect(db.sql('INSERT INTO evergrant.installation VALUES (now())')).rejects.toMatchObject({
      code: '23505',
    });
    await down(db);
    await up(db);
    expect(await installedAt()).toBeGreaterThan(first);
  });

  it('keeps the operator’s view of the users', async () => {
    const db = await brownfield();
    await up(db);
    await db.sql(
      'CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email::text, name::text FROM public.users',
    );
    await down(db);
    await up(db);
    expect(await db.sql('SELECT email FROM evergrant.users')).toHaveLength(4);
    // And a migration that runs again does not reset it either.
    await up(db);
    expect(await db.sql('SELECT email FROM evergrant.users')).toHaveLength(4);
  });

  it('knows nobody until the view is pointed somewhere', async () => {
    const db = await emptyDatabase();
    await up(db);
    expect(await db.sql('SELECT id, email, name FROM evergrant.users')).toEqual([]);
  });
});

describe('a migration that fails', () => {
  const copies: string[] = [];
  afterEach(async () => {
    for (const copy of copies.splice(0)) await rm(copy, { recursive: true });
  });

  /** The migrations and one more, to go wrong. */
  async function withMigration(name: string, upSql: string, downSql = 'SELECT 1;'): Promise<string> {
    const copy = await mkdtemp(path.join(os.tmpdir(), 'evergrant-migrations-'));
    copies.push(copy);
    await cp(directory, copy, { recursive: true });
    await writeFile(path.join(copy, `${name}.up.sql`), upSql);
    await writeFile(path.join(copy, `${name}.down.sql`), downSql);
    return copy;
  }

  const failure = async (work: Promise<unknown>) => {
    const error = await work.then(
      () => null,
      (thrown: Error) => thrown,
    );
    expect(error).toBeInstanceOf(MigrationFailed);
    return error!.message;
  };

  it('says which and why, undoes itself, keeps what ran before, and is finished by another run', async () => {
    const db = await emptyDatabase();
    const broken = await withMigration('9999_more', 'CREATE TABLE half (); SELECT 1 / 0;');
    const message = await failure(run(db, 'up', null, broken));
    expect(message).toContain('9999_more');
    expect(message).toContain('division by zero');
    expect(message).toContain('22012');
    expect(await run(db, 'status', null, broken)).toMatchObject({ applied: all, pending: ['9999_more'] });
    expect(await db.sql(`SELECT to_regclass('half') AS t`)).toEqual([{ t: null }]);
    const mended = await withMigration('9999_more', 'CREATE TABLE whole ();');
    expect(await run(db, 'up', null, mended)).toMatchObject({ ran: ['9999_more'], pending: [] });
  });

  it('is finished by another run also when it runs outside a transaction', async () => {
    const db = await brownfield();
    // The product has let another type in, which the new constraint refuses.
    await db.sql('ALTER TABLE notifications DROP CONSTRAINT notifications_type_check');
    await db.sql(`UPDATE notifications SET type = 'billing' WHERE type = 'system'`);
    const message = await failure(up(db));
    expect(message).toContain('0004_indexes');
    expect(message).toContain('notifications_type_check');
    const fromThere = all.slice(all.indexOf('0004_indexes'));
    expect(await run(db, 'status')).toMatchObject({ pending: fromThere });
    await db.sql(`UPDATE notifications SET type = 'system' WHERE type = 'billing'`);
    expect(await up(db)).toMatchObject({ ran: fromThere, pending: [] });
    const { indexes } = await catalogOf(db, 'notifications');
    expect(indexes.filter((line) => line.includes('evergrant_'))).toHaveLength(1);
    expect(indexes.join()).not.toContain('invalid');
  });

  it('on the way down says which and why', async () => {
    const db = await emptyDatabase();
    const broken = await withMigration('9999_more', 'SELECT 1;', 'SELECT 1 / 0;');
    await run(db, 'up', null, broken);
    expect(await failure(run(db, 'down', 1, broken))).toContain('9999_more');
    expect(await run(db, 'status', null, broken)).toMatchObject({ applied: [...all, '9999_more'] });
  });

  it('repeats no value of a row', async () => {
    const db = await emptyDatabase();
    const broken = await withMigration(
      '9999_more',
      `CREATE TABLE t (a text UNIQUE); INSERT INTO t VALUES ('canary-token'), ('canary-token');`,
    );
    expect(await failure(run(db, 'up', null, broken))).not.toContain('canary');
  });

  it.each([
    ['up', '0006_measures', 'evergrant.threshold_events'],
    ['down', '0006_measures', 'evergrant.scans'],
    ['up', '0007_provider_guards_and_lapses', 'evergrant.threshold_events'],
    ['down', '0007_provider_guards_and_lapses', 'evergrant.provider_states'],
    ['down', '0007_provider_guards_and_lapses', 'evergrant.installation'],
    ['up', '0009_unfinished_attempts', 'evergrant.installation'],
    ['up', '0009_unfinished_attempts', 'evergrant.threshold_events'],
  ] as const)(
    'does not keep the product waiting for a table of its own that is held (%s %s, %s)',
    async (direction, name, held) => {
      const db = await emptyDatabase();
      await up(db);
      await down(db, all.length - all.indexOf(name) - (direction === 'up' ? 0 : 1));
      await db.inTransaction(async (reader) => {
        await reader.query(`SELECT FROM ${held}`);
        const startedAtMs = performance.now();
        const migrating = run(db, direction, 1).catch((error: unknown) => error);
        await expect
          .poll(() => db.sql(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`))
          .not.toHaveLength(0);
        await db.sql('SELECT FROM integrations');
        expect(performance.now() - startedAtMs).toBeLessThan(5_000);
        expect(await migrating).toBeInstanceOf(MigrationFailed);
      });
      expect((await run(db, direction, 1)).ran).toEqual([name]);
    },
  );

  it('gives up waiting for a lock, rather than make the whole product wait behind it', async () => {
    const db = await brownfield();
    const broken = await withMigration(
      '0000_quick',
      `SET LOCAL lock_timeout = '100ms'; LOCK TABLE integrations IN ACCESS EXCLUSIVE MODE;`,
    );
    await db.inTransaction(async (client) => {
      await client.query('SELECT FROM integrations');
      expect(await failure(run(db, 'up', null, broken))).toContain('0000_quick');
    });
    for (const name of all) {
      const sql = await readFile(path.join(directory, `${name}.up.sql`), 'utf8');
      if (/ALTER TABLE (?!evergrant)/.test(sql) && !sql.startsWith('-- no transaction')) {
        expect(sql, name).toContain('lock_timeout');
      }
    }
  });

  it('because the connection broke is an error, and not the end of the process', async () => {
    const db = await emptyDatabase();
    const slow = await withMigration('0000_slow', 'SELECT pg_sleep(20);');
    const failed = failure(run(db, 'up', null, slow));
    const sleeping = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;
    await expect.poll(() => db.sql(sleeping)).toHaveLength(1);
    await db.sql(`SELECT pg_terminate_backend(pid) FROM (${sleeping}) AS migrators`);
    expect(await failed).toContain('0000_slow');
    await up(db);
  });
});
