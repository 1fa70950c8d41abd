import { type CatalogueEntry, days, hours, minutes } from './entry.ts';

export const slack = {
  displayName: 'Slack',
  documentation: 'https://docs.slack.dev/authentication/using-token-rotation',
  tokenEndpoint: 'https://slack.com/api/oauth.v2.access',
  accessTokenLifetimeSeconds: 12 * hours,
  rotation: 'always',
  success: { field: 'ok', value: true },
  scopeSeparator: ',',
  // HTTP 200 for all of these: api.slack.com/methods/oauth.v2.access. The class of the rarer ones is our reading.
  errorRules: [
    { fields: { error: 'invalid_refresh_token' }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },
    { fields: { error: 'token_revoked' }, meaning: 'invalid_refresh_token', code: 'access_revoked' },
    { fields: { error: 'account_inactive' }, meaning: 'invalid_refresh_token', code: 'account_disabled' },
    { fields: { error: 'bad_client_secret' }, meaning: 'operator', code: 'client_secret_invalid' },
    { fields: { error: 'invalid_client_id' }, meaning: 'operator', code: 'client_unknown' },
    { fields: { error: 'invalid_grant_type' }, meaning: 'operator', code: 'unsupported_grant_type' },
    {
      fields: { error: ['invalid_arguments', 'deprecated_endpoint'] },
      meaning: 'operator',
      code: 'invalid_request',
    },
    { fields: { error: 'ratelimited' }, meaning: 'transient', code: 'rate_limited' },
    // The workspace moves into an organization.
    { fields: { error: 'team_added_to_org' }, meaning: 'transient', code: 'account_moving' },
    {
      fields: {
        error: ['accesslimited', 'ekm_access_denied', 'request_timeout', 'service_unavailable'],
      },
      meaning: 'transient',
      code: 'temporarily_unavailable',
    },
    { fields: { error: ['fatal_error', 'internal_error'] }, meaning: 'transient', code: 'server_error' },
  ],
  authorizationEndpoint: 'https://slack.com/oauth/v2/authorize',
  notes: [
    'Only apps with token rotation have refresh tokens, and rotation cannot be switched off again. Without it, tokens neither expire nor need anything.',
    "A workspace's grant may hold two pairs, of the bot and of the user (`authed_user`): keep them in two rows, each refreshed by itself.",
    'Of more than two active access tokens Slack revokes the oldest: refresh by hand sparingly.',
  ],
} as const satisfies CatalogueEntry;

export const notion = {
  displayName: 'Notion',
  documentation: 'https://developers.notion.com/reference/refresh-a-token',
  tokenEndpoint: 'https://api.notion.com/v1/oauth/token',
  requestFormat: 'json',
  // No lifetime is documented, so the default of an hour holds.
  rotation: 'always',
  errorRules: [
    { fields: { code: 'rate_limited' }, meaning: 'transient', code: 'rate_limited' },
    { status: 409, fields: {}, meaning: 'transient', code: 'conflict' },
  ],
  authorizationEndpoint: 'https://api.notion.com/v1/oauth/authorize',
  authorizationParameters: { owner: 'user' },
  notes: [
    'Connections from before refresh tokens have none, and their access tokens do not expire: leave `expires_at` null.',
    'Each authorization brings a new pair: a reconnection must overwrite both tokens.',
  ],
} as const satisfies CatalogueEntry;

export const asana = {
  displayName: 'Asana',
  documentation: 'https://developers.asana.com/docs/oauth',
  tokenEndpoint: 'https://app.asana.com/-/oauth_token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'never',
  authorizationEndpoint: 'https://app.asana.com/-/oauth_authorize',
  notes: [
    'Older documentation lists `redirect_uri` as required. If Asana insists: `"provider": { "extraParameters": { "redirect_uri": "https://…" } }`.',
  ],
} as const satisfies CatalogueEntry;

export const monday = {
  displayName: 'monday.com',
  aliases: ['monday-com'],
  documentation: 'https://developer.monday.com/apps/docs/migrating-to-the-new-oauth-flow',
  tokenEndpoint: 'https://auth.monday.com/oauth_ms/oauth/token',
  requestFormat: 'json',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  // The answer says nothing; the token does.
  lifetimeFromJwt: true,
  rotation: 'always',
  errorRules: [
    { fields: { error: 'invalid_token' }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },
    { fields: { error: 'too_many_requests' }, meaning: 'transient', code: 'rate_limited' },
  ],
  notes: [
    'For the flow of OAuth 2.1, which an app chooses for each of its versions. Tokens of the flow before neither expire nor have a refresh token: nothing is done with such rows.',
    'An old token is turned into a pair, once and without the user, at `https://auth.monday.com/oauth_ms/oauth/migrate`.',
    'Third parties say that refresh tokens end after six months.',
  ],
} as const satisfies CatalogueEntry;

export const airtable = {
  displayName: 'Airtable',
  documentation: 'https://airtable.com/developers/web/api/oauth-reference',
  tokenEndpoint: 'https://airtable.com/oauth2/v1/token',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  refreshTokenLifetime: { seconds: 60 * days, from: 'refresh' },
  // Misuse of refresh tokens has the whole integration revoked.
  credentialsCanBeTried: false,
  authorizationEndpoint: 'https://airtable.com/oauth2/v1/authorize',
  notes: [
    'A refresh token works once. Airtable revokes a whole integration that uses old ones, and writes to the user: let nothing else refresh these grants.',
    'A client without a secret: `"provider": { "clientAuthentication": "none" }`.',
  ],
} as const satisfies CatalogueEntry;

export const miro = {
  displayName: 'Miro',
  documentation: 'https://developers.miro.com/docs/getting-started-with-oauth',
  tokenEndpoint: 'https://api.miro.com/v1/oauth/token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  refreshTokenLifetime: { seconds: 60 * days, from: 'refresh' },
  authorizationEndpoint: 'https://miro.com/oauth/authorize',
  notes: ['A refresh ends the old access token and the old refresh token at once.'],
} as const satisfies CatalogueEntry;

export const zoom = {
  displayName: 'Zoom',
  documentation: 'https://developers.zoom.us/docs/integrations/oauth/',
  tokenEndpoint: 'https://zoom.us/oauth/token',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  errorRules: [
    // For a refresh token that is not the latest (devforum.zoom.us).
    {
      fields: { error: 'invalid_request', reason: { contains: 'invalid token' } },
      meaning: 'invalid_refresh_token',
      code: 'invalid_grant',
    },
    // What else its list of messages says of a token, whatever the error beside it is
    // (developers.zoom.us/docs/integrations/oauth-error-messages).
    {
      fields: { reason: { contains: 'owner of the token does not exist' } },
      meaning: 'invalid_refresh_token',
      code: 'account_not_found',
    },
    {
      fields: { reason: { contains: 'token has been revoked' } },
      meaning: 'invalid_refresh_token',
      code: 'access_revoked',
    },
    {
      fields: { reason: { contains: 'can not find the authentication' } },
      meaning: 'invalid_refresh_token',
      code: 'invalid_grant',
    },
    // Used more often than its older kinds allow.
    {
      fields: { reason: { contains: 'token tolerance range' } },
      meaning: 'invalid_refresh_token',
      code: 'invalid_grant',
    },
    {
      fields: { reason: { contains: 'token is disabled by admin' } },
      meaning: 'permanent',
      code: 'app_blocked',
    },
    // Its scopes are no longer those of the app: the user has to allow them anew.
    {
      fields: { reason: { contains: 'refresh token invalid' } },
      meaning: 'permanent',
      code: 'consent_required',
    },
    {
      fields: { reason: { contains: 'app has been disabled' } },
      meaning: 'operator',
      code: 'client_disabled',
    },
    // Two refreshes at a time (devforum.zoom.us).
    {
      fields: { reason: { contains: 'save access token' } },
      meaning: 'transient',
      code: 'conflict',
    },
  ],
  authorizationEndpoint: 'https://zoom.us/oauth/authorize',
  notes: [
    'Only the latest refresh token works, and a lost answer costs the grant: let nothing else refresh these grants.',
    'Refresh tokens live about 90 days; older pages of Zoom say 15 years.',
  ],
} as const satisfies CatalogueEntry;

export const discord = {
  displayName: 'Discord',
  documentation: 'https://docs.discord.com/developers/topics/oauth2',
  tokenEndpoint: 'https://discord.com/api/v10/oauth2/token',
  accessTokenLifetimeSeconds: 7 * days,
  rotation: 'always',
  authorizationEndpoint: 'https://discord.com/oauth2/authorize',
  scopes: ['identify'],
  notes: [
    'Discord bans an address for a while after 10,000 answers of 401, 403 or 429 in ten minutes, whoever caused them: share no egress address with something that retries.',
    'Revoking one token ends the whole authorization.',
  ],
} as const satisfies CatalogueEntry;

export const calendly = {
  displayName: 'Calendly',
  documentation: 'https://developer.calendly.com/refresh-token-rotation-guide',
  tokenEndpoint: 'https://auth.calendly.com/oauth/token',
  accessTokenLifetimeSeconds: 2 * hours,
  rotation: 'always',
  authorizationEndpoint: 'https://auth.calendly.com/oauth/authorize',
  notes: ['A refresh revokes the old refresh token at once.'],
} as const satisfies CatalogueEntry;

export const calCom = {
  displayName: 'Cal.com',
  aliases: ['calcom'],
  documentation: 'https://cal.com/docs/api-reference/v2/oauth',
  tokenEndpoint: 'https://api.cal.com/v2/auth/oauth2/token',
  requestFormat: 'json',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 30 * minutes,
  rotation: 'always',
  authorizationEndpoint: 'https://app.cal.com/auth/oauth2/authorize',
  notes: [
    'Clients of the flow before refresh with `"provider": { "tokenEndpoint": "https://app.cal.com/api/auth/oauth/refreshToken", "requestFormat": "form", "tokenPlacement": "bearer" }`.',
  ],
} as const satisfies CatalogueEntry;

export const typeform = {
  displayName: 'Typeform',
  documentation: 'https://www.typeform.com/developers/get-started/applications/',
  tokenEndpoint: 'https://api.typeform.com/oauth/token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 7 * days,
  rotation: 'always',
  authorizationEndpoint: 'https://api.typeform.com/oauth/authorize',
  scopes: ['offline', 'accounts:read'],
  notes: [
    'How long access tokens live is a setting of the app, 7 days by default. Without the scope `offline` there is no refresh token.',
  ],
} as const satisfies CatalogueEntry;

export const docusign = {
  displayName: 'DocuSign',
  documentation: 'https://developers.docusign.com/platform/auth/reference/obtain-access-token/',
  tokenEndpoint: 'https://{environment}.docusign.com/oauth/token',
  variables: {
    environment: {
      from: 'client',
      pattern: 'account|account-d',
      description: 'account-d for the developer environment',
      default: 'account',
    },
  },
  accessTokenLifetimeSeconds: 8 * hours,
  rotation: 'always',
  // With the scope `extended`; without it, counted from the authorization.
  refreshTokenLifetime: { seconds: 30 * days, from: 'refresh' },
  authorizationEndpoint: 'https://{environment}.docusign.com/oauth/auth',
  scopes: ['signature', 'extended'],
  notes: [
    'Without the scope `extended` at the first authorization, the grant ends 30 days later, whatever is refreshed. If you do without: `"provider": { "refreshTokenLifetime": { "seconds": 2592000, "from": "authorization" } }`, so that users are warned.',
  ],
} as const satisfies CatalogueEntry;

export const ringcentral = {
  displayName: 'RingCentral',
  documentation: 'https://developers.ringcentral.com/guide/authentication/refresh-token-flow',
  tokenEndpoint: 'https://{environment}.ringcentral.com/restapi/oauth/token',
  variables: {
    environment: {
      from: 'client',
      pattern: 'platform(\\.devtest)?',
      description: 'platform.devtest for the sandbox',
      default: 'platform',
    },
  },
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  // Answers say it.
  refreshTokenLifetime: { seconds: 7 * days, from: 'refresh' },
  authorizationEndpoint: 'https://{environment}.ringcentral.com/restapi/oauth/authorize',
} as const satisfies CatalogueEntry;
