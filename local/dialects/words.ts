import type { Answer, Dialect, Issued } from './dialect.ts';

/** The shapes that most dialects share, of RFC 6749 and of HTTP. */

/** RFC 6749 §5.2. */
export function oauthError(error: string, status = 400, more: object = {}): Answer {
  return { status, body: { error, ...more } };
}

/** RFC 6749 §5.2: a client that used the Authorization header is answered with the scheme that it needs. */
export const unauthorizedClient: Answer = {
  status: 401,
  headers: { 'www-authenticate': 'Basic realm="oauth"' },
  body: { error: 'invalid_client' },
};

/** RFC 6749 §5.1. */
export function tokens(
  { accessToken, refreshToken }: Issued,
  more: object,
  withRefreshToken: 'told' | 'left_out' = 'told',
): Answer {
  return {
    status: 200,
    body: {
      access_token: accessToken,
      token_type: 'Bearer',
      ...(withRefreshToken === 'told' && { refresh_token: refreshToken }),
      ...more,
    },
  };
}

/** RFC 6585 §4, RFC 9110 §10.2.3. */
export function tooMany(retryAfterSeconds: number | null, body: string | object = ''): Dialect['rateLimit'] {
  const answer = { status: 429, body };
  return () =>
    retryAfterSeconds === null
      ? answer
      : { ...answer, headers: { 'retry-after': String(retryAfterSeconds) } };
}

/** A limit that ends at a time in epoch seconds, said in a header of its own. */
export function limitedUntil(header: string, seconds: number, body: string | object): Dialect['rateLimit'] {
  return (atMs) => ({
    status: 429,
    headers: { [header]: String(Math.floor(atMs / 1000) + seconds) },
    body,
  });
}

export const html = (status: number, title: string): Answer => ({
  status,
  headers: { 'content-type': 'text/html' },
  body: `<!doctype html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`,
});

/** What the front of a provider says when what is behind it is away. */
export const serviceUnavailable: Answer = { status: 503, body: 'Service Unavailable' };

/** What most dialects have in common. */
export const plain = {
  encodings: ['form'],
  optional: {},
  deadGrant: oauthError('invalid_grant'),
  wrongClient: unauthorizedClient,
  rateLimit: tooMany(30),
  outage: serviceUnavailable,
} as const satisfies Partial<Dialect>;
