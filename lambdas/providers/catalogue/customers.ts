import { type CatalogueEntry, days, hours, minutes } from './entry.ts';

export const hubspot = {
  displayName: 'HubSpot',
  documentation: 'https://developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide',
  tokenEndpoint: 'https://api.hubapi.com/oauth/v3/token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 30 * minutes,
  // Never under v1; what v3 does is not documented.
  rotation: 'sometimes',
  errorRules: [
    // Both dialects come in one body (iss:PostHog/posthog#72609, nango.dev/blog/hubspot-oauth-bad-refresh-token).
    { fields: { status: 'BAD_REFRESH_TOKEN' }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },
    // The portal was deleted, or disconnected the app.
    { fields: { status: 'BAD_HUB' }, meaning: 'invalid_refresh_token', code: 'access_revoked' },
    { fields: { status: 'BAD_CLIENT_SECRET' }, meaning: 'operator', code: 'client_secret_invalid' },
    { fields: { status: 'BAD_CLIENT_ID' }, meaning: 'operator', code: 'client_unknown' },
    // Parameters in the wrong place.
    {
      fields: { message: { contains: 'authentication credentials are missing' } },
      meaning: 'operator',
      code: 'invalid_request',
    },
    // The account moves between data centres, for hours.
    { status: 477, fields: {}, meaning: 'transient', code: 'account_moving' },
  ],
  authorizationEndpoint: 'https://app.hubspot.com/oauth/authorize',
  scopes: ['oauth'],
  notes: [
    'The endpoint `/oauth/v1/token` ends on 2027-02-16; this definition uses v3.',
    'Access tokens live 30 minutes, and `expires_in` is what is left of them.',
    'HubSpot limits calls to its token endpoint by the second and does not say to how many. If you see many `rate_limited`: `"provider": { "callsPerSecond": 5 }`.',
  ],
} as const satisfies CatalogueEntry;

const salesforceRules = [
  // From memory, hence on the side that disconnects nobody: an allowlist refused our address.
  {
    fields: { error: 'invalid_grant', error_description: { contains: 'ip restricted' } },
    meaning: 'operator',
    code: 'ip_not_allowed',
  },
  {
    fields: { error_description: { contains: 'login rate exceeded' } },
    meaning: 'transient',
    code: 'rate_limited',
  },
  // Neither says that the grant ended.
  {
    fields: { error: 'invalid_grant', error_description: { contains: 'authentication failure' } },
    meaning: 'permanent',
    code: 'grant_refused',
  },
  { fields: { error: 'inactive_user' }, meaning: 'permanent', code: 'account_disabled' },
  { fields: { error: 'inactive_org' }, meaning: 'permanent', code: 'account_suspended' },
  { fields: { error: 'OAUTH_APP_BLOCKED' }, meaning: 'permanent', code: 'app_blocked' },
  { fields: { error: 'invalid_client_id' }, meaning: 'operator', code: 'client_unknown' },
  {
    fields: { error: ['rate_limit_exceeded', 'REQUEST_LIMIT_EXCEEDED'] },
    meaning: 'transient',
    code: 'rate_limited',
  },
  { fields: { error: 'unknown_error' }, meaning: 'transient', code: 'temporarily_unavailable' },
] as const satisfies CatalogueEntry['errorRules'];

const salesforceDomain = (login: string) => ({
  from: 'integration' as const,
  // An account's own domain ends in .my; what comes before it is of letters, digits, dashes and dots.
  suffix: '.salesforce.com',
  pattern: 'login|test|[A-Za-z0-9][A-Za-z0-9-]{0,62}(\\.[A-Za-z0-9-]{1,63}){0,2}\\.my',
  description:
    'what stands before .salesforce.com in the address that the user signed in at: `login`, `test`, or an own domain such as acme.my or acme--uat.sandbox.my; or the whole host',
  default: login,
});

export const salesforce = {
  displayName: 'Salesforce',
  documentation:
    'https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_refresh_token_flow.htm',
  tokenEndpoint: 'https://{login_domain}.salesforce.com/services/oauth2/token',
  variables: { login_domain: salesforceDomain('login') },
  clientAuthentication: 'client_secret_post',
  // No answer says it: it is the org's session timeout, 2 hours by default, 15 minutes at least.
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'sometimes',
  keptFields: ['instance_url'],
  errorRules: salesforceRules,
  authorizationEndpoint: 'https://{login_domain}.salesforce.com/services/oauth2/authorize',
  scopes: ['api', 'refresh_token'],
  notes: [
    'Apps that a partner provides to more than two production orgs must rotate refresh tokens since 2026-05-11, without a grace period: a lost answer costs the grant.',
    'Third parties agree on two more duties of the same programme since 2026-06-25: refresh tokens end after 30 days of disuse, and are taken from listed IP addresses only. Give the refresher a fixed egress address, and list it.',
    "A grant is refreshed at the host that issued it: for users who signed in at their own domain, store `login_domain` in the row's `metadata`.",
    'The lifetime is the org\'s session timeout and no answer says it: an hour is assumed. If your customers\' is shorter: `"provider": { "accessTokenLifetimeSeconds": 900 }`.',
    'The sixth authorization of a user and app revokes the first.',
    '`instance_url` can change; it is kept in `metadata` at each refresh.',
  ],
} as const satisfies CatalogueEntry;

export const salesforceSandbox = {
  ...salesforce,
  displayName: 'Salesforce sandbox',
  variables: { login_domain: salesforceDomain('test') },
  notes: [
    "As `salesforce`, at test.salesforce.com. A sandbox's grant is not known there, nor the other way round.",
  ],
} as const satisfies CatalogueEntry;

export const zendesk = {
  displayName: 'Zendesk',
  documentation: 'https://developer.zendesk.com/documentation/api-basics/authentication/refresh-token/',
  tokenEndpoint: 'https://{subdomain}.zendesk.com/oauth/tokens',
  variables: {
    subdomain: {
      from: 'integration',
      pattern: '[A-Za-z0-9][A-Za-z0-9-]{0,62}',
      suffix: '.zendesk.com',
      description: 'the name before .zendesk.com, such as acme, or the whole host',
    },
  },
  requestFormat: 'json',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 30 * minutes,
  rotation: 'always',
  refreshTokenLifetime: { seconds: 30 * days, from: 'refresh' },
  // Each account is a host of its own.
  credentialsCanBeTried: false,
  // An account that was suspended or renamed: neither our address is wrong, nor does it say a word on the grant.
  errorRules: [
    { status: 301, fields: {}, meaning: 'transient', code: 'account_address_gone' },
    { status: 302, fields: {}, meaning: 'transient', code: 'account_address_gone' },
    { status: 404, fields: {}, meaning: 'transient', code: 'account_address_gone' },
  ],
  authorizationEndpoint: 'https://{subdomain}.zendesk.com/oauth/authorizations/new',
  scopes: ['read'],
  notes: [
    'A refresh deletes the old access token and the old refresh token at once.',
    'Access tokens live 30 minutes by default; ask for up to two days: `"provider": { "extraParameters": { "expires_in": "172800" } }`.',
    'Tokens of older clients have no refresh token; all clients must have them by 2027-04-01.',
  ],
} as const satisfies CatalogueEntry;

export const zoho = {
  displayName: 'Zoho',
  aliases: ['zoho-books', 'zoho-crm', 'zoho-desk', 'zoho-mail'],
  documentation: 'https://www.zoho.com/accounts/protocol/oauth/web-apps/access-token-expiry.html',
  tokenEndpoint: 'https://accounts.{data_center}/oauth/v2/token',
  variables: {
    data_center: {
      from: 'integration',
      pattern: 'zoho\\.(com|eu|in|com\\.au|com\\.cn|jp|sa|uk)|zohocloud\\.ca',
      description:
        'what follows accounts. in `accounts-server` of the authorization response, such as zoho.com or zoho.eu',
      // None by default: at another data centre a living grant looks dead, or our client unknown.
    },
  },
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'never',
  keptFields: ['api_domain'],
  // Refusals come with status 200.
  errorRules: [
    { fields: { error: 'invalid_code' }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },
    // More than ten access tokens of a refresh token within ten minutes.
    {
      fields: { error: ['Access Denied', 'access_denied'] },
      meaning: 'transient',
      code: 'rate_limited',
    },
    { fields: { error: 'invalid_client_secret' }, meaning: 'operator', code: 'client_secret_invalid' },
    { fields: { error: 'general_error' }, meaning: 'transient', code: 'temporarily_unavailable' },
  ],
  authorizationEndpoint: 'https://accounts.{data_center}/oauth/v2/auth',
  authorizationParameters: { access_type: 'offline', prompt: 'consent' },
  notes: [
    'A grant is refreshed at the data centre of its user: store `data_center` in the row\'s `metadata`. If yours are all at one: `"variables": { "data_center": "zoho.com" }`.',
    'Zoho takes ten refreshes of one grant in ten minutes: refresh by hand sparingly.',
  ],
} as const satisfies CatalogueEntry;

export const kit = {
  displayName: 'Kit',
  aliases: ['convertkit'],
  documentation: 'https://developers.kit.com/api-reference/oauth-refresh-token-flow',
  tokenEndpoint: 'https://api.kit.com/v4/oauth/token',
  requestFormat: 'json',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 2 * hours,
  rotation: 'always',
  notes: [
    'For apps marked as secure. Others have no secret: `"provider": { "clientAuthentication": "none" }`.',
  ],
} as const satisfies CatalogueEntry;
