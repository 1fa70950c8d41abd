import type { ProviderDefinition } from '../../lambdas/providers/definition.ts';

/** Every field of a definition, in the order of the page; those that the catalogue's notes do not explain. */
export const fields: Readonly<Record<keyof ProviderDefinition, string>> = {
  displayName: 'what users read: "Acme Calendar"',
  documentation: "the vendor's page",
  renewal:
    'what a new access token is obtained with: `refresh_token` (default), `access_token` (which is then exchanged before it expires), or `none`',
  tokenEndpoint: 'https; plain http for loopback addresses only. May hold `{variables}`',
  variables:
    'what stands for them: `{ "shop": { "from": "integration", "pattern": "[a-z0-9-]+", "description": "…", "default": "…" } }`; `from` is `client` (the secret) or `integration` (the row); with `"suffix": ".acme.example"` a value may end in it, as a whole host does. One of `integration` in a host needs a domain of the provider behind it (`.acme.example`), or a pattern that lists the hosts',
  requestFormat: '`form` (default), `json`, or `query` (a GET)',
  clientAuthentication:
    '`client_secret_basic` (default), `client_secret_basic_raw` (without the form-encoding of RFC 6749 §2.3.1), `client_secret_as_user`, `client_secret_post`, `private_key_jwt`, `none` (id only), `anonymous`',
  grantType: '`refresh_token` by default',
  tokenParameter: 'the parameter with the token; `refresh_token` by default',
  tokenPlacement: '`parameter` (default), or `bearer`: in the Authorization header',
  clientIdParameter: '`client_id` by default',
  extraParameters: 'sent with every request to the token endpoint',
  headers: 'sent likewise',
  callsPerSecond:
    'calls that the token endpoint may get in a second, of all functions and of all names that share this client together; no limit by default',
  credentialsCanBeTried:
    '`false`: `provider check` makes no call, because a made-up token tells nothing there, or does harm',
  accessTokenLifetimeSeconds: 'where answers say none that can be read; an hour by default',
  lifetimeFromJwt: '`true`: the access token is a JWT, and its `exp` says it where the answer does not',
  rotation:
    'whether a refresh brings a new refresh token: `always`, `sometimes`, `never`, `unknown` (default)',
  reuseGraceSeconds:
    'for so long a refresh token that was used may be used again: within it a lost answer is asked for again at once; 0 by default',
  refreshTokenLifetime:
    '`{ "seconds": 2592000, "from": "refresh" }`, or from `authorization`: then users are warned ahead',
  tokensAt: 'path of the object with the tokens, where they do not stand on top: `data`',
  success: '`{ "field": "ok", "value": true }`, where HTTP 200 may be a refusal',
  scopeSeparator: 'a space (default) or a comma',
  keptFields: 'fields of the answer that are written into `integrations.metadata`',
  errorMeanings:
    'what values of the field `error` mean, against RFC 6749: `transient`, `permanent`, `invalid_refresh_token`, `operator`',
  errorRules:
    'the same for any answer: `{ "status": 400, "fields": { "error.code": [190, 102] }, "meaning": "invalid_refresh_token" }`; the first that fits decides. A value, a list of which one must fit, or `{ "contains": "…" }`',
  authorizationEndpoint:
    'where people give access. This and the fields below serve `evergrant connect` and `reconnect` only',
  issuer:
    "what `iss` in the answer must be (RFC 9207); by default anything of the authorization endpoint's origin",
  scopes: 'list of what is asked for',
  authorizationParameters: 'sent with the authorization request: `{ "access_type": "offline" }`',
};

/** How a provider is configured; the part of the page that is not made of the catalogue. */
export const guide = `## A provider of the catalogue

It takes one secret with our client's credentials, named by the deployment and the provider, such as
\`evergrant/prod/providers/google\`. The command line asks for them, without showing what you type:

\`\`\`
npm run evergrant -- provider list             # the catalogue, and which of it is configured
npm run evergrant -- provider set google       # client id and secret, from a prompt or standard input
npm run evergrant -- provider check google     # what is wrong with it; tries the credentials where that harms no grant
\`\`\`

By hand, the secret is one JSON document:

\`\`\`json
{ "clientId": "…", "clientSecret": "…" }
\`\`\`

Until it exists, the provider's integrations wait, and nobody is blamed. A changed secret is read within five minutes.

**Variables.** Some addresses differ: by tenant, by shop. [Which ones](#variables) says the catalogue. What is the same
for all users stands in the secret:

\`\`\`json
{ "clientId": "…", "clientSecret": "…", "variables": { "tenant": "contoso.onmicrosoft.com" } }
\`\`\`

What differs by user, such as a Shopify shop, stands in the \`metadata\` of the row:

\`\`\`sql
UPDATE integrations SET metadata = metadata || '{"shop": "acme"}' WHERE id = '…';
\`\`\`

A value must fit the catalogue's pattern, so that no row can send our credentials to another host.

**What the product writes** when an account is connected, and again when it is reconnected: both tokens, \`expires_at\`,
and \`refresh_token_expires_at\` where the answer says it. Where refresh tokens live from the authorization on, in bold
below, a row that is reconnected without it may be warned of the end of the grant before.

**Several clients.** \`gmail\` and the [other names](#other-names) use the client of \`google\`. One with a secret of its
own uses that. For any further client, choose a name, put it into \`integrations.provider\`, and say what it is:

\`\`\`json
{ "clientId": "…", "clientSecret": "…", "extends": "google" }
\`\`\`

Refresh tokens belong to the client that got them: when a product moves to a new client id, its old grants keep the old
name until their users have reconnected.

**A private key** in the place of a client secret, for providers that take \`private_key_jwt\` (RFC 7523):

\`\`\`json
{
  "clientId": "…",
  "privateKey": "-----BEGIN PRIVATE KEY-----\\n…\\n-----END PRIVATE KEY-----\\n",
  "keyId": "2026-11",
  "provider": { "clientAuthentication": "private_key_jwt" }
}
\`\`\`

**Overriding.** \`provider\` holds what differs from the catalogue. Its \`variables\`, \`extraParameters\`, \`headers\`,
\`errorMeanings\` and \`authorizationParameters\` are added to those of the catalogue, its \`errorRules\` are looked at before
them, and any other field replaces the catalogue's. So \`scopes\` must go on to hold what brings a refresh token, such as
\`offline_access\`:

\`\`\`json
{
  "clientId": "…",
  "clientSecret": "…",
  "provider": { "displayName": "Acme for Slack", "callsPerSecond": 5 }
}
\`\`\`

## One that is not in the catalogue

The same secret, with a definition. Two fields are needed; what has a default may be left out. With both of them it is a
definition of its own also under a name of the catalogue, and takes nothing from there unless \`extends\` names the entry:

\`\`\`json
{
  "clientId": "…",
  "clientSecret": "…",
  "provider": { "displayName": "Acme Calendar", "tokenEndpoint": "https://acme.example/oauth/token" }
}
\`\`\`

One with dialects:

\`\`\`json
{
  "clientId": "…",
  "clientSecret": "…",
  "provider": {
    "displayName": "Acme Books",
    "tokenEndpoint": "https://{region}.acme.example/oauth/token",
    "variables": {
      "region": { "from": "integration", "pattern": "eu|us", "description": "eu or us, of the account", "default": "us" }
    },
    "clientAuthentication": "client_secret_post",
    "requestFormat": "json",
    "rotation": "always",
    "refreshTokenLifetime": { "seconds": 31536000, "from": "authorization" },
    "errorMeanings": { "token_revoked": "invalid_refresh_token" },
    "errorRules": [
      { "status": 400, "fields": { "detail": { "contains": "unknown application" } }, "meaning": "operator" }
    ]
  }
}
\`\`\`

Any server with \`/.well-known/openid-configuration\` is \`"extends": "oidc"\` with its \`host\` and \`path\`.

What an error means decides what becomes of the row: \`transient\` is tried again and never disconnects; \`permanent\` is
counted, warned about, and disconnects in the end; \`invalid_refresh_token\` is that with an email at once; \`operator\`
is our own fault, counts for nobody and raises an alarm. In doubt choose the milder one. What RFC 6749 says needs no
entry, and an answer without an error code of the provider's disconnects nobody.

Then \`provider check\`, and watch the first refresh: \`npm run evergrant -- refresh <integration>\`.

| field | meaning |
| --- | --- |
${Object.entries(fields)
  .map(([name, meaning]) => `| \`${name}\` | ${meaning} |`)
  .join('\n')}

## When a provider is away

Refreshing it stops by itself when it fails for many, and goes on by itself. To stop it by hand, before an announced
maintenance say, and to let it go on:

\`\`\`
npm run evergrant -- provider open slack
npm run evergrant -- provider close slack
\`\`\``;
