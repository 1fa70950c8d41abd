import {
  type AuthorizationServer,
  allowInsecureRequests,
  authorizationCodeGrantRequest,
  type Client,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  customFetch,
  None,
  refreshTokenGrantRequest,
  type TokenEndpointRequestOptions,
} from 'oauth4webapi';
import type { ProviderClient } from './client.ts';
import type { Answer } from './verdict.ts';

/** Token responses are a few kilobytes; whoever sends more than this is not answering our question. */
const maxBodyBytes = 256 * 1024;

/**
 * One refresh request, RFC 6749 §6, with a deadline for the whole exchange, body included. Never throws for
 * anything that a provider or the network does. `fetchFunction` is the seam for quirks and tests.
 */
export function callTokenEndpoint(
  client: ProviderClient,
  refreshToken: string,
  timeoutMs: number,
  fetchFunction: typeof fetch = fetch,
): Promise<Answer> {
  return call(client, timeoutMs, fetchFunction, (server, oauthClient, authentication, options) =>
    refreshTokenGrantRequest(server, oauthClient, authentication, refreshToken, options),
  );
}

/** An authorization response that belongs to the request it answers, and what that request was made with. */
export interface AuthorizedCode {
  /** As `validateAuthResponse` gave it: the code is taken from nothing else. */
  readonly response: URLSearchParams;
  readonly redirectUri: string;
  /** RFC 7636 §4.1. */
  readonly verifier: string;
}

/** One exchange of an authorization code for tokens, RFC 6749 §4.1.3 with PKCE; else as `callTokenEndpoint`. */
export function exchangeCode(
  client: ProviderClient,
  { response, redirectUri, verifier }: AuthorizedCode,
  timeoutMs: number,
  fetchFunction: typeof fetch = fetch,
): Promise<Answer> {
  return call(client, timeoutMs, fetchFunction, (server, oauthClient, authentication, options) =>
    authorizationCodeGrantRequest(
      server,
      oauthClient,
      authentication,
      response,
      redirectUri,
      verifier,
      options,
    ),
  );
}

type TokenRequest = (
  server: AuthorizationServer,
  client: Client,
  authentication: ClientAuth,
  options: TokenEndpointRequestOptions,
) => Promise<Response>;

async function call(
  { clientId, clientSecret, provider }: ProviderClient,
  timeoutMs: number,
  fetchFunction: typeof fetch,
  request: TokenRequest,
): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await request(
      { issuer: provider.tokenEndpoint ?? '', token_endpoint: provider.tokenEndpoint ?? '' },
      { client_id: clientId ?? '' },
      clientAuthentication(provider.clientAuthentication, clientSecret ?? ''),
      {
        additionalParameters: provider.extraParameters,
        signal,
        // The definition admits plain http for loopback addresses only.
        [allowInsecureRequests]: true,
        [customFetch]: (address, init) =>
          fetchFunction(address, { ...init, redirect: 'manual' } as RequestInit),
      },
    );
    const body = await readBody(response);
    return { kind: 'response', status: response.status, headers: response.headers, body };
  } catch {
    return { kind: 'no_response', reason: signal.aborted ? 'timeout' : 'network_error' };
  }
}

function clientAuthentication(
  method: ProviderClient['provider']['clientAuthentication'],
  clientSecret: string,
): ClientAuth {
  switch (method) {
    case 'client_secret_basic':
      return ClientSecretBasic(clientSecret);
    case 'client_secret_post':
      return ClientSecretPost(clientSecret);
    default:
      return None();
  }
}

async function readBody(response: Response): Promise<string | null> {
  if (!response.body) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > maxBodyBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
