import { type CatalogueEntry, days, hours } from './entry.ts';

export const google = {
  displayName: 'Google',
  aliases: [
    'gmail',
    'google-ads',
    'google-analytics',
    'google-business-profile',
    'google-calendar',
    'google-chat',
    'google-contacts',
    'google-docs',
    'google-drive',
    'google-forms',
    'google-meet',
    'google-search-console',
    'google-sheets',
    'google-slides',
    'google-tasks',
    'youtube',
  ],
  documentation: 'https://developers.google.com/identity/protocols/oauth2/web-server#offline',
  tokenEndpoint: 'https://oauth2.googleapis.com/token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'never',
  // Unused for six months; of what is refreshed hourly, none ever is.
  refreshTokenLifetime: { seconds: 180 * days, from: 'refresh' },
  errorRules: [
    // The session length that an administrator set (google-auth-library-python, google/oauth2/_client.py).
    {
      fields: { error: 'invalid_grant', error_subtype: 'invalid_rapt' },
      meaning: 'permanent',
      code: 'sign_in_required',
    },
    { fields: { error: 'unauthorized_client' }, meaning: 'operator', code: 'grant_of_another_client' },
    // Measured by others, not documented: the client was deleted or disabled in the console.
    {
      fields: { error: ['deleted_client', 'disabled_client'] },
      meaning: 'operator',
      code: 'client_disabled',
    },
    // Of one organization: its administrator does not let this client in.
    {
      fields: { error: ['admin_policy_enforced', 'org_internal'] },
      meaning: 'permanent',
      code: 'admin_policy',
    },
    // The same library retries these words in either field.
    {
      fields: { error_description: ['internal_failure', 'server_error', 'temporarily_unavailable'] },
      meaning: 'transient',
      code: 'temporarily_unavailable',
    },
  ],
  authorizationEndpoint: 'https://accounts.google.com/o/oauth2/v2/auth',
  authorizationParameters: { access_type: 'offline', prompt: 'consent' },
  scopes: ['openid', 'email'],
  notes: [
    'One refresh token serves all Google APIs; every alias uses the client of the secret `google` unless it has a secret of its own.',
    'While the consent screen is external and in testing, every grant dies 7 days after consent: publish the app.',
    'A grant dies when it is unused for 6 months, when the user revokes it, when the password changes and Gmail is in scope, and when an account has more than 100 of them for one client.',
    'With `invalid_rapt` an administrator demands a new sign-in every few hours. Ask them to trust the app, or every member of that organization has to reconnect again and again.',
    'Refresh tokens belong to one client id. With a new client id, keep the old client under the old name until its users have reconnected.',
  ],
} as const satisfies CatalogueEntry;
