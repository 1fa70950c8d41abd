import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { refresherEnv } from '../../lambdas/contract.ts';
import { migrate } from '../../lambdas/migrator/migrate.ts';
import type { VerifyReport } from '../../lambdas/operator/reports.ts';
import { testDatabase } from '../support/database.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { failedOf, type Handler, invocationContext, sqsEvent } from '../support/stages.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from '../support/token-endpoint.ts';
import { type Functions, startFunctions } from './functions.ts';
import { Output } from './output.ts';
import { canary, longRuns, seeded, text, timeoutMs } from './settings.ts';

/** A product's tables with nothing that keeps odd values out. */
const brownfield = (types: { readonly document: string; readonly count: string }) => `
  CREATE TABLE integrations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid, workspace text DEFAULT 'main', provider text,
    status text, access_token text, refresh_token text, expires_at timestamptz, refresh_token_expires_at timestamptz,
    scopes text[], metadata ${types.document}, consecutive_failures ${types.count}, disconnect_reason text,
    last_refresh_attempt timestamptz, last_refresh_success timestamptz, last_failure_at timestamptz,
    created_at timestamptz, updated_at timestamptz);
  CREATE TABLE notifications (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid NOT NULL, type text NOT NULL, title text NOT NULL,
    message text, action_url text, action_label text, metadata ${types.document}, is_read boolean,
    created_at timestamptz DEFAULT now(),
    CONSTRAINT notifications_type_check CHECK (type IN
      ('team_invitation', 'workflow_shared', 'execution_failed', 'integration_disconnected', 'system')));
  CREATE TABLE people (id uuid, email text, name text);`;

type Row = Record<string, string | number | null>;

/** What Postgres takes as a text. */
const storable = text.map((value) => value.toWellFormed().replaceAll('\0', ''));
const orNull = <Value>(values: fc.Arbitrary<Value>) => fc.option(values, { freq: 6 });
const hours = (from: number, to: number) =>
  fc
    .double({ min: from, max: to, noNaN: true })
    .map((count) => new Date(Date.now() + count * 3_600_000).toISOString());

const moment = fc.oneof({ weight: 4, arbitrary: hours(-48, 48) }, hours(-100_000, 100_000), {
  weight: 3,
  arbitrary: fc.constantFrom(
    'infinity',
    '-infinity',
    '1970-01-01T00:00:00Z',
    '0001-01-01T00:00:00Z',
    '1900-01-01T00:00:00Z',
    '9999-12-31T23:59:59.999999Z',
    '4713-01-02 00:00:00+00 BC',
    '294276-12-31T23:59:59.999999Z',
  ),
});
/** Mostly due: what no scan looks at is in nobody's way. */
const expiry = fc.oneof({ weight: 5, arbitrary: hours(-2, 0.1) }, moment);

const header = (fields: object) => Buffer.from(JSON.stringify(fields)).toString('base64url');
const token = fc.oneof(
  { weight: 5, arbitrary: fc.uuid().map((id) => `${canary}-${id}`) },
  storable.map((value) => (value === '' ? '' : `${canary}${value}`)),
  fc.constantFrom(
    '',
    ' ',
    `${canary}\n\t\u{85}\u{2028}`,
    `${canary} ü🦀%+&=`,
    `eyJ${canary}....`,
    `${header({ alg: 'dir', enc: 'A256GCM', typ: 'evergrant+jwe', kid: 'x'.repeat(43), sub: canary })}..a.b.c`,
    `${header({ alg: 'dir', enc: 'A256GCM', typ: 'evergrant+jwe', kid: 7, sub: null })}..a.b.c`,
    `${header({ alg: 'dir', enc: 'A256GCM', typ: 'evergrant+jwe', kid: 'x'.repeat(43) })}`,
    `${header({ alg: 'RS256' })}.${header({ exp: 1e300 })}.${canary}`,
    `${canary}${'y'.repeat(1_500_000)}`,
  ),
);

const providers = ['acme', 'keeps', 'shops', 'inheader', 'exchange', 'broken'] as const;
const provider = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...providers) },
  fc.constantFrom(
    'unknown',
    '',
    ' ',
    'a b',
    '..',
    '.',
    '__proto__',
    'constructor',
    'hasOwnProperty',
    'ACME',
    'acme\n',
  ),
  fc.constantFrom(
    'google',
    'gmail',
    'stripe',
    'slack',
    'facebook',
    'salesforce',
    'z'.repeat(300_000),
    'z'.repeat(1_100_000),
    'ü'.repeat(200_000),
  ),
  storable,
);
const status = fc.oneof(
  { weight: 8, arbitrary: fc.constant('connected') },
  fc.constantFrom('needs_reauthorization', 'disconnected', 'paused', 'Connected', ' connected', '', 'error'),
  storable,
);
const count = (largest: number) =>
  fc.oneof(fc.nat(6), fc.constantFrom(-1, -largest - 1, largest, largest - 1, largest - 2));
const commonMetadata = [
  '{}',
  '[]',
  'null',
  '"text"',
  '7',
  '{"shop": "good"}',
  '{"shop": "../../other"}',
  '{"shop": 7}',
  '{"shop": null}',
  '{"shop": {"a": [1]}}',
  '{"__proto__": "x", "constructor": "y", "": ""}',
  '{"instance_url": [], "evergrant": {"mine": true}}',
  `${'['.repeat(900)}${']'.repeat(900)}`,
  JSON.stringify({ a: 'm'.repeat(2_000_000) }),
  JSON.stringify(Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`key${n}`, `${canary}${n}`]))),
];
const metadata = {
  jsonb: fc.constantFrom(...commonMetadata),
  // What json takes and jsonb does not.
  json: fc.constantFrom(
    ...commonMetadata,
    String.raw`{"shop": "\u0000"}`,
    String.raw`{"shop": "good", "a": "\ud800"}`,
    '{"shop": "good", "n": 1e999999}',
    '{"shop": "one", "shop": "two"}',
    '  {"shop" : "good"} ',
  ),
};

const rowOf = (types: { readonly document: 'json' | 'jsonb'; readonly largest: number }): fc.Arbitrary<Row> =>
  fc.record({
    user_id: orNull(fc.uuid()),
    provider: orNull(provider),
    status: orNull(status),
    access_token: orNull(token),
    refresh_token: orNull(token),
    expires_at: orNull(expiry),
    refresh_token_expires_at: fc.option(moment),
    scopes: orNull(fc.constantFrom('{}', '{NULL}', '{NULL,a,"b c",""}', '{{a,b},{c,d}}')),
    metadata: orNull(metadata[types.document]),
    consecutive_failures: orNull(count(types.largest)),
    disconnect_reason: orNull(storable),
    last_refresh_attempt: orNull(moment),
    last_refresh_success: orNull(moment),
    last_failure_at: orNull(moment),
    created_at: orNull(moment),
    updated_at: orNull(moment),
  });

/** Rows that each run begins with: chance meets them seldom. */
function extremes(largest: number): Row[][] {
  const soon = new Date(Date.now() - 60_000).toISOString();
  // Among six tokens in a row, each answer is given once.
  const each = (row: Row): Row[] =>
    [...'abcdef'].map((letter) => ({
      status: 'connected',
      user_id: '00000000-0000-4000-8000-000000000000',
      provider: 'keeps',
      expires_at: soon,
      refresh_token: `${canary}${letter}`,
      ...row,
    }));
  return [
    [
      each({ provider: null }),
      each({ provider: 'z'.repeat(1_100_000) }),
      each({ expires_at: '0001-01-01T00:00:00Z' }),
      each({ expires_at: '294276-12-31T23:59:59.999999Z' }),
      each({ expires_at: '4713-01-02 00:00:00+00 BC', refresh_token: null, access_token: canary }),
    ].flatMap((rows) => rows.slice(0, 1)),
    each({ consecutive_failures: largest }),
    each({ consecutive_failures: -largest - 1 }),
    each({ created_at: '-infinity', consecutive_failures: 2 }),
    each({ created_at: '294276-12-31T23:59:59.999999Z' }),
    ['294276-12-31T23:59:59.999999Z', 'infinity'].flatMap((refresh_token_expires_at) =>
      each({ refresh_token_expires_at }),
    ),
  ];
}

/** What the provider answers to a token; the same to the same. */
function answerTo(used: string) {
  if (used.startsWith('healthy')) {
    return granted({ access_token: `access-of-${used}`, refresh_token: `next-of-${used}` });
  }
  const answers = [
    granted({ access_token: `access-of-${canary}`, instance_url: 'https://eu.acme.example' }),
    granted({ access_token: `access-of-${canary}`, refresh_token: `next-${canary}`, instance_url: 7 }),
    refused('invalid_grant'),
    refused('access_denied', 403),
    { status: 503, body: canary },
    { status: 200, body: `<html>${canary}</html>` },
  ];
  return answers[[...used].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % answers.length];
}

const kinds = [
  { document: 'jsonb', count: 'integer', largest: 2_147_483_647 },
  { document: 'json', count: 'smallint', largest: 32_767 },
  { document: 'jsonb', count: 'bigint', largest: Number.MAX_SAFE_INTEGER },
] as const;

describe.each(kinds)(`rows that a product may have written: $document, $count ${seeded}`, (kind) => {
  const examples: [Row[]][] = extremes(kind.largest).map((rows) => [rows]);
  let functions: Functions;
  let endpoint: TokenEndpoint;
  let output: Output;
  let scan: Handler;
  let refresh: Handler;
  let notify: Handler;
  let operate: Handler;

  beforeAll(async () => {
    const database = testDatabase({ empty: true }).then(async (db) => {
      await db.sql(brownfield(kind));
      const folder = path.join(import.meta.dirname, '..', '..', 'migrations');
      await migrate({ url: db.url }, folder, { direction: 'up', count: null }, silentLogger());
      await db.sql('CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email, name FROM people');
      return db;
    });
    functions = await startFunctions(database);
    endpoint = await startTokenEndpoint(({ parameters, headers }) =>
      answerTo(
        parameters.get('refresh_token') ??
          parameters.get('access_token') ??
          headers.authorization?.slice(7) ??
          '',
      ),
    );
    const client = { clientId: 'us', clientSecret: `${canary}-secret` };
    const definition = { displayName: 'Acme Calendar', tokenEndpoint: endpoint.url };
    const definitions = {
      acme: {},
      keeps: {
        keptFields: ['instance_url'],
        refreshTokenLifetime: { seconds: 365 * 86_400, from: 'authorization' },
      },
      shops: {
        tokenEndpoint: `${endpoint.url}/{shop}`,
        variables: { shop: { from: 'integration', pattern: '[a-z]+', description: 'the shop' } },
      },
      inheader: { tokenPlacement: 'bearer', clientAuthentication: 'anonymous' },
      exchange: { renewal: 'access_token', tokenParameter: 'access_token' },
    };
    for (const [name, changes] of Object.entries(definitions)) {
      functions.secrets.put(`providers/${name}`, { ...client, provider: { ...definition, ...changes } });
    }
    functions.secrets.put('providers/broken', `{"clientSecret":"${canary}`);
    scan = await functions.load('scanner');
    refresh = await functions.load('refresher', { [refresherEnv.tokensAtRest]: 'plain' });
    notify = await functions.load('notifier');
    operate = await functions.load('operator');
  }, 60_000);
  beforeEach(() => {
    output = new Output();
  });
  afterAll(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await endpoint?.stop();
    await functions?.stop();
  });

  async function insert(row: Row): Promise<string> {
    const columns = Object.keys(row);
    const [inserted] = await functions.db.sql<{ id: string }>(
      `INSERT INTO integrations (${columns.join(', ')}) VALUES (${columns.map((_, index) => `$${index + 1}`).join(', ')})
       RETURNING id`,
      Object.values(row),
    );
    return inserted!.id;
  }

  const stored = async () =>
    new Map(
      (
        await functions.db.sql<{
          id: string;
          status: string | null;
          whole: string;
          workspace: string;
          open: boolean;
        }>(`SELECT id, status, i::text AS whole, workspace, refresh_claim_open AS open FROM integrations i`)
      ).map((row) => [row.id, row]),
    );

  /** A scan and all that comes of it. Whatever a function says of trouble that is not a row's own fails the test. */
  async function round(): Promise<void> {
    expect(await scan({}, invocationContext())).toMatchObject({ released: 0, left: 0 });
    const { refresh: asked, threshold: relayed } = functions.take();
    expect(failedOf(await refresh(sqsEvent(...asked), invocationContext()))).toEqual([]);
    const events = [...relayed, ...functions.take().threshold];
    expect(failedOf(await notify(sqsEvent(...events), invocationContext()))).toEqual([]);
    for (const trouble of [
      'result lost',
      'scan goes on without',
      'providers not watched',
      'outcomes not recorded',
      'not written',
      'event failed',
      'messages refused',
      'claims not given up',
      'probes not settled',
      'not readable',
      'no time left',
    ]) {
      expect(output.all).not.toContain(trouble);
    }
  }

  it(
    'keep no other row from being refreshed, and each ends as what it is',
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(rowOf(kind), { minLength: 1, maxLength: 14 }), async (rows) => {
          output.forget();
          functions.take();
          await functions.db.clear();
          const healthy: { id: string; used: string }[] = [];
          const addHealthy = async () => {
            const used = `healthy-${healthy.length}`;
            const expires_at = new Date(Date.now() - healthy.length * 1_000_000).toISOString();
            const id = await insert({
              provider: 'acme',
              status: 'connected',
              refresh_token: used,
              expires_at,
              user_id: null,
            });
            healthy.push({ id, used });
          };
          await addHealthy();
          for (const row of rows) await insert(row);
          await addHealthy();
          await addHealthy();
          const before = await stored();

          await round();
          for (const { id, used } of healthy) {
            expect(await functions.db.integration(id)).toMatchObject({
              access_token: `access-of-${used}`,
              refresh_token: `next-of-${used}`,
              status: 'connected',
            });
          }
          await functions.db.sql('UPDATE integrations SET refresh_held_until = NULL');
          await round();

          const after = await stored();
          expect([...after.keys()].toSorted()).toEqual([...before.keys()].toSorted());
          for (const [id, row] of before) {
            const now = after.get(id)!;
            if (row.status !== 'connected') expect(now.whole).toBe(row.whole);
            expect(now.workspace).toBe('main');
            expect(now.open).toBe(false);
          }

          const status = await operate({ ask: 'status' }, invocationContext());
          expect(JSON.stringify(status)).not.toContain(canary);
          for (const id of [...before.keys()].slice(0, 6)) {
            const history = await operate({ ask: 'history', integrationId: id }, invocationContext());
            expect(JSON.stringify(history)).not.toContain(canary);
            await scan({ integration: id, dryRun: true, verbose: true }, invocationContext());
          }
          expect(output.all).not.toContain(canary);
        }),
        { ...longRuns(4), numRuns: longRuns(4).numRuns + examples.length, examples },
      ),
    timeoutMs,
  );

  // With what the runs before have left.
  it(
    'do not keep the checklist from being checked',
    async () => {
      for (const ask of ['keys', 'verify'] as const) {
        const report = await operate({ ask }, invocationContext());
        expect(JSON.stringify(report)).not.toContain(canary);
        if (ask === 'keys') continue;
        const { checks } = report as VerifyReport;
        expect(checks.filter(({ state }) => state === 'not_checked')).toEqual([]);
      }
      expect(output.all).not.toContain(canary);
    },
    timeoutMs,
  );
});
