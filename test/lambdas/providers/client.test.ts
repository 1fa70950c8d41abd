import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseProviderClient } from '../../../lambdas/providers/client.ts';

const provider = { displayName: 'Acme', tokenEndpoint: 'https://acme.example/token' };
const valid = { clientId: 'id', clientSecret: 'canary-secret', provider };

const parse = (document: unknown) => parseProviderClient('acme', JSON.stringify(document));
const problemOf = (document: unknown) => {
  const parsed = parse(document);
  return parsed.ok ? null : parsed.problem;
};

describe('a provider’s secret', () => {
  it('needs only what has no default', () => {
    expect(parse(valid)).toEqual({
      ok: true,
      value: {
        clientId: 'id',
        clientSecret: 'canary-secret',
        privateKey: null,
        keyId: null,
        variables: {},
        provider: expect.objectContaining({
          ...provider,
          renewal: 'refresh_token',
          requestFormat: 'form',
          clientAuthentication: 'client_secret_basic',
          grantType: 'refresh_token',
          extraParameters: {},
          errorMeanings: {},
        }),
      },
    });
  });

  it('of a public client has no client secret', () => {
    expect(parse({ clientId: 'id', provider: { ...provider, clientAuthentication: 'none' } })).toMatchObject({
      ok: true,
    });
  });

  it.each<[string, unknown]>([
    ['clientId', { ...valid, clientId: '' }],
    ['clientId', { ...valid, clientId: undefined }],
    ['clientSecret', { ...valid, clientSecret: undefined }],
    ['clientSecret', { ...valid, clientSecret: '' }],
    ['clientSecret', { ...valid, clientSecret: 7 }],
    ['provider', { ...valid, provider: undefined }],
    ['provider.displayName', { ...valid, provider: { ...provider, displayName: '' } }],
    ['provider.displayName', { ...valid, provider: { ...provider, displayName: 'x'.repeat(101) } }],
    ['provider.displayName', { ...valid, provider: { ...provider, displayName: 'a\u0000b' } }],
    ['provider.tokenEndpoint', { ...valid, provider: { ...provider, tokenEndpoint: undefined } }],
    ['provider.tokenEndpoint', { ...valid, provider: { ...provider, tokenEndpoint: '/token' } }],
    [
      'provider.clientAuthentication',
      { ...valid, provider: { ...provider, clientAuthentication: 'tls_client_auth' } },
    ],
    ['privateKey', { ...valid, provider: { ...provider, clientAuthentication: 'private_key_jwt' } }],
    ['extends', { ...valid, extends: 'nobody' }],
    ['variables.tenant', { ...valid, variables: { tenant: 7 } }],
    ['provider.headers', { ...valid, provider: { ...provider, headers: { Authorization: 'x' } } }],
    ['provider.headers', { ...valid, provider: { ...provider, headers: { 'content-type': 'x' } } }],
    ['provider.headers', { ...valid, provider: { ...provider, headers: { 'x y': 'x' } } }],
    ['provider.headers', { ...valid, provider: { ...provider, headers: { x: 'a\r\nb: c' } } }],
    ['provider.clientAuthentication', { ...valid, provider: { ...provider, tokenPlacement: 'bearer' } }],
    [
      'provider.errorRules.0',
      {
        ...valid,
        provider: { ...provider, errorRules: [{ status: 401, fields: {}, meaning: 'permanent' }] },
      },
    ],
    [
      'provider.errorRules.0',
      { ...valid, provider: { ...provider, errorRules: [{ fields: {}, meaning: 'transient' }] } },
    ],
    [
      'provider.errorRules.0',
      { ...valid, provider: { ...provider, errorRules: [{ status: 200, fields: {}, meaning: 'operator' }] } },
    ],
    ['provider.extraParameters', { ...valid, provider: { ...provider, extraParameters: { a: 1 } } }],
    [
      'provider.accessTokenLifetimeSeconds',
      { ...valid, provider: { ...provider, accessTokenLifetimeSeconds: 0 } },
    ],
    [
      'provider.accessTokenLifetimeSeconds',
      { ...valid, provider: { ...provider, accessTokenLifetimeSeconds: 1.5 } },
    ],
    ['provider.errorMeanings', { ...valid, provider: { ...provider, errorMeanings: { a: 'dead' } } }],
    [
      'provider.authorizationEndpoint',
      { ...valid, provider: { ...provider, authorizationEndpoint: 'http://acme.example/authorize' } },
    ],
    ['provider.issuer', { ...valid, provider: { ...provider, issuer: 'acme' } }],
    ['provider.scopes', { ...valid, provider: { ...provider, scopes: 'openid email' } }],
    ['provider.scopes.1', { ...valid, provider: { ...provider, scopes: ['openid', 'e mail'] } }],
    [
      'provider.authorizationParameters.max_age',
      { ...valid, provider: { ...provider, authorizationParameters: { max_age: 1 } } },
    ],
    [
      'provider.authorizationParameters',
      { ...valid, provider: { ...provider, authorizationParameters: { state: 'mine' } } },
    ],
    ['unknownField', { ...valid, unknownField: 1 }],
    ['unknownField', { ...valid, provider: { ...provider, unknownField: 1 } }],
  ])('with a fault in %s says so', (field, document) => {
    expect(problemOf(document)).toContain(field);
  });

  it('says how an account is connected, if it does', () => {
    const connecting = {
      authorizationEndpoint: 'https://acme.example/authorize?tenant=a',
      issuer: 'https://acme.example',
      scopes: ['openid', 'https://acme.example/auth/calendar.read', 'a,b'],
      authorizationParameters: { access_type: 'offline', prompt: 'consent' },
    };
    expect(parse({ ...valid, provider: { ...provider, ...connecting } })).toMatchObject({
      ok: true,
      value: { provider: connecting },
    });
  });

  it.each([
    'client_id',
    'code_challenge',
    'code_challenge_method',
    'redirect_uri',
    'response_mode',
    'response_type',
    'scope',
    'state',
  ])('does not set %s, which is the authorization request’s own', (name) => {
    expect(
      problemOf({ ...valid, provider: { ...provider, authorizationParameters: { [name]: 'x' } } }),
    ).toMatch(/^provider\.authorizationParameters: must not hold .*scopes has a field of its own/);
  });

  it('names every faulty field at once', () => {
    const problem = problemOf({ ...valid, provider: { displayName: '', tokenEndpoint: 'x' } });
    for (const field of ['displayName', 'tokenEndpoint']) expect(problem).toContain(field);
    const both = problemOf({ clientId: '', privateKey: '', provider: { ...provider, scopes: 'a' } });
    for (const field of ['clientId', 'privateKey', 'provider.scopes']) expect(both).toContain(field);
  });

  it.each([
    ['https://acme.example/token', true],
    ['https://acme.example:8443/a?b=c', true],
    ['http://127.0.0.1:3000/token', true],
    ['http://127.9.9.9/token', true],
    ['http://localhost:3000/token', true],
    ['http://[::1]:3000/token', true],
    ['http://acme.example/token', false],
    ['http://127.0.0.1.acme.example/token', false],
    ['http://localhost.acme.example/token', false],
    ['http://127.0.0.1@acme.example/token', false],
    ['http://acme.example/?http://127.0.0.1', false],
    ['http://10.0.0.1/token', false],
    ['http://[::]/token', false],
    ['https://user:password@acme.example/token', false],
    ['https://user@acme.example/token', false],
    ['https://:password@acme.example/token', false],
    ['ftp://acme.example/token', false],
    ['file:///etc/passwd', false],
    ['javascript:alert(1)', false],
    ['https://', false],
    ['', false],
  ])('takes the token endpoint %s: %s', (tokenEndpoint, taken) => {
    expect(parse({ ...valid, provider: { ...provider, tokenEndpoint } }).ok).toBe(taken);
  });

  it('has no value repeated in the problem', () => {
    for (const document of [
      { ...valid, clientId: { a: 'canary' } },
      { ...valid, clientSecret: ['canary'] },
      { ...valid, provider: { ...provider, tokenEndpoint: 'canary://canary' } },
      { ...valid, provider: { ...provider, clientAuthentication: 'canary' } },
      { ...valid, provider: { ...provider, errorMeanings: { x: 'canary' } } },
      { ...valid, provider: 'canary' },
    ]) {
      expect(problemOf(document)).not.toContain('canary');
    }
    const notJson = parseProviderClient('acme', 'canary-secret');
    expect(notJson).toEqual({ ok: false, problem: 'the secret is not JSON' });
  });

  it('may be anything: never throws, always says something', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (secret) => {
        const parsed = parseProviderClient('acme', secret);
        expect(parsed.ok ? 'fine' : parsed.problem).not.toBe('');
      }),
    );
  });
});
