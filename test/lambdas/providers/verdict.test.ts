import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../../lambdas/domain/outcome.ts';
import {
  type ProviderDefinition,
  type ProviderDescription,
  parseDefinition,
} from '../../../lambdas/providers/definition.ts';
import { type Answer, verdict } from '../../../lambdas/providers/verdict.ts';

function define(changes: Partial<ProviderDescription> = {}): ProviderDefinition {
  const parsed = parseDefinition({
    displayName: 'Acme',
    tokenEndpoint: 'https://acme.example/token',
    ...changes,
  });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  return parsed.value;
}
const acme = define();

const answer = (
  status: number,
  body: object | string | null = '',
  headers: Record<string, string> = {},
): Answer => ({
  kind: 'response',
  status,
  headers: new Headers(headers),
  body: typeof body === 'string' || body === null ? body : JSON.stringify(body),
});

const tokens = { access_token: 'at', token_type: 'Bearer', expires_in: 3600, refresh_token: 'rt' };

/** One word for an outcome, as the table below has it. */
function classOf(outcome: Outcome): string {
  if (outcome.kind !== 'permanent') return outcome.kind;
  return outcome.invalidRefreshToken ? 'dead' : 'permanent';
}

const html = '<!doctype html><html><body><h1>Automated queries</h1></body></html>';

describe('the class of an answer', () => {
  // RFC 6749 §5.2, and what providers answer beside it.
  it.each<[number, object | string | null, string]>([
    [400, { error: 'invalid_grant' }, 'dead'],
    [400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' }, 'dead'],
    [401, { error: 'invalid_grant' }, 'dead'],
    [403, { error: 'invalid_grant' }, 'dead'],
    [400, { error: 'invalid_client' }, 'operator'],
    [401, { error: 'invalid_client' }, 'operator'],
    [400, { error: 'unauthorized_client' }, 'operator'],
    [400, { error: 'unsupported_grant_type' }, 'operator'],
    [400, { error: 'invalid_request' }, 'operator'],
    [400, { error: 'invalid_target' }, 'operator'],
    [400, { error: 'invalid_scope' }, 'permanent'],
    [403, { error: 'access_denied' }, 'permanent'],
    [400, { error: 'interaction_required' }, 'permanent'],
    [400, { error: 'login_required' }, 'permanent'],
    [400, { error: 'consent_required' }, 'permanent'],
    [400, { error: 'account_selection_required' }, 'permanent'],
    [400, { error: 'server_error' }, 'transient'],
    [400, { error: 'temporarily_unavailable' }, 'transient'],
    [400, { error: 'internal_failure' }, 'transient'],
    [400, { error: 'slow_down' }, 'transient'],
    // A refusal of this grant in words that nobody has told us.
    [400, { error: 'token_revoked_by_admin' }, 'permanent'],
    [401, { error: 'token_revoked_by_admin' }, 'permanent'],
    [403, { error: 'token_revoked_by_admin' }, 'permanent'],

    // The status decides, whatever the body says.
    [408, { error: 'invalid_grant' }, 'transient'],
    [425, { error: 'invalid_grant' }, 'transient'],
    [429, { error: 'invalid_grant' }, 'transient'],
    [500, { error: 'invalid_grant' }, 'transient'],
    [500, { error: 'invalid_client' }, 'transient'],
    [502, html, 'transient'],
    [503, '', 'transient'],
    [504, null, 'transient'],
    [599, tokens, 'transient'],

    // No evidence, no verdict on the grant.
    [400, '', 'transient'],
    [401, '', 'transient'],
    [401, html, 'transient'],
    [401, {}, 'transient'],
    [403, '', 'transient'],
    [403, html, 'transient'],
    [400, 'invalid_grant', 'transient'],
    [400, '"invalid_grant"', 'transient'],
    [400, '[{"error":"invalid_grant"}]', 'transient'],
    [400, '{"error":"invalid_gr', 'transient'],
    [400, { error: '' }, 'transient'],
    [400, { error: null }, 'transient'],
    [400, { error: 400, message: 'Bad Request' }, 'transient'],
    [400, { error: { type: 'OAuthException', message: 'x', code: 190 } }, 'transient'],
    [400, { error: ['invalid_grant'] }, 'transient'],
    [400, { errors: [{ code: 'invalid_grant' }] }, 'transient'],
    [400, { message: 'invalid_grant' }, 'transient'],
    [400, { error_description: 'invalid_grant' }, 'transient'],
    [400, null, 'transient'],
    [409, '', 'transient'],
    // Frameworks and gateways that put the status into words.
    [401, { timestamp: 1, status: 401, error: 'Unauthorized', path: '/token' }, 'transient'],
    [403, { error: 'Forbidden' }, 'transient'],
    [400, { error: 'Bad Request' }, 'transient'],
    [400, { error: 'bad_request' }, 'transient'],
    [403, { error: 'Internal Server Error' }, 'transient'],
    // The usual names of passing faults.
    [403, { error: 'rate_limit_exceeded' }, 'transient'],
    [400, { error: 'too_many_requests' }, 'transient'],
    [400, { error: 'internal_error' }, 'transient'],
    [409, { error: 'conflict' }, 'transient'],
    // The same in words, or with words behind.
    [400, { error: 'Too many requests, please try again later.' }, 'transient'],
    [403, { error: 'Rate limit exceeded' }, 'transient'],
    [403, { error: 'rate-limit-exceeded' }, 'transient'],
    [400, { error: 'server_error: try again' }, 'transient'],
    [403, { error: 'Service Unavailable: maintenance' }, 'transient'],
    [403, { error: 'Forbidden.' }, 'transient'],
    // A refused client, whatever its name and spelling.
    [400, { error: 'invalid_client: Invalid client_id or client_secret' }, 'operator'],
    [400, { error: 'Invalid client' }, 'operator'],
    [400, { error: 'invalid_client_id' }, 'operator'],
    [401, { error: 'INVALID_CLIENT_CREDENTIALS' }, 'operator'],
    [400, { error: 'unsupported_grant_type: refresh_token' }, 'operator'],
    // The code is evidence with words behind it as well; words alone are none.
    [400, { error: 'invalid_grant: Token is expired or invalid.' }, 'dead'],
    [400, { error: 'Invalid grant' }, 'permanent'],
    [400, { error: 'the invalid_grant: no' }, 'permanent'],
    [422, { error: 'what_nobody_knows' }, 'transient'],

    // Wrong address, method or encoding: no matter what the page there says.
    [301, '', 'operator'],
    [302, html, 'operator'],
    [307, { error: 'moved' }, 'operator'],
    [302, { error: 'invalid_grant' }, 'operator'],
    [302, tokens, 'operator'],
    [404, '', 'operator'],
    [404, html, 'operator'],
    // The default pages of frameworks.
    [404, { timestamp: 1, status: 404, error: 'Not Found', path: '/oauth/tokn' }, 'operator'],
    [405, { error: 'Method Not Allowed' }, 'operator'],
    [415, { error: 'Unsupported Media Type' }, 'operator'],

    // A 2xx that is not what RFC 6749 §5.1 describes.
    [200, '', 'transient'],
    [200, html, 'transient'],
    [200, null, 'transient'],
    [204, '', 'transient'],
    [200, {}, 'transient'],
    [200, { ok: true }, 'transient'],
    [200, { error: 'what_nobody_knows' }, 'transient'],
    [200, { ok: false, error: 'ratelimited' }, 'transient'],
    [200, { ...tokens, access_token: undefined }, 'transient'],
    [200, { ...tokens, access_token: '' }, 'transient'],
    [200, { ...tokens, access_token: 7 }, 'transient'],
    [200, { ...tokens, access_token: 'a\nb' }, 'transient'],
    [200, { ...tokens, access_token: 'a\u0000b' }, 'transient'],
    [200, { ...tokens, token_type: 'mac' }, 'transient'],
    [200, [tokens], 'transient'],

    [200, tokens, 'refreshed'],
    [200, { ...tokens, token_type: 'bearer' }, 'refreshed'],
    [200, { ...tokens, token_type: 'BEARER' }, 'refreshed'],
    [200, { ...tokens, refresh_token: undefined }, 'refreshed'],
    [201, tokens, 'refreshed'],
    [200, `\ufeff ${JSON.stringify(tokens)}`, 'refreshed'],
    [200, { ...tokens, token_type: 'bot' }, 'refreshed'],
    [200, { ...tokens, token_type: 7 }, 'refreshed'],
    // Against RFC 6749 §5.1, but the rotated token in it is the only living one.
    [200, { ...tokens, token_type: undefined }, 'refreshed'],
    [200, { ...tokens, refresh_token: null }, 'refreshed'],
    [200, { ...tokens, refresh_token: '' }, 'refreshed'],
    [200, { ...tokens, error: '' }, 'refreshed'],
    [200, { ...tokens, error: null }, 'refreshed'],
    [200, { ...tokens, id_token: 'not.a.jwt' }, 'refreshed'],
    [200, { ...tokens, scope: ['a', 'b'] }, 'refreshed'],
    [200, { ...tokens, scope: null }, 'refreshed'],
  ])('of %i %j is %s', (status, body, expected) => {
    expect(classOf(verdict(acme, answer(status, body)))).toBe(expected);
  });

  it.each([200, 400, 500])('of %i with JSON that is nested without end is transient', (status) => {
    const deep = `${'{"error":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
    for (const body of [deep, '['.repeat(100_000), `{"error":${'['.repeat(100_000)}`]) {
      expect(classOf(verdict(acme, answer(status, body)))).toBe('transient');
    }
  });

  it('does not depend on the content type that a server claims', () => {
    for (const type of ['text/html', 'text/javascript', 'application/x-www-form-urlencoded']) {
      expect(classOf(verdict(acme, answer(200, tokens, { 'content-type': type })))).toBe('refreshed');
      expect(classOf(verdict(acme, answer(400, { error: 'invalid_grant' }, { 'content-type': type })))).toBe(
        'dead',
      );
    }
  });

  it.each(['timeout', 'network_error'] as const)('of no answer (%s) is transient', (reason) => {
    expect(verdict(acme, { kind: 'no_response', reason, mayHaveArrived: false })).toEqual({
      kind: 'transient',
      code: reason,
      httpStatus: null,
      providerCode: null,
      retryAfterSeconds: null,
      doubtful: false,
    });
  });

  it('tells the operator what to do', () => {
    const outcome = verdict(acme, answer(401, { error: 'invalid_client' }));
    expect(outcome).toMatchObject({ code: 'invalid_client', httpStatus: 401 });
    expect(outcome).toHaveProperty('fix', expect.stringMatching(/secret/));
  });
});

describe('dialects', () => {
  const dialect = define({
    errorMeanings: {
      bad_refresh_token: 'invalid_refresh_token',
      incorrect_client_credentials: 'operator',
      ratelimited: 'transient',
      invalid_request: 'invalid_refresh_token',
      'Access Denied': 'transient',
      team_gone: 'permanent',
    },
  });

  it.each([
    [200, 'bad_refresh_token', 'dead'],
    [200, 'incorrect_client_credentials', 'operator'],
    [200, 'ratelimited', 'transient'],
    [400, 'invalid_request', 'dead'],
    [200, 'Access Denied', 'transient'],
    [403, 'team_gone', 'permanent'],
    [400, 'invalid_grant', 'dead'],
    [500, 'bad_refresh_token', 'transient'],
    [429, 'bad_refresh_token', 'transient'],
  ])('%i %s is %s', (status, error, expected) => {
    expect(classOf(verdict(dialect, answer(status, { error })))).toBe(expected);
  });

  it('are one provider’s own: the code means nothing at another', () => {
    expect(classOf(verdict(acme, answer(400, { error: 'bad_refresh_token' })))).toBe('permanent');
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])('the code %s is nobody’s', (error) => {
    expect(classOf(verdict(acme, answer(400, { error })))).toBe('permanent');
  });
});

describe('rules', () => {
  const ruled = define({
    errorMeanings: { invalid_grant: 'permanent' },
    errorRules: [
      {
        fields: { error: 'invalid_grant', 'error_codes.0': 50173 },
        meaning: 'invalid_refresh_token',
        code: 'session_revoked',
      },
      {
        fields: { 'error_codes.0': 700082 },
        meaning: 'invalid_refresh_token',
        code: 'refresh_token_inactive',
      },
      { fields: { 'error_codes.0': 7000222 }, meaning: 'operator', code: 'client_secret_expired' },
      {
        fields: { error_description: { contains: 'IP Restricted' } },
        meaning: 'operator',
        code: 'ip_not_allowed',
      },
      { fields: { error: 400 }, meaning: 'invalid_refresh_token' },
      // Any of these, anywhere in a list.
      { fields: { error_codes: [53003, 530032] }, meaning: 'permanent', code: 'conditional_access' },
      {
        fields: { errors: { contains: 'was revoked' } },
        meaning: 'invalid_refresh_token',
        code: 'access_revoked',
      },
      { fields: { 'error.is_transient': true }, meaning: 'transient' },
      {
        fields: { 'error.code': 190, 'error.error_subcode': 460 },
        meaning: 'invalid_refresh_token',
        code: 'password_changed',
      },
      { fields: { 'error.code': 190 }, meaning: 'invalid_refresh_token' },
      { fields: { status: 'BAD_HUB' }, meaning: 'invalid_refresh_token', code: 'app_not_installed' },
      { fields: { 'errors.0.category': 'AUTHENTICATION_ERROR' }, meaning: 'permanent' },
      {
        status: 401,
        headers: { 'WWW-Authenticate': { contains: 'basic' } },
        meaning: 'operator',
        code: 'invalid_client',
      },
      { status: 409, meaning: 'transient', code: 'conflict' },
      { status: 402, meaning: 'operator', code: 'quota_exhausted' },
      { status: 500, fields: { error: 'busy' }, meaning: 'transient', code: 'account_moving' },
      { status: 302, meaning: 'transient', code: 'account_address_gone' },
    ],
  });
  const judge = (status: number, body: object | string, headers: Record<string, string> = {}) => {
    const outcome = verdict(ruled, answer(status, body, headers));
    return outcome.kind === 'refreshed'
      ? 'refreshed'
      : [classOf(outcome), outcome.code, outcome.providerCode].join(' ').trim();
  };

  it.each<[number, object | string, string]>([
    [400, { error: 'invalid_grant', error_codes: [50173] }, 'dead session_revoked 50173'],
    [400, { error: 'invalid_grant', error_codes: ['50173'] }, 'dead session_revoked 50173'],
    [400, { error: 'other', error_codes: [50173] }, 'permanent unknown_error'],
    [400, { error: 'invalid_grant', error_codes: [1, 50173] }, 'permanent grant_refused invalid_grant'],
    [400, { error: 'invalid_grant', error_codes: 50173 }, 'permanent grant_refused invalid_grant'],
    [400, { error_codes: [1, 53003] }, 'permanent conditional_access 53003'],
    [400, { error_codes: [530032] }, 'permanent conditional_access 530032'],
    [400, { error_codes: '53003' }, 'permanent conditional_access 53003'],
    [400, { errors: ['x', 'Token Was REVOKED'] }, 'dead access_revoked'],
    [400, { error: 'invalid_grant', error_codes: [700082] }, 'dead refresh_token_inactive 700082'],
    [401, { error: 'invalid_client', error_codes: [7000222] }, 'operator client_secret_expired 7000222'],
    [400, { error: 'invalid_grant', error_description: 'ip restricted' }, 'operator ip_not_allowed'],
    [400, { error: 'invalid_grant', error_description: 'No, IP RESTRICTED.' }, 'operator ip_not_allowed'],
    [400, { message: 'Bad Request', error: 400 }, 'dead invalid_grant 400'],
    [400, { error: { is_transient: true, code: 190 } }, 'transient temporarily_unavailable'],
    [400, { error: { is_transient: false, code: 190, error_subcode: 460 } }, 'dead password_changed 460'],
    [400, { error: { code: 190, error_subcode: 1 } }, 'dead invalid_grant 190'],
    [400, { error: { code: 191 } }, 'transient http_400'],
    [404, { status: 'BAD_HUB', error: 'access_denied' }, 'dead app_not_installed BAD_HUB'],
    [401, { errors: [{ category: 'AUTHENTICATION_ERROR' }] }, 'permanent grant_refused AUTHENTICATION_ERROR'],
    [
      401,
      { errors: { 0: { category: 'AUTHENTICATION_ERROR' } } },
      'permanent grant_refused AUTHENTICATION_ERROR',
    ],
    [409, '', 'transient conflict'],
    [402, html, 'operator quota_exhausted'],
    [302, '', 'transient account_address_gone'],
    [301, '', 'operator redirected'],
    // A refusal at HTTP 200, and one that is a success beside it.
    [200, { error: 'invalid_grant', error_codes: [50173] }, 'dead session_revoked 50173'],
    [200, { ...tokens, status: 'fine' }, 'refreshed'],
    // The statuses of passing faults outweigh every rule but their own.
    [500, { error: 'invalid_grant', error_codes: [50173] }, 'transient http_500'],
    [429, { error: 'invalid_grant', error_codes: [7000222] }, 'transient rate_limited'],
    [503, { error: { is_transient: true } }, 'transient temporarily_unavailable'],
    [500, { error: 'busy' }, 'transient account_moving busy'],
  ])('read %i %j as %s', (status, body, expected) => {
    expect(judge(status, body)).toBe(expected);
  });

  it('look at headers too', () => {
    expect(judge(401, html, { 'www-authenticate': 'Basic realm="reddit"' })).toBe('operator invalid_client');
    expect(judge(401, html, { 'www-authenticate': 'Bearer' })).toBe('transient http_401');
    expect(judge(400, html, { 'www-authenticate': 'Basic' })).toBe('transient http_400');
  });

  it('find only what an answer holds itself', () => {
    const prying = define({
      errorRules: ['__proto__.constructor.name', 'constructor.name', 'error.length', 'error.0'].map(
        (path) => ({
          fields: { [path]: { contains: 'O' } },
          meaning: 'invalid_refresh_token',
        }),
      ),
    });
    expect(classOf(verdict(prying, answer(400, {})))).toBe('transient');
    expect(classOf(verdict(prying, answer(400, { error: 'O' })))).toBe('permanent');
    expect(classOf(verdict(prying, answer(400, '{"__proto__":{"constructor":{"name":"O"}}}')))).toBe('dead');
  });

  it('that name no code leave an error the name that it has', () => {
    const named = define({
      errorRules: [
        { status: 401, fields: { error: 'invalid_client' }, meaning: 'operator' },
        { status: 400, fields: { error: ['account_suspended', 'gone'] }, meaning: 'permanent' },
        { fields: { error: 'invalid_request' }, meaning: 'invalid_refresh_token' },
      ],
    });
    const code = (status: number, error: string) => {
      const outcome = verdict(named, answer(status, { error }));
      return outcome.kind === 'refreshed' ? null : [outcome.code, outcome.providerCode];
    };
    expect(code(401, 'invalid_client')).toEqual(['invalid_client', null]);
    expect(code(400, 'account_suspended')).toEqual(['account_suspended', null]);
    expect(code(400, 'gone')).toEqual(['grant_refused', 'gone']);
    expect(code(400, 'invalid_request')).toEqual(['invalid_grant', 'invalid_request']);
  });

  it('name no code that is not fit for a log', () => {
    const odd = define({
      errorMeanings: { 'Access Denied': 'permanent' },
      errorRules: [{ fields: { message: 'a b' }, meaning: 'permanent' }],
    });
    for (const body of [{ error: 'Access Denied' }, { message: 'a b' }]) {
      expect(verdict(odd, answer(400, body))).toMatchObject({ code: 'grant_refused', providerCode: null });
    }
  });
});

describe('codes', () => {
  const codes = (
    error: string,
    meaning?: 'transient' | 'permanent' | 'invalid_refresh_token' | 'operator',
  ) => {
    const definition = define(meaning ? { errorMeanings: { [error]: meaning } } : {});
    const outcome = verdict(definition, answer(400, { error }));
    return outcome.kind === 'refreshed' ? null : [outcome.code, outcome.providerCode];
  };

  it('are the provider’s own where they are known and mean what they usually do', () => {
    expect(codes('invalid_grant')).toEqual(['invalid_grant', null]);
    expect(codes('temporarily_unavailable')).toEqual(['temporarily_unavailable', null]);
    expect(codes('account_suspended', 'permanent')).toEqual(['account_suspended', null]);
  });

  it('are ours otherwise, with the provider’s beside them', () => {
    expect(codes('ratelimited')).toEqual(['rate_limited', 'ratelimited']);
    expect(codes('invalid_request', 'invalid_refresh_token')).toEqual(['invalid_grant', 'invalid_request']);
    expect(codes('bad_refresh_token', 'invalid_refresh_token')).toEqual([
      'invalid_grant',
      'bad_refresh_token',
    ]);
    expect(codes('invalid_grant', 'transient')).toEqual(['temporarily_unavailable', 'invalid_grant']);
    expect(codes('bad_client_secret')).toEqual(['client_secret_invalid', 'bad_client_secret']);
    expect(codes('bad_app_secret', 'operator')).toEqual(['request_refused', 'bad_app_secret']);
  });

  it('repeat nothing that nobody knows', () => {
    expect(codes('what_nobody_knows')).toEqual(['unknown_error', null]);
  });
});

describe('a refusal with HTTP 200', () => {
  const slack = define({
    success: { field: 'ok', value: true },
    errorMeanings: { invalid_refresh_token: 'invalid_refresh_token', bad_client_secret: 'operator' },
  });
  const business = define({
    success: { field: 'code', value: 0 },
    tokensAt: 'data',
    errorRules: [{ fields: { code: 40105 }, meaning: 'invalid_refresh_token' }],
  });

  it.each<[ProviderDefinition, object, string]>([
    [slack, { ok: false, error: 'invalid_refresh_token' }, 'dead'],
    [slack, { ok: false, error: 'bad_client_secret' }, 'operator'],
    [slack, { ok: false, error: 'what_nobody_knows' }, 'transient'],
    [slack, { ok: false, ...tokens }, 'transient'],
    [slack, { ok: null, ...tokens }, 'transient'],
    [slack, { ok: true, ...tokens, token_type: 'bot' }, 'refreshed'],
    // Tokens that came are not thrown away for a field that did not.
    [slack, tokens, 'refreshed'],
    [business, { code: 0, message: 'OK', data: tokens }, 'refreshed'],
    [business, { code: '0', data: tokens }, 'refreshed'],
    [business, { code: 40105, message: 'x', data: {} }, 'dead'],
    [business, { code: 51000, data: tokens }, 'transient'],
    [business, { code: 0, data: null }, 'transient'],
    [business, { code: 0, data: [tokens] }, 'transient'],
  ])('%# is read by the field that says so', (definition, body, expected) => {
    expect(classOf(verdict(definition, answer(200, body)))).toBe(expected);
  });

  it('is told from one that holds nothing at all', () => {
    expect(verdict(acme, answer(200, { error: 'what_nobody_knows' }))).toMatchObject({
      code: 'unknown_answer',
    });
    expect(verdict(slack, answer(200, { ok: false }))).toMatchObject({ code: 'unknown_answer' });
    expect(verdict(acme, answer(200, {}))).toMatchObject({ code: 'malformed_response' });
  });
});

describe('a form-encoded body', () => {
  const type = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };

  it('is read where the answer says that it is one', () => {
    const body = 'access_token=at&expires_in=28800&refresh_token=rt&scope=&token_type=bearer';
    expect(verdict(acme, answer(200, body, type))).toMatchObject({
      kind: 'refreshed',
      tokens: { accessToken: 'at', refreshToken: 'rt', expiresInSeconds: 28_800, scopes: null },
    });
    expect(classOf(verdict(acme, answer(200, body, { 'content-type': 'text/html' })))).toBe('transient');
    expect(classOf(verdict(acme, answer(200, body)))).toBe('transient');
  });

  it('may be a refusal', () => {
    const definition = define({ errorMeanings: { bad_refresh_token: 'invalid_refresh_token' } });
    const body = 'error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect';
    expect(classOf(verdict(definition, answer(200, body, type)))).toBe('dead');
    expect(classOf(verdict(definition, answer(200, 'error=what_nobody_knows', type)))).toBe('transient');
  });
});

describe('new tokens', () => {
  const read = (body: object, definition = acme, headers: Record<string, string> = {}) => {
    const outcome = verdict(definition, answer(200, body, headers));
    if (outcome.kind !== 'refreshed') throw new Error(JSON.stringify(outcome));
    return outcome.tokens;
  };

  it('are read from the answer', () => {
    expect(read({ ...tokens, scope: 'read write', refresh_token_expires_in: 86_400 })).toEqual({
      accessToken: 'at',
      refreshToken: 'rt',
      expiresInSeconds: 3600,
      refreshTokenExpiresInSeconds: 86_400,
      scopes: ['read', 'write'],
      kept: {},
      remarks: [],
    });
  });

  it('keep what the answer leaves out, and live an hour where nobody says otherwise', () => {
    expect(read({ access_token: 'at', token_type: 'bearer' })).toEqual({
      accessToken: 'at',
      refreshToken: null,
      expiresInSeconds: 3600,
      refreshTokenExpiresInSeconds: null,
      scopes: null,
      kept: {},
      remarks: [],
    });
  });

  it.each([false, 7, {}, 'a\u0000b'])('keep the refresh token that they came for where %j came', (given) => {
    expect(read({ ...tokens, refresh_token: given })).toMatchObject({
      accessToken: 'at',
      refreshToken: null,
      remarks: ['refresh_token_unusable'],
    });
  });

  it.each<[unknown, number | null]>([
    [3600, 3600],
    ['3600', 3600],
    [3599.9, 3599],
    [1, 1],
    [0, 7200],
    [-1, 7200],
    ['soon', 7200],
    ['', 7200],
    [null, 7200],
    [true, 7200],
    // A moment instead of a span, as some servers send.
    [1_790_000_000, 7200],
    [1e300, 7200],
  ])('with expires_in %j live %s seconds', (expires_in, expected) => {
    const definition = { ...acme, accessTokenLifetimeSeconds: 7200 };
    expect(read({ ...tokens, expires_in }, definition).expiresInSeconds).toBe(expected);
  });

  it.each([
    ['a  b ', ['a', 'b']],
    ['', null],
    ['  ', null],
    ['a\u0000b', null],
    ['é', null],
    // A list, as Twitch sends.
    [
      ['a', 'b c'],
      ['a', 'b', 'c'],
    ],
    [[], null],
    [['a', 7], null],
    [['a', 'é'], null],
    [{ a: 1 }, null],
    [7, null],
    ['https://www.googleapis.com/auth/x openid', ['https://www.googleapis.com/auth/x', 'openid']],
  ])('with scope %j hold %j', (scope, expected) => {
    expect(read({ ...tokens, scope }).scopes).toEqual(expected);
  });
});

describe('kept fields', () => {
  const keep = (body: object, ...keptFields: string[]) => {
    const outcome = verdict(define({ keptFields }), answer(200, { ...tokens, ...body }));
    return outcome.kind === 'refreshed' ? outcome.tokens.kept : null;
  };

  it('are texts of the answer that the definition names', () => {
    const body = {
      instance_url: 'https://acme.my.salesforce.com',
      hub_id: 7,
      team: { id: 'T1' },
      live: true,
      other: 'x',
    };
    expect(keep(body, 'instance_url', 'hub_id', 'team.id', 'live', 'missing')).toEqual({
      instance_url: 'https://acme.my.salesforce.com',
      hub_id: '7',
      'team.id': 'T1',
      live: 'true',
    });
  });

  it.each<[string, unknown]>([
    ['long', 'x'.repeat(2049)],
    ['long in bytes', 'é'.repeat(1025)],
    ['control', 'a\u0000b'],
    ['half', '\ud800'],
    ['object', {}],
    ['empty', ''],
    ['nothing', null],
    ['bot_token', 'x'],
    ['client_secret', 'x'],
    ['copy', `Bearer ${tokens.access_token}`],
  ])('are none that is %s', (name, value) => {
    expect(keep({ [name]: value }, name)).toEqual({});
  });

  it('are never tokens', () => {
    expect(keep({}, 'access_token', 'refresh_token')).toEqual({});
  });
});

describe('Retry-After', () => {
  const wait = (headers: Record<string, string>, status = 429, body: object | string = '') => {
    const outcome = verdict(acme, answer(status, body, headers));
    if (outcome.kind !== 'transient') throw new Error(outcome.kind);
    return outcome.retryAfterSeconds;
  };
  const date = 'Mon, 23 Nov 2026 10:00:00 GMT';

  it.each<[string, number | null]>([
    ['120', 120],
    ['0', 0],
    [' 5 ', 5],
    ['999999999999999999999999', 3600],
    ['3601', 3600],
    ['-5', null],
    ['1.5', 2],
    ['soon', null],
    ['', null],
    ['Mon, 23 Nov 2026 10:02:00 GMT', 120],
    ['Monday, 23-Nov-26 10:02:00 GMT', 120],
    ['Mon, 23 Nov 2026 09:00:00 GMT', 0],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 3600],
  ])('%j waits %s', (value, expected) => {
    expect(wait({ 'retry-after': value, date })).toBe(expected);
  });

  it.each<[Record<string, string>, object | string, number | null]>([
    [{ 'x-ratelimit-reset-after': '1.25' }, '', 2],
    [{}, { retry_after: 64.57 }, 65],
    [{}, { retry_after: '30' }, 30],
    [{}, { error: { retry_after: 12 } }, 12],
    [{ 'ratelimit-reset': '50' }, '', 50],
    [{ 'x-rate-limit-reset': '1795428120', date }, '', 120],
    [{ 'x-ratelimit-reset': '1795428120', date }, '', 120],
    [{ 'x-ratelimit-reset': '1795428120000', date }, '', 120],
    [{ 'x-ratelimit-reset': '1795428000', date }, '', 0],
    [{ 'x-ratelimit-reset': '1795428120' }, '', null],
    [{ 'x-ratelimit-reset': '45' }, '', 45],
    [{ ratelimit: '"default";r=0;t=33' }, '', 33],
    [{ ratelimit: 'limit=100, remaining=0, reset=44' }, '', 44],
    [{ 'retry-after': '5', 'x-ratelimit-reset-after': '7' }, { retry_after: 9 }, 5],
    [{ 'retry-after': 'soon', 'x-ratelimit-reset-after': '7' }, '', 7],
    [{ 'x-ratelimit-reset-after': '-7' }, { retry_after: 'later' }, null],
    [{}, { retry_after: 1e300 }, 3600],
  ])('is said by %j %j too: %s', (headers, body, expected) => {
    expect(wait(headers, 429, body)).toBe(expected);
  });

  it('is not the end of a window that is not used up', () => {
    expect(wait({ 'x-ratelimit-reset': '900' }, 500)).toBeNull();
    expect(wait({ 'x-ratelimit-reset': '900', 'x-ratelimit-remaining': '3' }, 500)).toBeNull();
    expect(wait({ 'x-ratelimit-reset': '900', 'x-ratelimit-remaining': '0' }, 500)).toBe(900);
    expect(wait({ 'x-ratelimit-reset': '900' }, 403, { error: 'rate_limit_exceeded' })).toBe(900);
  });

  it('is heard with every passing fault', () => {
    for (const status of [408, 425, 429, 500, 503]) expect(wait({ 'retry-after': '7' }, status)).toBe(7);
    const busy = verdict(acme, answer(400, { error: 'temporarily_unavailable' }, { 'retry-after': '7' }));
    expect(busy).toMatchObject({ kind: 'transient', retryAfterSeconds: 7 });
  });

  it('as a date is measured by the answer’s own clock, and is nothing without one', () => {
    expect(wait({ 'retry-after': 'Mon, 23 Nov 2026 10:02:00 GMT' })).toBeNull();
    expect(
      wait({ 'retry-after': 'Thu, 01 Jan 1970 00:01:00 GMT', date: 'Thu, 01 Jan 1970 00:00:00 GMT' }),
    ).toBe(60);
  });
});

describe('whatever a server sends', () => {
  const status = fc.oneof(fc.integer({ min: 100, max: 599 }), fc.constantFrom(200, 400, 401, 403, 429));
  const error = fc.oneof(
    fc.constantFrom('invalid_grant', 'invalid_client', 'server_error', 'access_denied', 'Not Found', ''),
    fc.string(),
  );
  const body = fc.oneof(
    fc.constant(null),
    fc.string({ unit: 'binary' }),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('utf8')),
    fc.json(),
    fc.record({ error, error_description: fc.string() }, { requiredKeys: [] }).map((o) => JSON.stringify(o)),
    fc
      .record(
        {
          access_token: fc.oneof(fc.string(), fc.jsonValue()),
          token_type: fc.oneof(fc.constantFrom('bearer', 'Bearer', 'mac'), fc.jsonValue()),
          expires_in: fc.oneof(fc.integer(), fc.double(), fc.jsonValue()),
          refresh_token: fc.oneof(fc.string(), fc.jsonValue()),
          scope: fc.oneof(fc.string(), fc.jsonValue()),
          id_token: fc.jsonValue(),
          error: fc.oneof(error, fc.jsonValue()),
        },
        { requiredKeys: [] },
      )
      .map((o) => JSON.stringify(o)),
  );
  const header = fc.record(
    {
      'retry-after': fc.oneof(fc.nat().map(String), fc.stringMatching(/^[\x21-\x7e]*$/)),
      date: fc.oneof(
        fc.date({ noInvalidDate: true }).map((d) => d.toUTCString()),
        fc.constant('x'),
      ),
    },
    { requiredKeys: [] },
  );

  const meaning = fc.constantFrom('transient', 'permanent', 'invalid_refresh_token', 'operator');
  const path = fc.constantFrom(
    'error',
    'error.code',
    'errors.0.code',
    'status',
    'message',
    '__proto__.x',
    'scope',
  );
  const definition = fc
    .record(
      {
        errorRules: fc.array(
          fc.record({
            fields: fc.dictionary(
              path,
              fc.oneof(fc.integer(), fc.string(), fc.record({ contains: fc.string({ minLength: 1 }) })),
              { minKeys: 1, maxKeys: 2 },
            ),
            meaning,
          }),
          { maxLength: 5 },
        ),
        errorMeanings: fc.dictionary(error, meaning, { maxKeys: 4 }),
        success: fc.record({ field: path, value: fc.oneof(fc.boolean(), fc.integer(), fc.string()) }),
        tokensAt: fc.constantFrom('data', 'error', 'constructor', '__proto__'),
        scopeSeparator: fc.constantFrom(' ' as const, ',' as const),
        keptFields: fc.array(fc.constantFrom('scope', 'error', 'token_type', '__proto__', 'toString'), {
          maxLength: 3,
        }),
        lifetimeFromJwt: fc.boolean(),
        accessTokenLifetimeSeconds: fc.integer({ min: 1, max: 1e6 }),
      },
      { requiredKeys: [] },
    )
    .map((changes) => define(changes as Partial<ProviderDescription>));

  it('has an outcome, with a code that is safe to log, a sane wait and a fix where one is due', () => {
    fc.assert(
      fc.property(definition, status, body, header, (definition, code, text, headers) => {
        const outcome = verdict(definition, answer(code, text, headers));
        if (outcome.kind === 'refreshed') {
          expect(code).toBeGreaterThanOrEqual(200);
          expect(code).toBeLessThan(300);
          const { accessToken, refreshToken, expiresInSeconds, refreshTokenExpiresInSeconds } =
            outcome.tokens;
          expect(accessToken).toMatch(/^[\x20-\x7e]+$/);
          if (refreshToken !== null) expect(refreshToken).toMatch(/^[\x20-\x7e]+$/);
          for (const seconds of [expiresInSeconds, refreshTokenExpiresInSeconds]) {
            if (seconds === null) continue;
            expect(Number.isInteger(seconds)).toBe(true);
            expect(seconds).toBeGreaterThan(0);
            expect(seconds).toBeLessThanOrEqual(10 * 365 * 86_400);
          }
          for (const remark of outcome.tokens.remarks) expect(remark).toMatch(/^[a-z_]+$/);
          return;
        }
        expect(outcome.code).toMatch(/^[a-z0-9_]+$/);
        expect(outcome.httpStatus).toBe(code);
        if (outcome.providerCode !== null) expect(outcome.providerCode).toMatch(/^[\w.:-]+$/);
        if (outcome.kind === 'operator') expect(outcome.fix).toMatch(/^[A-Z].*\.$/s);
        if (outcome.kind === 'transient' && outcome.retryAfterSeconds !== null) {
          expect(outcome.retryAfterSeconds).toBeGreaterThanOrEqual(0);
          expect(outcome.retryAfterSeconds).toBeLessThanOrEqual(3600);
        }
        if ([408, 425, 429].includes(code) || code >= 500) expect(outcome.kind).toBe('transient');
      }),
      { numRuns: 2_000 },
    );
  });

  it('disconnects nobody without a refusal of this grant in words', () => {
    fc.assert(
      fc.property(status, body, header, (code, text, headers) => {
        const outcome = verdict(acme, answer(code, text, headers));
        if (outcome.kind !== 'permanent') return;
        const { error: said } = JSON.parse(text ?? '') as { error: unknown };
        expect(typeof said).toBe('string');
        expect(said).not.toBe('');
        if (outcome.invalidRefreshToken) expect(said).toBe('invalid_grant');
        // What nobody knows disconnects nobody where the status says success.
        if (code < 300) expect(outcome.code).not.toBe('unknown_error');
      }),
      { numRuns: 1_000 },
    );
  });

  it('may even be no status at all', () => {
    for (const code of [0, -1, 99, 1000, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      const outcome = verdict(acme, { ...answer(200, html), status: code } as Answer);
      expect(outcome).toMatchObject({ kind: 'transient', code: expect.stringMatching(/^[a-z0-9_]+$/) });
    }
  });

  it('leaves nothing of itself in the outcome but new tokens and known codes', () => {
    const canary = 'Canary7Secret';
    fc.assert(
      fc.property(definition, status, body, (definition, code, text) => {
        const poisoned = [
          `${canary}${text}`,
          JSON.stringify({ error: canary }),
          JSON.stringify({ error: 'invalid_grant', error_description: canary, error_uri: canary }),
          JSON.stringify({ error: `invalid_grant ${canary}` }),
          JSON.stringify({ error: { code: canary, message: canary }, errors: [{ code: canary }] }),
          JSON.stringify({ ...tokens, access_token: `${canary}\u0000` }),
          JSON.stringify({ message: canary, status: canary }),
          JSON.stringify({ ...tokens, id_token: canary, expires_in: canary, issued_at: canary }),
          `error=${canary}`,
        ];
        const headers = {
          'retry-after': canary,
          'www-authenticate': canary,
          location: canary,
          'x-ratelimit-reset': canary,
          'content-type': 'application/x-www-form-urlencoded',
        };
        // Fields that are named to be kept are kept.
        const { keptFields: _, ...rest } = definition;
        for (const each of poisoned) {
          const outcome = verdict({ ...rest, keptFields: [] }, answer(code, each, headers));
          expect(JSON.stringify(outcome)).not.toContain(canary);
        }
      }),
      { numRuns: 200 },
    );
  });
});
