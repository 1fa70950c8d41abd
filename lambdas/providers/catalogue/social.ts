import { type CatalogueEntry, days, hours } from './entry.ts';

export const twitter = {
  displayName: 'X',
  aliases: ['x'],
  documentation: 'https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code',
  tokenEndpoint: 'https://api.x.com/2/oauth2/token',
  accessTokenLifetimeSeconds: 2 * hours,
  rotation: 'always',
  errorRules: [
    // Spent, revoked and expired alike; fixtures of several products.
    {
      fields: {
        error: 'invalid_request',
        error_description: { contains: 'value passed for the token was invalid' },
      },
      meaning: 'invalid_refresh_token',
      code: 'invalid_grant',
    },
    // "Missing valid authorization header": said of a wrong secret.
    { fields: { error: 'unauthorized_client' }, meaning: 'operator', code: 'invalid_client' },
    // The credits of our plan are used up.
    { status: 402, fields: {}, meaning: 'operator', code: 'quota_exhausted' },
  ],
  authorizationEndpoint: 'https://x.com/i/oauth2/authorize',
  scopes: ['users.read', 'tweet.read', 'offline.access'],
  notes: [
    'Without the scope `offline.access` there is no refresh token. One works once.',
    'A client without a secret: `"provider": { "clientAuthentication": "none" }`.',
    'Third parties say that refresh tokens end after six months.',
  ],
} as const satisfies CatalogueEntry;

export const linkedin = {
  displayName: 'LinkedIn',
  documentation:
    'https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens',
  tokenEndpoint: 'https://www.linkedin.com/oauth/v2/accessToken',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 60 * days,
  rotation: 'never',
  refreshTokenLifetime: { seconds: 365 * days, from: 'authorization' },
  // Its documentation says spaces; its answers hold "email,openid,profile".
  scopeSeparator: ',',
  authorizationEndpoint: 'https://www.linkedin.com/oauth/v2/authorization',
  notes: [
    'Only partners of the programme get refresh tokens. Rows without one end after 60 days, and users are warned ahead.',
    'Every grant dies a year after its authorization, however often it is refreshed; users are warned ahead.',
  ],
} as const satisfies CatalogueEntry;

export const tiktok = {
  displayName: 'TikTok',
  documentation: 'https://developers.tiktok.com/doc/oauth-user-access-token-management',
  tokenEndpoint: 'https://open.tiktokapis.com/v2/oauth/token/',
  clientAuthentication: 'client_secret_post',
  clientIdParameter: 'client_key',
  accessTokenLifetimeSeconds: 2 * hours,
  rotation: 'always',
  refreshTokenLifetime: { seconds: 180 * days, from: 'refresh' },
  scopeSeparator: ',',
  errorMeanings: { rate_limit_exceeded: 'transient' },
  notes: ['The client id is what TikTok calls the client key.'],
} as const satisfies CatalogueEntry;

export const tiktokBusiness = {
  displayName: 'TikTok Business',
  documentation: 'https://business-api.tiktok.com/portal/docs',
  tokenEndpoint: 'https://business-api.tiktok.com/open_api/v1.3/tt_user/oauth2/refresh_token/',
  requestFormat: 'json',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 24 * hours,
  rotation: 'always',
  refreshTokenLifetime: { seconds: 365 * days, from: 'refresh' },
  tokensAt: 'data',
  success: { field: 'code', value: 0 },
  scopeSeparator: ',',
  // From memory, so no code counts as the end of a grant by itself.
  errorRules: [
    { fields: { code: 40105 }, meaning: 'permanent', code: 'grant_refused' },
    { fields: { code: 40100 }, meaning: 'transient', code: 'rate_limited' },
  ],
  notes: [
    'For accounts of creators and businesses. Tokens of advertisers neither expire nor have a refresh token: nothing is done with such rows.',
    "The least certain entry: how TikTok Business refuses is not documented where we could read it. Compare with your app's answers.",
  ],
} as const satisfies CatalogueEntry;

export const pinterest = {
  displayName: 'Pinterest',
  documentation:
    'https://developers.pinterest.com/docs/getting-started/set-up-authentication-and-authorization/',
  tokenEndpoint: 'https://api.pinterest.com/v5/oauth/token',
  accessTokenLifetimeSeconds: 30 * days,
  rotation: 'sometimes',
  refreshTokenLifetime: { seconds: 60 * days, from: 'refresh' },
  errorRules: [
    // Older versions of the API said 283 of an unknown app as well: iss:analog-nico/passport-pinterest#6.
    {
      fields: { code: 283, data: { contains: 'application' } },
      meaning: 'operator',
      code: 'client_unknown',
    },
    // "The authorization grant is invalid": iss:pinterest/pinterest-python-sdk#114, of a wrong refresh token.
    { fields: { code: 283 }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },
    // "Authentication failed." From memory, so it blames nobody's grant.
    { status: 401, fields: { code: 2 }, meaning: 'operator', code: 'invalid_client' },
  ],
  notes: [
    'Refresh tokens of the legacy kind lived 365 days and are being retired: ask for `continuous_refresh=true` where codes are exchanged.',
  ],
} as const satisfies CatalogueEntry;

export const reddit = {
  displayName: 'Reddit',
  documentation: 'https://github.com/reddit-archive/reddit/wiki/OAuth2',
  tokenEndpoint: 'https://www.reddit.com/api/v1/access_token',
  // Without a distinctive one, requests are refused with 429.
  headers: { 'user-agent': 'aws:evergrant:v1 (token refresh)' },
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'never',
  errorRules: [
    // Bodies repeat the status as a number (iss:PostHog/posthog#70985, where 99.96 % of the failures read so).
    { status: 400, fields: { error: 400 }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },
    {
      status: 400,
      fields: { error: 'invalid_request' },
      meaning: 'invalid_refresh_token',
      code: 'invalid_grant',
    },
    { status: 401, fields: { error: 401 }, meaning: 'operator', code: 'invalid_client' },
  ],
  authorizationEndpoint: 'https://www.reddit.com/api/v1/authorize',
  authorizationParameters: { duration: 'permanent' },
  scopes: ['identity'],
  notes: [
    'Reddit asks for a User-Agent that names the app and its owner: `"provider": { "headers": { "user-agent": "web:com.acme.app:v1 (by /u/acme)" } }`.',
    'Without `duration=permanent` at the authorization there is no refresh token.',
  ],
} as const satisfies CatalogueEntry;

export const spotify = {
  displayName: 'Spotify',
  documentation: 'https://developer.spotify.com/documentation/web-api/tutorials/refreshing-tokens',
  tokenEndpoint: 'https://accounts.spotify.com/api/token',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'sometimes',
  // developer.spotify.com/blog/2026-06-18-refresh-token-expiration
  refreshTokenLifetime: { seconds: 180 * days, from: 'authorization' },
  authorizationEndpoint: 'https://accounts.spotify.com/authorize',
  notes: [
    'Every grant dies six months after its authorization, however often it is refreshed (since 2026-07-20 for all apps); users are warned ahead.',
    'A client without a secret: `"provider": { "clientAuthentication": "none" }`.',
  ],
} as const satisfies CatalogueEntry;

export const twitch = {
  displayName: 'Twitch',
  documentation: 'https://dev.twitch.tv/docs/authentication/refresh-tokens/',
  tokenEndpoint: 'https://id.twitch.tv/oauth2/token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 4 * hours,
  rotation: 'sometimes',
  // No error codes: the message tells.
  errorRules: [
    {
      fields: { message: { contains: 'invalid refresh token' } },
      meaning: 'invalid_refresh_token',
      code: 'invalid_grant',
    },
    {
      fields: { message: { contains: 'invalid client secret' } },
      meaning: 'operator',
      code: 'client_secret_invalid',
    },
    // A client that is confidential, and was set up here as one without a secret: iss:twitchdev/issues#943.
    {
      fields: { message: { contains: 'missing client secret' } },
      meaning: 'operator',
      code: 'client_secret_invalid',
    },
    { fields: { message: { contains: 'invalid client' } }, meaning: 'operator', code: 'client_unknown' },
  ],
  authorizationEndpoint: 'https://id.twitch.tv/oauth2/authorize',
  notes: [
    "Twitch wants apps that keep sessions to call `GET https://id.twitch.tv/oauth2/validate` every hour; that is the product's to do.",
    'A change of password ends the grant.',
  ],
} as const satisfies CatalogueEntry;
