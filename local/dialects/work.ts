import type { Dialect } from './dialect.ts';
import { html, oauthError, plain, tokens, tooMany, unauthorizedClient } from './words.ts';

const microsoft = (error: string, code: number, text: string, status: number) =>
  oauthError(error, status, {
    error_description: `AADSTS${code}: ${text}`,
    error_codes: [code],
    timestamp: '2026-11-23 09:00:00Z',
    trace_id: '255d1aef-8c98-452f-ac51-23d051240864',
    correlation_id: 'fb3d2015-bc17-4bb9-bb85-30c5cf1aaaa7',
  });

/** Production and sandbox are hosts of their own, with grants of their own. */
const salesforce: Dialect = {
  ...plain,
  paths: ['/services/oauth2/token'],
  client: ['parameters', 'basic'],
  rotation: 'new',
  success: (issued) =>
    tokens(issued, {
      instance_url: 'https://acme.my.salesforce.com',
      id: 'https://login.salesforce.com/id/00Dx/005x',
      issued_at: String(issued.atMs),
      signature: 'c2lnbmF0dXJl',
      scope: 'refresh_token api',
    }),
  deadGrant: oauthError('invalid_grant', 400, { error_description: 'expired access/refresh token' }),
  wrongClient: oauthError('invalid_client', 400, { error_description: 'invalid client credentials' }),
  rateLimit: () => ({
    status: 403,
    body: [{ errorCode: 'REQUEST_LIMIT_EXCEEDED', message: 'TotalRequests Limit exceeded.' }],
  }),
  outage: html(503, 'Down For Maintenance'),
};

const slackSays = (error: string) => ({ status: 200, body: { ok: false, error } });

/** Providers of tools for work. */
export const work: Readonly<Record<string, Dialect>> = {
  google: {
    ...plain,
    paths: ['/token'],
    client: ['parameters', 'basic'],
    rotation: 'same',
    success: (issued) =>
      tokens(
        issued,
        { expires_in: 3599, scope: 'https://www.googleapis.com/auth/calendar openid' },
        'left_out',
      ),
    deadGrant: oauthError('invalid_grant', 400, {
      error_description: 'Token has been expired or revoked.',
    }),
    wrongClient: oauthError('invalid_client', 401, { error_description: 'Unauthorized' }),
    rateLimit: tooMany(null),
    outage: { status: 500, body: { error: 'internal_failure' } },
  },
  microsoft: {
    ...plain,
    paths: ['/{tenant}/oauth2/v2.0/token'],
    client: ['parameters', 'basic'],
    optional: { scope: /^\S+( \S+)*$/ },
    rotation: 'new',
    graceSeconds: Number.POSITIVE_INFINITY,
    success: (issued) =>
      tokens(issued, { expires_in: 4523, ext_expires_in: 4523, scope: 'Mail.Read User.Read' }),
    deadGrant: microsoft(
      'invalid_grant',
      50173,
      'The provided grant has expired due to it being revoked.',
      400,
    ),
    wrongClient: microsoft('invalid_client', 7000215, 'Invalid client secret provided.', 401),
    rateLimit: tooMany(17),
    outage: microsoft('temporarily_unavailable', 90033, 'A transient error has occurred.', 503),
  },
  slack: {
    ...plain,
    paths: ['/api/oauth.v2.access'],
    client: ['basic', 'parameters'],
    rotation: 'new',
    success: (issued) => ({
      status: 200,
      body: {
        ok: true,
        access_token: issued.accessToken,
        refresh_token: issued.refreshToken,
        token_type: 'bot',
        expires_in: 43200,
        scope: 'chat:write,commands',
        team: { id: 'T1', name: 'Acme' },
      },
    }),
    deadGrant: slackSays('invalid_refresh_token'),
    wrongClient: slackSays('bad_client_secret'),
    rateLimit: tooMany(30, { ok: false, error: 'ratelimited' }),
    outage: slackSays('service_unavailable'),
  },
  notion: {
    ...plain,
    paths: ['/v1/oauth/token'],
    encodings: ['json'],
    client: ['basic'],
    rotation: 'new',
    success: (issued) =>
      tokens(issued, { bot_id: 'b1', workspace_id: 'w1', workspace_name: 'Acme', owner: {} }),
    rateLimit: tooMany(12, { object: 'error', status: 429, code: 'rate_limited', message: 'Slow down' }),
  },
  hubspot: {
    ...plain,
    paths: ['/oauth/v3/token', '/oauth/v1/token'],
    client: ['parameters'],
    rotation: 'same',
    success: (issued) =>
      tokens(issued, { expires_in: 1800, scopes: ['crm.objects.contacts.read', 'oauth'], hub_id: 7 }),
    deadGrant: {
      status: 400,
      body: {
        status: 'BAD_REFRESH_TOKEN',
        message: 'refresh token is invalid, expired or revoked',
        error: 'invalid_grant',
        error_description: 'refresh token is invalid, expired or revoked',
      },
    },
    wrongClient: {
      status: 400,
      body: {
        status: 'BAD_CLIENT_SECRET',
        message: 'missing or invalid client secret',
        error: 'invalid_client',
      },
    },
    rateLimit: tooMany(null, { status: 'error', message: 'You have reached your secondly limit.' }),
  },
  salesforce,
  'salesforce-sandbox': salesforce,
  github: {
    ...plain,
    paths: ['/login/oauth/access_token'],
    client: ['parameters'],
    rotation: 'new',
    // Without it the answer is form-encoded.
    objection: ({ headers }) =>
      headers.accept === 'application/json'
        ? null
        : {
            why: `accept is ${headers.accept}, not application/json`,
            answer: {
              status: 200,
              headers: { 'content-type': 'application/x-www-form-urlencoded' },
              body: 'error=bad_refresh_token',
            },
          },
    success: (issued) =>
      tokens(issued, {
        expires_in: 28800,
        refresh_token_expires_in: 15897600,
        scope: '',
        token_type: 'bearer',
      }),
    deadGrant: oauthError('bad_refresh_token', 200, {
      error_description: 'The refresh token passed is incorrect or expired.',
    }),
    wrongClient: oauthError('incorrect_client_credentials', 200, {
      error_description: 'The client_id and/or client_secret passed are incorrect.',
    }),
    rateLimit: (atMs) => ({
      status: 403,
      headers: {
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(Math.floor(atMs / 1000) + 90),
      },
      body: { message: 'API rate limit exceeded', documentation_url: 'https://docs.github.com' },
    }),
    outage: html(502, 'Unicorn!'),
  },
  gitlab: {
    ...plain,
    paths: ['/oauth/token'],
    client: ['parameters', 'public'],
    optional: { redirect_uri: /^https?:/ },
    rotation: 'new',
    success: (issued) =>
      tokens(issued, { expires_in: 7200, created_at: Math.floor(issued.atMs / 1000), scope: 'api' }),
    deadGrant: oauthError('invalid_grant', 400, {
      error_description: 'The provided authorization grant is invalid.',
    }),
    wrongClient: oauthError('invalid_client', 401, { error_description: 'Client authentication failed.' }),
    rateLimit: tooMany(60, 'Retry later\n'),
    outage: html(502, 'GitLab is not responding'),
  },
  bitbucket: {
    ...plain,
    paths: ['/site/oauth2/access_token'],
    client: ['basic'],
    rotation: 'same',
    objection: ({ body }) =>
      body.includes('grant_type=refresh_token')
        ? null
        : {
            why: 'there is no form-encoded grant_type',
            answer: oauthError('invalid_grant', 400, { error_description: 'Unsupported grant type: None' }),
          },
    success: (issued) =>
      tokens(issued, { expires_in: 7200, scopes: 'repository account', state: 'refresh_token' }),
  },
  atlassian: {
    ...plain,
    paths: ['/oauth/token'],
    encodings: ['json', 'form'],
    client: ['parameters'],
    rotation: 'new',
    graceSeconds: 600,
    reuse: 'kills',
    success: (issued) => tokens(issued, { expires_in: 3600, scope: 'read:jira-work offline_access' }),
    deadGrant: oauthError('invalid_grant', 403, { error_description: 'Unknown or invalid refresh token.' }),
    wrongClient: oauthError('access_denied', 401, { error_description: 'Unauthorized' }),
    rateLimit: tooMany(5),
  },
  linear: {
    ...plain,
    paths: ['/oauth/token'],
    client: ['parameters', 'basic', 'public'],
    rotation: 'new',
    graceSeconds: 1800,
    replay: 'successor',
    success: (issued) => tokens(issued, { expires_in: 86399, scope: 'read write' }),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: tooMany(null),
  },
  asana: {
    ...plain,
    paths: ['/-/oauth_token'],
    client: ['parameters'],
    optional: { redirect_uri: /^https?:/ },
    rotation: 'same',
    success: (issued) =>
      tokens(issued, { expires_in: 3600, data: { id: '4673218951', name: 'Ada' } }, 'left_out'),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: tooMany(20),
  },
  monday: {
    ...plain,
    paths: ['/oauth_ms/oauth/token'],
    encodings: ['json'],
    client: ['parameters'],
    rotation: 'new',
    accessToken: (random, atMs) =>
      [
        '{"alg":"HS256","typ":"JWT"}',
        JSON.stringify({ exp: Math.floor(atMs / 1000) + 3600, jti: random }),
        random,
      ]
        .map((part) => Buffer.from(part).toString('base64url'))
        .join('.'),
    success: (issued) => tokens(issued, { scope: 'boards:read me:read' }),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: () => ({ status: 429, body: { error: 'too_many_requests' } }),
    outage: { status: 500, body: { error: 'server_error' } },
  },
  airtable: {
    ...plain,
    paths: ['/oauth2/v1/token'],
    client: ['basic'],
    rotation: 'new',
    reuse: 'kills',
    success: (issued) =>
      tokens(issued, {
        expires_in: 3600,
        refresh_expires_in: 5184000,
        scope: 'data.records:read user.email:read',
      }),
    rateLimit: tooMany(null),
  },
  dropbox: {
    ...plain,
    paths: ['/oauth2/token'],
    client: ['parameters', 'basic', 'public'],
    optional: { scope: /^\S+( \S+)*$/ },
    rotation: 'same',
    success: (issued) => tokens(issued, { expires_in: 14400, token_type: 'bearer' }, 'left_out'),
    deadGrant: oauthError('invalid_grant', 400, { error_description: 'refresh token is invalid or revoked' }),
    wrongClient: oauthError('invalid_client', 400, {
      error_description: 'Invalid client_id or client_secret',
    }),
    rateLimit: tooMany(15, { error: { reason: { '.tag': 'too_many_requests' }, retry_after: 15 } }),
  },
  box: {
    ...plain,
    paths: ['/oauth2/token'],
    client: ['parameters'],
    rotation: 'new',
    success: (issued) => tokens(issued, { expires_in: 3889, restricted_to: [], token_type: 'bearer' }),
    deadGrant: oauthError('invalid_grant', 400, { error_description: 'Refresh token has expired' }),
    wrongClient: oauthError('invalid_client', 400, {
      error_description: 'The client credentials are invalid',
    }),
    rateLimit: tooMany(100, { type: 'error', status: 429, code: 'rate_limit_exceeded' }),
    outage: { status: 409, body: '' },
  },
  zoom: {
    ...plain,
    paths: ['/oauth/token'],
    encodings: ['form', 'query'],
    client: ['basic'],
    rotation: 'new',
    success: (issued) =>
      tokens(issued, { expires_in: 3599, scope: 'meeting:read user:read', token_type: 'bearer' }),
    deadGrant: oauthError('invalid_request', 401, { reason: 'Invalid Token!' }),
    wrongClient: oauthError('invalid_client', 401, { reason: 'Invalid client_id or client_secret' }),
    rateLimit: tooMany(10, { code: 429, message: 'You have reached the maximum per-second rate limit.' }),
  },
  docusign: {
    ...plain,
    paths: ['/oauth/token'],
    client: ['basic'],
    rotation: 'new',
    success: (issued) => tokens(issued, { expires_in: 28800 }),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: tooMany(null),
  },
  calendly: {
    ...plain,
    paths: ['/oauth/token'],
    client: ['basic', 'parameters'],
    rotation: 'new',
    success: (issued) =>
      tokens(issued, { expires_in: 7200, created_at: Math.floor(issued.atMs / 1000), scope: 'default' }),
    rateLimit: tooMany(null),
  },
  typeform: {
    ...plain,
    paths: ['/oauth/token'],
    client: ['parameters'],
    optional: { scope: /^\S+( \S+)*$/ },
    rotation: 'new',
    success: (issued) => tokens(issued, { expires_in: 604800, token_type: 'bearer' }),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: tooMany(null),
  },
  zendesk: {
    ...plain,
    paths: ['/oauth/tokens'],
    encodings: ['json', 'form'],
    client: ['parameters'],
    optional: { expires_in: /^\d+$/, refresh_token_expires_in: /^\d+$/ },
    rotation: 'new',
    success: (issued) =>
      tokens(issued, {
        expires_in: 1800,
        refresh_token_expires_in: 2592000,
        scope: 'read write',
        token_type: 'bearer',
      }),
    deadGrant: oauthError('invalid_grant', 400, {
      error_description: 'The provided authorization grant is invalid.',
    }),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: tooMany(44),
  },
  zoho: {
    ...plain,
    paths: ['/oauth/v2/token'],
    client: ['parameters'],
    rotation: 'same',
    success: (issued) =>
      tokens(
        issued,
        { expires_in: 3600, api_domain: 'https://www.zohoapis.com', scope: 'ZohoCRM.modules.ALL' },
        'left_out',
      ),
    deadGrant: oauthError('invalid_code', 200),
    wrongClient: oauthError('invalid_client', 200),
    rateLimit: () => oauthError('Access Denied', 200, { status: 'failure' }),
  },
  miro: {
    ...plain,
    paths: ['/v1/oauth/token'],
    client: ['parameters'],
    rotation: 'new',
    success: (issued) => tokens(issued, { expires_in: 3599, scope: 'boards:read', token_type: 'bearer' }),
    wrongClient: oauthError('invalid_client', 401),
  },
  figma: {
    ...plain,
    paths: ['/v1/oauth/refresh', '/v1/oauth/token'],
    client: ['basic', 'parameters'],
    rotation: 'same',
    success: (issued) => tokens(issued, { expires_in: 7776000, token_type: 'bearer' }, 'left_out'),
    wrongClient: unauthorizedClient,
  },
  ringcentral: {
    ...plain,
    paths: ['/restapi/oauth/token'],
    client: ['basic'],
    rotation: 'new',
    graceSeconds: 60,
    replay: 'successor',
    success: (issued) =>
      tokens(issued, {
        expires_in: 3600,
        refresh_token_expires_in: 604800,
        scope: 'ReadAccounts CallControl',
        owner_id: '256440016',
        token_type: 'bearer',
      }),
    wrongClient: oauthError('invalid_client', 400),
    rateLimit: tooMany(60),
  },
  'cal-com': {
    ...plain,
    paths: ['/v2/auth/oauth2/token'],
    encodings: ['form', 'json'],
    client: ['parameters'],
    rotation: 'new',
    success: (issued) => tokens(issued, { expires_in: 1800, scope: '' }),
    wrongClient: oauthError('invalid_client', 401),
  },
};
