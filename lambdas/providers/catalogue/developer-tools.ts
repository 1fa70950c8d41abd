import { type CatalogueEntry, days, hours, minutes } from './entry.ts';

export const github = {
  displayName: 'GitHub',
  documentation:
    'https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens',
  tokenEndpoint: 'https://{host}/login/oauth/access_token',
  variables: {
    host: {
      from: 'client',
      pattern: '[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?',
      description: 'the host of a GitHub Enterprise Server, such as github.acme.example',
      default: 'github.com',
    },
  },
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 8 * hours,
  rotation: 'always',
  refreshTokenLifetime: { seconds: 183 * days, from: 'refresh' },
  scopeSeparator: ',',
  // Refusals come with status 200: docs.github.com, troubleshooting OAuth app access token request errors.
  errorRules: [
    { fields: { error: 'bad_refresh_token' }, meaning: 'invalid_refresh_token', code: 'invalid_grant' },
    { fields: { error: 'unverified_user_email' }, meaning: 'permanent', code: 'email_unverified' },
    { fields: { error: 'incorrect_client_credentials' }, meaning: 'operator', code: 'invalid_client' },
    { fields: { error: 'redirect_uri_mismatch' }, meaning: 'operator', code: 'redirect_uri_mismatch' },
    { fields: { error: 'application_suspended' }, meaning: 'operator', code: 'client_disabled' },
  ],
  authorizationEndpoint: 'https://{host}/login/oauth/authorize',
  notes: [
    'A refresh ends the old access token at once, together with the old refresh token: read the token from the row for each use, and keep no copy.',
    'Tokens of OAuth apps, and of GitHub Apps that opted out of expiry, have neither an expiry nor a refresh token: nothing is done with such rows, and they need nothing.',
    'GitHub Enterprise Server: set the variable `host`.',
  ],
} as const satisfies CatalogueEntry;

export const gitlab = {
  displayName: 'GitLab',
  documentation: 'https://docs.gitlab.com/api/oauth2/',
  tokenEndpoint: 'https://{host}/oauth/token',
  variables: {
    host: {
      from: 'client',
      pattern: '[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?',
      description: 'the host of a self-managed GitLab, such as gitlab.acme.example',
      default: 'gitlab.com',
    },
  },
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 2 * hours,
  rotation: 'always',
  authorizationEndpoint: 'https://{host}/oauth/authorize',
  notes: [
    'GitLab documents that a refresh sends the `redirect_uri` of the authorization. If yours insists: `"provider": { "extraParameters": { "redirect_uri": "https://…" } }`.',
    'A refresh ends the old access token and the old refresh token at once.',
    'Self-managed: set the variable `host`. A public client: `"provider": { "clientAuthentication": "none" }`.',
  ],
} as const satisfies CatalogueEntry;

export const bitbucket = {
  displayName: 'Bitbucket',
  documentation: 'https://developer.atlassian.com/cloud/bitbucket/oauth-2/',
  tokenEndpoint: 'https://bitbucket.org/site/oauth2/access_token',
  accessTokenLifetimeSeconds: 2 * hours,
  // Nobody documents it; third parties keep one refresh token for good.
  rotation: 'sometimes',
  errorRules: [
    // What it says when it cannot read the request: bitbucket.org/site/master/issues/16249.
    {
      fields: { error: 'invalid_grant', error_description: { contains: 'unsupported grant type' } },
      meaning: 'operator',
      code: 'unsupported_grant_type',
    },
  ],
  authorizationEndpoint: 'https://bitbucket.org/site/oauth2/authorize',
  notes: ["Not Atlassian's own OAuth: a client of `atlassian` does not work here, nor the other way round."],
} as const satisfies CatalogueEntry;

export const atlassian = {
  displayName: 'Atlassian',
  aliases: ['confluence', 'jira', 'jira-service-management'],
  documentation: 'https://developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens/',
  tokenEndpoint: 'https://{host}/oauth/token',
  variables: {
    host: {
      from: 'client',
      pattern: 'auth\\.atlassian\\.com|auth\\.atlassian-us-gov-mod\\.com',
      description: 'auth.atlassian-us-gov-mod.com for the government cloud',
      default: 'auth.atlassian.com',
    },
  },
  requestFormat: 'json',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 1 * hours,
  rotation: 'always',
  reuseGraceSeconds: 10 * minutes,
  // The other clock, 90 days of disuse, starts anew with each refresh and never runs out.
  refreshTokenLifetime: { seconds: 365 * days, from: 'authorization' },
  errorRules: [
    // Not documented; one product's code looks for it (gh, by its text). Not the end of a grant by itself.
    {
      fields: { error: 'unauthorized_client', error_description: { contains: 'refresh_token is invalid' } },
      meaning: 'permanent',
      code: 'grant_refused',
    },
    // Auth0 underneath, which says this of a wrong secret; from memory, so it blames nobody's grant.
    { status: 401, fields: { error: 'access_denied' }, meaning: 'operator', code: 'invalid_client' },
  ],
  authorizationEndpoint: 'https://{host}/authorize',
  authorizationParameters: { audience: 'api.atlassian.com', prompt: 'consent' },
  scopes: ['offline_access', 'read:me'],
  notes: [
    'Every grant dies a year after its authorization, however often it is refreshed; users are warned ahead.',
    'Ten minutes after a refresh the old access token is revoked, even if it has not expired.',
    'Using an old refresh token after ten minutes kills the new one as well: let nothing else refresh these grants.',
    'Data Center: `"provider": { "tokenEndpoint": "https://<host>/rest/oauth2/latest/token", "requestFormat": "form", "refreshTokenLifetime": { "seconds": 7776000, "from": "refresh" } }`; without the last, users are warned of the year that only the cloud has.',
  ],
} as const satisfies CatalogueEntry;

export const linear = {
  displayName: 'Linear',
  documentation: 'https://linear.app/developers/oauth-2-0-authentication',
  tokenEndpoint: 'https://api.linear.app/oauth/token',
  clientAuthentication: 'client_secret_post',
  accessTokenLifetimeSeconds: 24 * hours,
  rotation: 'always',
  // The same request, repeated, brings the same new refresh token.
  reuseGraceSeconds: 30 * minutes,
  errorRules: [
    // Shown in the documentation for a grant type that is switched off.
    {
      fields: { error: 'Error', error_description: { contains: 'grant type' } },
      meaning: 'operator',
      code: 'unsupported_grant_type',
    },
  ],
  authorizationEndpoint: 'https://linear.app/oauth/authorize',
  scopes: ['read'],
  notes: [
    'Tokens that lived ten years are gone since 2026-04-01: rows without a refresh token have to reconnect.',
  ],
} as const satisfies CatalogueEntry;

export const figma = {
  displayName: 'Figma',
  documentation: 'https://developers.figma.com/docs/rest-api/authentication/',
  // Not where codes are exchanged, so no account is connected with this definition.
  tokenEndpoint: 'https://api.figma.com/v1/oauth/refresh',
  accessTokenLifetimeSeconds: 90 * days,
  rotation: 'never',
} as const satisfies CatalogueEntry;
