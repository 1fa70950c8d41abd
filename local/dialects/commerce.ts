import type { Dialect } from './dialect.ts';
import { html, oauthError, plain, tokens, tooMany } from './words.ts';

/** Shops, payments, accounting and the mail that sells. */
export const commerce: Readonly<Record<string, Dialect>> = {
  shopify: {
    ...plain,
    paths: ['/admin/oauth/access_token'],
    encodings: ['json', 'form'],
    client: ['parameters'],
    rotation: 'new',
    graceSeconds: 30 * 86400,
    success: (issued) => ({
      status: 200,
      body: {
        access_token: issued.accessToken,
        scope: 'read_products,write_orders',
        expires_in: 3600,
        refresh_token: issued.refreshToken,
        refresh_token_expires_in: 7776000,
      },
    }),
    wrongClient: oauthError('invalid_client', 400),
    rateLimit: tooMany(2),
    outage: html(503, 'Something went wrong'),
  },
  'stripe-app': {
    ...plain,
    paths: ['/v1/oauth/token'],
    client: ['basic_key'],
    rotation: 'new',
    success: (issued) =>
      tokens(issued, {
        livemode: true,
        scope: 'stripe_apps',
        stripe_user_id: 'acct_1',
        stripe_publishable_key: 'pk_live_1',
        token_type: 'bearer',
      }),
    deadGrant: oauthError('invalid_grant', 400, { error_description: 'This refresh token does not exist.' }),
    wrongClient: {
      status: 401,
      body: { error: { message: 'Invalid API Key provided: sk_live_****', type: 'invalid_request_error' } },
    },
    rateLimit: tooMany(null, { error: { code: 'rate_limit', type: 'invalid_request_error' } }),
  },
  paypal: {
    ...plain,
    paths: ['/v1/oauth2/token'],
    client: ['basic'],
    rotation: 'same',
    success: (issued) =>
      tokens(
        issued,
        { expires_in: 28800, scope: 'openid email', app_id: 'APP-1', nonce: '2026' },
        'left_out',
      ),
    wrongClient: oauthError('invalid_client', 401, { error_description: 'Client Authentication failed' }),
    rateLimit: tooMany(null),
  },
  square: {
    ...plain,
    paths: ['/oauth2/token'],
    encodings: ['json'],
    client: ['parameters'],
    optional: { short_lived: /^(true|false)$/ },
    rotation: 'same',
    success: ({ accessToken, refreshToken, atMs }) => ({
      status: 200,
      body: {
        access_token: accessToken,
        token_type: 'bearer',
        expires_at: new Date(atMs + 2592000_000).toISOString(),
        merchant_id: 'M1',
        refresh_token: refreshToken,
        short_lived: false,
      },
    }),
    deadGrant: {
      status: 401,
      body: {
        errors: [{ category: 'AUTHENTICATION_ERROR', code: 'UNAUTHORIZED', detail: 'The token is revoked.' }],
      },
    },
    wrongClient: { status: 401, body: { message: 'Not Authorized', type: 'service.not_authorized' } },
    rateLimit: tooMany(null, { errors: [{ category: 'RATE_LIMIT_ERROR', code: 'RATE_LIMITED' }] }),
  },
  quickbooks: {
    ...plain,
    paths: ['/oauth2/v1/tokens/bearer'],
    client: ['basic'],
    rotation: 'new',
    graceSeconds: 86400,
    success: (issued) =>
      tokens(issued, { expires_in: 3600, x_refresh_token_expires_in: 8640000, token_type: 'bearer' }),
    deadGrant: oauthError('invalid_grant', 400, { error_description: 'Token invalid' }),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: tooMany(null),
  },
  xero: {
    ...plain,
    paths: ['/connect/token'],
    client: ['basic'],
    rotation: 'new',
    graceSeconds: 1800,
    success: (issued) =>
      tokens(issued, { expires_in: 1800, scope: 'accounting.transactions offline_access' }),
    wrongClient: oauthError('invalid_client', 400),
    rateLimit: tooMany(36),
  },
  kit: {
    ...plain,
    paths: ['/v4/oauth/token'],
    encodings: ['json'],
    client: ['parameters', 'public'],
    rotation: 'new',
    success: (issued) =>
      tokens(issued, { expires_in: 7200, created_at: Math.floor(issued.atMs / 1000), scope: 'public' }),
    wrongClient: oauthError('invalid_client', 401),
    rateLimit: tooMany(null),
    outage: html(502, 'Bad Gateway'),
  },
  clover: {
    ...plain,
    paths: ['/oauth/v2/refresh'],
    encodings: ['json'],
    client: ['public'],
    rotation: 'new',
    success: ({ accessToken, refreshToken, atMs }) => ({
      status: 200,
      body: {
        access_token: accessToken,
        access_token_expiration: Math.floor(atMs / 1000) + 1800,
        refresh_token: refreshToken,
        refresh_token_expiration: Math.floor(atMs / 1000) + 31536000,
      },
    }),
    rateLimit: tooMany(null),
  },
  wise: {
    ...plain,
    paths: ['/oauth/token'],
    client: ['basic'],
    rotation: 'same',
    success: (issued) => tokens(issued, { expires_in: 43199, scope: 'transfers', token_type: 'bearer' }),
    rateLimit: tooMany(null),
  },
};
