import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { FunctionDatabase } from '../../../lambdas/database-access.ts';
import { migrate } from '../../../lambdas/migrator/migrate.ts';
import { neededRelations } from '../../../lambdas/operator/needed-schema.ts';
import type { Check } from '../../../lambdas/operator/reports.ts';
import type { VerifyParts } from '../../../lambdas/operator/topic.ts';
import { verify } from '../../../lambdas/operator/verify.ts';
import { sealedKeyId } from '../../../lambdas/sealing/sealed-head.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';
import { SecretSealer } from '../../../lambdas/secret-sealer.ts';
import { ProviderClients } from '../../../lambdas/secrets/provider-clients.ts';
import { SecretReader } from '../../../lambdas/secrets/secret-reader.ts';
import { startSecrets } from '../../support/aws.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { type LeastRole, leastRole } from '../../support/least-role.ts';
import { insertScan } from '../../support/scans.ts';
import { silentLogger } from '../../support/silent-logger.ts';

const migrationsFolder = path.join(import.meta.dirname, '../../../migrations');
const migrationNames = readdirSync(migrationsFolder)
  .filter((file) => file.endsWith('.up.sql'))
  .map((file) => file.replace('.up.sql', ''))
  .sort();

let secrets: Awaited<ReturnType<typeof startSecrets>>;
let db: TestDatabase;
let role: LeastRole;
beforeAll(async () => {
  secrets = await startSecrets({});
});
afterAll(() => secrets.stop());

const tokenKey = { current: randomBytes(32).toString('hex') };
const provider = {
  clientId: 'us',
  clientSecret: 'canary-client-secret',
  provider: { displayName: 'Acme', tokenEndpoint: 'https://acme.example/token' },
};

/** A database in which everything is as it should be, and a role that may do what it must. */
beforeEach(async () => {
  db = await testDatabase();
  await insertScan(db, 100);
  await db.sql('CREATE TABLE people (id uuid PRIMARY KEY, email text, name text)');
  await db.sql('CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email, name FROM people');
  role = await leastRole(db);
  await db.sql(`GRANT SELECT ON evergrant.scans, evergrant.migrations TO ${role.name}`);
  const { user_id } = await db.insertIntegration();
  await db.sql(`INSERT INTO people VALUES ($1, 'ada@example.com', 'Ada')`, [user_id]);
  secrets.put('database', { url: role.url });
  secrets.put('token-key', tokenKey);
  secrets.put('providers/acme', provider);
});
afterEach(async () => {
  vi.useRealTimers();
  await role.drop();
  await db.end();
});

async function run(
  changes: Partial<Omit<VerifyParts, 'settings'>> & { settings?: Partial<VerifyParts['settings']> } = {},
) {
  const reader = new SecretReader();
  const database = new FunctionDatabase('database', reader, { nowMs: Date.now }, { queryTimeoutMs: 15_000 });
  try {
    const { checks } = await verify({
      database,
      sealer: new SecretSealer(reader, 'token-key'),
      providers: new ProviderClients(reader, 'providers/'),
      migrations: async () => migrationNames,
      logger: silentLogger(),
      remainingMs: () => 60_000,
      ...changes,
      settings: {
        scanIntervalSeconds: 300,
        senderEmail: 'product@example.com',
        queryTimeoutMs: 15_000,
        ...changes.settings,
      },
    });
    const text = JSON.stringify(checks);
    expect(text).not.toMatch(/canary|refresh-|access-1/);
    expect(text).not.toContain(tokenKey.current);
    for (const check of checks) {
      expect(check.title, check.code).not.toBe('');
      expect(check.found, check.code).toMatch(/\.$/);
      if (check.state === 'failed' || check.state === 'warning') expect(check.fix, check.code).toMatch(/\.$/);
    }
    return checks;
  } finally {
    await database.end();
  }
}

const of = (checks: readonly Check[], code: string) => {
  const found = checks.filter((check) => check.code === code);
  expect(found.length, code).toBeGreaterThan(0);
  return found;
};
/** Codes of the checks that are not well, each with its state. */
const notWell = (checks: readonly Check[]) =>
  [
    ...new Set(checks.filter(({ state }) => state !== 'ok').map(({ code, state }) => `${code} ${state}`)),
  ].toSorted();

/** Breaks one thing and expects these checks, and no others, to say so. */
async function broken(statement: string, expected: readonly string[]): Promise<readonly Check[]> {
  await db.sql(statement.replaceAll(':role', role.name));
  const checks = await run();
  expect(notWell(checks)).toEqual(expected.toSorted());
  return checks;
}

describe('a database in which all is well', () => {
  it('passes every check, with a role that may do no more than the statements need', async () => {
    const checks = await run();
    expect(checks.filter(({ state }) => state !== 'ok')).toEqual([]);
    expect(checks.map(({ code }) => code)).toEqual([
      'database_reachable',
      'token_key',
      'server_version',
      'server_writable',
      'tls',
      'clock',
      'statement_timeout',
      'schema_version',
      'tables',
      'columns',
      'notification_types',
      'notification_columns',
      'indexes',
      'privileges',
      'row_level_security',
      'statements',
      'users_view',
      'user_addresses',
      'sealed_tokens',
      'provider_secrets',
      'last_scan',
      'never_refreshed',
    ]);
    // Nothing but an advice has something to do in it.
    expect(checks.filter(({ fix }) => fix !== null).map(({ code }) => code)).toEqual(['statement_timeout']);
  });

  it('is changed by none of them', async () => {
    const everything = () =>
      Promise.all(
        ['integrations', 'notifications', 'evergrant.threshold_events'].map((table) =>
          db.sql(`SELECT *, xmin FROM ${table}`),
        ),
      );
    await db.insertEvent();
    const before = await everything();
    await run();
    expect(await everything()).toEqual(before);
  });

  it('may be a product’s own', async () => {
    const product = await testDatabase({ empty: true });
    try {
      await product.sql(
        await readFile(path.join(import.meta.dirname, '../../migrations/brownfield.sql'), 'utf8'),
      );
      await migrate({ url: product.url }, migrationsFolder, { direction: 'up', count: null }, silentLogger());
      await insertScan(product, 1);
      await product.sql('CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email::text, name FROM users');
      secrets.put('database', { url: product.url });
      secrets.put('providers/p1', provider);
      expect(notWell(await run())).toEqual([]);
    } finally {
      await product.end();
    }
  });
});

describe('what is broken in the schema is named:', () => {
  it('a migration that has not run', async () => {
    const checks = await run({ migrations: async () => [...migrationNames, '9999_more'] });
    expect(notWell(checks)).toEqual(['schema_version failed']);
    expect(of(checks, 'schema_version')[0]!.found).toContain('9999_more');
  });

  it('a database of a newer version', async () => {
    const checks = await run({ migrations: async () => migrationNames.slice(0, -1) });
    expect(notWell(checks)).toEqual(['schema_version warning']);
    expect(of(checks, 'schema_version')[0]!.found).toContain(migrationNames.at(-1));
  });

  it('a database without any migration', async () => {
    const empty = await testDatabase({ empty: true });
    try {
      secrets.put('database', { url: empty.url });
      const checks = await run();
      expect(of(checks, 'schema_version')[0]!.found).toContain(migrationNames.join(', '));
      expect(of(checks, 'tables')).toHaveLength(neededRelations.length);
      expect(of(checks, 'statements')[0]!.state).toBe('failed');
      expect(of(checks, 'never_refreshed')[0]).toMatchObject({ state: 'not_checked' });
      expect(of(checks, 'never_refreshed')[0]!.found).toContain('42P01');
    } finally {
      await empty.end();
    }
  });

  it('a table where the search path does not lead', async () => {
    const checks = await broken('CREATE SCHEMA app; ALTER TABLE integrations SET SCHEMA app', [
      'tables failed',
      'statements failed',
      'user_addresses not_checked',
      'sealed_tokens not_checked',
      'provider_secrets not_checked',
      'never_refreshed not_checked',
    ]);
    expect(of(checks, 'tables')[0]!.fix).toContain('search_path = app');
  });

  it('a dropped column', async () => {
    const checks = await broken('ALTER TABLE integrations DROP COLUMN refresh_claim', [
      'columns failed',
      'statements failed',
    ]);
    expect(of(checks, 'columns')).toHaveLength(1);
    expect(of(checks, 'columns')[0]!.fix).toContain('ADD COLUMN refresh_claim bigint NOT NULL DEFAULT 0');
    expect(
      of(checks, 'statements')
        .map(({ found }) => found)
        .join(),
    ).toContain('claim-due');
    await db.sql('ALTER TABLE integrations ADD COLUMN refresh_claim bigint NOT NULL DEFAULT 0');
    expect(notWell(await run())).toEqual(['privileges failed', 'statements failed']);
  });

  it('a column without a time zone', async () => {
    const checks = await broken('ALTER TABLE integrations ALTER COLUMN last_refresh_success TYPE timestamp', [
      'columns failed',
    ]);
    expect(of(checks, 'columns')[0]!.fix).toContain(`USING last_refresh_success AT TIME ZONE 'UTC'`);
  });

  it('a column that is too short for what is stored in it', async () => {
    const checks = await broken(
      `ALTER TABLE integrations ALTER COLUMN access_token TYPE varchar(255), ALTER COLUMN disconnect_reason TYPE varchar(100);
       ALTER TABLE notifications ALTER COLUMN type TYPE varchar(20)`,
      ['columns failed', 'statements failed'],
    );
    expect(of(checks, 'columns').map(({ found }) => found.split(' ')[0])).toEqual([
      'integrations.access_token',
      'notifications.type',
    ]);
  });

  it('the users view without a column', async () => {
    const checks = await broken(
      `DROP VIEW evergrant.users; CREATE VIEW evergrant.users AS SELECT id, email FROM people;
       GRANT SELECT ON evergrant.users TO :role`,
      ['columns failed', 'statements failed'],
    );
    expect(of(checks, 'columns')[0]!.found).toContain('name');
  });

  it.each([
    [
      'a list without them',
      `type IN ('system', 'integration_disconnected')`,
      'failed',
      'integration_warning',
    ],
    ['one value', `type = 'system'`, 'failed', 'integration_rate_limit'],
    ['a list of what is refused', `type <> ALL (ARRAY['integration_warning'])`, 'warning', ''],
    ['a pattern', `type ~ '^[a-z_]+$'`, 'warning', ''],
  ])('a constraint on the type of notifications that is replaced by %s', async (_, check, state, missing) => {
    const checks = await broken(
      `ALTER TABLE notifications DROP CONSTRAINT notifications_type_check;
       ALTER TABLE notifications ADD CONSTRAINT types CHECK (${check}) NOT VALID`,
      [`notification_types ${state}`],
    );
    expect(of(checks, 'notification_types')[0]!.found).toContain('types');
    expect(of(checks, 'notification_types')[0]!.found).toContain(missing);
  });

  it('no constraint on the type of notifications that minds ours', async () => {
    await broken(
      `ALTER TABLE notifications ADD CHECK (type <> ''), ADD CHECK (length(type) < 50), ADD CHECK (title <> '' OR type = 'x')`,
      [],
    );
    await broken('ALTER TABLE notifications DROP CONSTRAINT notifications_type_check', []);
  });

  it('a column of notifications that only the product fills', async () => {
    const checks = await broken(
      `ALTER TABLE notifications ADD COLUMN priority integer NOT NULL, ALTER COLUMN id DROP DEFAULT,
         ADD COLUMN rank integer NOT NULL DEFAULT 0, ADD COLUMN number integer GENERATED ALWAYS AS IDENTITY`,
      ['notification_columns failed'],
    );
    expect(of(checks, 'notification_columns').map(({ found }) => found.split(' ')[0])).toEqual([
      'notifications.id',
      'notifications.priority',
    ]);
    expect(of(checks, 'notification_columns')[0]!.fix).toContain('SET DEFAULT gen_random_uuid()');
  });

  it.each([
    ['evergrant_integrations_due', 'indexes failed', 'integrations (expires_at)'],
    ['evergrant.threshold_events_unhandled', 'indexes failed', 'threshold_events (relay_after)'],
  ])('the dropped index %s', async (name, expected, what) => {
    const checks = await broken(`DROP INDEX ${name}`, [expected]);
    expect(of(checks, 'indexes')[0]!.found).toContain(what);
    // The fix is a statement that mends it.
    await db.sql(of(checks, 'indexes')[0]!.fix!.replace(/^Run |\.$/g, ''));
    expect(notWell(await run())).toEqual([]);
  });

  it('the dropped unique index on the event of a notification', async () => {
    const checks = await broken(
      'DROP INDEX evergrant_notifications_event; CREATE INDEX evergrant_notifications_event ON notifications (event_id)',
      ['indexes failed', 'statements failed'],
    );
    expect(of(checks, 'statements')[0]!.found).toContain('42P10');
  });

  it.each(['evergrant_integrations_due', 'evergrant_notifications_event'])(
    'the index %s that is not valid',
    async (name) => {
      await db.sql(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = '${name}'::regclass`);
      const checks = await run();
      expect(notWell(checks)).toContain('indexes failed');
      expect(of(checks, 'indexes')[0]!.fix).toContain(`REINDEX INDEX CONCURRENTLY public.${name}`);
      await db.sql(of(checks, 'indexes')[0]!.fix!.replace(/^Run |\.$/g, ''));
      expect(notWell(await run())).toEqual([]);
    },
  );

  it('an index of the same name on other rows', async () => {
    await broken(
      `DROP INDEX evergrant_integrations_due;
       CREATE INDEX evergrant_integrations_due ON integrations (expires_at) WHERE provider = 'acme'`,
      ['indexes failed'],
    );
  });
});

describe('what the role may not do is named:', () => {
  it.each([
    ['UPDATE', 'integrations', ['privileges failed', 'statements failed']],
    ['INSERT', 'notifications', ['privileges failed', 'statements failed']],
    ['INSERT', 'evergrant.threshold_events', ['privileges failed', 'statements failed']],
    ['SELECT', 'evergrant.users', ['privileges failed', 'statements failed', 'user_addresses not_checked']],
  ])('%s on %s', async (privilege, relation, expected) => {
    const checks = await broken(`REVOKE ${privilege} ON ${relation} FROM :role`, expected);
    const [fault] = of(checks, 'privileges');
    expect(fault!.found).toContain(`may not ${privilege} ${relation}`);
    await db.sql(fault!.fix!.replace(/^Run |\.$/g, ''));
    expect(notWell(await run())).toEqual([]);
  });

  it('one column of many', async () => {
    const checks = await broken('REVOKE UPDATE (refresh_token) ON integrations FROM :role', [
      'privileges failed',
      'statements failed',
    ]);
    expect(of(checks, 'privileges')[0]!.found).toContain('(refresh_token)');
  });

  it('the use of the schema', async () => {
    const checks = await broken('REVOKE USAGE ON SCHEMA evergrant FROM :role', [
      'privileges failed',
      'schema_version not_checked',
      'statements failed',
      'user_addresses not_checked',
      'last_scan not_checked',
    ]);
    expect(of(checks, 'schema_version')[0]!.found).toContain('42501');
    await db.sql(of(checks, 'privileges')[0]!.fix!.replace(/^Run |\.$/g, ''));
    expect(notWell(await run())).toEqual([]);
  });

  it('what lies behind the users view', async () => {
    const checks = await broken('ALTER VIEW evergrant.users SET (security_invoker = true)', [
      'statements failed',
      'user_addresses not_checked',
    ]);
    expect(of(checks, 'statements')[0]!.found).toContain('permission denied for table people');
  });
});

describe('row-level security', () => {
  const hidden = ['row_level_security failed'];

  it('that hides rows from the role is named: nothing else says so', async () => {
    const checks = await broken('ALTER TABLE integrations ENABLE ROW LEVEL SECURITY', hidden);
    expect(of(checks, 'row_level_security')[0]!.found).toContain('integrations');
    await db.sql(
      `CREATE POLICY own ON integrations USING (user_id = current_setting('app.user', true)::uuid)`,
    );
    expect(notWell(await run())).toEqual(hidden);
    await db.sql('ALTER TABLE evergrant.threshold_events ENABLE ROW LEVEL SECURITY');
    expect(of(await run(), 'row_level_security')).toHaveLength(2);
  });

  it.each([
    ['a role that bypasses it', 'ALTER ROLE :role BYPASSRLS'],
    ['the owner', 'ALTER TABLE integrations OWNER TO :role'],
    [
      'a role with a policy for every row',
      'CREATE POLICY all_rows ON integrations TO :role USING (true) WITH CHECK (true)',
    ],
    ['everybody, if so allowed', 'CREATE POLICY all_rows ON integrations USING (true)'],
  ])('hides nothing from %s', async (_, statement) => {
    await db.sql('ALTER TABLE integrations ENABLE ROW LEVEL SECURITY');
    await broken(statement, []);
  });

  it.each([
    [
      'the owner when it is forced',
      'ALTER TABLE integrations OWNER TO :role; ALTER TABLE integrations FORCE ROW LEVEL SECURITY',
    ],
    [
      'a role with a policy for reading only',
      'CREATE POLICY readable ON integrations FOR SELECT USING (true)',
    ],
    [
      'a role that another policy restricts',
      `CREATE POLICY all_rows ON integrations USING (true);
       CREATE POLICY some_rows ON integrations AS RESTRICTIVE USING (provider <> 'acme')`,
    ],
    [
      'a role that a policy for others does not let in',
      'CREATE POLICY others ON integrations TO pg_monitor USING (true)',
    ],
  ])('hides rows from %s', async (_, statement) => {
    await db.sql('ALTER TABLE integrations ENABLE ROW LEVEL SECURITY');
    await broken(statement, hidden);
  });
});

describe('the way to the database', () => {
  const reached = async () => {
    const checks = await run();
    const [fault] = of(checks, 'database_reachable');
    expect(fault!.state).toBe('failed');
    // What needs no database is looked at all the same.
    expect(of(checks, 'token_key')[0]!.state).toBe('ok');
    expect(checks.filter(({ state }) => state === 'not_checked')).toHaveLength(20);
    return fault!;
  };

  it('that leads nowhere is still a report', async () => {
    const url = new URL(role.url);
    url.port = '1';
    url.password = 'canary-password';
    secrets.put('database', { url: url.href });
    const { found, fix } = await reached();
    expect(found).toContain('ECONNREFUSED');
    expect(fix).toContain('security group');
  });

  it.each([
    ['a database that does not exist', { pathname: '/nowhere' }, 'exists'],
    ['a host without a name', { hostname: 'database.invalid' }, 'Correct the host'],
    ['a user that does not exist', { username: 'nobody' }, 'user and password'],
    ['a server without TLS', { search: '' }, 'Switch TLS on'],
  ])('of %s is named', async (_, change, words) => {
    const url = new URL(role.url);
    Object.assign(url, change);
    secrets.put('database', { url: url.href });
    expect((await reached()).fix).toContain(words);
  });

  it.each([
    ['empty', '', 'not JSON'],
    ['no JSON', 'canary', 'not JSON'],
    ['without a URL', { url: 'canary' }, 'not a postgres:// URL'],
  ])('in a secret that is %s is named', async (_, value, words) => {
    secrets.put('database', value);
    expect((await reached()).fix).toContain(words);
  });

  it('without TLS is a fault unless it stays on the machine', async () => {
    expect(of(await run(), 'tls')[0]!.state).toBe('ok');
    const database = new FunctionDatabase('database', new SecretReader(), { nowMs: Date.now });
    try {
      const elsewhere = {
        transport: 'plain' as const,
        query: database.query.bind(database),
      };
      expect(notWell(await run({ database: elsewhere }))).toEqual(['tls failed']);
    } finally {
      await database.end();
    }
  });

  it('that ends at a server which takes no writes is a fault', async () => {
    const checks = await broken('ALTER ROLE :role SET default_transaction_read_only = on', [
      'server_writable failed',
    ]);
    expect(of(checks, 'server_writable')[0]!.fix).toContain(`ALTER ROLE ${role.name}`);
  });

  it.each([
    [-3_000, 'ok'],
    [20_000, 'warning'],
    [-20_000, 'warning'],
    [3_600_000, 'failed'],
  ])('with clocks that are %i ms apart', async (apartMs, state) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + apartMs });
    vi.setSystemTime(Date.now());
    const [clock] = of(await run(), 'clock');
    expect(clock!.state).toBe(state);
  });

  it.each([
    ["'15s'", 'ok'],
    ["'2s'", 'warning'],
  ])('with a statement_timeout of %s', async (timeout, state) => {
    await db.sql(`ALTER ROLE ${role.name} SET statement_timeout = ${timeout}`);
    expect(of(await run(), 'statement_timeout')[0]!.state).toBe(state);
  });

  it('that is lost on the way, or too slow, leaves the rest unchecked', async () => {
    const lost = await run({ remainingMs: () => 16_000 });
    expect(notWell(lost).filter((line) => !line.endsWith('not_checked'))).toEqual([]);
    expect(of(lost, 'statements')[0]!.found).toContain('No time');
  });

  it('that is slow at one question does not keep the others from being asked', async () => {
    const checks = await broken(
      `CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email, name FROM people, LATERAL (SELECT pg_sleep(20)) AS s;
       ALTER ROLE :role SET statement_timeout = '6s'`,
      ['user_addresses not_checked'],
    );
    expect(of(checks, 'user_addresses')[0]!.found).toContain('57014');
  });
});

describe('the users', () => {
  const emptyView = `CREATE OR REPLACE VIEW evergrant.users AS
    SELECT NULL::uuid AS id, NULL::text AS email, NULL::text AS name WHERE false`;

  it('of a view that is still empty are a warning, where emails are wanted', async () => {
    const checks = await broken(emptyView, ['users_view warning', 'user_addresses warning']);
    expect(of(checks, 'users_view')[0]!.fix).toContain('CREATE OR REPLACE VIEW evergrant.users');
    expect(notWell(await run({ settings: { senderEmail: null } }))).toEqual([]);
  });

  it('of a view that refuses all rows of a table are another matter', async () => {
    const checks = await broken(
      'CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email, name FROM people WHERE false',
      ['user_addresses warning'],
    );
    expect(of(checks, 'users_view')[0]!.state).toBe('ok');
  });

  it('without an address are counted', async () => {
    await db.insertIntegration();
    const { user_id } = await db.insertIntegration();
    await db.insertIntegration({ user_id });
    await db.insertIntegration({ status: 'disconnected' });
    await db.sql(`INSERT INTO people VALUES ($1, '  ', 'Blank')`, [user_id]);
    const checks = await run();
    expect(notWell(checks)).toEqual(['user_addresses warning']);
    expect(of(checks, 'user_addresses')[0]!.found).toContain('Of 3 connected users looked at, 2 without');
  });
});

describe('the secrets', () => {
  const seal = async (key: string, overrides = {}) => {
    const sealer = await TokenSealer.fromSecret(JSON.stringify({ current: key }));
    const { id } = await db.insertIntegration(overrides);
    const sealed = await sealer.seal('canary', { integrationId: id, column: 'refresh_token' });
    await db.sql(
      'UPDATE integrations SET refresh_token = $2, user_id = (SELECT id FROM people) WHERE id = $1',
      [id, sealed],
    );
    return sealedKeyId(sealed)!;
  };

  it.each([
    ['is empty', '', 'not JSON'],
    ['is no JSON', 'canary', 'not JSON'],
    ['holds no key', { current: 'canary' }, 'not 64 hex digits'],
  ])('with a token key that %s', async (_, value, words) => {
    secrets.put('token-key', value);
    const checks = await run();
    expect(notWell(checks)).toEqual(['sealed_tokens not_checked', 'token_key failed']);
    expect(of(checks, 'token_key')[0]!.found).toContain(words);
  });

  it('without a token key', async () => {
    const checks = await run({ sealer: new SecretSealer(new SecretReader(), 'nowhere') });
    expect(notWell(checks)).toEqual(['sealed_tokens not_checked', 'token_key failed']);
    expect(of(checks, 'token_key')[0]!.found).toContain('nowhere does not exist');
  });

  it('without a key that tokens are sealed with', async () => {
    const keyId = await seal(randomBytes(32).toString('hex'));
    await seal(tokenKey.current);
    const checks = await run();
    expect(notWell(checks)).toEqual(['sealed_tokens failed']);
    expect(of(checks, 'sealed_tokens')[0]!.found).toContain(`${keyId} (1 token)`);
  });

  it('with an earlier key that tokens are sealed with', async () => {
    const earlier = randomBytes(32).toString('hex');
    await seal(earlier);
    await seal(tokenKey.current);
    secrets.put('token-key', { ...tokenKey, previous: [earlier] });
    const checks = await run();
    expect(notWell(checks)).toEqual([]);
    expect(of(checks, 'sealed_tokens')[0]!.found).toBe(
      '1 token sealed with the current key, 1 with an earlier one, 4 plain.',
    );
  });

  it('of providers, each by its name', async () => {
    const [user] = await db.sql<{ id: string }>('SELECT id FROM people');
    for (const name of ['missing', 'malformed', 'a b', 'fine']) {
      await db.insertIntegration({ provider: name, user_id: user!.id });
    }
    for (const overrides of [{ status: 'disconnected' }, { refresh_token: null, expiresIn: null }]) {
      await db.insertIntegration({ provider: 'unused', user_id: user!.id, ...overrides });
    }
    secrets.put('providers/fine', provider);
    secrets.put('providers/malformed', { ...provider, clientSecret: undefined });
    const checks = await run();
    expect(notWell(checks)).toEqual(['provider_secrets failed']);
    const faults = of(checks, 'provider_secrets');
    expect(faults.map(({ title }) => title.split(' has')[0])).toEqual([
      'Provider a b',
      'Provider malformed',
      'Provider missing',
    ]);
    expect(faults.map(({ fix }) => fix).join()).toMatch(
      /providers\/malformed: clientSecret.*providers\/missing/,
    );
  });

  it('of a provider’s other names, and of providers without a refresh token or a client', async () => {
    const [user] = await db.sql<{ id: string }>('SELECT id FROM people');
    const connect = (name: string, overrides: object = {}) =>
      db.insertIntegration({ provider: name, user_id: user!.id, ...overrides });
    await connect('gmail');
    await connect('trello', { refresh_token: null, expiresIn: null });
    await connect('instagram', { refresh_token: null });
    secrets.put('providers/google', { clientId: 'us', clientSecret: 'canary-client-secret' });
    expect((await run()).filter(({ code }) => code === 'provider_secrets')).toMatchObject([{ state: 'ok' }]);
    // Its access tokens are exchanged, for which our client is needed.
    await connect('facebook', { refresh_token: null });
    expect(of(await run(), 'provider_secrets')).toMatchObject([
      { state: 'failed', found: 'facebook: provider_not_configured; 1 connected integration wait for it.' },
    ]);
  });

  it('while Secrets Manager is away are no surprise', async () => {
    const away = process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER;
    process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = 'http://127.0.0.1:1';
    try {
      const checks = await run();
      expect(notWell(checks)).toContain('database_reachable failed');
      expect(notWell(checks)).toContain('token_key failed');
    } finally {
      process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = away;
    }
  });
});

describe('what goes on', () => {
  it('is a fault when no scan has ended well for three intervals', async () => {
    await db.sql('TRUNCATE evergrant.scans');
    await insertScan(db, 800);
    expect(notWell(await run())).toEqual([]);
    await db.sql('TRUNCATE evergrant.scans');
    await insertScan(db, 1_000);
    expect(notWell(await run())).toEqual(['last_scan failed']);
  });

  it('is open where no scan is recorded, or none can be', async () => {
    await broken('TRUNCATE evergrant.scans', ['last_scan warning']);
    await broken('DROP TABLE evergrant.scans', [
      'last_scan not_checked',
      'statements failed',
      'tables failed',
    ]);
  });

  it('names integrations that only their users can renew, and that nobody finds', async () => {
    const [user] = await db.sql<{ id: string }>('SELECT id FROM people');
    const insert = (overrides: object) => db.insertIntegration({ user_id: user!.id, ...overrides });
    await insert({ refresh_token: null, expiresIn: null });
    expect(notWell(await run())).toEqual([]);
    await insert({ refresh_token: '' });
    await insert({ refresh_token: null });
    await insert({ expiresIn: null });
    await insert({ status: 'disconnected', refresh_token: null });
    const checks = await run();
    expect(notWell(checks)).toEqual(['never_refreshed warning']);
    expect(of(checks, 'never_refreshed').map(({ found }) => found)).toEqual([
      expect.stringContaining(
        '2 connected integrations with an access token that expires and no refresh token',
      ),
      expect.stringContaining('1 connected integration with a refresh token and no expires_at'),
    ]);
  });
});
