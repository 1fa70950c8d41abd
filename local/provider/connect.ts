import * as oauth from 'oauth4webapi';
import type { ProviderClient } from './server.ts';

/** Who connects what. */
export interface ConnectOptions {
  /** The account id to sign in with at the provider. */
  account: string;
  client: ProviderClient;
  /** Beyond `openid` and `offline_access`, which are always asked for. */
  scopes?: string[];
}

/** What an app stores of a new connection. */
export interface Connection {
  accessToken: string;
  refreshToken: string;
  /** Of the access token. */
  expiresInSeconds: number;
  /** As granted. */
  scopes: string[];
}

const MAX_PAGES = 12;

/**
 * Connects an account as an app and its user's browser would: authorization code flow with PKCE (RFC 7636),
 * signing in and consenting on the provider's own pages. No listener is needed at the redirect URI.
 * Rejects if the provider refuses anything on the way.
 */
export async function connectAccount(
  provider: { issuer: string },
  { account, client, scopes = [] }: ConnectOptions,
): Promise<Connection> {
  const issuer = new URL(provider.issuer);
  const http = { [oauth.allowInsecureRequests]: issuer.protocol === 'http:' };
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http));
  if (!server.authorization_endpoint) throw new Error(`${provider.issuer} has no authorization endpoint`);

  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const nonce = oauth.generateRandomNonce();
  const authorizationUrl = new URL(server.authorization_endpoint);
  authorizationUrl.search = new URLSearchParams({
    client_id: client.clientId,
    redirect_uri: client.redirectUri,
    response_type: 'code',
    scope: [...new Set(['openid', 'offline_access', ...scopes])].join(' '),
    // Without it, no offline access is given (OpenID Connect Core section 11).
    prompt: 'consent',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  }).toString();
  const callback = await browseTo(client.redirectUri, authorizationUrl, account);

  const tokens = await exchangeCode(server, client, { callback, state, verifier, nonce });
  const subject = oauth.getValidatedIdTokenClaims(tokens)?.sub;
  if (subject !== account) throw new Error(`${account} signed in, but the tokens are those of ${subject}`);
  if (tokens.refresh_token === undefined || tokens.expires_in === undefined) {
    throw new Error(`${provider.issuer} gave no refresh token, or no lifetime`);
  }
  return {
    accessToken: tokens.access_token,
    refreshToken: tokens.refresh_token,
    expiresInSeconds: tokens.expires_in,
    scopes: tokens.scope?.split(' ') ?? [],
  };
}

/**
 * Exchanges the code that came back to the redirect URI for tokens (RFC 6749 section 4.1.3), with PKCE. `nonce`
 * is given by whoever wants the ID token checked. Rejects if the provider refuses.
 */
export async function exchangeCode(
  server: oauth.AuthorizationServer,
  client: ProviderClient,
  flow: { callback: URL; state: string; verifier: string; nonce?: string },
): Promise<oauth.TokenEndpointResponse> {
  const oauthClient = { client_id: client.clientId };
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    oauthClient,
    client.clientAuth === 'client_secret_basic'
      ? oauth.ClientSecretBasic(client.clientSecret)
      : oauth.ClientSecretPost(client.clientSecret),
    oauth.validateAuthResponse(server, oauthClient, flow.callback, flow.state),
    client.redirectUri,
    flow.verifier,
    { [oauth.allowInsecureRequests]: new URL(server.issuer).protocol === 'http:' },
  );
  return oauth.processAuthorizationCodeResponse(server, oauthClient, response, {
    ...(flow.nonce !== undefined && { expectedNonce: flow.nonce, requireIdToken: true }),
  });
}

/** Asks the provider, by its userinfo endpoint, whether an access token works (RFC 6750) and whose it is. */
export async function checkAccessToken(
  userinfoEndpoint: string,
  accessToken: string,
): Promise<{ works: boolean; account: string | null; status: number }> {
  const response = await fetch(userinfoEndpoint, { headers: { authorization: `Bearer ${accessToken}` } });
  const body = await response.text();
  if (!response.ok) return { works: false, account: null, status: response.status };
  const { sub } = JSON.parse(body) as { sub?: string };
  return { works: true, account: sub ?? null, status: response.status };
}

/**
 * Follows redirects and fills in the provider's forms until it is sent to the redirect URI, which it does not open.
 * Rejects if the provider shows anything else.
 */
export async function browseTo(
  redirectUri: string,
  start: URL,
  account: string,
  decision: 'allow' | 'deny' = 'allow',
): Promise<URL> {
  const cookies = new CookieJar();
  let url = start;
  let form: URLSearchParams | undefined;
  for (let count = 0; count < MAX_PAGES; count += 1) {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form,
      redirect: 'manual',
      headers: { accept: 'text/html', cookie: cookies.header(url) },
    });
    cookies.store(url, response.headers);
    const html = await response.text();
    const location = response.headers.get('location');
    if (location !== null) {
      url = new URL(location, url);
      form = undefined;
      if (isAt(redirectUri, url)) return url;
      continue;
    }
    const action = /<form method="post" action="([^"]*)"/.exec(html)?.[1];
    if (!response.ok || action === undefined) {
      throw new Error(`${url.origin}${url.pathname} answered ${response.status}: ${html.slice(0, 300)}`);
    }
    form = new URLSearchParams(html.includes('name="login"') ? { login: account } : { decision });
    url = new URL(action, url);
  }
  throw new Error(`the sign-in at ${start.origin} did not end within ${MAX_PAGES} pages`);
}

function isAt(redirectUri: string, url: URL): boolean {
  const expected = new URL(redirectUri);
  return expected.origin === url.origin && expected.pathname === url.pathname;
}

/** Cookies of one browser at one host, by name and path (RFC 6265 section 5). */
class CookieJar {
  readonly #cookies = new Map<string, { name: string; value: string; path: string }>();

  store(url: URL, headers: Headers): void {
    for (const line of headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
      const equals = pair.indexOf('=');
      const name = pair.slice(0, equals);
      const attribute = (wanted: string) =>
        attributes.find((text) => text.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
      const path = attribute('path') ?? url.pathname.replace(/\/[^/]*$/, '/');
      const expires = attribute('expires');
      if (expires !== undefined && Date.parse(expires) <= Date.now()) this.#cookies.delete(`${name};${path}`);
      else this.#cookies.set(`${name};${path}`, { name, value: pair.slice(equals + 1), path });
    }
  }

  header(url: URL): string {
    return [...this.#cookies.values()]
      .filter(({ path }) => url.pathname === path || url.pathname.startsWith(path.replace(/\/?$/, '/')))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }
}
