import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { GetSecretValueCommand, UpdateSecretVersionStageCommand } from '@aws-sdk/client-secrets-manager';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { providerSecretPrefix, TestStack } from '../connect/harness.ts';
import { type Ended, type Given, run } from './harness.ts';

let db: TestDatabase;
let stack: TestStack;
let directory: string;
beforeAll(async () => {
  db = await testDatabase();
  directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-set-'));
});
afterEach(() => stack?.stop());
afterAll(async () => {
  await db.end();
  await rm(directory, { recursive: true, force: true });
});

/** A stack with these secrets of providers. */
async function withSecrets(secrets: Readonly<Record<string, string | object>> = {}): Promise<void> {
  stack = await TestStack.start(db, null);
  for (const [name, value] of Object.entries(secrets)) stack.put(providerSecretPrefix + name, value);
}

const stored = (name: string) => {
  const value = stack.get(providerSecretPrefix + name);
  return value === undefined ? undefined : JSON.parse(value);
};

const canaries = /canary/;

/** Sets a provider, and sees to it that nothing secret is printed. */
async function set(argv: readonly string[], given: Given = {}): Promise<Ended> {
  const ended = await run(stack, ['set', ...argv], given);
  expect(JSON.stringify(ended)).not.toMatch(canaries);
  return ended;
}

const google = { clientId: 'old-id', clientSecret: 'canary-old' };

describe('a provider that has no secret yet', () => {
  it('gets one from standard input', async () => {
    await withSecrets();
    const ended = await set(['google'], {
      input: JSON.stringify({ clientId: 'id', clientSecret: 'canary-secret' }),
    });
    expect(ended).toMatchObject({ exitCode: 0, error: null });
    expect(ended.stdout).toBe(
      `Stored in the new secret ${providerSecretPrefix}google.\nThe functions take it up within five minutes. To try it now:  evergrant provider check google`,
    );
    expect(stored('google')).toEqual({ clientId: 'id', clientSecret: 'canary-secret' });
  });

  it('takes the file of Google’s console as it is', async () => {
    await withSecrets();
    const file = { web: { client_id: 'id', project_id: 'p', client_secret: 'canary-secret', auth_uri: 'x' } };
    expect((await set(['google'], { input: JSON.stringify(file) })).exitCode).toBe(0);
    expect(stored('google')).toEqual({ clientId: 'id', clientSecret: 'canary-secret' });
  });

  it('is asked for at a terminal, the secret unseen', async () => {
    await withSecrets();
    const ended = await set(['auth0'], { answers: ['id', ' canary-secret ', 'acme.eu.auth0.com'] });
    expect(ended.questions.map(({ hidden }) => hidden)).toEqual([false, true, false]);
    expect(ended.exitCode).toBe(0);
    expect(stored('auth0')).toEqual({
      clientId: 'id',
      clientSecret: 'canary-secret',
      variables: { domain: 'acme.eu.auth0.com' },
    });
  });

  it('asks for the tenant of a provider whose address has one, and stores no default', async () => {
    await withSecrets();
    const ended = await set(['microsoft'], { answers: ['id', 'canary-secret', ''] });
    expect(ended.questions.at(-1)?.question).toMatch(/^tenant: .*\[common\]:$/);
    expect(stored('microsoft')).toEqual({ clientId: 'id', clientSecret: 'canary-secret' });
  });

  it('of a provider of one’s own asks for its definition as well', async () => {
    await withSecrets();
    const ended = await set(['gogle'], {
      answers: ['', 'Acme', 'https://acme.example/token', 'id', 'canary-secret'],
    });
    expect(ended.stderr).toContain(
      'The catalogue does not know gogle, so that it has to be described. Did you mean google?',
    );
    // An empty name is asked for again.
    expect(ended.questions.map(({ question }) => question)).toEqual([
      'Its name, as users read it:',
      'Its name, as users read it:',
      'Its token endpoint (https://…):',
      'Client id:',
      'Client secret (not shown):',
    ]);
    expect(stored('gogle')).toEqual({
      provider: { displayName: 'Acme', tokenEndpoint: 'https://acme.example/token' },
      clientId: 'id',
      clientSecret: 'canary-secret',
    });
  });

  it('a second client extends the definition of the first', async () => {
    await withSecrets({ google });
    const ended = await set(['google-ads-team', '--extends', 'google', '--client-id', 'two'], {
      input: JSON.stringify({ clientSecret: 'canary-secret' }),
    });
    expect(ended.exitCode).toBe(0);
    expect(stored('google-ads-team')).toEqual({
      clientId: 'two',
      clientSecret: 'canary-secret',
      extends: 'google',
    });
    expect(stored('google')).toEqual(google);
  });

  it('another name of a provider is told to share its client', async () => {
    await withSecrets();
    const ended = await set(['gmail'], { answers: [] });
    expect(ended.error).toBe('declined: Nothing was changed.');
    expect(ended.stderr).toContain('gmail shares the client of google (evergrant provider set google)');
  });

  it('a provider that wants no client needs no secret', async () => {
    await withSecrets();
    const ended = await set(['trello']);
    expect(ended).toMatchObject({
      exitCode: 0,
      stdout: 'Trello needs no secret: nothing of a client is sent there.',
    });
    expect(stored('trello')).toBeUndefined();
  });

  it('a private key comes from a file, and must sign', async () => {
    await withSecrets();
    const file = path.join(directory, 'key.pem');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await writeFile(file, pem);
    const custom = {
      provider: {
        displayName: 'Acme',
        tokenEndpoint: 'https://acme.example/token',
        clientAuthentication: 'private_key_jwt',
      },
    };
    const input = JSON.stringify(custom);
    const ended = await set(['acme', '--client-id', 'id', '--private-key-file', file], { input });
    expect(ended.exitCode).toBe(0);
    expect(stored('acme')).toEqual({ ...custom, clientId: 'id', privateKey: pem });

    await writeFile(file, 'canary-no-key');
    const refused = await set(['other', '--client-id', 'id', '--private-key-file', file], { input });
    expect(refused.error).toMatch(
      /^provider_secret_malformed: Nothing was changed\. privateKey: cannot sign: /,
    );
    expect(stored('other')).toBeUndefined();
    const missing = await set(['other', '--private-key-file', path.join(directory, 'none')], { input });
    expect(missing.error).toMatch(/^private_key_unreadable: .* \(ENOENT\)/);
  });
});

describe('what the functions could not use is not stored', () => {
  it.each<[string, readonly string[], string | undefined, RegExp]>([
    ['no secret', ['google', '--client-id', 'x'], undefined, /Nothing was changed\. clientSecret: needed/],
    ['nothing at all', ['google'], undefined, /clientId: needed .*; clientSecret: needed .*standard input/],
    ['no JSON', ['google'], 'canary', /^input_malformed: Standard input is no JSON object/],
    ['no object', ['google'], '["canary"]', /^input_malformed/],
    ['too much', ['google'], 'canary'.repeat(20_000), /^input_malformed: Standard input is longer/],
    ['another type', ['google'], '{"clientId":7,"clientSecret":"canary"}', /\. clientId: /],
    ['an unknown field', ['google'], '{"clientId":"x","clientSecret":"canary","clentId":1}', /clentId/],
    [
      'a variable of another name',
      ['microsoft', '--variable', 'tennant=x'],
      '{"clientId":"x","clientSecret":"canary"}',
      /variables\.tennant: stands for nothing: the address has tenant/,
    ],
    [
      'a variable that cannot stand in the address',
      ['microsoft', '--variable', 'tenant=canary/../x'],
      '{"clientId":"x","clientSecret":"canary"}',
      /variables\.tenant: must be /,
    ],
    [
      'a variable that is missing',
      ['auth0'],
      '{"clientId":"x","clientSecret":"canary"}',
      /variables\.domain: needed in the address: /,
    ],
    [
      'no definition',
      ['gogle'],
      '{"clientId":"x","clientSecret":"canary"}',
      /provider\.displayName: .*The catalogue does not know gogle: .*Did you mean google\?/,
    ],
    [
      'an address without TLS',
      ['acme'],
      '{"clientId":"x","clientSecret":"canary","provider":{"displayName":"A","tokenEndpoint":"http://acme.example"}}',
      /provider\.tokenEndpoint: must start with https/,
    ],
  ])('%s', async (_, argv, input, message) => {
    await withSecrets();
    const ended = await set(argv, input === undefined ? {} : { input });
    expect(ended.exitCode).toBe(1);
    expect(ended.error).toMatch(message);
    expect(stored(argv[0] as string)).toBeUndefined();
  });

  it.each<[readonly string[], RegExp]>([
    [['a b'], /"a b" is no provider/],
    [['google', '--client-secret', 'x'], /The client secret is no option/],
    [['google', '--variable', 'tenant'], /--variable is a name and a value/],
    [['google', '--extends', 'gogle'], /not in the catalogue\. Did you mean google\?/],
    [['google', '--client-id', ''], /--client-id is empty/],
    [['acme', '--issuer', 'http://id.acme.example'], /--issuer: must start with https/],
  ])('%j is wrong usage', async (argv, message) => {
    await withSecrets();
    const ended = await set(argv);
    expect(ended.exitCode).toBe(2);
    expect(ended.error).toMatch(message);
  });
});

describe('a provider that has a secret', () => {
  const full = {
    ...google,
    variables: {},
    provider: { scopes: ['openid'], errorMeanings: { slow: 'transient' } },
  };

  it('keeps what is not mentioned', async () => {
    await withSecrets({ google: full });
    const ended = await set(['google', '--yes', '--json'], {
      input: JSON.stringify({
        clientSecret: 'canary-new',
        provider: { errorMeanings: { dead: 'permanent' } },
      }),
    });
    expect(ended.document).toEqual({
      provider: 'google',
      secretId: `${providerSecretPrefix}google`,
      created: false,
      changed: ['clientSecret', 'provider.errorMeanings'],
    });
    expect(stored('google')).toEqual({
      ...full,
      clientSecret: 'canary-new',
      provider: { scopes: ['openid'], errorMeanings: { slow: 'transient', dead: 'permanent' } },
    });
  });

  it('a field that is null goes', async () => {
    await withSecrets({ google: full });
    const input = JSON.stringify({ provider: { scopes: null }, variables: null });
    expect((await set(['google', '--yes'], { input })).exitCode).toBe(0);
    expect(stored('google')).toEqual({ ...google, provider: { errorMeanings: full.provider.errorMeanings } });
  });

  it('is changed only by who agrees', async () => {
    await withSecrets({ google });
    const input = JSON.stringify({ clientSecret: 'canary-new' });
    const nobody = await set(['google'], { input });
    expect(nobody).toMatchObject({
      exitCode: 2,
      error: 'usage: google is configured. Change clientSecret in its secret?',
    });
    const declined = await set(['google'], { answers: ['', 'canary-new'], agrees: false });
    expect(declined).toMatchObject({ exitCode: 1, stdout: 'Nothing was changed.' });
    expect(stored('google')).toEqual(google);
    const agreed = await set(['google'], { answers: ['', 'canary-new'] });
    expect(agreed.questions.map(({ question }) => question)).toEqual([
      'Client id [old-id]:',
      'Client secret (not shown) [unchanged]:',
      'google is configured. Change clientSecret in its secret?',
    ]);
    expect(stored('google')).toEqual({ ...google, clientSecret: 'canary-new' });
  });

  it('warns of another client id: grants belong to the one before', async () => {
    await withSecrets({ google });
    const ended = await set(['google'], { answers: ['new-id', 'canary-new'], agrees: false });
    expect(ended.stderr).toContain('users have to connect anew');
    expect(ended.stderr).toContain('evergrant provider set google-2 --extends google');
  });

  it('is left alone where it says so already', async () => {
    await withSecrets({ google });
    const ended = await set(['google'], { answers: ['', ''] });
    expect(ended).toMatchObject({ exitCode: 0 });
    expect(ended.stdout).toMatch(/says so already\. Nothing was changed\.$/);
  });

  it('asks for no credentials where only something else is mentioned', async () => {
    await withSecrets({ microsoft: google });
    const ended = await set(['microsoft', '--variable', 'tenant=acme.example'], { answers: [] });
    expect(ended.questions).toHaveLength(1);
    expect(stored('microsoft')).toEqual({ ...google, variables: { tenant: 'acme.example' } });
  });

  it('that cannot be read is replaced as a whole, if somebody agrees', async () => {
    await withSecrets({ google: 'canary-not-json' });
    const ended = await set(['google'], { answers: ['id', 'canary-new'] });
    expect(ended.questions.at(-1)?.question).toMatch(/cannot be read\. Replace it as a whole\?$/);
    expect(stored('google')).toEqual({ clientId: 'id', clientSecret: 'canary-new' });
  });
});

describe('somebody else is quicker', () => {
  /** Changes the secret between the read of the command and its call of this kind. */
  function interfereBefore(kind: 'CreateSecretCommand' | 'PutSecretValueCommand'): void {
    const send = stack.secrets.send.bind(stack.secrets);
    stack.secrets.send = (async (command: { constructor: { name: string } }) => {
      if (command.constructor.name === kind) {
        stack.secrets.send = send;
        stack.put(`${providerSecretPrefix}google`, { ...google, clientSecret: 'canary-theirs' });
      }
      return send(command as never);
    }) as never;
  }

  it('and keeps the secret', async () => {
    await withSecrets({ google });
    interfereBefore('PutSecretValueCommand');
    const ended = await set(['google', '--yes'], { input: '{"clientSecret":"canary-ours"}' });
    expect(ended.error).toMatch(/^provider_secret_changed: Somebody else has changed/);
    expect(stored('google').clientSecret).toBe('canary-theirs');
  });

  it('also where there was none', async () => {
    await withSecrets();
    interfereBefore('CreateSecretCommand');
    const ended = await set(['google'], { input: JSON.stringify(google) });
    expect(ended.error).toMatch(/^provider_secret_changed/);
    expect(stored('google').clientSecret).toBe('canary-theirs');
  });

  it('a process that dies before the label moves leaves what was in force in force', async () => {
    await withSecrets({ google });
    const send = stack.secrets.send.bind(stack.secrets);
    stack.secrets.send = (async (command: unknown) => {
      if (command instanceof UpdateSecretVersionStageCommand) throw new Error('killed');
      return send(command as never);
    }) as never;
    const input = '{"clientSecret":"canary-ours"}';
    await expect(run(stack, ['set', 'google', '--yes'], { input })).rejects.toThrow('killed');
    stack.secrets.send = send;
    expect(stored('google')).toEqual(google);
    // And the next one gets through.
    expect((await set(['google', '--yes'], { input })).exitCode).toBe(0);
    expect(stored('google').clientSecret).toBe('canary-ours');
  });

  it('an answer that was lost after the label moved is a success', async () => {
    await withSecrets({ google });
    const send = stack.secrets.send.bind(stack.secrets);
    stack.secrets.send = (async (command: unknown) => {
      const answer = await send(command as never);
      if (command instanceof UpdateSecretVersionStageCommand) throw new Error('answer lost');
      return answer;
    }) as never;
    expect((await set(['google', '--yes'], { input: '{"clientSecret":"canary-ours"}' })).exitCode).toBe(0);
    stack.secrets.send = send;
    expect(stored('google').clientSecret).toBe('canary-ours');
  });

  it('a secret that is being deleted is named, with what to do', async () => {
    await withSecrets();
    const send = stack.secrets.send.bind(stack.secrets);
    stack.secrets.send = (async (command: unknown) => {
      if (command instanceof GetSecretValueCommand) {
        throw Object.assign(
          new Error("You can't perform this operation on the secret because it was marked for deletion."),
          { name: 'InvalidRequestException' },
        );
      }
      return send(command as never);
    }) as never;
    const ended = await set(['google'], { input: JSON.stringify(google) });
    expect(ended.error).toMatch(/^secret_deleted: .* aws secretsmanager restore-secret --secret-id /);
    stack.secrets.send = send;
  });
});

describe('the metadata of an issuer', () => {
  let server: Server;
  let origin: string;
  let metadata: { status?: number; body: object | string };
  beforeAll(async () => {
    server = createServer((request, response) => {
      expect(request.url).toBe('/.well-known/openid-configuration');
      response.writeHead(metadata.status ?? 200, { 'content-type': 'application/json', location: '/' });
      response.end(typeof metadata.body === 'string' ? metadata.body : JSON.stringify(metadata.body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());

  const document = (changes: object = {}) => ({
    issuer: origin,
    token_endpoint: `${origin}/token`,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint_auth_methods_supported: ['client_secret_jwt', 'client_secret_post'],
    ...changes,
  });
  const input = JSON.stringify({
    clientId: 'id',
    clientSecret: 'canary-secret',
    provider: { displayName: 'Acme ID' },
  });

  it('fills in addresses and the method of authentication', async () => {
    await withSecrets();
    metadata = { body: document() };
    expect((await set(['acme', '--issuer', origin], { input })).error).toBeNull();
    expect(stored('acme').provider).toEqual({
      displayName: 'Acme ID',
      issuer: origin,
      tokenEndpoint: `${origin}/token`,
      authorizationEndpoint: `${origin}/authorize`,
      clientAuthentication: 'client_secret_post',
    });
  });

  it('leaves the rest to the catalogue, where that knows the provider', async () => {
    await withSecrets();
    metadata = { body: document() };
    const ended = await set(['okta', '--issuer', origin, '--display-name', 'Acme ID'], {
      input: JSON.stringify({ clientId: 'id', clientSecret: 'canary-secret' }),
    });
    expect(ended.error).toBeNull();
    expect(stored('okta')).toMatchObject({
      extends: 'okta',
      provider: { displayName: 'Acme ID', tokenEndpoint: `${origin}/token` },
    });
  });

  it('is basic where it does not say, and gives way to what is said on standard input', async () => {
    await withSecrets();
    metadata = { body: document({ token_endpoint_auth_methods_supported: undefined }) };
    await set(['acme', '--issuer', origin, '--display-name', 'Other'], {
      input: JSON.stringify({
        clientId: 'id',
        clientSecret: 'canary-secret',
        provider: { tokenEndpoint: `${origin}/other`, displayName: 'Acme ID' },
      }),
    });
    expect(stored('acme').provider).toMatchObject({
      displayName: 'Other',
      tokenEndpoint: `${origin}/other`,
      clientAuthentication: 'client_secret_basic',
    });
  });

  it.each<[string, { status?: number; body: object | string }, RegExp]>([
    [
      'another issuer',
      { body: { issuer: 'https://canary.example', token_endpoint: 'https://x' } },
      /must be JSON, and name the same "issuer"/,
    ],
    ['no JSON', { body: 'canary' }, /must be JSON/],
    ['not found', { status: 404, body: '' }, /answers with HTTP 404/],
    ['a redirect', { status: 302, body: '' }, /answers with HTTP 302/],
  ])('%s stores nothing', async (_, given, message) => {
    await withSecrets();
    metadata = given;
    const ended = await set(['acme', '--issuer', origin], { input });
    expect(ended.error).toMatch(/^discovery_failed: .*openid-configuration /);
    expect(ended.error).toMatch(message);
    expect(stored('acme')).toBeUndefined();
  });

  it('without a token endpoint, or with methods that nobody here knows, stores nothing', async () => {
    await withSecrets();
    metadata = { body: document({ token_endpoint: undefined }) };
    expect((await set(['acme', '--issuer', origin], { input })).error).toMatch(/names no token_endpoint/);
    metadata = { body: document({ token_endpoint_auth_methods_supported: ['tls_client_auth'] }) };
    expect((await set(['acme', '--issuer', origin], { input })).error).toMatch(/takes none of the methods/);
    metadata = { body: document({ token_endpoint: 'http://acme.example/token' }) };
    expect((await set(['acme', '--issuer', origin], { input })).error).toMatch(
      /provider\.tokenEndpoint: must start with https/,
    );
    expect(stored('acme')).toBeUndefined();
  });

  it('of a server that is not there', async () => {
    await withSecrets();
    const ended = await set(['acme', '--issuer', 'http://127.0.0.1:9'], { input });
    expect(ended.error).toMatch(/^discovery_failed: .* cannot be reached \(/);
  });
});
