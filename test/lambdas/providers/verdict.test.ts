import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../../lambdas/domain/outcome.ts';
import type { ProviderDefinition } from '../../../lambdas/providers/definition.ts';
import { type Answer, verdict } from '../../../lambdas/providers/verdict.ts';

const acme: ProviderDefinition = {
  displayName: 'Acme',
  tokenEndpoint: 'https://acme.example/token',
  clientAuthentication: 'client_secret_basic',
  extraParameters: {},
  errorMeanings: {},
};

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
  // RFC 6749 §5.2 and what providers.md §1 collects beside it.
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
    [409, { error: 'conflict' }, 'transient'],
    [422, { error: 'what_nobody_knows' }, 'transient'],

    // Wrong address, method or encoding: no matter what the page there says.
    [301, '', 'operator'],
    [302, html, 'operator'],
    [307, { error: 'moved' }, 'operator'],
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
    [200, { ...tokens, refresh_token: 7 }, 'transient'],
    [200, { ...tokens, refresh_token: 'a\u0000b' }, 'transient'],
    [200, { ...tokens, token_type: 'mac' }, 'transient'],
    [200, [tokens], 'transient'],

    [200, tokens, 'refreshed'],
    [200, { ...tokens, token_type: 'bearer' }, 'refreshed'],
    [200, { ...tokens, token_type: 'BEARER' }, 'refreshed'],
    [200, { ...tokens, refresh_token: undefined }, 'refreshed'],
    [201, tokens, 'refreshed'],
    // Against RFC 6749 §5.1, but the rotated token in it is the only living one.
    [200, { ...tokens, token_type: undefined }, 'refreshed'],
    [200, { ...tokens, refresh_token: null }, 'refreshed'],
    [200, { ...tokens, refresh_token: '' }, 'refreshed'],
    [200, { ...tokens, error: '' }, 'refreshed'],
    [200, { ...tokens, error: null }, 'refreshed'],
    [200, { ...tokens, id_token: 'not.a.jwt' }, 'refreshed'],
    [200, { ...tokens, scope: ['a', 'b'] }, 'refreshed'],
    [200, { ...tokens, scope: null }, 'refreshed'],
  ])('of %i %j is %s', async (status, body, expected) => {
    expect(classOf(await verdict(acme, answer(status, body)))).toBe(expected);
  });

  it('does not depend on the content type that a server claims', async () => {
    for (const type of ['text/html', 'text/javascript', 'application/x-www-form-urlencoded']) {
      expect(classOf(await verdict(acme, answer(200, tokens, { 'content-type': type })))).toBe('refreshed');
      expect(
        classOf(await verdict(acme, answer(400, { error: 'invalid_grant' }, { 'content-type': type }))),
      ).toBe('dead');
    }
  });

  it.each(['timeout', 'network_error'] as const)('of no answer (%s) is transient', async (reason) => {
    expect(await verdict(acme, { kind: 'no_response', reason })).toEqual({
      kind: 'transient',
      code: reason,
      httpStatus: null,
      retryAfterSeconds: null,
    });
  });

  it('tells the operator what to do', async () => {
    const outcome = await verdict(acme, answer(401, { error: 'invalid_client' }));
    expect(outcome).toMatchObject({ code: 'invalid_client', httpStatus: 401 });
    expect(outcome).toHaveProperty('fix', expect.stringMatching(/secret/));
  });
});

describe('dialects', () => {
  const dialect: ProviderDefinition = {
    ...acme,
    errorMeanings: {
      bad_refresh_token: 'invalid_refresh_token',
      incorrect_client_credentials: 'operator',
      ratelimited: 'transient',
      invalid_request: 'invalid_refresh_token',
      'Access Denied': 'transient',
      team_gone: 'permanent',
    },
  };

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
  ])('%i %s is %s', async (status, error, expected) => {
    expect(classOf(await verdict(dialect, answer(status, { error })))).toBe(expected);
  });

  it('are one provider’s own: the code means nothing at another', async () => {
    expect(classOf(await verdict(acme, answer(400, { error: 'bad_refresh_token' })))).toBe('permanent');
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'the code %s is nobody’s',
    async (error) => {
      expect(classOf(await verdict(acme, answer(400, { error })))).toBe('permanent');
    },
  );
});

describe('new tokens', () => {
  const read = async (body: object, definition = acme) => {
    const outcome = await verdict(definition, answer(200, body));
    if (outcome.kind !== 'refreshed') throw new Error(JSON.stringify(outcome));
    return outcome.tokens;
  };

  it('are read from the answer', async () => {
    expect(await read({ ...tokens, scope: 'read write', refresh_token_expires_in: 86_400 })).toEqual({
      accessToken: 'at',
      refreshToken: 'rt',
      expiresInSeconds: 3600,
      refreshTokenExpiresInSeconds: 86_400,
      scopes: ['read', 'write'],
    });
  });

  it('keep what the answer leaves out, and live an hour where nobody says otherwise', async () => {
    expect(await read({ access_token: 'at', token_type: 'bearer' })).toEqual({
      accessToken: 'at',
      refreshToken: null,
      expiresInSeconds: 3600,
      refreshTokenExpiresInSeconds: null,
      scopes: null,
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
  ])('with expires_in %j live %s seconds', async (expires_in, expected) => {
    const definition = { ...acme, accessTokenLifetimeSeconds: 7200 };
    expect((await read({ ...tokens, expires_in }, definition)).expiresInSeconds).toBe(expected);
  });

  it.each([
    ['a  b ', ['a', 'b']],
    ['', null],
    ['  ', null],
    ['a\u0000b', null],
    ['é', null],
    [['a'], null],
    ['https://www.googleapis.com/auth/x openid', ['https://www.googleapis.com/auth/x', 'openid']],
  ])('with scope %j hold %j', async (scope, expected) => {
    expect((await read({ ...tokens, scope })).scopes).toEqual(expected);
  });
});

describe('Retry-After', () => {
  const wait = async (headers: Record<string, string>, status = 429) => {
    const outcome = await verdict(acme, answer(status, '', headers));
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
  ])('%j waits %s', async (value, expected) => {
    expect(await wait({ 'retry-after': value, date })).toBe(expected);
  });

  it('is heard with every passing fault', async () => {
    for (const status of [408, 425, 429, 500, 503])
      expect(await wait({ 'retry-after': '7' }, status)).toBe(7);
    const busy = await verdict(
      acme,
      answer(400, { error: 'temporarily_unavailable' }, { 'retry-after': '7' }),
    );
    expect(busy).toMatchObject({ kind: 'transient', retryAfterSeconds: 7 });
  });

  it('as a date is measured by the answer’s own clock, and is nothing without one', async () => {
    expect(await wait({ 'retry-after': 'Mon, 23 Nov 2026 10:02:00 GMT' })).toBeNull();
    expect(
      await wait({ 'retry-after': 'Thu, 01 Jan 1970 00:01:00 GMT', date: 'Thu, 01 Jan 1970 00:00:00 GMT' }),
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

  it('has an outcome, with a code that is safe to log and a sane wait', async () => {
    await fc.assert(
      fc.asyncProperty(status, body, header, async (code, text, headers) => {
        const outcome = await verdict(acme, answer(code, text, headers));
        if (outcome.kind === 'refreshed') {
          expect(code).toBeGreaterThanOrEqual(200);
          expect(code).toBeLessThan(300);
          expect(outcome.tokens.accessToken).toMatch(/^[\x20-\x7e]+$/);
          const { expiresInSeconds } = outcome.tokens;
          if (expiresInSeconds !== null) expect(Number.isInteger(expiresInSeconds)).toBe(true);
          return;
        }
        expect(outcome.code).toMatch(/^[a-z0-9_.:-]+$/i);
        expect(outcome.httpStatus).toBe(code);
        if (outcome.kind === 'transient' && outcome.retryAfterSeconds !== null) {
          expect(outcome.retryAfterSeconds).toBeGreaterThanOrEqual(0);
          expect(outcome.retryAfterSeconds).toBeLessThanOrEqual(3600);
        }
        if ([408, 425, 429].includes(code) || code >= 500) expect(outcome.kind).toBe('transient');
        // The provider has to have refused this grant, in words.
        if (outcome.kind === 'permanent') {
          const { error: said } = JSON.parse(text ?? '') as { error: unknown };
          expect(typeof said).toBe('string');
          expect(said).not.toBe('');
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('leaves nothing of itself in the outcome but new tokens and known codes', async () => {
    const canary = 'Canary7Secret';
    await fc.assert(
      fc.asyncProperty(status, body, async (code, text) => {
        const poisoned = [
          `${canary}${text}`,
          JSON.stringify({ error: canary }),
          JSON.stringify({ error: 'invalid_grant', error_description: canary, error_uri: canary }),
          JSON.stringify({ error: `invalid_grant ${canary}` }),
          JSON.stringify({ ...tokens, access_token: `${canary}\u0000` }),
          JSON.stringify({ message: canary, status: canary }),
          JSON.stringify({ ...tokens, token_type: canary }),
        ];
        for (const each of poisoned) {
          expect(JSON.stringify(await verdict(acme, answer(code, each)))).not.toContain(canary);
        }
      }),
      { numRuns: 100 },
    );
  });
});
