import {
  allowInsecureRequests,
  ClientSecretBasic,
  ClientSecretPost,
  customFetch,
  None,
  refreshTokenGrantRequest,
} from 'oauth4webapi';
import type { ProviderClient } from './definition.ts';
import type { Answer } from './verdict.ts';

/** Token responses are a few kilobytes; whoever sends more than this is not answering our question. */
const maxBodyBytes = 256 * 1024;

/**
 * One refresh request, RFC 6749 §6, with a deadline for the whole exchange, body included. Never throws for
 * anything that a provider or the network does. `fetchFunction` is the seam for quirks and tests.
 */
export async function callTokenEndpoint(
  { clientId, clientSecret, provider }: ProviderClient,
  refreshToken: string,
  timeoutMs: number,
  fetchFunction: typeof fetch = fetch,
): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await refreshTokenGrantRequest(
      { issuer: provider.tokenEndpoint, token_endpoint: provider.tokenEndpoint },
      { client_id: clientId },
      clientAuthentication(provider.clientAuthentication, clientSecret ?? ''),
      refreshToken,
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
) {
  switch (method) {
    case 'client_secret_basic':
      return ClientSecretBasic(clientSecret);
    case 'client_secret_post':
      return ClientSecretPost(clientSecret);
    case 'none':
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
