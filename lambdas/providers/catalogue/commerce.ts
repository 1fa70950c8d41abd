import { type CatalogueEntry, days, hours, minutes } from './entry.ts';

export const shopify = {
  displayName: 'Shopify',
  documentation:
    'https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens',
  tokenEndpoint: 'https://{shop}.myshopify.com/admin/oauth/access_token',
  variables: {
    shop: {
      from: 'integration',
      pattern: '[A-Za-z0-9][A-Za-z0-9-]{0,62}',
      suffix: '.myshopify.com',
      description: 'the name before .myshopify.com, such as acme, or the whole host',
    },
  },
  requestFormat: 'json',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  // The old one may be used again until the new one is, within 30 days: shopify.dev/changelog (2026-08-28).
  reuseGraceSeconds: 30 * days,
  refreshTokenLifetime: { seconds: 90 * days, from: 'refresh' },
  // Each shop is a host of its own.
  credentialsCanBeTried: false,
  scopeSeparator: ',',
  errorRules: [
    // "This request requires an active refresh_token": spent, expired, or of a shop that uninstalled the app. Fixtures of
    // several apps.
    {
      status: 401,
      fields: { error: 'invalid_request', error_description: { contains: 'active refresh_token' } },
      meaning: 'invalid_refresh_token',
      code: 'invalid_grant',
    },
    { fields: { error: 'application_cannot_be_found' }, meaning: 'operator', code: 'client_unknown' },
    // A shop that was closed or renamed: neither our address is wrong, nor does it say a word on the grant.
    { status: 301, fields: {}, meaning: 'transient', code: 'account_address_gone' },
    { status: 302, fields: {}, meaning: 'transient', code: 'account_address_gone' },
    { status: 404, fields: {}, meaning: 'transient', code: 'account_address_gone' },
    { status: 423, fields: {}, meaning: 'transient', code: 'temporarily_unavailable' },
  ],
  notes: [
    'For offline tokens that expire (`expiring=1` where the code is exchanged). Others neither expire nor have a refresh token: nothing is done with such rows. Public apps must use expiring ones from 2027-01-01.',
    "Store `shop` in the row's `metadata`.",
    'When a shop uninstalls the app, or the client secret is revoked, all ends.',
  ],
} as const satisfies CatalogueEntry;

export const stripeApp = {
  displayName: 'Stripe Apps',
  aliases: ['stripe-apps'],
  documentation: 'https://docs.stripe.com/stripe-apps/api-authentication/oauth',
  tokenEndpoint: 'https://api.stripe.com/v1/oauth/token',
  clientAuthentication: 'client_secret_as_user',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  refreshTokenLifetime: { seconds: 365 * days, from: 'refresh' },
  errorRules: [
    // The key is of the other mode than the grant.
    {
      fields: { error: 'invalid_grant', error_description: { contains: 'test mode' } },
      meaning: 'operator',
      code: 'mode_mismatch',
    },
    {
      fields: { error: 'invalid_grant', error_description: { contains: 'live mode' } },
      meaning: 'operator',
      code: 'mode_mismatch',
    },
    {
      fields: { error: 'invalid_grant', error_description: { contains: 'livemode' } },
      meaning: 'operator',
      code: 'mode_mismatch',
    },
    {
      status: 401,
      fields: { 'error.type': 'invalid_request_error' },
      meaning: 'operator',
      code: 'invalid_client',
    },
  ],
  notes: [
    "The client secret is your secret API key; there is no client id. The key's mode, live or test, must be that of the grants.",
  ],
} as const satisfies CatalogueEntry;

export const paypal = {
  displayName: 'PayPal',
  documentation: 'https://developer.paypal.com/docs/log-in-with-paypal/integrate/',
  tokenEndpoint: 'https://{environment}.paypal.com/v1/oauth2/token',
  variables: {
    environment: {
      from: 'client',
      pattern: 'api-m(\\.sandbox)?',
      description: 'api-m.sandbox for the sandbox',
      default: 'api-m',
    },
  },
  accessTokenLifetimeSeconds: 8 * hours,
  notes: ["Little is known of PayPal's refresh grant beyond its address: compare with your app's answers."],
} as const satisfies CatalogueEntry;

export const square = {
  displayName: 'Square',
  documentation: 'https://developer.squareup.com/docs/oauth-api/refresh-revoke-limit-scope',
  tokenEndpoint: 'https://connect.{domain}.com/oauth2/token',
  variables: {
    domain: {
      from: 'client',
      pattern: 'squareup(sandbox)?',
      description: 'squareupsandbox for the sandbox',
      default: 'squareup',
    },
  },
  requestFormat: 'json',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 30 * days,
  rotation: 'sometimes',
  errorRules: [
    { fields: { 'errors.0.code': 'RATE_LIMITED' }, meaning: 'transient', code: 'rate_limited' },
    // Square's forum, 11056; of another text, the same type is said of a wrong id or secret.
    {
      fields: { type: 'service.not_authorized', message: { contains: 'refresh token' } },
      meaning: 'invalid_refresh_token',
      code: 'invalid_grant',
    },
    { fields: { type: 'service.not_authorized' }, meaning: 'operator', code: 'invalid_client' },
    // Which of its codes Square gives here is not documented; only the plainest two count as the end of a grant.
    {
      fields: { 'errors.0.code': ['CLIENT_DISABLED', 'APPLICATION_DISABLED'] },
      meaning: 'operator',
      code: 'client_disabled',
    },
    {
      fields: { 'errors.0.code': ['ACCESS_TOKEN_REVOKED', 'ACCESS_TOKEN_EXPIRED'] },
      meaning: 'invalid_refresh_token',
      code: 'access_revoked',
    },
    // Measured by others: UNAUTHORIZED, of a token that Square does not know, with the name of our client in the text.
    {
      status: 401,
      fields: { 'errors.0.category': 'AUTHENTICATION_ERROR' },
      meaning: 'permanent',
      code: 'grant_refused',
    },
  ],
  authorizationEndpoint: 'https://connect.{domain}.com/oauth2/authorize',
  authorizationParameters: { session: 'false' },
  scopes: ['MERCHANT_PROFILE_READ'],
  notes: [
    "Once an access token has been expired for 15 days, refreshing fails for good, says Square's staff.",
    'A client without a secret (PKCE) has refresh tokens of 90 days that work once: `"provider": { "clientAuthentication": "none" }`.',
  ],
} as const satisfies CatalogueEntry;

export const quickbooks = {
  displayName: 'QuickBooks',
  aliases: ['intuit', 'quickbooks-online'],
  documentation:
    'https://developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0',
  tokenEndpoint: 'https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer',
  // Then the answer also says when the five years end that no refresh extends (`x_refresh_token_hard_expires_in`).
  headers: { 'x-include-refresh-token-hard-expires-in': 'true' },
  accessTokenLifetimeSeconds: 1 * hours,
  // A new value about daily.
  rotation: 'sometimes',
  reuseGraceSeconds: 24 * hours,
  refreshTokenLifetime: { seconds: 100 * days, from: 'refresh' },
  errorRules: [
    // From memory: it may speak of another client's token.
    {
      fields: { error: 'invalid_grant', error_description: { contains: 'clientid' } },
      meaning: 'permanent',
      code: 'grant_refused',
    },
  ],
  authorizationEndpoint: 'https://appcenter.intuit.com/connect/oauth2',
  scopes: ['com.intuit.quickbooks.accounting'],
  notes: [
    'A grant ends five years after its authorization, however often it is refreshed.',
    'The company (`realmId`) comes with the authorization response only: store it then.',
    'For support, Intuit asks for the header `intuit_tid` of the answer.',
  ],
} as const satisfies CatalogueEntry;

export const xero = {
  displayName: 'Xero',
  documentation: 'https://developer.xero.com/documentation/guides/oauth2/auth-flow/',
  tokenEndpoint: 'https://identity.xero.com/connect/token',
  accessTokenLifetimeSeconds: 30 * minutes,
  rotation: 'always',
  // Xero's staff: iss:XeroAPI/Xero-NetStandard#271.
  reuseGraceSeconds: 30 * minutes,
  refreshTokenLifetime: { seconds: 60 * days, from: 'refresh' },
  authorizationEndpoint: 'https://login.xero.com/identity/connect/authorize',
  scopes: ['openid', 'profile', 'email', 'offline_access'],
  notes: ['Without the scope `offline_access` there is no refresh token.'],
} as const satisfies CatalogueEntry;

export const clover = {
  displayName: 'Clover',
  documentation: 'https://docs.clover.com/dev/docs/use-refresh-token-to-generate-new-expiring-token',
  // Not where codes are exchanged, so no account is connected with this definition.
  tokenEndpoint: 'https://{api}.clover.com/oauth/v2/refresh',
  variables: {
    api: {
      from: 'client',
      pattern: 'api(\\.eu|\\.la)?|apisandbox\\.dev',
      description: 'api.eu for Europe, api.la for Latin America, apisandbox.dev for the sandbox',
      default: 'api',
    },
  },
  requestFormat: 'json',
  // Its documentation sends the client's id and nothing else of it.
  clientAuthentication: 'none',
  credentialsCanBeTried: false,
  accessTokenLifetimeSeconds: 30 * minutes,
  rotation: 'always',
  notes: [
    'A refresh token works once. Clover limits how many are alive of an app and merchant; beyond that, older ones end.',
  ],
} as const satisfies CatalogueEntry;

export const wise = {
  displayName: 'Wise',
  documentation: 'https://docs.wise.com/api-docs/api-reference/user-tokens',
  tokenEndpoint: 'https://api.wise.com/oauth/token',
  accessTokenLifetimeSeconds: 12 * hours,
  rotation: 'sometimes',
  notes: [
    'A refresh ends the old access token at once: read the token from the row for each use, and keep no copy.',
    'Refresh tokens live 20 years.',
  ],
} as const satisfies CatalogueEntry;
