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
    // The organization's own sign-in servers are away.
    {
      fields: { error_codes: [80001, 80002, 80005, 80007] },
      meaning: 'transient',
      code: 'sign_in_unavailable',
    },
    {
      fields: {
        error_codes: [50033, 50087, 90006, 90012, 90024, 90033, 90090, 90091, 70012, 50166, 40010],
      },
      meaning: 'transient',
      code: 'temporarily_unavailable',
    },

    { fields: { error_codes: 7000222 }, meaning: 'operator', code: 'client_secret_expired' },
    { fields: { error_codes: 7000215 }, meaning: 'operator', code: 'client_secret_invalid' },
    // A secret that is missing; a client that is wrong; a secret that a public client sent.
    { fields: { error_codes: [7000218, 70002, 700025] }, meaning: 'operator', code: 'invalid_client' },
    { fields: { error_codes: [7000112, 70001] }, meaning: 'operator', code: 'client_disabled' },
    { fields: { error_codes: 90002 }, meaning: 'operator', code: 'tenant_unknown' },
    // An app of one tenant used with `common`; an app of another audience.
    { fields: { error_codes: [50194, 9002332] }, meaning: 'operator', code: 'tenant_mismatch' },
    { fields: { error_codes: [900144, 90014] }, meaning: 'operator', code: 'invalid_request' },
    { fields: { error_codes: [70011, 28002, 700022] }, meaning: 'operator', code: 'invalid_scope' },
    { fields: { error_codes: [500011, 650057, 50001, 650052] }, meaning: 'operator', code: 'invalid_target' },
    { fields: { suberror: 'client_mismatch' }, meaning: 'operator', code: 'grant_of_another_client' },

    // The app was removed from one tenant, so `unauthorized_client` speaks of that tenant's users.
    { fields: { error_codes: [700016, 700011] }, meaning: 'permanent', code: 'app_not_installed' },
    {
      fields: { error_codes: [50076, 50079, 50074, 50072, 50078] },
      meaning: 'permanent',
      code: 'mfa_required',
    },
    {
      fields: { error_codes: [53000, 53001, 53002, 53003, 50005, 50131, 530032, 50097, 50158] },
      meaning: 'permanent',
      code: 'conditional_access',
    },
    { fields: { error_codes: [65001, 65004, 90094, 90008] }, meaning: 'permanent', code: 'consent_required' },
    { fields: { error_codes: 50105 }, meaning: 'permanent', code: 'not_assigned' },
    // Of a directory that the app does not serve.
    { fields: { error_codes: 50020 }, meaning: 'permanent', code: 'account_not_found' },
    // The password ran out.
    { fields: { error_codes: [50055, 50144] }, meaning: 'permanent', code: 'sign_in_required' },

    {
      fields: { error_codes: [70008, 700082] },
      meaning: 'invalid_refresh_token',
      code: 'refresh_token_inactive',
    },
    // Of a single-page app: 24 hours, whatever is refreshed.
    { fields: { error_codes: 700084 }, meaning: 'invalid_refresh_token', code: 'refresh_token_expired' },
    { fields: { error_codes: [50173, 50089] }, meaning: 'invalid_refresh_token', code: 'session_revoked' },
    { fields: { error_codes: [50132, 50133] }, meaning: 'invalid_refresh_token', code: 'password_changed' },
    { fields: { error_codes: 70043 }, meaning: 'invalid_refresh_token', code: 'sign_in_required' },
    { fields: { error_codes: 50057 }, meaning: 'invalid_refresh_token', code: 'account_disabled' },
    { fields: { error_codes: [50034, 51004] }, meaning: 'invalid_refresh_token', code: 'account_not_found' },
    { fields: { error_codes: 9002313 }, meaning: 'invalid_refresh_token', code: 'refresh_token_malformed' },
    { fields: { error_codes: 70000 }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },

    // Where no number is known: the suberrors that MSAL tells apart.
    { fields: { suberror: 'consent_required' }, meaning: 'permanent', code: 'consent_required' },
    {
      fields: { suberror: ['device_authentication_failed', 'protection_policy_required'] },
      meaning: 'permanent',
      code: 'conditional_access',
    },
    {
      fields: { suberror: ['basic_action', 'additional_action', 'message_only', 'user_password_expired'] },
      meaning: 'permanent',
      code: 'interaction_required',
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
