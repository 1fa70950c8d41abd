/** What a refresh must look like on the wire, and what it brings, as the provider documents it. */
export interface Expected {
  /** Method and address, with the variables below filled in. */
  readonly request: `${'GET' | 'POST'} https://${string}`;
  readonly format: 'form' | 'json' | 'query';
  /** `key`: a secret key as the user of Basic, with an empty password. */
  readonly client: 'basic' | 'key' | 'parameters' | 'id' | 'nothing';
  /** Beside the client's own. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly clientIdParameter: string;
  readonly headers: Readonly<Record<string, string>>;
  /** From our client's secret, and from the integration. */
  readonly variables: readonly [Readonly<Record<string, string>>, Readonly<Record<string, string>>];
  readonly expiresInSeconds: number;
  readonly refreshTokenExpiresInSeconds: number | null;
  readonly scopes: readonly string[] | null;
  readonly kept: Readonly<Record<string, string>>;
  /** Whether the provider's word for a dead grant is certain enough to mail a user at once. */
  readonly deadGrantIsCertain: boolean;
  readonly retryAfterSeconds: number | null;
}

/** Stands for the token that renews the grant. */
export const theToken = '<token>';

type Differences = Partial<Omit<Expected, 'request' | 'format' | 'client' | 'expiresInSeconds'>>;

function expected(
  request: Expected['request'],
  format: Expected['format'],
  client: Expected['client'],
  expiresInSeconds: number,
  differences: Differences = {},
): Expected {
  return {
    request,
    format,
    client,
    expiresInSeconds,
    parameters: { grant_type: 'refresh_token', refresh_token: theToken },
    clientIdParameter: 'client_id',
    headers: {},
    variables: [{}, {}],
    refreshTokenExpiresInSeconds: null,
    scopes: null,
    kept: {},
    deadGrantIsCertain: true,
    retryAfterSeconds: null,
    ...differences,
  };
}

const meta = (grantType: string, tokenParameter: string): Differences => ({
  parameters: { grant_type: grantType, [tokenParameter]: theToken },
});

const salesforce: Differences = {
  scopes: ['refresh_token', 'api'],
  kept: { instance_url: 'https://acme.my.salesforce.com' },
};

/** By provider. Written from the providers' documentation, as `local/dialects` is; none of it is read from the catalogue. */
export const expectedRequests: Readonly<Record<string, Expected>> = {
  google: expected('POST https://oauth2.googleapis.com/token', 'form', 'parameters', 3599, {
    scopes: ['https://www.googleapis.com/auth/calendar', 'openid'],
  }),
  microsoft: expected(
    'POST https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token',
    'form',
    'parameters',
    4523,
    {
      variables: [{ tenant: 'contoso.example' }, {}],
      scopes: ['Mail.Read', 'User.Read'],
      retryAfterSeconds: 17,
    },
  ),
  slack: expected('POST https://slack.com/api/oauth.v2.access', 'form', 'basic', 43200, {
    scopes: ['chat:write', 'commands'],
    retryAfterSeconds: 30,
  }),
  notion: expected('POST https://api.notion.com/v1/oauth/token', 'json', 'basic', 3600, {
    retryAfterSeconds: 12,
  }),
  hubspot: expected('POST https://api.hubapi.com/oauth/v3/token', 'form', 'parameters', 1800, {
    scopes: ['crm.objects.contacts.read', 'oauth'],
  }),
  salesforce: expected(
    'POST https://acme.my.salesforce.com/services/oauth2/token',
    'form',
    'parameters',
    3600,
    {
      ...salesforce,
      variables: [{}, { login_domain: 'acme.my' }],
    },
  ),
  'salesforce-sandbox': expected(
    'POST https://test.salesforce.com/services/oauth2/token',
    'form',
    'parameters',
    3600,
    salesforce,
  ),
  github: expected('POST https://github.com/login/oauth/access_token', 'form', 'parameters', 28800, {
    headers: { accept: 'application/json' },
    refreshTokenExpiresInSeconds: 15897600,
    retryAfterSeconds: 90,
  }),
  gitlab: expected('POST https://gitlab.acme.example/oauth/token', 'form', 'parameters', 7200, {
    variables: [{ host: 'gitlab.acme.example' }, {}],
    scopes: ['api'],
    retryAfterSeconds: 60,
  }),
  bitbucket: expected('POST https://bitbucket.org/site/oauth2/access_token', 'form', 'basic', 7200, {
    scopes: ['repository', 'account'],
    retryAfterSeconds: 30,
  }),
  atlassian: expected('POST https://auth.atlassian.com/oauth/token', 'json', 'parameters', 3600, {
    scopes: ['read:jira-work', 'offline_access'],
    retryAfterSeconds: 5,
  }),
  linear: expected('POST https://api.linear.app/oauth/token', 'form', 'parameters', 86399, {
    scopes: ['read', 'write'],
  }),
  asana: expected('POST https://app.asana.com/-/oauth_token', 'form', 'parameters', 3600, {
    retryAfterSeconds: 20,
  }),
  monday: expected('POST https://auth.monday.com/oauth_ms/oauth/token', 'json', 'parameters', 3600, {
    scopes: ['boards:read', 'me:read'],
  }),
  airtable: expected('POST https://airtable.com/oauth2/v1/token', 'form', 'basic', 3600, {
    refreshTokenExpiresInSeconds: 5184000,
    scopes: ['data.records:read', 'user.email:read'],
  }),
  dropbox: expected('POST https://api.dropboxapi.com/oauth2/token', 'form', 'parameters', 14400, {
    retryAfterSeconds: 15,
  }),
  box: expected('POST https://api.box.com/oauth2/token', 'form', 'parameters', 3889, {
    retryAfterSeconds: 100,
  }),
  zoom: expected('POST https://zoom.us/oauth/token', 'form', 'basic', 3599, {
    scopes: ['meeting:read', 'user:read'],
    retryAfterSeconds: 10,
  }),
  discord: expected('POST https://discord.com/api/v10/oauth2/token', 'form', 'basic', 604800, {
    scopes: ['identify', 'guilds'],
    retryAfterSeconds: 65,
  }),
  twitter: expected('POST https://api.x.com/2/oauth2/token', 'form', 'basic', 7200, {
    scopes: ['tweet.read', 'users.read', 'offline.access'],
    retryAfterSeconds: 300,
  }),
  linkedin: expected('POST https://www.linkedin.com/oauth/v2/accessToken', 'form', 'parameters', 5183999, {
    refreshTokenExpiresInSeconds: 31103999,
    scopes: ['r_organization_social'],
  }),
  facebook: expected(
    'GET https://graph.facebook.com/v23.0/oauth/access_token',
    'query',
    'parameters',
    5184000,
    {
      ...meta('fb_exchange_token', 'fb_exchange_token'),
      variables: [{ version: 'v23.0' }, {}],
    },
  ),
  instagram: expected(
    'GET https://graph.instagram.com/refresh_access_token',
    'query',
    'nothing',
    5184000,
    meta('ig_refresh_token', 'access_token'),
  ),
  threads: expected(
    'GET https://graph.threads.net/refresh_access_token',
    'query',
    'nothing',
    5184000,
    meta('th_refresh_token', 'access_token'),
  ),
  tiktok: expected('POST https://open.tiktokapis.com/v2/oauth/token/', 'form', 'parameters', 7200, {
    clientIdParameter: 'client_key',
    refreshTokenExpiresInSeconds: 15552000,
    scopes: ['user.info.basic', 'video.list'],
  }),
  'tiktok-business': expected(
    'POST https://business-api.tiktok.com/open_api/v1.3/tt_user/oauth2/refresh_token/',
    'json',
    'parameters',
    86400,
    {
      refreshTokenExpiresInSeconds: 31536000,
      scopes: ['user.info.basic', 'video.list'],
      // Nothing about its errors is documented where we could read it.
      deadGrantIsCertain: false,
    },
  ),
  pinterest: expected('POST https://api.pinterest.com/v5/oauth/token', 'form', 'basic', 2592000, {
    refreshTokenExpiresInSeconds: 5184000,
    scopes: ['boards:read', 'pins:read'],
  }),
  reddit: expected('POST https://www.reddit.com/api/v1/access_token', 'form', 'basic', 86400, {
    scopes: ['identity', 'read'],
  }),
  spotify: expected('POST https://accounts.spotify.com/api/token', 'form', 'basic', 3600, {
    scopes: ['playlist-read-private'],
    retryAfterSeconds: 7,
  }),
  twitch: expected('POST https://id.twitch.tv/oauth2/token', 'form', 'parameters', 14124, {
    scopes: ['chat:read', 'user:read:email'],
  }),
  shopify: expected('POST https://acme.myshopify.com/admin/oauth/access_token', 'json', 'parameters', 3600, {
    variables: [{}, { shop: 'acme' }],
    refreshTokenExpiresInSeconds: 7776000,
    scopes: ['read_products', 'write_orders'],
    retryAfterSeconds: 2,
  }),
  'stripe-app': expected('POST https://api.stripe.com/v1/oauth/token', 'form', 'key', 3600, {
    scopes: ['stripe_apps'],
  }),
  paypal: expected('POST https://api-m.sandbox.paypal.com/v1/oauth2/token', 'form', 'basic', 28800, {
    variables: [{ environment: 'api-m.sandbox' }, {}],
    scopes: ['openid', 'email'],
  }),
  square: expected('POST https://connect.squareup.com/oauth2/token', 'json', 'parameters', 2592000, {
    // The shape is from memory.
    deadGrantIsCertain: false,
  }),
  quickbooks: expected(
    'POST https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer',
    'form',
    'basic',
    3600,
    {
      refreshTokenExpiresInSeconds: 8640000,
    },
  ),
  xero: expected('POST https://identity.xero.com/connect/token', 'form', 'basic', 1800, {
    scopes: ['accounting.transactions', 'offline_access'],
    retryAfterSeconds: 36,
  }),
  zendesk: expected('POST https://acme.zendesk.com/oauth/tokens', 'json', 'parameters', 1800, {
    variables: [{}, { subdomain: 'acme' }],
    refreshTokenExpiresInSeconds: 2592000,
    scopes: ['read', 'write'],
    retryAfterSeconds: 44,
  }),
  calendly: expected('POST https://auth.calendly.com/oauth/token', 'form', 'basic', 7200, {
    scopes: ['default'],
  }),
  typeform: expected('POST https://api.typeform.com/oauth/token', 'form', 'parameters', 604800),
  docusign: expected('POST https://account-d.docusign.com/oauth/token', 'form', 'basic', 28800, {
    variables: [{ environment: 'account-d' }, {}],
  }),
  kit: expected('POST https://api.kit.com/v4/oauth/token', 'json', 'parameters', 7200, {
    scopes: ['public'],
  }),
  okta: expected('POST https://acme.okta.com/oauth2/default/v1/token', 'form', 'basic', 3600, {
    variables: [{ domain: 'acme.okta.com', path: 'oauth2/default' }, {}],
    scopes: ['openid', 'offline_access'],
    retryAfterSeconds: 42,
  }),
  auth0: expected('POST https://acme.eu.auth0.com/oauth/token', 'form', 'parameters', 86400, {
    variables: [{ domain: 'acme.eu.auth0.com' }, {}],
    scopes: ['openid', 'offline_access'],
    retryAfterSeconds: 20,
  }),
  keycloak: expected(
    'POST https://id.acme.example/realms/staff/protocol/openid-connect/token',
    'form',
    'basic',
    300,
    {
      variables: [{ host: 'id.acme.example', realm: 'staff' }, {}],
      refreshTokenExpiresInSeconds: 1800,
      scopes: ['openid', 'profile'],
      retryAfterSeconds: 30,
    },
  ),
  oidc: expected('POST https://id.acme.example/token', 'form', 'basic', 3600, {
    variables: [{ host: 'id.acme.example', path: 'token' }, {}],
    retryAfterSeconds: 30,
  }),
  zoho: expected('POST https://accounts.zoho.eu/oauth/v2/token', 'form', 'parameters', 3600, {
    variables: [{}, { data_center: 'zoho.eu' }],
    scopes: ['ZohoCRM.modules.ALL'],
    kept: { api_domain: 'https://www.zohoapis.com' },
  }),
  miro: expected('POST https://api.miro.com/v1/oauth/token', 'form', 'parameters', 3599, {
    scopes: ['boards:read'],
    retryAfterSeconds: 30,
  }),
  figma: expected('POST https://api.figma.com/v1/oauth/refresh', 'form', 'basic', 7776000, {
    retryAfterSeconds: 30,
  }),
  'cal-com': expected('POST https://api.cal.com/v2/auth/oauth2/token', 'json', 'parameters', 1800, {
    retryAfterSeconds: 30,
  }),
  clover: expected('POST https://api.clover.com/oauth/v2/refresh', 'json', 'id', 1800, {
    refreshTokenExpiresInSeconds: 31536000,
  }),
  wise: expected('POST https://api.wise.com/oauth/token', 'form', 'basic', 43199, { scopes: ['transfers'] }),
  ringcentral: expected('POST https://platform.ringcentral.com/restapi/oauth/token', 'form', 'basic', 3600, {
    refreshTokenExpiresInSeconds: 604800,
    scopes: ['ReadAccounts', 'CallControl'],
    retryAfterSeconds: 60,
  }),
};
