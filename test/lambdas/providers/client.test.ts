import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseProviderClient } from '../../../lambdas/providers/client.ts';
import { verdict } from '../../../lambdas/providers/verdict.ts';

const provider = { displayName: 'Acme', tokenEndpoint: 'https://acme.example/token' };
const valid = { clientId: 'id', clientSecret: 'canary-secret', provider };

const parse = (document: unknown) => parseProviderClient('acme', JSON.stringify(document));
const problemOf = (document: unknown) => {
  const parsed = parse(document);
  return parsed.ok ? null : parsed.problems.join('; ');
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
    [
      'provider.clientAuthentication',
      {
        ...valid,
        provider: { ...provider, tokenPlacement: 'bearer', clientAuthentication: 'client_secret_as_user' },
      },
    ],
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
    expect(notJson).toEqual({ ok: false, problems: ['the secret is not JSON'] });
  });

  it('may be anything: never throws, always says something', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (secret) => {
        const parsed = parseProviderClient('acme', secret);
        expect(parsed.ok ? 'fine' : parsed.problems.join()).not.toBe('');
      }),
    );
  });
});

describe('a provider of the catalogue', () => {
  const credentials = { clientId: 'id', clientSecret: 'secret' };
  const client = (name: string, document: object) => {
    const parsed = parseProviderClient(name, JSON.stringify({ ...credentials, ...document }));
    if (!parsed.ok) throw new Error(parsed.problems.join());
    return parsed.value;
  };
  const judge = (name: string, document: object, status: number, body: object) =>
    verdict(client(name, document).provider, {
      kind: 'response',
      status,
      headers: new Headers(),
      body: JSON.stringify(body),
    });

  it('needs credentials only', () => {
    expect(client('google', {}).provider).toMatchObject({
      displayName: 'Google',
      tokenEndpoint: 'https://oauth2.googleapis.com/token',
    });
    expect(client('gmail', {}).provider).toEqual(client('google', {}).provider);
    expect(client('google-ads-app', { extends: 'google' }).provider).toEqual(client('google', {}).provider);
  });

  it('may be overridden in part', () => {
    const { provider } = client('google', {
      provider: {
        displayName: 'Our Google',
        extraParameters: { a: 'b' },
        errorRules: [{ status: 418, meaning: 'transient' }],
      },
    });
    const plain = client('google', {}).provider;
    expect(provider).toMatchObject({ displayName: 'Our Google', extraParameters: { a: 'b' } });
    expect(provider.errorRules).toEqual([
      { status: 418, headers: {}, fields: {}, meaning: 'transient' },
      ...plain.errorRules,
    ]);
  });

  it('lends nothing to a whole definition under its name, unless that asks for it', () => {
    const whole = { displayName: 'Acme ID', tokenEndpoint: 'https://id.acme.example/token' };
    for (const name of ['auth0', 'box', 'x', 'atlassian', 'instagram', 'acme']) {
      expect(client(name, { provider: whole })).toEqual(client('acme', { provider: whole }));
    }
    expect(client('auth0', { provider: whole }).provider).toMatchObject({
      clientAuthentication: 'client_secret_basic',
      errorRules: [],
    });
    expect(client('box', { extends: 'box', provider: whole }).provider).toEqual({
      ...client('box', {}).provider,
      ...whole,
    });
    // What lacks one of the two is laid over the entry.
    const moved = { tokenEndpoint: whole.tokenEndpoint };
    expect(client('box', { provider: moved }).provider).toEqual({ ...client('box', {}).provider, ...moved });
  });

  it('that is extended is not asked for what it has', () => {
    const secret = (extended: string) =>
      parseProviderClient('other', JSON.stringify({ clientId: '', extends: extended, provider: {} }));
    expect(secret('google')).toMatchObject({
      ok: false,
      problems: expect.not.arrayContaining([expect.stringContaining('displayName')]),
    });
    expect(secret('nobody')).toMatchObject({
      ok: false,
      problems: expect.not.arrayContaining([expect.stringContaining('displayName')]),
    });
  });

  it('means by an error what the operator says, whatever its rules say', () => {
    const dead = { error: 'invalid_grant', error_codes: [50173], error_description: 'AADSTS50173: x' };
    expect(judge('microsoft', {}, 400, dead)).toMatchObject({ kind: 'permanent', invalidRefreshToken: true });
    const doubted = { provider: { errorMeanings: { invalid_grant: 'transient' } } };
    expect(judge('microsoft', doubted, 400, dead)).toMatchObject({
      kind: 'transient',
      code: 'temporarily_unavailable',
      providerCode: 'invalid_grant',
    });
    const ruled = {
      provider: {
        ...doubted.provider,
        errorRules: [{ fields: { error_codes: 50173 }, meaning: 'permanent', code: 'session_revoked' }],
      },
    };
    expect(judge('microsoft', ruled, 400, dead)).toMatchObject({
      kind: 'permanent',
      invalidRefreshToken: false,
    });
  });
});

describe('a host that an integration has a part in', () => {
  const withHost = (host: string, pattern: string, more: object = {}) => ({
    ...valid,
    ...more,
    provider: {
      ...provider,
      tokenEndpoint: `https://${host}/token`,
      variables: {
        domain: { from: 'integration', pattern, description: 'x' },
        zone: { from: 'client', pattern: '[a-z]+', description: 'x' },
      },
    },
  });

  it.each([
    ['{domain}', '.*'],
    ['{domain}', '[a-z0-9.-]+'],
    ['{domain}', '(?:[a-z0-9-]+\\.)+[a-z]{2,}'],
    ['login.{domain}', '[a-z.]+'],
    ['{domain}.com', '[a-z0-9-]+'],
    ['{domain}acme.com', '[a-z0-9-]*'],
    ['accounts.acme.{domain}', '[a-z]{2,3}'],
    ['{domain}:8443', '.+'],
    ['{domain}.acme.{domain}', '[a-z]+'],
    ['{zone}.{domain}', '[A-Z.]+'],
  ])('is refused where it could be anybody’s: %s with %s', (host, pattern) => {
    expect(problemOf(withHost(host, pattern))).toMatch(
      /provider\.variables\.domain\.pattern: must say which hosts are meant/,
    );
  });

  it.each([
    ['{domain}.acme.com', '.*'],
    ['{domain}-api.acme.com:8443', '[a-z]+'],
    ['eu.{domain}.login.acme.com', '[a-z]+'],
    ['{domain}', 'acme\\.(com|eu)|acme-cloud\\.ca'],
    ['accounts.acme.{domain}', 'com|eu|co\\.uk'],
    ['{zone}.acme.com/{domain}', '.*'],
  ])('is taken where it stays the provider’s: %s with %s', (host, pattern) => {
    expect(problemOf(withHost(host, pattern))).toBeNull();
  });

  it('is the operator’s to say in the secret', () => {
    expect(problemOf(withHost('{domain}', '.*', { variables: { domain: 'sso.acme.com' } }))).toBeNull();
  });
});
