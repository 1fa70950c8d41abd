import type { Dialect } from './dialect.ts';
import { html, limitedUntil, oauthError, plain, tokens, tooMany } from './words.ts';

/** Meta's Graph API. */
const graphError = (status: number, code: number, message: string, more: object = {}) => ({
  status,
  body: { error: { message, type: 'OAuthException', code, fbtrace_id: 'AbC1', ...more } },
});

const graph = {
  ...plain,
  method: 'GET',
  encodings: ['query'],
  rotation: 'exchange',
  success: ({ accessToken }) => ({
    status: 200,
    body: { access_token: accessToken, token_type: 'bearer', expires_in: 5184000 },
  }),
  deadGrant: graphError(400, 190, 'Error validating access token: Session has expired.', {
    error_subcode: 463,
  }),
  wrongClient: graphError(400, 1, 'Error validating client secret.'),
  rateLimit: () => graphError(400, 4, 'Application request limit reached'),
  outage: graphError(500, 2, 'An unexpected error has occurred. Please retry your request later.', {
    is_transient: true,
  }),
} as const satisfies Partial<Dialect>;

const businessEnvelope = (code: number, message: string, data: object = {}) => ({
  status: 200,
  body: { code, message, request_id: '2026112309000001', data },
});

/** Networks where people publish, watch, listen and talk. */
export const social: Readonly<Record<string, Dialect>> = {
  discord: {
    ...plain,
    paths: ['/api/v10/oauth2/token', '/api/oauth2/token'],
    client: ['basic', 'parameters'],
    rotation: 'new',
    success: (issued) => tokens(issued, { expires_in: 604800, scope: 'identify guilds' }),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: () => ({
      status: 429,
      headers: { 'retry-after': '65', 'x-ratelimit-reset-after': '64.57', 'x-ratelimit-scope': 'user' },
      body: { message: 'You are being rate limited.', retry_after: 64.57, global: false },
    }),
    outage: html(502, 'Bad gateway'),
  },
  twitter: {
    ...plain,
    paths: ['/2/oauth2/token'],
    client: ['basic', 'public'],
    rotation: 'new',
    success: (issued) =>
      tokens(issued, {
        expires_in: 7200,
        scope: 'tweet.read users.read offline.access',
        token_type: 'bearer',
      }),
    deadGrant: oauthError('invalid_request', 400, {
      error_description: 'Value passed for the token was invalid.',
    }),
    wrongClient: oauthError('unauthorized_client', 401, {
      error_description: 'Missing valid authorization header',
    }),
    rateLimit: limitedUntil('x-rate-limit-reset', 300, { title: 'Too Many Requests', status: 429 }),
  },
  linkedin: {
    ...plain,
    paths: ['/oauth/v2/accessToken'],
    client: ['parameters'],
    rotation: 'same',
    success: (issued) =>
      tokens(issued, {
        expires_in: 5183999,
        refresh_token_expires_in: 31103999,
        scope: 'r_organization_social',
      }),
    deadGrant: oauthError('invalid_grant', 400, {
      error_description: 'The provided authorization grant or refresh token is invalid, expired or revoked.',
    }),
    wrongClient: oauthError('invalid_client', 401, { error_description: 'Client authentication failed' }),
    rateLimit: tooMany(null),
  },
  facebook: {
    ...graph,
    paths: ['/{version}/oauth/access_token', '/oauth/access_token'],
    client: ['parameters'],
    grantType: 'fb_exchange_token',
    tokenParameter: 'fb_exchange_token',
  },
  instagram: {
    ...graph,
    paths: ['/refresh_access_token'],
    client: ['nothing'],
    grantType: 'ig_refresh_token',
    tokenParameter: 'access_token',
  },
  threads: {
    ...graph,
    paths: ['/refresh_access_token'],
    client: ['nothing'],
    grantType: 'th_refresh_token',
    tokenParameter: 'access_token',
  },
  tiktok: {
    ...plain,
    paths: ['/v2/oauth/token/'],
    client: ['parameters'],
    clientIdParameter: 'client_key',
    rotation: 'new',
    success: (issued) =>
      tokens(issued, {
        expires_in: 7200,
        open_id: 'o1',
        refresh_expires_in: 15552000,
        scope: 'user.info.basic,video.list',
      }),
    deadGrant: oauthError('invalid_grant', 400, {
      error_description: 'Refresh token is invalid or expired.',
      log_id: '20261123090000',
    }),
    wrongClient: oauthError('invalid_client', 401, {
      error_description: 'Client key or secret is incorrect.',
      log_id: '20261123090000',
    }),
    rateLimit: tooMany(null, { error: 'rate_limit_exceeded', error_description: 'Too many requests.' }),
  },
  'tiktok-business': {
    ...plain,
    paths: ['/open_api/v1.3/tt_user/oauth2/refresh_token/'],
    encodings: ['json'],
    client: ['parameters'],
    rotation: 'new',
    success: (issued) =>
      businessEnvelope(0, 'OK', {
        access_token: issued.accessToken,
        refresh_token: issued.refreshToken,
        expires_in: 86400,
        refresh_token_expires_in: 31536000,
        token_type: 'Bearer',
        scope: 'user.info.basic,video.list',
      }),
    deadGrant: businessEnvelope(40105, 'Refresh token is incorrect or has been revoked.'),
    wrongClient: { status: 401, body: { error: 'invalid_client' } },
    rateLimit: () => businessEnvelope(40100, 'You have made too many requests.'),
  },
  pinterest: {
    ...plain,
    paths: ['/v5/oauth/token'],
    client: ['basic'],
    optional: { scope: /^\S+([ ,]\S+)*$/ },
    rotation: 'new',
    success: (issued) =>
      tokens(issued, {
        response_type: 'refresh_token',
        expires_in: 2592000,
        refresh_token_expires_in: 5184000,
        scope: 'boards:read pins:read',
      }),
    wrongClient: { status: 401, body: { code: 2, message: 'Authentication failed.' } },
    rateLimit: tooMany(null, { code: 8, message: 'You have exceeded your rate limit.' }),
  },
  reddit: {
    ...plain,
    paths: ['/api/v1/access_token'],
    client: ['basic'],
    rotation: 'same',
    objection: ({ headers }) =>
      /^(?!node\b|undici\b|axios\b|curl\b|python)\S{3}/i.test(headers['user-agent'] ?? '')
        ? null
        : {
            why: `user-agent is ${headers['user-agent']}, which is nobody's own`,
            answer: html(429, 'Too Many Requests'),
          },
    success: (issued) => tokens(issued, { expires_in: 86400, scope: 'identity read', token_type: 'bearer' }),
    deadGrant: { status: 400, body: { message: 'Bad Request', error: 400 } },
    wrongClient: {
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="reddit"' },
      body: { message: 'Unauthorized', error: 401 },
    },
    rateLimit: () => html(429, 'Too Many Requests'),
    outage: html(503, 'Our CDN was unable to reach our servers'),
  },
  spotify: {
    ...plain,
    paths: ['/api/token'],
    client: ['basic', 'public'],
    rotation: 'same',
    success: (issued) => tokens(issued, { expires_in: 3600, scope: 'playlist-read-private' }, 'left_out'),
    deadGrant: oauthError('invalid_grant', 400, { error_description: 'Refresh token revoked' }),
    wrongClient: oauthError('invalid_client', 400, { error_description: 'Invalid client secret' }),
    rateLimit: tooMany(7),
  },
  twitch: {
    ...plain,
    paths: ['/oauth2/token'],
    client: ['parameters'],
    rotation: 'new',
    success: (issued) =>
      tokens(issued, { expires_in: 14124, scope: ['chat:read', 'user:read:email'], token_type: 'bearer' }),
    deadGrant: { status: 400, body: { status: 400, message: 'Invalid refresh token' } },
    wrongClient: { status: 403, body: { status: 403, message: 'invalid client secret' } },
    rateLimit: tooMany(null),
  },
};
