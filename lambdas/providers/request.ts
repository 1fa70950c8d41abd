import { createPrivateKey, type KeyObject, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { addressOf, type Variables } from './address.ts';
import type { ProviderClient } from './client.ts';

/** A request to a token endpoint, complete. Its parts hold secrets, the address included. */
export interface TokenRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

export type BuiltRequest =
  | { readonly ok: true; readonly request: TokenRequest }
  /** An operator's fault; `fix` holds no part of a secret or of an integration. */
  | { readonly ok: false; readonly code: string; readonly fix: string };

/** What renews a grant: its token, and what the integration says of the address. */
export interface PresentedGrant {
  readonly token: string;
  readonly variables: Variables | null;
}

/** A code of an authorization response, and what its request was made with (RFC 7636 §4.1). */
export interface AuthorizedCode {
  readonly code: string;
  readonly redirectUri: string;
  readonly verifier: string;
}

/** What a request is dated by: seconds since 1970, by a clock that is right; a client assertion of another time is refused. */
export interface RequestClock {
  readonly nowSeconds: number;
}

/** How long a client assertion is good for: one request. */
const assertionSeconds = 60;

/** Some providers turn away who has none, or one that many others have. */
const userAgent = 'Evergrant/1 (+token refresh)';

/** Builds the request that renews a grant, RFC 6749 §6 or the provider's own. Never throws. */
export async function buildTokenRequest(
  client: ProviderClient,
  { token, variables }: PresentedGrant,
  clock: RequestClock,
): Promise<BuiltRequest> {
  const { provider } = client;
  if (provider.tokenPlacement === 'parameter') {
    return build(client, clock, variables, [
      ['grant_type', provider.grantType],
      [provider.tokenParameter, token],
    ]);
  }
  if (!/^[\x21-\x7e]+$/.test(token)) {
    return {
      ok: false,
      code: 'token_unsendable',
      fix: 'The stored token holds characters that cannot stand in a header. Look at what writes the token columns.',
    };
  }
  return build(client, clock, variables, [['grant_type', provider.grantType]], `Bearer ${token}`);
}

/** Builds the request that exchanges a code for tokens, RFC 6749 §4.1.3 with PKCE. Never throws. */
export function buildCodeRequest(
  client: ProviderClient,
  { code, redirectUri, verifier }: AuthorizedCode,
  clock: RequestClock,
  variables: Variables | null = null,
): Promise<BuiltRequest> {
  return build(client, clock, variables, [
    ['grant_type', 'authorization_code'],
    ['code', code],
    ['redirect_uri', redirectUri],
    ['code_verifier', verifier],
  ]);
}

type Parameters = readonly [name: string, value: string][];

async function build(
  client: ProviderClient,
  clock: RequestClock,
  variables: Variables | null,
  grant: Parameters,
  authorization?: string,
): Promise<BuiltRequest> {
  const { provider } = client;
  if (provider.tokenEndpoint === undefined) {
    return {
      ok: false,
      code: 'provider_nothing_to_renew',
      fix: `The definition of ${provider.displayName} has no tokenEndpoint, so no request can be made.`,
    };
  }
  const address = addressOf(client, provider.tokenEndpoint, variables);
  if (!address.ok) return address;
  const authentication = await authenticate(client, address.url, clock);
  if (!authentication.ok) return authentication;
  const own = [...grant, ...authentication.parameters];
  const taken = new Set(own.map(([name]) => name));
  const parameters = [
    ...grant,
    ...Object.entries(provider.extraParameters).filter(([name]) => !taken.has(name)),
    ...authentication.parameters,
  ];
  const credentials = authorization ?? authentication.header;
  const headers = {
    'user-agent': userAgent,
    ...lowerCase(provider.headers),
    accept: 'application/json',
    ...(credentials !== undefined && { authorization: credentials }),
  };
  return { ok: true, request: encode(provider.requestFormat, address.url, headers, parameters) };
}

function encode(
  format: ProviderClient['provider']['requestFormat'],
  address: string,
  headers: Readonly<Record<string, string>>,
  parameters: Parameters,
): TokenRequest {
  const form = new URLSearchParams(parameters).toString();
  switch (format) {
    case 'form':
      return {
        url: address,
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
        body: form,
      };
    case 'json':
      return {
        url: address,
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(Object.fromEntries(parameters)),
      };
    case 'query': {
      const url = new URL(address);
      url.search = [url.search.slice(1), form].filter((part) => part !== '').join('&');
      return { url: url.href, method: 'GET', headers, body: null };
    }
  }
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

type Authentication =
  | { readonly ok: true; readonly parameters: Parameters; readonly header?: string }
  | { readonly ok: false; readonly code: string; readonly fix: string };

/** RFC 6749 §2.3.1, RFC 7523 §2.2. */
async function authenticate(
  client: ProviderClient,
  tokenEndpoint: string,
  clock: RequestClock,
): Promise<Authentication> {
  const { provider } = client;
  const clientId = client.clientId ?? '';
  const clientSecret = client.clientSecret ?? '';
  const id: [string, string] = [provider.clientIdParameter, clientId];
  switch (provider.clientAuthentication) {
    case 'client_secret_basic':
      return { ok: true, parameters: [], header: basic(formEncoded(clientId), formEncoded(clientSecret)) };
    case 'client_secret_basic_raw':
      return { ok: true, parameters: [], header: basic(clientId, clientSecret) };
    case 'client_secret_as_user':
      // Basic as HTTP has it (RFC 7617): the key of an API, not the credentials of OAuth, which are form-encoded.
      return { ok: true, parameters: [], header: basic(clientSecret, '') };
    case 'client_secret_post':
      return { ok: true, parameters: [id, ['client_secret', clientSecret]] };
    case 'none':
      return { ok: true, parameters: [id] };
    case 'anonymous':
      return { ok: true, parameters: [] };
    case 'private_key_jwt': {
      const assertion = await signAssertion(client, clientId, tokenEndpoint, clock);
      if (assertion === null) {
        return {
          ok: false,
          code: 'provider_key_unusable',
          fix: `Put an RSA (2048 bits or more), P-256 or Ed25519 key in PEM into privateKey of the secret of ${provider.displayName}.`,
        };
      }
      return {
        ok: true,
        parameters: [
          id,
          ['client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'],
          ['client_assertion', assertion],
        ],
      };
    }
  }
}

function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`, 'utf8').toString('base64')}`;
}

/** RFC 6749 appendix B. */
function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice('='.length);
}

/** RFC 7523 §3; `null`: the key cannot sign. */
async function signAssertion(
  { privateKey, keyId }: ProviderClient,
  clientId: string,
  audience: string,
  { nowSeconds }: RequestClock,
): Promise<string | null> {
  const issuedAt = Math.floor(nowSeconds);
  try {
    const key = createPrivateKey(privateKey ?? '');
    const alg = algorithmOf(key);
    if (alg === null) return null;
    return await new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg, typ: 'JWT', ...(keyId !== null && { kid: keyId }) })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(audience)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + assertionSeconds)
      .sign(key);
  } catch {
    return null;
  }
}

/** Whether a private key in PEM can sign for our client; `null`: there is none. */
export function canSign(privateKey: string | null): boolean {
  try {
    return algorithmOf(createPrivateKey(privateKey ?? '')) !== null;
  } catch {
    return false;
  }
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string | null {
  switch (asymmetricKeyType) {
    case 'rsa':
      // RFC 7518 §3.3.
      return (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048 ? 'RS256' : null;
    case 'ed25519':
      return 'EdDSA';
    case 'ec':
      return asymmetricKeyDetails?.namedCurve === 'prime256v1' ? 'ES256' : null;
    default:
      return null;
  }
}
