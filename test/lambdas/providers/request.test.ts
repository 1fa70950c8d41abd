import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { parseProviderClient } from '../../../lambdas/providers/client.ts';
import type { ProviderDescription } from '../../../lambdas/providers/definition.ts';
import {
  buildCodeRequest,
  buildTokenRequest,
  canSign,
  type TokenRequest,
} from '../../../lambdas/providers/request.ts';

const clientId = 'client/one:1';
const clientSecret = 'p+a/s%s: &é';
const token = 'the refresh+token/=&';
/** 2001-09-09, as this machine's clock does not say. */
const clock = { nowSeconds: 1_000_000_000.75 };

function clientOf(changes: Partial<ProviderDescription> = {}, credentials: object = {}) {
  const parsed = parseProviderClient(
    'acme',
    JSON.stringify({
      clientId,
      clientSecret,
      ...credentials,
      provider: { displayName: 'Acme', tokenEndpoint: 'https://acme.example/token', ...changes },
    }),
  );
  if (!parsed.ok) throw new Error(parsed.problems.join());
  return parsed.value;
}

async function build(
  changes: Partial<ProviderDescription> = {},
  credentials: object = {},
): Promise<TokenRequest> {
  const built = await buildTokenRequest(clientOf(changes, credentials), { token, variables: null }, clock);
  if (!built.ok) throw new Error(built.fix);
  return built.request;
}

const userAgent = 'Evergrant/1 (+token refresh)';
const form = 'application/x-www-form-urlencoded';
const encodedToken = 'refresh_token=the+refresh%2Btoken%2F%3D%26';
const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
const encodedBasic = basic('client%2Fone%3A1', 'p%2Ba%2Fs%25s%3A+%26%C3%A9');

describe('the request, byte by byte', () => {
  it('is a form in a POST that asks for JSON, the client in a header of form-encoded parts', async () => {
    expect(await build()).toEqual({
      url: 'https://acme.example/token',
      method: 'POST',
      headers: {
        'user-agent': userAgent,
        accept: 'application/json',
        authorization: encodedBasic,
        'content-type': form,
      },
      body: `grant_type=refresh_token&${encodedToken}`,
    });
  });

  const client = 'client_id=client%2Fone%3A1';
  it.each<[ProviderDescription['clientAuthentication'], string | undefined, string]>([
    ['client_secret_basic', encodedBasic, ''],
    ['client_secret_basic_raw', basic(clientId, clientSecret), ''],
    ['client_secret_as_user', basic(clientSecret, ''), ''],
    ['client_secret_post', undefined, `&${client}&client_secret=p%2Ba%2Fs%25s%3A+%26%C3%A9`],
    ['none', undefined, `&${client}`],
    ['anonymous', undefined, ''],
  ])('authenticates by %s', async (clientAuthentication, authorization, rest) => {
    const { headers, body } = await build({ clientAuthentication });
    expect(headers.authorization).toBe(authorization);
    expect(body).toBe(`grant_type=refresh_token&${encodedToken}${rest}`);
  });

  it('may be JSON', async () => {
    const { method, headers, body } = await build({
      requestFormat: 'json',
      clientAuthentication: 'client_secret_post',
      extraParameters: { audience: 'ä' },
    });
    expect(method).toBe('POST');
    expect(headers['content-type']).toBe('application/json');
    expect(body).toBe(
      '{"grant_type":"refresh_token","refresh_token":"the refresh+token/=&","audience":"ä","client_id":"client/one:1","client_secret":"p+a/s%s: &é"}',
    );
  });

  it('may be a query', async () => {
    const facebook = await build({
      tokenEndpoint: 'https://graph.example/v1/oauth?fields=a%20b',
      requestFormat: 'query',
      clientAuthentication: 'client_secret_post',
      grantType: 'fb_exchange_token',
      tokenParameter: 'fb_exchange_token',
    });
    expect(facebook).toEqual({
      url: 'https://graph.example/v1/oauth?fields=a%20b&grant_type=fb_exchange_token&fb_exchange_token=the+refresh%2Btoken%2F%3D%26&client_id=client%2Fone%3A1&client_secret=p%2Ba%2Fs%25s%3A+%26%C3%A9',
      method: 'GET',
      headers: { 'user-agent': userAgent, accept: 'application/json' },
      body: null,
    });
    const instagram = await build({
      requestFormat: 'query',
      clientAuthentication: 'anonymous',
      grantType: 'ig_refresh_token',
      tokenParameter: 'access_token',
    });
    expect(instagram.url).toBe(
      'https://acme.example/token?grant_type=ig_refresh_token&access_token=the+refresh%2Btoken%2F%3D%26',
    );
  });

  it('may name the client otherwise', async () => {
    const { body } = await build({
      clientAuthentication: 'client_secret_post',
      clientIdParameter: 'client_key',
    });
    expect(body).toBe(
      `grant_type=refresh_token&${encodedToken}&client_key=client%2Fone%3A1&client_secret=p%2Ba%2Fs%25s%3A+%26%C3%A9`,
    );
  });

  it('has the provider’s own parameters between the grant and the client, which replace none of the protocol’s', async () => {
    const { body } = await build({
      clientAuthentication: 'client_secret_post',
      extraParameters: {
        zone: '1',
        grant_type: 'password',
        refresh_token: 'x',
        client_id: 'x',
        client_secret: 'x',
        audience: 'https://api.acme.example/?a=b',
      },
    });
    expect(body).toBe(
      `grant_type=refresh_token&${encodedToken}&zone=1&audience=https%3A%2F%2Fapi.acme.example%2F%3Fa%3Db&client_id=client%2Fone%3A1&client_secret=p%2Ba%2Fs%25s%3A+%26%C3%A9`,
    );
  });

  it('asks for no scope, so that the grant keeps its own', async () => {
    for (const requestFormat of ['form', 'json', 'query'] as const) {
      const { url, body } = await build({ requestFormat, clientAuthentication: 'client_secret_post' });
      expect(`${url}${body}`).not.toContain('scope');
    }
  });

  it('has the provider’s own headers, and the user agent it wants', async () => {
    const { headers } = await build({ headers: { 'X-Version': '2025-01-01', 'User-Agent': 'web:acme:1' } });
    expect(headers).toMatchObject({
      'x-version': '2025-01-01',
      'user-agent': 'web:acme:1',
      accept: 'application/json',
    });
  });

  it('may present the token in the Authorization header', async () => {
    const definition = {
      tokenPlacement: 'bearer',
      clientAuthentication: 'client_secret_post',
    } as const;
    const grant = { token: 'a.b~c=', variables: null };
    const built = await buildTokenRequest(clientOf(definition), grant, clock);
    expect(built).toMatchObject({
      ok: true,
      request: {
        headers: { authorization: 'Bearer a.b~c=' },
        body: 'grant_type=refresh_token&client_id=client%2Fone%3A1&client_secret=p%2Ba%2Fs%25s%3A+%26%C3%A9',
      },
    });
    for (const unsendable of ['a\r\nx-evil: 1', 'a b', 'é', '']) {
      const refused = await buildTokenRequest(clientOf(definition), { ...grant, token: unsendable }, clock);
      expect(refused).toMatchObject({ ok: false, code: 'token_unsendable' });
    }
  });

  it('keeps the query of the token endpoint', async () => {
    expect((await build({ tokenEndpoint: 'https://acme.example/token?version=2' })).url).toBe(
      'https://acme.example/token?version=2',
    );
  });

  it('is always the same', async () => {
    const changes = {
      clientAuthentication: 'client_secret_post',
      extraParameters: { b: '1', a: '2' },
    } as const;
    expect(await build(changes)).toEqual(await build(changes));
  });

  it('is none where nothing is renewed', async () => {
    const { provider } = clientOf();
    const client = { ...clientOf(), provider: { ...provider, tokenEndpoint: undefined } };
    expect(await buildTokenRequest(client, { token, variables: null }, clock)).toMatchObject({
      ok: false,
      code: 'provider_nothing_to_renew',
    });
  });
});

describe('a code’s exchange', () => {
  it('is built of the same parts', async () => {
    const authorized = { code: 'c/d', redirectUri: 'http://127.0.0.1:1/callback', verifier: 'v' };
    const client = clientOf({
      requestFormat: 'json',
      clientAuthentication: 'client_secret_post',
      clientIdParameter: 'client_key',
      grantType: 'refresh',
      extraParameters: { audience: 'a', code: 'x' },
      headers: { 'x-version': '1' },
    });
    const built = await buildCodeRequest(client, authorized, clock);
    expect(built).toMatchObject({
      ok: true,
      request: {
        method: 'POST',
        headers: { 'x-version': '1', 'content-type': 'application/json' },
        body: JSON.stringify({
          grant_type: 'authorization_code',
          code: 'c/d',
          redirect_uri: 'http://127.0.0.1:1/callback',
          code_verifier: 'v',
          audience: 'a',
          client_key: clientId,
          client_secret: clientSecret,
        }),
      },
    });
  });
});

describe('a client assertion (RFC 7523)', () => {
  const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ed25519 = generateKeyPairSync('ed25519');
  const definition = {
    clientAuthentication: 'private_key_jwt',
    tokenEndpoint: 'https://{tenant}.acme.example/token',
    variables: { tenant: { from: 'client', pattern: '[a-z]+', description: 'the tenant' } },
  } as const;
  const credentials = { clientSecret: undefined, keyId: 'key-1', variables: { tenant: 'one' } };

  it.each([
    ['RS256', rsa],
    ['ES256', p256],
    ['EdDSA', ed25519],
  ])('is signed by %s, for this endpoint, once', async (alg, { privateKey, publicKey }) => {
    const request = await build(definition, { ...credentials, privateKey: pem(privateKey) });
    expect(request.url).toBe('https://one.acme.example/token');
    expect(request.headers).not.toHaveProperty('authorization');
    const parameters = new URLSearchParams(request.body ?? '');
    expect([...parameters.keys()]).toEqual([
      'grant_type',
      'refresh_token',
      'client_id',
      'client_assertion_type',
      'client_assertion',
    ]);
    expect(parameters.get('client_assertion_type')).toBe(
      'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    );
    const { payload, protectedHeader } = await jwtVerify(parameters.get('client_assertion')!, publicKey, {
      issuer: clientId,
      subject: clientId,
      audience: 'https://one.acme.example/token',
      currentDate: new Date(clock.nowSeconds * 1000),
    });
    expect(protectedHeader).toEqual({ alg, typ: 'JWT', kid: 'key-1' });
    expect(payload).toMatchObject({ iat: 1_000_000_000, exp: 1_000_000_060 });
    const again = new URLSearchParams(
      (await build(definition, { ...credentials, privateKey: pem(privateKey) })).body!,
    );
    const { payload: other } = await jwtVerify(again.get('client_assertion')!, publicKey, {
      currentDate: new Date(clock.nowSeconds * 1000),
    });
    expect(other.jti).not.toBe(payload.jti);
  });

  it('names no key where the provider knows but one', async () => {
    const request = await build(definition, {
      ...credentials,
      keyId: undefined,
      privateKey: pem(p256.privateKey),
    });
    const [head = ''] = new URLSearchParams(request.body ?? '').get('client_assertion')!.split('.');
    expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toEqual({ alg: 'ES256', typ: 'JWT' });
  });

  it.each([
    ['no key', 'canary'],
    ['a short one', pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)],
    ['another curve', pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey)],
    ['a public one', p256.publicKey.export({ type: 'spki', format: 'pem' })],
    ['half of one', String(pem(p256.privateKey)).slice(0, 80)],
  ])('cannot be made with %s', async (_, privateKey) => {
    const client = clientOf(definition, { ...credentials, privateKey });
    const built = await buildTokenRequest(client, { token, variables: null }, clock);
    expect(built).toMatchObject({ ok: false, code: 'provider_key_unusable' });
    expect(JSON.stringify(built)).not.toContain('canary');
    // Who stores or checks a key is told the same before anything is signed with it.
    expect(canSign(privateKey.toString())).toBe(false);
  });

  it.each([rsa, p256, ed25519])('can be made with %#, and is said to be', ({ privateKey }) => {
    expect(canSign(pem(privateKey).toString())).toBe(true);
  });
});

describe('whatever the credentials and the token are', () => {
  it('there is a request whose parts give them back, and nothing throws', async () => {
    const text = fc.string({ unit: 'binary', minLength: 1 });
    await fc.assert(
      fc.asyncProperty(text, text, text, async (id, secret, presented) => {
        const credentials = { clientId: id, clientSecret: secret };
        const grant = { token: presented, variables: null };
        const wellFormed = (part: string) => part.toWellFormed();
        const post = await buildTokenRequest(
          clientOf({ clientAuthentication: 'client_secret_post' }, credentials),
          grant,
          clock,
        );
        expect(post.ok && Object.fromEntries(new URLSearchParams(post.request.body ?? ''))).toEqual({
          grant_type: 'refresh_token',
          refresh_token: wellFormed(presented),
          client_id: wellFormed(id),
          client_secret: wellFormed(secret),
        });
        const header = await buildTokenRequest(clientOf({}, credentials), grant, clock);
        const pair =
          header.ok && Buffer.from(header.request.headers.authorization!.slice(6), 'base64').toString();
        const [first, ...others] = String(pair)
          .split(':')
          .map((part) => new URLSearchParams(`x=${part}`).get('x'));
        expect([first, ...others]).toEqual([wellFormed(id), wellFormed(secret)]);
        expect(header.ok && new Headers(header.request.headers)).toBeInstanceOf(Headers);
      }),
    );
  });
});
