import type { Dialect } from './dialect.ts';
import { limitedUntil, oauthError, plain, tokens } from './words.ts';

/** OpenID providers that a product's customers run or rent. */
export const identity: Readonly<Record<string, Dialect>> = {
  okta: {
    ...plain,
    paths: ['/oauth2/v1/token', '/oauth2/{authServerId}/v1/token'],
    client: ['basic', 'parameters'],
    optional: { scope: /\boffline_access\b/, redirect_uri: /^https?:/ },
    rotation: 'new',
    graceSeconds: 30,
    reuse: 'kills',
    success: (issued) =>
      tokens(issued, { expires_in: 3600, scope: 'openid offline_access', id_token: 'e30.e30.e30' }),
    deadGrant: oauthError('invalid_grant', 400, {
      error_description: 'The refresh token is invalid or expired.',
    }),
    wrongClient: oauthError('invalid_client', 401, {
      error_description: 'The client secret supplied is invalid.',
    }),
    rateLimit: limitedUntil('x-rate-limit-reset', 42, {
      errorCode: 'E0000047',
      errorSummary: 'Too many requests.',
    }),
  },
  auth0: {
    ...plain,
    paths: ['/oauth/token'],
    encodings: ['form', 'json'],
    client: ['parameters', 'basic'],
    rotation: 'new',
    reuse: 'kills',
    success: (issued) => tokens(issued, { expires_in: 86400, scope: 'openid offline_access' }),
    deadGrant: oauthError('invalid_grant', 403, { error_description: 'Unknown or invalid refresh token.' }),
    wrongClient: oauthError('access_denied', 401, { error_description: 'Unauthorized' }),
    rateLimit: limitedUntil('x-ratelimit-reset', 20, { error: 'too_many_requests' }),
  },
  keycloak: {
    ...plain,
    paths: ['/realms/{realm}/protocol/openid-connect/token'],
    client: ['basic', 'parameters'],
    rotation: 'same',
    success: (issued) =>
      tokens(issued, {
        expires_in: 300,
        refresh_expires_in: 1800,
        'not-before-policy': 0,
        session_state: 'e7c3',
        scope: 'openid profile',
      }),
    deadGrant: oauthError('invalid_grant', 400, { error_description: 'Token is not active' }),
    wrongClient: oauthError('unauthorized_client', 401, {
      error_description: 'Invalid client or Invalid client credentials',
    }),
  },
  /** RFC 6749, RFC 6750 and RFC 9700 to the letter: any OpenID provider, Keycloak among them. */
  oidc: {
    ...plain,
    paths: ['/{path}'],
    client: ['basic', 'parameters'],
    rotation: 'new',
    reuse: 'kills',
    success: (issued) => tokens(issued, { expires_in: 3600 }),
  },
};
