import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectAccount } from '../../../cli/connect/connect-account.ts';
import { readProviderClient, readSealer } from '../../../cli/connect/stack-secrets.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';
import { providerSecretPrefix, RecordedOutput, type Run, run, TestStack } from './harness.ts';

const code = 'canary-code';
const clientSecret = 'canary-client-secret';
const full = { access_token: 'canary-access', refresh_token: 'canary-refresh' };

let db: TestDatabase;
let stack: TestStack;
let endpoint: TokenEndpoint;
beforeAll(async () => {
  db = await testDatabase();
  stack = await TestStack.start(db, { current: '0f'.repeat(32) });
});
afterAll(async () => {
  await stack.stop();
  await db.end();
});
beforeEach(async () => {
  await db.clear();
  endpoint = await startTokenEndpoint(() => granted(full));
  configure();
});
afterEach(() => endpoint.stop());

function configure(changes: object = {}): void {
  stack.put(`${providerSecretPrefix}acme`, {
    clientId: 'id',
    clientSecret,
    provider: {
      displayName: 'Acme',
      tokenEndpoint: endpoint.url,
      authorizationEndpoint: 'https://acme.example/authorize',
      clientAuthentication: 'client_secret_post',
      ...changes,
    },
  });
}

const connect = (...options: readonly string[]) =>
  run(stack, 'connect', 'acme', '--user', randomUUID(), '--port', '0', ...options);

/** Comes back from the provider with a code. */
async function comeBack({ address }: Pick<Run, 'address'>): Promise<Response> {
  const { searchParams } = await address();
  const parameters = new URLSearchParams({ code, state: searchParams.get('state') ?? '' });
  return fetch(`${searchParams.get('redirect_uri')}?${parameters}`);
}

async function connected(...options: readonly string[]): Promise<{ scopes: string[] | null; lives: number }> {
  const started = connect(...options);
  await comeBack(started);
  expect(await started.ended).toEqual({ exitCode: 0, error: null });
  const [row] = await db.sql<{ scopes: string[] | null; lives: number }>(
    'SELECT scopes, round(extract(epoch FROM expires_at - created_at))::int AS lives FROM integrations',
  );
  return row!;
}

async function refusal(): Promise<string | null> {
  const started = connect();
  const response = await comeBack(started);
  const { exitCode, error } = await started.ended;
  expect(exitCode).toBe(1);
  expect(response.status).toBe(400);
  expect(`${error}${started.output.all}`).not.toContain('canary');
  expect(await db.sql('SELECT id FROM integrations')).toEqual([]);
  return error;
}

describe('the exchange', () => {
  it('authenticates the client and sends the code, the verifier and the extra parameters once', async () => {
    configure({ extraParameters: { audience: 'a', grant_type: 'password' } });
    const started = connect();
    const { searchParams } = await started.address();
    await comeBack(started);
    await started.ended;
    expect(endpoint.calls).toHaveLength(1);
    const { parameters } = endpoint.calls[0]!;
    expect(Object.fromEntries(parameters)).toEqual({
      grant_type: 'authorization_code',
      code,
      redirect_uri: searchParams.get('redirect_uri'),
      code_verifier: expect.stringMatching(/^[\w-]{43}$/),
      client_id: 'id',
      client_secret: clientSecret,
      audience: 'a',
    });
    const digest = await crypto.subtle.digest(
      'SHA-256',
      new TextEncoder().encode(parameters.get('code_verifier')!),
    );
    expect(Buffer.from(digest).toString('base64url')).toBe(searchParams.get('code_challenge'));
    expect(searchParams.has('scope')).toBe(false);
  });

  it('speaks the provider’s dialect, in the browser’s address too', async () => {
    configure({
      requestFormat: 'json',
      clientIdParameter: 'client_key',
      headers: { 'x-version': '7' },
      variables: {
        tenant: { from: 'client', pattern: '[a-z]+', description: 'the tenant', default: 'common' },
      },
      authorizationEndpoint: 'https://acme.example/{tenant}/authorize',
      tokenEndpoint: `${endpoint.url}/{tenant}`,
      tokensAt: 'data',
    });
    endpoint.answer = () => ({ body: { data: { ...full, expires_in: 60 } } });
    const started = connect();
    const address = await started.address();
    expect(address.href).toMatch(/^https:\/\/acme\.example\/common\/authorize\?/);
    expect(address.searchParams.get('client_key')).toBe('id');
    expect(address.searchParams.has('client_id')).toBe(false);
    await comeBack(started);
    expect(await started.ended).toEqual({ exitCode: 0, error: null });
    expect(endpoint.calls[0]).toMatchObject({ path: '/token/common', headers: { 'x-version': '7' } });
    expect(JSON.parse(endpoint.calls[0]!.body)).toMatchObject({
      grant_type: 'authorization_code',
      code,
      client_key: 'id',
      client_secret: clientSecret,
    });
  });

  it.each([
    [
      'integration_variable_missing',
      {
        authorizationEndpoint: 'https://{shop}.acme.example/authorize',
        variables: { shop: { from: 'integration', pattern: '[a-z]+', description: 'the shop' } },
      },
    ],
    ['provider_secret_malformed', { authorizationEndpoint: 'https://{shop}.acme.example/authorize' }],
  ])('sends nobody to a provider whose address is not complete: %s', async (problem, changes) => {
    configure(changes);
    const started = connect();
    const { exitCode, error } = await started.ended;
    expect(exitCode).toBe(1);
    expect(error).toMatch(new RegExp(`^${problem}: `));
    expect(started.output.stderr.join()).not.toContain('https://');
  });

  it('needs a client of our own', async () => {
    stack.put(`${providerSecretPrefix}acme`, {
      provider: {
        displayName: 'Acme',
        tokenEndpoint: endpoint.url,
        authorizationEndpoint: 'https://acme.example/authorize',
        clientAuthentication: 'anonymous',
      },
    });
    expect((await connect().ended).error).toBe(
      'client_id_missing: Connecting an account takes a client at Acme: put clientId into the secret evergrant/test/providers/acme.',
    );
  });

  it('stores what the answer says', async () => {
    endpoint.answer = () => granted({ ...full, expires_in: 120, scope: 'a b' });
    expect(await connected('--scope', 'a b c')).toEqual({ scopes: ['a', 'b'], lives: 120 });
  });

  it('takes what was asked for as granted, and the lifetime of the definition, where the answer says nothing', async () => {
    configure({ accessTokenLifetimeSeconds: 777 });
    endpoint.answer = () => ({ body: { ...full, token_type: 'Bearer' } });
    expect(await connected('--scope', 'a b c')).toEqual({ scopes: ['a', 'b', 'c'], lives: 777 });
  });

  it('stores no scopes where nobody has named any', async () => {
    endpoint.answer = () => granted(full);
    expect((await connected()).scopes).toBeNull();
  });

  it('is refused in words that hold nothing secret, whatever the provider echoes', async () => {
    endpoint.answer = ({ parameters }) => ({
      status: 400,
      body: {
        error: 'bad_code',
        error_description: `${parameters.get('code')} and ${parameters.get('code_verifier')} of ${parameters.get('client_secret')}\u001b[31m.`,
      },
    });
    expect(await refusal()).toBe(
      'code_refused: The token endpoint of Acme refused the code: bad_code (… and … of …[31m). Nothing was changed; try again.',
    );
  });

  it('is refused also with HTTP 200', async () => {
    endpoint.answer = () => refused('bad_verification_code', 200);
    expect(await refusal()).toBe(
      'code_refused: The token endpoint of Acme refused the code: bad_verification_code. Nothing was changed; try again.',
    );
  });

  it.each([
    ['an HTML page', { status: 403, body: '<h1>canary</h1>' }, 403],
    ['no token', { body: { ok: true } }, 200],
    ['a list', { status: 400, body: '["canary"]' }, 400],
    ['an error that is no text', { status: 400, body: { error: { message: 'canary' } } }, 400],
  ])('is answered with %s', async (_, answer, status) => {
    endpoint.answer = () => answer;
    expect(await refusal()).toBe(
      `token_answer_malformed: The token endpoint of Acme answered with HTTP ${status} and without tokens; nothing was changed. Check tokenEndpoint in the secret evergrant/test/providers/acme.`,
    );
  });

  it('finds nobody there', async () => {
    endpoint.answer = (_, response) => void response.socket?.destroy();
    expect(await refusal()).toBe(
      'token_endpoint_silent: The token endpoint of Acme did not answer (network_error); nothing was changed. Check tokenEndpoint in the secret evergrant/test/providers/acme, and try again.',
    );
  });

  it('leads to no second one when the browser sends the code again', async () => {
    const { promise: answering, resolve: answer } = Promise.withResolvers<void>();
    endpoint.answer = async () => {
      await answering;
      return granted(full);
    };
    const started = connect();
    const first = comeBack(started);
    while (endpoint.calls.length === 0) await sleep(5);
    const second = await comeBack(started);
    expect(second.status).toBe(400);
    expect(await second.text()).toContain('That is done already');
    answer();
    expect((await first).status).toBe(200);
    await started.ended;
    expect(endpoint.calls).toHaveLength(1);
  });

  it('goes on when the browser does not wait for its page', async () => {
    const started = connect();
    const { searchParams } = await started.address();
    const leaving = new AbortController();
    endpoint.answer = async () => {
      leaving.abort();
      await sleep(50);
      return granted(full);
    };
    const parameters = new URLSearchParams({ code, state: searchParams.get('state') ?? '' });
    await expect(
      fetch(`${searchParams.get('redirect_uri')}?${parameters}`, { signal: leaving.signal }),
    ).rejects.toThrow();
    expect(await started.ended).toEqual({ exitCode: 0, error: null });
  });
});

it('nobody comes back', async () => {
  const output = new RecordedOutput(false);
  const connecting = connectAccount(
    {
      target: stack,
      output,
      sealer: await readSealer(stack),
      provider: {
        ...(await readProviderClient(stack, 'acme')),
        authorizationEndpoint: 'https://acme.example/authorize',
        scopes: [],
      },
      port: 0,
      open: false,
      timeoutMs: 60,
    },
    { integrationId: randomUUID(), userId: randomUUID(), provider: 'acme' },
  );
  await expect(connecting).rejects.toMatchObject({
    code: 'browser_timed_out',
    message: expect.stringMatching(
      /^Nobody came back from the provider within 0 minutes; nothing was changed\. If the provider showed an error about the redirect URI, register http:\/\/127\.0\.0\.1:\d+\/callback there, then try again\.$/,
    ),
  });
  const redirectUri = /http:\/\/127\.0\.0\.1:\d+\/callback/.exec(output.all)![0];
  await expect(fetch(redirectUri)).rejects.toThrow();
});

describe('--open', () => {
  const usualPath = process.env.PATH;
  afterEach(() => {
    process.env.PATH = usualPath;
  });

  it('hands the address to the desktop', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'evergrant-opener-'));
    for (const name of ['open', 'xdg-open']) {
      await writeFile(
        path.join(folder, name),
        `#!/bin/sh\nprintf %s "$1" > ${folder}/opened.tmp\nmv ${folder}/opened.tmp ${folder}/opened\n`,
      );
      await chmod(path.join(folder, name), 0o755);
    }
    process.env.PATH = `${folder}:${usualPath}`;
    const started = connect('--open');
    const address = await started.address();
    const opened = await eventually(() => readFile(path.join(folder, 'opened'), 'utf8'));
    expect(opened).toBe(address.href);
    expect(started.output.all).not.toContain('No browser');
    await comeBack(started);
    expect(await started.ended).toMatchObject({ exitCode: 0 });
  });

  it('says so where there is none, and waits all the same', async () => {
    process.env.PATH = '/nonexistent';
    const started = connect('--open');
    await started.address();
    await comeBack(started);
    expect(await started.ended).toMatchObject({ exitCode: 0 });
    expect(started.output.stderr).toContain(
      'No browser could be opened from here: open the address yourself.',
    );
  });
});

async function eventually<Value>(probe: () => Promise<Value>): Promise<Value> {
  for (let count = 0; ; count += 1) {
    try {
      return await probe();
    } catch (error) {
      if (count > 200) throw error;
      await sleep(25);
    }
  }
}
