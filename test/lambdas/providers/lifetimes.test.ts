import { describe, expect, it } from 'vitest';
import { type ProviderDescription, parseDefinition } from '../../../lambdas/providers/definition.ts';
import { accessTokenLifetime, refreshTokenLifetime } from '../../../lambdas/providers/lifetimes.ts';

const day = 86_400;
/** When the answers below are given, by the provider's clock. */
const answeredAt = Date.UTC(2026, 10, 23, 10) / 1000;
const date = new Date(answeredAt * 1000).toUTCString();

function define(changes: Partial<ProviderDescription> = {}) {
  const parsed = parseDefinition({
    displayName: 'Acme',
    tokenEndpoint: 'https://acme.example/token',
    ...changes,
  });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  return parsed.value;
}

const jwt = (claims: unknown) =>
  ['{"alg":"none"}', JSON.stringify(claims), '']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');

describe('an access token', () => {
  const lives = (tokens: object, headers: Record<string, string> = { date }, definition = define()) => {
    const { seconds, remarks } = accessTokenLifetime(definition, { ...tokens }, new Headers(headers));
    return remarks.length === 0 ? seconds : [seconds, ...remarks];
  };

  it.each<[object, number | (number | string)[]]>([
    [{ expires_in: 3600 }, 3600],
    [{ expires_in: '3600' }, 3600],
    [{ expires_in: ' 3600 ' }, 3600],
    [{ expires_in: 3599.9 }, 3599],
    [{ expires_in: 365 * day }, 365 * day],
    [{ expires_in: 365 * day + 1 }, [365 * day, 'expires_in_clamped']],
    [{ expires_in: 999_999_999 }, [365 * day, 'expires_in_clamped']],
    // A moment instead of a span.
    [{ expires_in: answeredAt + 600 }, [600, 'expires_in_is_a_moment']],
    [{ expires_in: String(answeredAt + 600) }, [600, 'expires_in_is_a_moment']],
    [{ expires_in: (answeredAt + 600) * 1000 }, [600, 'expires_in_is_a_moment']],
    [{ expires_in: answeredAt - 600 }, [3600, 'expires_in_unusable']],
    [{ expires_in: 1e300 }, [3600, 'expires_in_unusable']],
    [{ expires_in: 0 }, [3600, 'expires_in_unusable']],
    [{ expires_in: -5 }, [3600, 'expires_in_unusable']],
    [{ expires_in: 0.5 }, [3600, 'expires_in_unusable']],
    [{ expires_in: 'soon' }, [3600, 'expires_in_unusable']],
    [{ expires_in: {} }, [3600, 'expires_in_unusable']],
    [{ expires_in: null }, 3600],
    [{ expires_in: '' }, 3600],
    [{}, 3600],
    [{ expires_at: '2026-11-23T10:10:00Z' }, 600],
    [{ expires_at: '2026-11-23T10:10:00.250Z' }, 600],
    [{ expires_at: '2026-11-23T12:10:00+02:00' }, 600],
    [{ expires_at: '2026-11-23T12:10:00+0200' }, 600],
    // Without a zone it is taken for UTC, wherever this runs.
    [{ expires_at: '2026-11-23 10:10:00' }, 600],
    [{ expires_at: answeredAt + 600 }, 600],
    [{ expires_at: String((answeredAt + 600) * 1000) }, 600],
    [{ expires_at: '2026-11-23T09:00:00Z' }, [3600, 'expires_at_unusable']],
    [{ expires_at: '2026-13-45T99:99:99Z' }, [3600, 'expires_at_unusable']],
    [{ expires_at: 'tomorrow' }, [3600, 'expires_at_unusable']],
    [{ expires_at: 600 }, [3600, 'expires_at_unusable']],
    [{ expires_at: '9999-12-31T00:00:00Z' }, [365 * day, 'expires_in_clamped']],
    [{ expires_in: 60, expires_at: '2026-11-23T10:10:00Z' }, 60],
    [{ expires_in: 0, expires_at: '2026-11-23T10:10:00Z' }, [600, 'expires_in_unusable']],
  ])('of %j lives %j', (tokens, expected) => {
    expect(lives(tokens)).toEqual(expected);
  });

  it('is measured by the answer’s own clock: its date, else when it says that the token was made', () => {
    const expires_at = '2026-11-23T10:10:00Z';
    expect(lives({ expires_at }, {})).toEqual([3600, 'expires_at_unusable']);
    expect(lives({ expires_at }, { date: 'x' })).toEqual([3600, 'expires_at_unusable']);
    expect(lives({ expires_at, issued_at: String(answeredAt * 1000) }, {})).toBe(600);
    expect(lives({ expires_at, created_at: answeredAt }, {})).toBe(600);
    expect(lives({ expires_at, created_at: answeredAt - 900 })).toBe(600);
    expect(lives({ expires_in: answeredAt + 60 }, {})).toEqual([3600, 'expires_in_unusable']);
  });

  it('lives as long as the definition says where the answer does not', () => {
    const definition = define({ accessTokenLifetimeSeconds: 7200 });
    expect(lives({}, {}, definition)).toBe(7200);
    expect(lives({ expires_in: 60 }, {}, definition)).toBe(60);
    expect(lives({ expires_in: 0 }, {}, definition)).toEqual([7200, 'expires_in_unusable']);
  });

  it('may say itself how long it lives, where the definition knows it for a JWT', () => {
    const definition = define({ lifetimeFromJwt: true });
    const read = (claims: unknown, headers: Record<string, string> = {}) =>
      lives({ access_token: jwt(claims) }, headers, definition);
    expect(read({ iat: answeredAt, exp: answeredAt + 900 })).toBe(900);
    expect(read({ exp: answeredAt + 900 }, { date })).toBe(900);
    // Made a while before it was handed out.
    expect(read({ iat: answeredAt - 300, exp: answeredAt + 600 }, { date })).toBe(600);
    expect(read({ iat: answeredAt, exp: answeredAt })).toEqual([3600, 'exp_unusable']);
    expect(read({ exp: answeredAt + 900 })).toEqual([3600, 'exp_unusable']);
    for (const claims of [{}, [], null, 'x', { exp: 'x' }, { exp: 900 }]) expect(read(claims)).toBe(3600);
    for (const access_token of ['opaque', 'a.b.c', '..', '.', 7, undefined]) {
      expect(lives({ access_token }, { date }, definition)).toBe(3600);
    }
    expect(
      lives({ access_token: jwt({ exp: answeredAt + 900 }), expires_in: 60 }, { date }, definition),
    ).toBe(60);
    expect(lives({ access_token: jwt({ iat: answeredAt, exp: answeredAt + 900 }) })).toBe(3600);
  });
});

describe('a refresh token', () => {
  const lives = (tokens: object, headers: Record<string, string> = { date }) => {
    const { seconds, remarks } = refreshTokenLifetime({ ...tokens }, new Headers(headers));
    return remarks.length === 0 ? seconds : [seconds, ...remarks];
  };

  it.each<[object, number | null | (number | string | null)[]]>([
    [{}, null],
    [{ refresh_token_expires_in: 60 * day }, 60 * day],
    [{ refresh_token_expires_in: '15811200' }, 15_811_200],
    [{ refresh_expires_in: 15_552_000 }, 15_552_000],
    [{ x_refresh_token_expires_in: 8_726_400 }, 8_726_400],
    [{ refresh_token_expires_at: '2026-11-24T10:00:00Z' }, day],
    [{ refresh_token_expires_at: answeredAt + day }, day],
    [{ refresh_token_expires_in: answeredAt + day }, [day, 'refresh_token_expires_in_is_a_moment']],
    // Keycloak's word for never.
    [{ refresh_expires_in: 0 }, null],
    [{ refresh_expires_in: '0' }, null],
    [{ refresh_expires_in: -1 }, [null, 'refresh_expires_in_unusable']],
    [{ refresh_token_expires_in: 0 }, [null, 'refresh_token_expires_in_unusable']],
    [{ refresh_token_expires_in: 'x' }, [null, 'refresh_token_expires_in_unusable']],
    [{ refresh_token_expires_in: 20 * 365 * day }, [10 * 365 * day, 'refresh_token_expires_in_clamped']],
    // The limit that no refresh extends comes first where it is nearer.
    [{ x_refresh_token_expires_in: 100 * day, x_refresh_token_hard_expires_in: 20 * day }, 20 * day],
    [{ x_refresh_token_expires_in: 100 * day, x_refresh_token_hard_expires_in: 900 * day }, 100 * day],
  ])('of %j lives %j', (tokens, expected) => {
    expect(lives(tokens)).toEqual(expected);
  });

  it('has no moment without a clock to compare it with', () => {
    expect(lives({ refresh_token_expires_at: '2026-11-24T10:00:00Z' }, {})).toEqual([
      null,
      'refresh_token_expires_at_unusable',
    ]);
  });
});
