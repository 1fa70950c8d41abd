import type { CatalogueEntry } from './entry.ts';

const host = '[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?';

export const oidc = {
  displayName: 'OpenID Connect',
  documentation: 'https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata',
  tokenEndpoint: 'https://{host}/{path}',
  variables: {
    host: {
      from: 'client',
      pattern: host,
      description:
        'the host of `token_endpoint` in /.well-known/openid-configuration, such as id.acme.example',
    },
    path: {
      from: 'client',
      pattern: '[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*',
      description: 'the path of `token_endpoint`, such as oauth2/token',
    },
  },
  notes: [
    'For any server that has /.well-known/openid-configuration: under another name by `"extends": "oidc"`, with a `displayName` of your own.',
    'If `token_endpoint_auth_methods_supported` lacks `client_secret_basic`, set `clientAuthentication`.',
  ],
} as const satisfies CatalogueEntry;

export const okta = {
  displayName: 'Okta',
  documentation: 'https://developer.okta.com/docs/guides/refresh-tokens/main/',
  tokenEndpoint: 'https://{domain}/{path}/v1/token',
  variables: {
    domain: { from: 'client', pattern: host, description: 'your Okta domain, such as acme.okta.com' },
    path: {
      from: 'client',
      pattern: 'oauth2(/[A-Za-z0-9]+)?',
      description: 'oauth2/default, or oauth2/<id>, for a custom authorization server',
      default: 'oauth2',
    },
  },
  accessTokenLifetimeSeconds: 3600,
  rotation: 'sometimes',
  // The leeway is a setting from 0 to 60 seconds, 30 by default.
  reuseGraceSeconds: 30,
  errorRules: [
    // Okta's own shape of errors, beside OAuth's.
    { fields: { errorCode: 'invalid_client' }, meaning: 'operator', code: 'invalid_client' },
    { fields: { errorCode: 'E0000047' }, meaning: 'transient', code: 'rate_limited' },
  ],
  authorizationEndpoint: 'https://{domain}/{path}/v1/authorize',
  scopes: ['openid', 'offline_access'],
  notes: [
    'Refresh tokens end after a time of disuse that is a setting of the server, 7 days by default for custom ones.',
    'With rotation, a refresh token that is used again after the leeway ends all tokens since the sign-in.',
  ],
} as const satisfies CatalogueEntry;

export const auth0 = {
  displayName: 'Auth0',
  documentation: 'https://auth0.com/docs/secure/tokens/refresh-tokens',
  tokenEndpoint: 'https://{domain}/oauth/token',
  variables: {
    domain: {
      from: 'client',
      pattern: host,
      description: 'your tenant or custom domain, such as acme.eu.auth0.com',
    },
  },
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 86_400,
  rotation: 'sometimes',
  errorRules: [
    {
      fields: { error: 'invalid_grant', error_description: { contains: "doesn't exist anymore" } },
      meaning: 'invalid_refresh_token',
      code: 'account_not_found',
    },
    { status: 401, fields: { error: 'access_denied' }, meaning: 'operator', code: 'invalid_client' },
    // A rule or action of the tenant refused this user.
    { fields: { error: ['unauthorized', 'access_denied'] }, meaning: 'permanent', code: 'access_denied' },
    { fields: { error: 'too_many_requests' }, meaning: 'transient', code: 'rate_limited' },
  ],
  authorizationEndpoint: 'https://{domain}/authorize',
  scopes: ['openid', 'offline_access'],
  notes: [
    'Rotation and its leeway are settings of the app, both off by default. With rotation, an old refresh token ends the whole family: set a leeway, and say so, that a lost answer costs no grant: `"provider": { "reuseGraceSeconds": 60 }`.',
    'If the app\'s refresh tokens have an absolute lifetime: `"provider": { "refreshTokenLifetime": { "seconds": 2592000, "from": "authorization" } }`, so that users are warned.',
    'Of more than 200 refresh tokens of a user and app, the oldest is dropped.',
  ],
} as const satisfies CatalogueEntry;

export const keycloak = {
  displayName: 'Keycloak',
  documentation: 'https://www.keycloak.org/securing-apps/oidc-layers',
  tokenEndpoint: 'https://{host}/{path}/{realm}/protocol/openid-connect/token',
  variables: {
    host: { from: 'client', pattern: host, description: "the server's host, such as id.acme.example" },
    path: {
      from: 'client',
      pattern: '(auth/)?realms',
      description: 'auth/realms for versions before 17',
      default: 'realms',
    },
    realm: { from: 'client', pattern: '[A-Za-z0-9._~-]{1,255}', description: 'the realm, such as acme' },
  },
  // Beside it, `refresh_expires_in` in each answer says when the session ends.
  accessTokenLifetimeSeconds: 300,
  rotation: 'sometimes',
  authorizationEndpoint: 'https://{host}/{path}/{realm}/protocol/openid-connect/auth',
  scopes: ['openid', 'offline_access'],
  notes: [
    'Without the scope `offline_access`, refresh tokens end with the session: half an hour of disuse by default.',
  ],
} as const satisfies CatalogueEntry;
