import {
  calculatePKCECodeChallenge,
  generateRandomCodeVerifier,
  generateRandomState,
  validateAuthResponse,
} from 'oauth4webapi';
import type { ProviderClient } from '../../lambdas/providers/client.ts';
import { CliError } from '../command.ts';
import { providerError, providerText } from './provider-text.ts';

/** How an account at a provider is connected: our client there, and what its secret or the options add. */
export interface ConnectableProvider {
  readonly client: ProviderClient;
  /** Name of the secret that the client comes from, for what has to be mended there. */
  readonly secretId: string;
  /** RFC 6749 §3.1. */
  readonly authorizationEndpoint: string;
  /** Asked for; empty: what the provider gives by default. */
  readonly scopes: readonly string[];
}

/** An authorization request (RFC 6749 §4.1.1 with PKCE, RFC 7636), and what its answer is held against. */
export interface AuthorizationRequest {
  /** For the browser. */
  readonly url: string;
  readonly redirectUri: string;
  readonly state: string;
  readonly verifier: string;
}

export async function authorizationRequest(
  { client, authorizationEndpoint, scopes }: ConnectableProvider,
  redirectUri: string,
): Promise<AuthorizationRequest> {
  const state = generateRandomState();
  const verifier = generateRandomCodeVerifier();
  // What the endpoint's address holds already stays, RFC 6749 §3.1.
  const url = new URL(authorizationEndpoint);
  const parameters = {
    ...client.provider.authorizationParameters,
    response_type: 'code',
    [client.provider.clientIdParameter]: client.clientId ?? '',
    redirect_uri: redirectUri,
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    state,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return { url: url.href, redirectUri, state, verifier };
}

/**
 * Holds an authorization response (RFC 6749 §4.1.2) against its request: the state, the issuer (RFC 9207), the
 * provider's refusal. Returns the response as one to exchange. Throws `CliError`.
 */
export function readAuthorizationResponse(
  provider: ConnectableProvider,
  request: AuthorizationRequest,
  parameters: URLSearchParams,
): URLSearchParams {
  const { client, secretId } = provider;
  const { displayName } = client.provider;
  if (parameters.getAll('state').join() !== request.state) {
    throw new CliError(
      'state_mismatch',
      'The browser came back with an answer to another request than this one (its state differs); nothing was changed. Try again, and open the address that is printed last.',
    );
  }
  const issuer = parameters.get('iss');
  const expected = client.provider.issuer ?? new URL(provider.authorizationEndpoint).origin;
  if (issuer !== null && !isIssuer(issuer, expected, client.provider.issuer !== undefined)) {
    throw new CliError(
      'issuer_mismatch',
      `The answer names the issuer ${JSON.stringify(providerText(issuer, []))}, but ${expected} was asked; nothing was changed. Only if that is the issuer of ${displayName}, put it into provider.issuer of the secret ${secretId}.`,
    );
  }
  const error = parameters.get('error');
  if (error !== null) {
    const words = providerError(error, parameters.get('error_description'), [
      request.state,
      request.verifier,
    ]);
    throw new CliError(
      'authorization_refused',
      `${displayName} did not give access: ${words}. ${refusalHint(error, secretId)}`,
    );
  }
  try {
    const server = { issuer: issuer ?? expected };
    const oauthClient = { client_id: client.clientId ?? '' };
    const response = validateAuthResponse(server, oauthClient, parameters, request.state);
    if (response.getAll('code').length === 1 && response.get('code') !== '') return response;
  } catch {
    // Parameters that are repeated, or belong to another flow.
  }
  throw new CliError(
    'authorization_response_malformed',
    `What ${displayName} sent the browser back with is no answer of the authorization code flow (RFC 6749 section 4.1.2); nothing was changed. Check authorizationEndpoint and authorizationParameters in the secret ${secretId}.`,
  );
}

/** The exact issuer where it is known, RFC 9207 §2.4; otherwise anything of the same origin. */
function isIssuer(issuer: string, expected: string, exactly: boolean): boolean {
  return exactly ? issuer === expected : URL.parse(issuer)?.origin === expected;
}

function refusalHint(error: string, secretId: string): string {
  switch (error) {
    case 'invalid_scope':
      return `Check the scopes: --scope, or provider.scopes in the secret ${secretId}.`;
    case 'unauthorized_client':
    case 'unsupported_response_type':
      return 'Allow the authorization code flow for this client at the provider.';
    default:
      return 'Nothing was changed.';
  }
}
