import { type CatalogueEntry, days, hours } from './entry.ts';

/**
 * Microsoft tells what happened by a number alone: `error` is `invalid_grant` for a dead grant, a missing second factor
 * and a blocked network alike. Numbers: MicrosoftDocs/entra-docs docs/identity-platform/reference-error-codes.md.
 */
export const microsoft = {
  displayName: 'Microsoft',
  aliases: [
    'azure-ad',
    'entra',
    'excel',
    'microsoft-365',
    'microsoft-calendar',
    'microsoft-excel',
    'microsoft-graph',
    'microsoft-onedrive',
    'microsoft-onenote',
    'microsoft-outlook',
    'microsoft-sharepoint',
    'microsoft-teams',
    'microsoft-todo',
    'office-365',
    'onedrive',
    'onenote',
    'outlook',
    'outlook-calendar',
    'sharepoint',
    'teams',
  ],
  documentation: 'https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow',
  tokenEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token',
  variables: {
    tenant: {
      from: 'client',
      pattern: '[A-Za-z0-9][A-Za-z0-9.-]{0,252}',
      description:
        'the tenant that signs in: `common`, `organizations`, `consumers`, or an id or domain of one tenant such as contoso.onmicrosoft.com',
      default: 'common',
    },
  },
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  // Each answer brings a new one, and the one that was used stays valid until its own end.
  reuseGraceSeconds: 90 * days,
  refreshTokenLifetime: { seconds: 90 * days, from: 'refresh' },
  // A made-up token is called malformed (9002313) before the client's secret is looked at.
  credentialsCanBeTried: false,
  errorRules: [
    // The tenant is throttled; the same request came too often in a short time.
    { fields: { error_codes: [90055, 50196] }, meaning: 'transient', code: 'rate_limited' },
    // 80001 to 80007: the organization's own sign-in servers are away.
    {
      fields: {
        error_codes: [
          50033, 50087, 90006, 90012, 90024, 90033, 90090, 90091, 70012, 50166, 40010, 80001, 80002, 80005,
          80007,
        ],
      },
      meaning: 'transient',
      code: 'provider_unavailable',
    },

    { fields: { error_codes: 7000222 }, meaning: 'operator', code: 'client_secret_expired' },
    // Wrong secret; missing secret; wrong client; a secret sent for a public client.
    {
      fields: { error_codes: [7000215, 7000218, 70002, 700025] },
      meaning: 'operator',
      code: 'invalid_client',
    },
    { fields: { error_codes: [7000112, 70001] }, meaning: 'operator', code: 'client_disabled' },
    // A single-tenant app used with `common`; an app of another audience; no such tenant.
    { fields: { error_codes: [50194, 9002332, 90002] }, meaning: 'operator', code: 'wrong_tenant' },
    { fields: { error_codes: [900144, 90014] }, meaning: 'operator', code: 'invalid_request' },
    { fields: { error_codes: [70011, 28002, 700022] }, meaning: 'operator', code: 'invalid_scope' },
    { fields: { error_codes: [500011, 650057, 50001, 650052] }, meaning: 'operator', code: 'invalid_target' },
    { fields: { suberror: 'client_mismatch' }, meaning: 'operator', code: 'grant_of_another_client' },

    // The app was removed from one tenant, so `unauthorized_client` speaks of that tenant's users.
    { fields: { error_codes: [700016, 700011] }, meaning: 'permanent', code: 'app_removed' },
    {
      fields: { error_codes: [50076, 50079, 50074, 50072, 50078] },
      meaning: 'permanent',
      code: 'second_factor_required',
    },
    // Conditional access.
    {
      fields: { error_codes: [53000, 53001, 53002, 53003, 50005, 50131, 530032, 50097, 50158] },
      meaning: 'permanent',
      code: 'blocked_by_policy',
    },
    { fields: { error_codes: [65001, 65004, 90094, 90008] }, meaning: 'permanent', code: 'consent_required' },
    // Not assigned to the app, or of a directory that the app does not serve.
    { fields: { error_codes: [50105, 50020] }, meaning: 'permanent', code: 'access_denied' },
    // The password expired.
    {
      fields: { error_codes: [50055, 50144] },
      meaning: 'permanent',
      code: 'reauthentication_required',
    },

    {
      fields: { error_codes: [70008, 700082] },
      meaning: 'invalid_refresh_token',
      code: 'refresh_token_expired',
    },
    // Of a single-page app: 24 hours, whatever is refreshed.
    { fields: { error_codes: 700084 }, meaning: 'invalid_refresh_token', code: 'refresh_token_expired' },
    { fields: { error_codes: 50173 }, meaning: 'invalid_refresh_token', code: 'grant_revoked' },
    {
      fields: { error_codes: [50089, 50132, 50133, 70043] },
      meaning: 'invalid_refresh_token',
      code: 'session_ended',
    },
    {
      fields: { error_codes: [50057, 50034, 51004] },
      meaning: 'invalid_refresh_token',
      code: 'account_gone',
    },
    { fields: { error_codes: 9002313 }, meaning: 'invalid_refresh_token', code: 'malformed_refresh_token' },
    { fields: { error_codes: 70000 }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },

    // Where no number is known: the suberrors that MSAL tells apart.
    { fields: { suberror: 'consent_required' }, meaning: 'permanent', code: 'consent_required' },
    {
      fields: { suberror: ['device_authentication_failed', 'protection_policy_required'] },
      meaning: 'permanent',
      code: 'blocked_by_policy',
    },
    {
      fields: { suberror: ['basic_action', 'additional_action', 'message_only', 'user_password_expired'] },
      meaning: 'permanent',
      code: 'reauthentication_required',
    },
  ],
  authorizationEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize',
  scopes: ['openid', 'offline_access', 'User.Read'],
  notes: [
    'Client secrets live 24 months at most. An expired one fails with AADSTS7000222, disconnects nobody, and raises the alarm.',
    'A single-tenant app needs its tenant: `"variables": { "tenant": "<directory id>" }`.',
    'Without `offline_access` there is no refresh token. Scopes of two resources give a token for the first one only.',
    'Refresh tokens of redirect addresses of type SPA end after 24 hours; use type Web.',
    'Conditional access can depend on the address that refreshes come from; give administrators a fixed one.',
    'For support, Microsoft asks for `correlation_id` and `trace_id` of the answer.',
  ],
} as const satisfies CatalogueEntry;
