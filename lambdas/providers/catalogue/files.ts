import { type CatalogueEntry, days, hours } from './entry.ts';

export const dropbox = {
  displayName: 'Dropbox',
  documentation: 'https://developers.dropbox.com/oauth-guide',
  tokenEndpoint: 'https://api.dropboxapi.com/oauth2/token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 4 * hours,
  rotation: 'never',
  authorizationEndpoint: 'https://www.dropbox.com/oauth2/authorize',
  authorizationParameters: { token_access_type: 'offline' },
  notes: ['Without `token_access_type=offline` at the authorization there is no refresh token.'],
} as const satisfies CatalogueEntry;

export const box = {
  displayName: 'Box',
  documentation: 'https://developer.box.com/guides/authentication/tokens/refresh',
  tokenEndpoint: 'https://api.box.com/oauth2/token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  refreshTokenLifetime: { seconds: 60 * days, from: 'refresh' },
  errorRules: [
    // An empty body: another refresh of this grant is under way (support.box.com, community post 360052599233).
    { status: 409, fields: {}, meaning: 'transient', code: 'conflict' },
    { fields: { error: 'rate_limit_exceeded' }, meaning: 'transient', code: 'rate_limited' },
    // One enterprise has not approved the app; anything else under this name is about our client.
    {
      fields: { error: 'unauthorized_client', error_description: { contains: 'enterprise' } },
      meaning: 'permanent',
      code: 'app_blocked',
    },
  ],
  authorizationEndpoint: 'https://account.box.com/api/oauth2/authorize',
  notes: ['A refresh token works once; let nothing else refresh these grants.'],
} as const satisfies CatalogueEntry;
