import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultPort, redirectUriAt } from '../../../cli/connect/redirect-uri.ts';
import { sendTokenRequest } from '../../../lambdas/providers/call.ts';
import { parseProviderClient } from '../../../lambdas/providers/client.ts';
import { buildTokenRequest } from '../../../lambdas/providers/request.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';
import { browseTo, checkAccessToken } from '../../../local/provider/connect.ts';
import { type LocalProvider, startProvider } from '../../../local/provider/server.ts';
import { commandLineRedirectUri } from '../../../local/system.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { providerSecretPrefix, type Run, run, TestStack as Stack } from './harness.ts';

const account = 'ada@example.com';
const tokenKey = { current: randomBytes(32).toString('hex'), previous: [] };
const client = {
  clientId: 'product',
  clientSecret: 'canary-client-secret: /+%&',
  clientAuth: 'client_secret_basic',
  redirectUri: 'http://localhost:3000/oauth/callback',
  commandLineRedirectUri,
} as const;

let db: TestDatabase;
let stack: Stack;
let provider: LocalProvider;
let sealer: TokenSealer;
beforeAll(async () => {
  db = await testDatabase();
  stack = await Stack.start(db, tokenKey);
  sealer = await TokenSealer.fromSecret(JSON.stringify(tokenKey));
});
afterAll(async () => {
  await stack.stop();
  await db.end();
});
beforeEach(async () => {
  await db.clear();
  stack.sent.length = 0;
  provider = await startProvider({ name: 'acme-calendar', displayName: 'Acme Calendar', client });
  configure();
});
afterEach(() => provider.stop());

function secret(changes: object = {}): object {
  return {
    clientId: client.clientId,
    clientSecret: client.clientSecret,
    provider: {
      displayName: 'Acme Calendar',
      tokenEndpoint: provider.tokenEndpoint,
      authorizationEndpoint: provider.authorizationEndpoint,
      issuer: provider.issuer,
      scopes: ['openid', 'offline_access'],
      authorizationParameters: { prompt: 'consent' },
      ...changes,
    },
  };
}
const configure = (changes: object = {}) =>
  stack.put(`${providerSecretPrefix}acme-calendar`, secret(changes));

/** What the operator does in the browser: signs in, decides, and comes back. */
async function browse(
  { address }: Run,
  decision: 'allow' | 'deny' = 'allow',
  who = account,
): Promise<{ callback: URL; status: number; page: string; headers: Headers }> {
  const start = await address();
  const callback = await browseTo(start.searchParams.get('redirect_uri')!, start, who, decision);
  const response = await fetch(callback);
  return { callback, status: response.status, page: await response.text(), headers: response.headers };
}

async function tokensOf(id: string): Promise<{ access: string; refresh: string }> {
  const row = await db.integration(id);
  const open = async (column: 'access_token' | 'refresh_token') => {
    const opened = await sealer.open(row[column]!, { integrationId: id, column });
    if (!opened.ok || !opened.current) throw new Error(`${column} is not sealed with the key`);
    return opened.token;
  };
  return { access: await open('access_token'), refresh: await open('refresh_token') };
}

/** Nothing of a grant but what is sealed may have been printed or sent. */
async function expectNoLeak(started: Run, callback: URL, id: string): Promise<void> {
  const { access, refresh } = await tokensOf(id);
  const canaries = [access, refresh, callback.searchParams.get('code')!, client.clientSecret];
  for (const canary of canaries) {
    expect(canary.length).toBeGreaterThan(10);
    expect(started.output.all).not.toContain(canary);
    expect(stack.sent.join()).not.toContain(canary);
  }
  expect(stack.sent.length).toBeGreaterThan(0);
}

describe('evergrant connect', () => {
  it('connects an account in the browser: a sealed grant that works, of the account that signed in', async () => {
    const userId = randomUUID();
    const started = run(
      stack,
      'connect',
      'acme-calendar',
      '--user',
      userId.toUpperCase(),
      '--port',
      '0',
      '--json',
    );
    const { callback, status, page, headers } = await browse(started);
    expect(await started.ended).toEqual({ exitCode: 0, error: null });

    const [document, ...others] = started.output.documents as { integrationId: string; expiresAt: string }[];
    expect(others).toEqual([]);
    const row = await db.integration(document!.integrationId);
    expect(document).toEqual({
      integrationId: row.id,
      provider: 'acme-calendar',
      expiresAt: row.expires_at!.toISOString(),
    });
    expect(row).toMatchObject({
      user_id: userId,
      provider: 'acme-calendar',
      status: 'connected',
      scopes: ['openid', 'offline_access'],
    });
    const livesMs = row.expires_at!.getTime() - Date.now();
    expect(livesMs).toBeGreaterThan(3_500_000);
    expect(livesMs).toBeLessThanOrEqual(3_600_000);

    const { access, refresh } = await tokensOf(row.id);
    expect(await checkAccessToken(provider.userinfoEndpoint, access)).toMatchObject({ works: true, account });
    const parsed = parseProviderClient('acme-calendar', JSON.stringify(secret()));
    const grant = { token: refresh, variables: null };
    const built =
      parsed.ok && (await buildTokenRequest(parsed.value, grant, { nowSeconds: Date.now() / 1000 }));
    const answer = built && (built.ok ? await sendTokenRequest(built.request, 5_000) : null);
    expect(answer).toMatchObject({ kind: 'response', status: 200 });

    expect(status).toBe(200);
    expect(page).toContain('<h1>Connected</h1>');
    expect(page).toContain('You can close this window.');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cache-control')).toBe('no-store');
    await expectNoLeak(started, callback, row.id);
    // The way back is closed.
    await expect(fetch(callback)).rejects.toThrow();
  });

  it('tells people what to do and how it went, and shows no token', async () => {
    const started = run(stack, 'connect', 'acme-calendar', '--user', randomUUID(), '--port', '0');
    const { callback } = await browse(started);
    expect(await started.ended).toEqual({ exitCode: 0, error: null });
    const [row] = await db.sql<{ id: string; expires_at: Date }>('SELECT id, expires_at FROM integrations');
    expect(started.output.stdout).toEqual([
      'Acme Calendar is connected.',
      `Integration ${row!.id}; its token expires at ${row!.expires_at.toISOString()} and is refreshed before.`,
    ]);
    const redirectUri = `${callback.origin}${callback.pathname}`;
    expect(started.output.stderr).toEqual([
      "reading the provider's secret and the token key",
      `The redirect URI ${redirectUri} must be registered at Acme Calendar.`,
      'Open this address in your browser, and sign in as the account to connect:',
      expect.stringContaining(`${provider.authorizationEndpoint}?`),
      'waiting for the browser to come back',
      'asking Acme Calendar for the tokens',
      'storing the grant',
    ]);
    await expectNoLeak(started, callback, row!.id);
  });

  it('asks with PKCE, a state of its own, and what the secret and the options say', async () => {
    configure({ authorizationEndpoint: `${provider.authorizationEndpoint}?audience=a%20b` });
    const first = run(stack, 'connect', 'acme-calendar', '--user', randomUUID(), '--port', '0');
    const one = (await first.address()).searchParams;
    await browse(first, 'deny');
    const second = run(
      stack,
      'connect',
      'acme-calendar',
      '--user',
      randomUUID(),
      '--port',
      '0',
      '--scope',
      'openid  email',
      '--scope',
      'offline_access',
      '--authorization-endpoint',
      `${provider.authorizationEndpoint}?tenant=b`,
    );
    const two = (await second.address()).searchParams;
    await browse(second);
    expect(await second.ended).toMatchObject({ exitCode: 0 });

    expect(Object.fromEntries(one)).toMatchObject({
      audience: 'a b',
      response_type: 'code',
      client_id: client.clientId,
      prompt: 'consent',
      scope: 'openid offline_access',
      code_challenge_method: 'S256',
      redirect_uri: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/callback$/),
    });
    expect(two.get('scope')).toBe('openid email offline_access');
    expect(two.get('tenant')).toBe('b');
    for (const name of ['state', 'code_challenge']) {
      expect(one.get(name)).toMatch(/^[\w-]{43}$/);
      expect(two.get(name)).not.toBe(one.get(name));
    }
    expect(await db.sql('SELECT scopes FROM integrations')).toEqual([
      { scopes: ['openid', 'email', 'offline_access'] },
    ]);
  });

  it('takes its usual port by default, which is the one that npm start registers', async () => {
    expect(redirectUriAt(defaultPort)).toBe(commandLineRedirectUri);
  });

  it.each(['client_secret_post', 'client_secret_basic'] as const)(
    'works for a client by %s',
    async (clientAuth) => {
      await provider.stop();
      provider = await startProvider({
        name: 'acme-calendar',
        displayName: 'Acme Calendar',
        client: { ...client, clientAuth },
      });
      configure({ clientAuthentication: clientAuth });
      const started = run(stack, 'connect', 'acme-calendar', '--user', randomUUID(), '--port', '0');
      await browse(started);
      expect(await started.ended).toEqual({ exitCode: 0, error: null });
    },
  );
});

describe('evergrant reconnect', () => {
  it('gives an integration a new grant, and asks for what it had before', async () => {
    const row = await db.insertIntegration({
      provider: 'acme-calendar',
      status: 'needs_reauthorization',
      disconnect_reason: 'invalid_grant',
      consecutive_failures: 3,
      scopes: ['email', 'openid', 'not a scope'],
    });
    const started = run(stack, 'reconnect', row.id.toUpperCase(), '--port', '0', '--json');
    expect((await started.address()).searchParams.get('scope')).toBe('openid offline_access email');
    const { callback } = await browse(started);
    expect(await started.ended).toEqual({ exitCode: 0, error: null });

    const after = await db.integration(row.id);
    expect(after).toMatchObject({
      status: 'connected',
      disconnect_reason: null,
      consecutive_failures: 0,
      user_id: row.user_id,
      scopes: ['openid', 'offline_access', 'email'],
    });
    expect(started.output.documents).toEqual([
      { integrationId: row.id, provider: 'acme-calendar', expiresAt: after.expires_at!.toISOString() },
    ]);
    const { access } = await tokensOf(row.id);
    expect(await checkAccessToken(provider.userinfoEndpoint, access)).toMatchObject({ works: true });
    await expectNoLeak(started, callback, row.id);
  });

  it('asks for nothing else when the scopes are given', async () => {
    const row = await db.insertIntegration({ provider: 'acme-calendar', scopes: ['email'] });
    const started = run(stack, 'reconnect', row.id, '--port', '0', '--scope', 'openid offline_access');
    expect((await started.address()).searchParams.get('scope')).toBe('openid offline_access');
    await browse(started);
    expect(await started.ended).toMatchObject({ exitCode: 0 });
  });

  it('sends nobody to the provider for an integration that it cannot reconnect', async () => {
    const id = randomUUID();
    expect(await run(stack, 'reconnect', id).ended).toEqual({
      exitCode: 1,
      error: `integration_not_found: There is no integration ${id}.`,
    });
    const paused = await db.insertIntegration({ provider: 'acme-calendar', status: 'paused' });
    expect((await run(stack, 'reconnect', paused.id).ended).error).toMatch(/^status_unknown: .*"paused"/);
    const foreign = await db.insertIntegration({ provider: 'unheard-of' });
    expect((await run(stack, 'reconnect', foreign.id).ended).error).toBe(
      "provider_not_configured: Create the secret evergrant/test/providers/unheard-of with the client's credentials.",
    );
    const odd = await db.insertIntegration({ provider: 'a/../token-key' });
    expect((await run(stack, 'reconnect', odd.id).ended).error).toMatch(/^provider_name_invalid: /);
  });

  it('loses to a product that changed the integration meanwhile into what it cannot be', async () => {
    const row = await db.insertIntegration({ provider: 'acme-calendar' });
    const started = run(stack, 'reconnect', row.id, '--port', '0');
    await started.address();
    await db.sql(`UPDATE integrations SET provider = 'globex' WHERE id = $1`, [row.id]);
    const { status } = await browse(started);
    expect(status).toBe(400);
    expect(await started.ended).toEqual({
      exitCode: 1,
      error: `provider_changed: The integration ${row.id} is one of globex, not of acme-calendar.`,
    });
    expect((await db.integration(row.id)).refresh_token).toBe(row.refresh_token);
  });
});

describe('it is refused', () => {
  const connect = (...options: readonly string[]) =>
    run(stack, 'connect', 'acme-calendar', '--user', randomUUID(), '--port', '0', ...options);

  afterEach(async () => {
    expect(await db.sql('SELECT id FROM integrations')).toEqual([]);
  });

  it('by the user, on the provider’s page', async () => {
    const started = connect();
    const { status, page } = await browse(started, 'deny');
    expect(status).toBe(400);
    expect(page).toContain('<h1>Not connected</h1>');
    expect(page).toContain('The terminal says why.');
    expect(await started.ended).toEqual({
      exitCode: 1,
      error:
        'authorization_refused: Acme Calendar did not give access: access_denied (the user denied the request). Nothing was changed.',
    });
    expect(stack.sent).toEqual([]);
  });

  it('without a refresh token, with the ways to get one', async () => {
    const started = connect('--scope', 'openid');
    const { status } = await browse(started);
    expect(status).toBe(400);
    expect(await started.ended).toEqual({
      exitCode: 1,
      error:
        'refresh_token_missing: Acme Calendar gave no refresh token, so there is nothing to keep alive; nothing was changed. Ask for one: with the scope offline_access at many providers (--scope, or provider.scopes in the secret evergrant/test/providers/acme-calendar), with {"access_type": "offline", "prompt": "consent"} as provider.authorizationParameters at Google.',
    });
    expect(stack.sent).toEqual([]);
  });

  it('with the answer to another request', async () => {
    const started = connect();
    const callback = await comeBack(started, { code: 'canary-code-of-somebody', state: 'of-another-run' });
    expect(callback.status).toBe(400);
    expect(await started.ended).toEqual({
      exitCode: 1,
      error:
        'state_mismatch: The browser came back with an answer to another request than this one (its state differs); nothing was changed. Try again, and open the address that is printed last.',
    });
    expect(started.output.all).not.toContain('canary-code');
  });

  it.each<[string, Record<string, string>]>([
    ['a code without a state', { code: 'x' }],
    ['an error without a state', { error: 'access_denied' }],
  ])('with %s', async (_, parameters) => {
    const started = connect();
    await comeBack(started, parameters);
    expect((await started.ended).error).toMatch(/^state_mismatch: /);
  });

  it('with a state that is there twice', async () => {
    const started = connect();
    const state = (await started.address()).searchParams.get('state')!;
    await comeBack(started, { code: 'x', state }, `&state=${state}`);
    expect((await started.ended).error).toMatch(/^state_mismatch: /);
  });

  it('with the answer of another issuer', async () => {
    const started = connect();
    const state = (await started.address()).searchParams.get('state')!;
    await comeBack(started, { code: 'x', state, iss: `${provider.origin}/elsewhere\u001b[2J` });
    expect(await started.ended).toEqual({
      exitCode: 1,
      error: `issuer_mismatch: The answer names the issuer "${provider.origin}/elsewhere[2J", but ${provider.origin} was asked; nothing was changed. Only if that is the issuer of Acme Calendar, put it into provider.issuer of the secret evergrant/test/providers/acme-calendar.`,
    });
  });

  it('with the answer of an issuer elsewhere, where the secret names none', async () => {
    configure({ issuer: undefined });
    const started = connect();
    const state = (await started.address()).searchParams.get('state')!;
    await comeBack(started, { code: 'x', state, iss: 'https://other.example' });
    expect((await started.ended).error).toMatch(/^issuer_mismatch: .*"https:\/\/other\.example"/);
  });

  it.each<[string, Record<string, string>, string]>([
    ['no code', {}, ''],
    ['an empty code', { code: '' }, ''],
    ['two codes', { code: 'x' }, '&code=y'],
    ['an access token beside it', { code: 'x', token: 'canary-implicit' }, ''],
  ])('with an answer of %s', async (_, parameters, more) => {
    const started = connect();
    const state = (await started.address()).searchParams.get('state')!;
    await comeBack(started, { ...parameters, state }, more);
    expect(await started.ended).toEqual({
      exitCode: 1,
      error:
        'authorization_response_malformed: What Acme Calendar sent the browser back with is no answer of the authorization code flow (RFC 6749 section 4.1.2); nothing was changed. Check authorizationEndpoint and authorizationParameters in the secret evergrant/test/providers/acme-calendar.',
    });
  });

  it('in the provider’s words, cleaned of what could steer a terminal', async () => {
    const started = connect();
    const state = (await started.address()).searchParams.get('state')!;
    await comeBack(started, {
      error: 'invalid_scope\u0007',
      error_description: `no \u001b]0;owned\u0007 such\r\nscope\u202e: ${'x'.repeat(400)}`,
      state,
    });
    expect(await started.ended).toEqual({
      exitCode: 1,
      error: `authorization_refused: Acme Calendar did not give access: invalid_scope (no ]0;owned such scope: ${'x'.repeat(276)}…). Nothing was changed.`,
    });
  });

  it('with a code that the provider does not know', async () => {
    const started = connect();
    const state = (await started.address()).searchParams.get('state')!;
    await comeBack(started, { code: 'canary-unknown-code', state });
    expect(await started.ended).toEqual({
      exitCode: 1,
      error:
        'code_refused: The token endpoint of Acme Calendar refused the code: invalid_grant (grant request is invalid). Nothing was changed; try again.',
    });
  });

  it('with the code of another browser’s request: PKCE', async () => {
    const [one, two] = [connect(), connect()];
    const [first, second] = await Promise.all([one.address(), two.address()]);
    const callback = await browseTo(first.searchParams.get('redirect_uri')!, first, account);
    await comeBack(two, {
      code: callback.searchParams.get('code')!,
      state: second.searchParams.get('state')!,
    });
    expect((await two.ended).error).toMatch(/^code_refused: .*invalid_grant/);
    await comeBack(one, { error: 'access_denied', state: first.searchParams.get('state')! });
    await one.ended;
  });

  it('with the wrong client secret', async () => {
    provider.faults.setClientSecret('another');
    const started = connect();
    await browse(started);
    expect(await started.ended).toEqual({
      exitCode: 1,
      error:
        'code_refused: The token endpoint of Acme Calendar refused the code: invalid_client (client authentication failed). Check clientId, clientSecret and clientAuthentication in the secret evergrant/test/providers/acme-calendar.',
    });
  });

  it('by a table with a column that only the product can fill', async () => {
    await db.sql('ALTER TABLE integrations ADD COLUMN workspace_id uuid NOT NULL');
    try {
      const started = connect();
      const { status } = await browse(started);
      expect(status).toBe(400);
      expect(await started.ended).toEqual({
        exitCode: 1,
        error:
          'column_required: The table integrations demands a value in its column "workspace_id", which only the product knows: connect through the product instead.',
      });
    } finally {
      await db.sql('ALTER TABLE integrations DROP COLUMN workspace_id');
    }
  });

  it('on a port that somebody else has', async () => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port));
    });
    try {
      const started = run(stack, 'connect', 'acme-calendar', '--user', randomUUID(), '--port', String(port));
      expect(await started.ended).toEqual({
        exitCode: 1,
        error: `port_unavailable: Port ${port} of 127.0.0.1 is in use. Name another with --port, and register http://127.0.0.1:<port>/callback with it at the provider.`,
      });
    } finally {
      taken.close();
    }
  });

  it('without a secret of the provider', async () => {
    const started = run(stack, 'connect', 'gogle', '--user', randomUUID());
    expect(await started.ended).toEqual({
      exitCode: 1,
      error:
        "provider_not_configured: Create the secret evergrant/test/providers/gogle with the client's credentials.",
    });
  });

  it('with a secret that is malformed, without repeating what it holds', async () => {
    stack.put(`${providerSecretPrefix}acme-calendar`, {
      clientId: 'x',
      clientSecret: ['canary'],
      provider: { displayName: 'Acme', tokenEndpoint: 'https://acme.example/token', scopes: ['a b'] },
    });
    expect(await connect().ended).toEqual({
      exitCode: 1,
      error:
        'provider_secret_malformed: Mend the secret evergrant/test/providers/acme-calendar: clientSecret: Invalid input: expected string, received array; provider.scopes.0: must be one scope: visible ASCII characters but quotes and backslashes.',
    });
  });

  it('without an authorization endpoint', async () => {
    configure({ authorizationEndpoint: undefined });
    expect(await connect().ended).toEqual({
      exitCode: 1,
      error:
        'authorization_endpoint_missing: Nothing says where Acme Calendar lets people give access: put provider.authorizationEndpoint into the secret evergrant/test/providers/acme-calendar, or name it with --authorization-endpoint.',
    });
  });

  it.each<[string | object | null, RegExp]>([
    [null, /^secret_unusable: The token key secret evergrant\/test\/token-key does not exist or is empty\./],
    [{ current: 'canary' }, /^token_key_malformed: .*"current" is not 64 hex digits\./],
  ])('with the token key %j', async (key, message) => {
    const other = await Stack.start(db, key);
    other.put(`${providerSecretPrefix}acme-calendar`, secret());
    const { exitCode, error } = await run(other, 'connect', 'acme-calendar', '--user', randomUUID()).ended;
    expect(exitCode).toBe(1);
    expect(error).toMatch(message);
    expect(error).not.toContain('canary');
    await other.stop();
  });

  it('by a stack without the operator function, before anybody is sent to the provider', async () => {
    const older = await Stack.start(db, tokenKey);
    delete older.outputs.OperatorFunction;
    const started = run(older, 'connect', 'acme-calendar', '--user', randomUUID());
    expect((await started.ended).error).toMatch(/^output_missing: /);
    expect(started.output.all).not.toContain('http');
    await older.stop();
  });

  it.each<[string, readonly string[], string]>([
    ['no user', ['acme'], 'connect needs --user <user-id>: whose integration it becomes.'],
    [
      'a user that is none',
      ['acme', '--user', 'ada'],
      '--user "ada" is no user id. It is the user_id column of integrations, such as 5e3f1c52-6c0e-4d0e-9d2e-6f8f1b7a9c10.',
    ],
    [
      'a provider that is none',
      ['a/b', '--user', randomUUID()],
      '"a/b" is no provider. It is the provider column of integrations, such as google.',
    ],
    [
      'a scope that is none',
      ['acme', '--user', randomUUID(), '--scope', 'a "b"'],
      '--scope: must be one scope: visible ASCII characters but quotes and backslashes.',
    ],
    [
      'an address without TLS',
      ['acme', '--user', randomUUID(), '--authorization-endpoint', 'http://acme.example/auth'],
      '--authorization-endpoint: must start with https:// (plain http is accepted for loopback addresses only).',
    ],
    [
      'a port that is none',
      ['acme', '--user', randomUUID(), '--port', '65536'],
      '--port: must be a port, from 0 to 65535.',
    ],
    [
      'a port in words',
      ['acme', '--user', randomUUID(), '--port', 'http'],
      '--port: must be a port, from 0 to 65535.',
    ],
  ])('with %s, as wrong usage', async (_, argv, message) => {
    expect(await run(stack, 'connect', ...argv).ended).toEqual({ exitCode: 2, error: `usage: ${message}` });
  });

  it('with an integration id that is none, as wrong usage', async () => {
    expect(await run(stack, 'reconnect', '7').ended).toMatchObject({ exitCode: 2 });
  });
});

it('what is no answer does not end the waiting', async () => {
  const started = run(stack, 'connect', 'acme-calendar', '--user', randomUUID(), '--port', '0');
  const redirectUri = (await started.address()).searchParams.get('redirect_uri')!;
  const { origin } = new URL(redirectUri);
  const answers = await Promise.all([
    fetch(`${origin}/favicon.ico`),
    fetch(redirectUri),
    fetch(`${redirectUri}?utm_source=x`),
    fetch(`${redirectUri}?code=x&state=y`, { method: 'POST' }),
    fetch(`${redirectUri}?code=x&state=y`, { method: 'HEAD' }),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([404, 400, 400, 404, 404]);
  const { status } = await browse(started);
  expect(status).toBe(200);
  expect(await started.ended).toEqual({ exitCode: 0, error: null });
});

it('an issuer in the answer is no hindrance where the secret names none and it is of the endpoint’s origin', async () => {
  configure({ issuer: undefined });
  const started = run(stack, 'connect', 'acme-calendar', '--user', randomUUID(), '--port', '0');
  const { callback } = await browse(started);
  expect(callback.searchParams.get('iss')).toBe(provider.issuer);
  expect(await started.ended).toEqual({ exitCode: 0, error: null });
});

/** Comes back from the provider with these parameters, whatever the provider thinks of it. */
async function comeBack({ address }: Run, parameters: Record<string, string>, more = ''): Promise<Response> {
  const redirectUri = (await address()).searchParams.get('redirect_uri');
  return fetch(`${redirectUri}?${new URLSearchParams(parameters)}${more}`);
}
