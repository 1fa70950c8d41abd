import { type CatalogueEntry, days } from './entry.ts';

/**
 * `error` is an object with numbers: developers.facebook.com/docs/graph-api/guides/error-handling. There are no refresh
 * tokens; an access token that has not expired is exchanged for a fresh one.
 */
const errorRules = [
  { fields: { 'error.is_transient': true }, meaning: 'transient', code: 'temporarily_unavailable' },
  // Of the app, the user, the page; for a short time or for good.
  { fields: { 'error.code': [4, 17, 32, 341, 613] }, meaning: 'transient', code: 'rate_limited' },
  // The texts of a wrong secret and an unknown app are from memory; neither blames anybody's grant.
  {
    fields: { 'error.message': { contains: 'client secret' } },
    meaning: 'operator',
    code: 'client_secret_invalid',
  },
  {
    fields: { 'error.message': { contains: 'validating application' } },
    meaning: 'operator',
    code: 'invalid_client',
  },
  { fields: { 'error.code': 101 }, meaning: 'operator', code: 'invalid_client' },
  { fields: { 'error.code': 3 }, meaning: 'operator', code: 'unauthorized_client' },
  { fields: { 'error.code': [1, 2] }, meaning: 'transient', code: 'temporarily_unavailable' },
  // A block for breaking a policy, for a time.
  { fields: { 'error.code': 368 }, meaning: 'transient', code: 'temporarily_unavailable' },
  // A checkpoint, or an account that is not confirmed: the token may work again.
  {
    fields: { 'error.code': [190, 102], 'error.error_subcode': [459, 464] },
    meaning: 'permanent',
    code: 'account_verification_required',
  },
  {
    fields: { 'error.code': [190, 102], 'error.error_subcode': 458 },
    meaning: 'invalid_refresh_token',
    code: 'access_revoked',
  },
  {
    fields: { 'error.code': [190, 102], 'error.error_subcode': 460 },
    meaning: 'invalid_refresh_token',
    code: 'password_changed',
  },
  {
    fields: { 'error.code': [190, 102], 'error.error_subcode': 463 },
    meaning: 'invalid_refresh_token',
    code: 'refresh_token_expired',
  },
  { fields: { 'error.code': [190, 102] }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },
  {
    fields: { 'error.code': [10, ...Array.from({ length: 100 }, (_, index) => 200 + index)] },
    meaning: 'permanent',
    code: 'permission_missing',
  },
] as const satisfies CatalogueEntry['errorRules'];

const renewedFromItself =
  'The access token renews itself, while it has not expired and once it is a day old: it is renewed long before its end, and what expired has to reconnect.';

export const facebook = {
  displayName: 'Facebook',
  aliases: ['facebook-ads', 'facebook-pages', 'meta', 'meta-ads'],
  documentation: 'https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived',
  renewal: 'access_token',
  tokenEndpoint: 'https://graph.facebook.com/{version}/oauth/access_token',
  variables: {
    version: {
      from: 'client',
      pattern: 'v[0-9]{1,3}\\.[0-9]',
      description: 'the version of the Graph API, such as v24.0',
      default: 'v24.0',
    },
  },
  requestFormat: 'query',
  clientAuthentication: 'client_secret_post',
  grantType: 'fb_exchange_token',
  tokenParameter: 'fb_exchange_token',
  // Which of a wrong secret and a wrong token is named first is not documented.
  credentialsCanBeTried: false,
  accessTokenLifetimeSeconds: 60 * days,
  errorRules,
  notes: [
    'There are no refresh tokens: the access token is exchanged for a fresh one long before its end; what expired has to reconnect.',
    'Tokens of pages do not expire: leave their `expires_at` null, and nothing is done with them.',
  ],
} as const satisfies CatalogueEntry;

export const instagram = {
  displayName: 'Instagram',
  documentation: 'https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token',
  renewal: 'access_token',
  tokenEndpoint: 'https://graph.instagram.com/refresh_access_token',
  requestFormat: 'query',
  clientAuthentication: 'anonymous',
  grantType: 'ig_refresh_token',
  tokenParameter: 'access_token',
  credentialsCanBeTried: false,
  accessTokenLifetimeSeconds: 60 * days,
  errorRules,
  notes: [`${renewedFromItself} No secret is needed.`],
} as const satisfies CatalogueEntry;

export const threads = {
  displayName: 'Threads',
  documentation: 'https://developers.facebook.com/docs/threads/get-started/long-lived-tokens',
  renewal: 'access_token',
  tokenEndpoint: 'https://graph.threads.net/refresh_access_token',
  requestFormat: 'query',
  clientAuthentication: 'anonymous',
  grantType: 'th_refresh_token',
  tokenParameter: 'access_token',
  credentialsCanBeTried: false,
  accessTokenLifetimeSeconds: 60 * days,
  errorRules,
  notes: [`${renewedFromItself} No secret is needed.`],
} as const satisfies CatalogueEntry;
