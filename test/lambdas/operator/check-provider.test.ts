import { generateKeyPairSync } from 'node:crypto';
import { jwtVerify } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkProvider } from '../../../lambdas/operator/check-provider.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { openCircuit } from '../../../lambdas/postgres/open-circuit.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';

let db: TestDatabase;
let endpoint: TokenEndpoint;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(async () => {
  await db.clear();
  endpoint = await startTokenEndpoint(() => refused('invalid_grant'));
});
afterEach(() => endpoint.stop());
afterAll(() => db.end());

const custom = (changes: object = {}, provider: object = {}) => ({
  clientId: 'canary-id',
  clientSecret: 'canary-secret',
  provider: { displayName: 'Acme', tokenEndpoint: endpoint.url, ...provider },
  ...changes,
});

interface Asked {
  readonly name?: string;
  readonly variables?: Readonly<Record<string, string>>;
  readonly database?: Database;
  readonly nowMs?: () => number;
  readonly readSecret?: (secretId: string) => Promise<string | null>;
}

/** Checks a provider with these secrets, and sees to it that nothing secret is told. */
async function check(secrets: Readonly<Record<string, string | object>>, asked: Asked = {}) {
  const { name = 'acme', variables = {}, database = db.database } = asked;
  const report = await checkProvider(
    {
      database,
      readSecret:
        asked.readSecret ??
        (async (secretId) => {
          const value = secrets[secretId.replace('providers/', '')];
          return value === undefined ? null : typeof value === 'string' ? value : JSON.stringify(value);
        }),
      secretPrefix: 'providers/',
      logger: silentLogger(),
      nowMs: asked.nowMs ?? Date.now,
    },
    { provider: name, variables },
  );
  expect(JSON.stringify(report)).not.toContain('canary');
  for (const { found, fix, state } of report.checks) {
    expect(found).toMatch(/\.$/);
    if (state === 'failed') expect(fix).not.toBeNull();
  }
  return {
    ...report,
    of: (code: string) => report.checks.filter((each) => each.code === code),
    notWell: report.checks.filter(({ state }) => state !== 'ok').map(({ code, state }) => `${code} ${state}`),
  };
}

describe('credentials', () => {
  it('are accepted where only the made-up token is refused', async () => {
    const report = await check({ acme: custom() });
    expect(report).toMatchObject({
      provider: 'acme',
      displayName: 'Acme',
      secretId: 'providers/acme',
      credentials: 'accepted',
      attempt: { tokenEndpoint: endpoint.url, httpStatus: 400, code: 'invalid_grant' },
      notWell: [],
    });
    expect(report.of('provider_credentials')[0]?.found).toMatch(
      /^Only the made-up token was refused \(invalid_grant, HTTP 400 in \d+ ms\)\.$/,
    );
    const [call] = endpoint.calls;
    expect(endpoint.calls).toHaveLength(1);
    expect(call?.parameters.get('grant_type')).toBe('refresh_token');
    expect(call?.parameters.get('refresh_token')).toMatch(/^evergrant-check-/);
  });

  it.each<[string, ReturnType<typeof refused>, string, string]>([
    ['the client is refused', refused('invalid_client', 401), 'refused', 'failed'],
    ['the grant type is not allowed', refused('unauthorized_client'), 'refused', 'failed'],
    ['another address is meant', { status: 307, headers: { location: '/canary' } }, 'refused', 'failed'],
    ['there is nothing', { status: 404 }, 'refused', 'failed'],
    ['the provider is down', { status: 503, body: 'canary' }, 'unknown', 'warning'],
    ['too many calls', { status: 429 }, 'unknown', 'warning'],
    ['a page', { status: 200, body: '<html>canary</html>' }, 'unknown', 'warning'],
    ['an unknown code', refused('canary_code'), 'unknown', 'warning'],
    ['whatever is asked for is granted', granted({ access_token: 'canary' }), 'unknown', 'warning'],
  ])('%s', async (_, answer, credentials, state) => {
    endpoint.answer = () => answer;
    const report = await check({ acme: custom() });
    expect(report.credentials).toBe(credentials);
    expect(report.notWell).toEqual([`provider_credentials ${state}`]);
  });

  it('nobody answers', async () => {
    const report = await check({ acme: custom({}, { tokenEndpoint: 'http://127.0.0.1:9/token' }) });
    expect(report).toMatchObject({
      credentials: 'unknown',
      attempt: { httpStatus: null, code: 'network_error' },
    });
    expect(report.of('provider_credentials')[0]?.fix).toMatch(/reach the internet/);
  });

  it.each([
    ['the database', {}, 0],
    [
      'the function while the database is away',
      { database: { query: () => Promise.reject(new Error('canary')) } },
      -86_400_000,
    ],
  ])('are dated, where they are an assertion, by the clock of %s', async (_, asked, offsetMs) => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const nowMs = () => Date.now() - 86_400_000;
    await check(
      { acme: custom({ privateKey: pem }, { clientAuthentication: 'private_key_jwt' }) },
      { ...asked, nowMs },
    );
    const assertion = endpoint.calls[0]!.parameters.get('client_assertion')!;
    const currentDate = new Date(Date.now() + offsetMs);
    await jwtVerify(assertion, publicKey, { currentDate, maxTokenAge: 50, clockTolerance: 10 });
  });

  it('are not tried where that says nothing', async () => {
    const silent = await check({ acme: custom({}, { credentialsCanBeTried: false }) });
    expect(silent.notWell).toEqual(['provider_credentials not_checked']);
    const none = await check({}, { name: 'trello' });
    expect(none).toMatchObject({
      displayName: 'Trello',
      secretId: null,
      credentials: 'not_tried',
      notWell: [],
    });
    const anonymous = await check({ acme: custom({}, { clientAuthentication: 'anonymous' }) });
    expect(anonymous.notWell).toEqual([]);
    expect(endpoint.calls).toEqual([]);
  });
});

describe('the secret', () => {
  it('is missing', async () => {
    const known = await check({}, { name: 'google' });
    expect(known.notWell).toEqual(['provider_secret failed']);
    expect(known.of('provider_secret')[0]).toMatchObject({
      found: 'There is no secret providers/google.',
      fix: "Put the client's credentials into it: evergrant provider set google.",
    });
    const alias = await check({}, { name: 'gmail' });
    expect(alias.of('provider_secret')[0]?.fix).toContain('provider set google.');
    const unknown = await check({}, { name: 'gogle' });
    expect(unknown.notWell).toEqual(['provider_known failed', 'provider_secret failed']);
  });

  it('of another name serves', async () => {
    const google = {
      clientId: 'canary-id',
      clientSecret: 'canary-secret',
      provider: { tokenEndpoint: endpoint.url },
    };
    const report = await check({ google }, { name: 'gmail' });
    expect(report).toMatchObject({ secretId: 'providers/google', credentials: 'accepted', notWell: [] });
    expect(report.of('provider_secret')[0]?.found).toBe(
      'It has none of its own, so that of google serves: providers/google.',
    );
  });

  it('is faulty in several fields, each of which is named', async () => {
    const report = await check({
      acme: { clientId: 7, clientSecret: '', provider: { displayName: '', tokenEndpoint: 'ftp://canary' } },
    });
    const found = report.of('provider_secret_content').map((each) => each.found.split(':')[0]);
    expect(found).toEqual([
      'clientId',
      'clientSecret',
      'provider.displayName',
      'provider.tokenEndpoint',
      'provider.tokenEndpoint',
    ]);
    expect((await check({ acme: 'canary' })).of('provider_secret_content')[0]?.found).toBe(
      'the secret is not JSON.',
    );
  });

  it('lacks all credentials', async () => {
    const report = await check({ acme: custom({ clientId: undefined, clientSecret: undefined }) });
    expect(report.of('provider_secret_content').map(({ found }) => found)).toEqual([
      'clientId: needed for client_secret_basic.',
      'clientSecret: needed for client_secret_basic.',
    ]);
  });

  it('cannot be read by the function', async () => {
    const report = await check(
      {},
      {
        readSecret: async () => {
          throw Object.assign(new Error('not authorized to see canary'), { name: 'AccessDeniedException' });
        },
      },
    );
    expect(report.notWell).toEqual(['provider_secret failed']);
    expect(report.of('provider_secret')[0]?.found).toContain('AccessDeniedException');
  });

  it('has a private key that cannot sign', async () => {
    const unusable = await check({
      acme: custom({ privateKey: 'canary-key' }, { clientAuthentication: 'private_key_jwt' }),
    });
    expect(unusable.notWell).toEqual(['provider_private_key failed', 'provider_credentials not_checked']);
    expect(endpoint.calls).toEqual([]);
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const usable = await check({
      acme: custom({ privateKey: pem }, { clientAuthentication: 'private_key_jwt' }),
    });
    expect(usable).toMatchObject({ credentials: 'accepted', notWell: [] });
    expect(usable.of('provider_private_key')[0]?.state).toBe('ok');
  });
});

describe('variables', () => {
  const variables = {
    region: { from: 'client', pattern: '[a-z]+', description: 'the region, such as eu' },
    shop: { from: 'integration', pattern: '[a-z]+', description: 'the shop, such as acme' },
  };
  const withVariables = (given: object) =>
    custom({ variables: given }, { tokenEndpoint: `${endpoint.url}/{region}/{shop}`, variables });

  it('of the secret are missing, unfit, or of another name', async () => {
    const missing = await check({ acme: withVariables({ regoin: 'eu' }) });
    expect(missing.of('provider_variables')).toMatchObject([
      {
        state: 'warning',
        found: 'variables.regoin in the secret: stands for nothing: the address has region, shop.',
      },
      {
        state: 'failed',
        found: 'variables.region in the secret: needed in the address: the region, such as eu.',
        fix: 'evergrant provider set acme --variable region=….',
      },
    ]);
    const unfit = await check({ acme: withVariables({ region: 'canary/..' }) });
    expect(unfit.of('provider_variables')[0]?.found).toContain('must be the region, such as eu');
    expect(endpoint.calls).toEqual([]);
  });

  it('of an integration have to be given', async () => {
    const without = await check({ acme: withVariables({ region: 'eu' }) });
    expect(without.of('provider_credentials')[0]).toMatchObject({
      state: 'not_checked',
      fix: 'Say which: evergrant provider check acme --variable shop=….',
    });
    const given = await check({ acme: withVariables({ region: 'eu' }) }, { variables: { shop: 'acme' } });
    expect(given).toMatchObject({
      credentials: 'accepted',
      attempt: { tokenEndpoint: `${endpoint.url}/eu/acme` },
    });
  });

  it.each([
    [{ shop: 'canary.example/x' }, /cannot stand in the address/],
    [{ shopp: 'acme' }, /shopp stands for nothing: the address has region, shop/],
    [{ region: 'us' }, /taken from the secret/],
  ])('that are given must fit: %j', async (given, message) => {
    const report = await check(
      { acme: withVariables({ region: 'eu' }) },
      { variables: { shop: 'acme', ...given } },
    );
    expect(
      report
        .of('provider_variables')
        .map(({ found }) => found)
        .join(),
    ).toMatch(message);
    expect(endpoint.calls).toEqual([]);
  });
});

describe('what holds it back', () => {
  it('is told from the database', async () => {
    expect((await check({ acme: custom() })).of('provider_circuit')[0]?.state).toBe('ok');
    await openCircuit(db.database, { provider: 'acme' });
    await db.sql(`UPDATE evergrant.provider_states SET disconnections_held_since = now(),
      disconnections_held_until = now() + interval '1 hour', disconnections_failing = 30`);
    const report = await check({ acme: custom() });
    expect(report.notWell).toEqual(['provider_circuit warning', 'provider_disconnections warning']);
    expect(report.of('provider_disconnections')[0]?.fix).toContain('evergrant provider close acme');
    // It is somebody's own look, so it is made all the same.
    expect(report.credentials).toBe('accepted');
  });

  it('is not known without the database, which keeps nothing else back', async () => {
    const database: Database = { query: () => Promise.reject(new Error('canary')) };
    const report = await check({ acme: custom() }, { database });
    expect(report).toMatchObject({
      credentials: 'accepted',
      notWell: ['provider_circuit not_checked'],
    });
  });
});
