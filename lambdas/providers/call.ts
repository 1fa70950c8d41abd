import type { TokenRequest } from './request.ts';
import type { Answer } from './verdict.ts';

/** Token responses are a few kilobytes; whoever sends more than this is not answering our question. */
const maxBodyBytes = 256 * 1024;

/**
 * Sends one request to a token endpoint, with a deadline for the whole exchange, body included. Redirects are not
 * followed: our credentials go nowhere else. Never throws for anything that a provider or the network does.
 */
export async function sendTokenRequest(
  { url, method, headers, body }: TokenRequest,
  timeoutMs: number,
): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, { method, headers, body, signal, redirect: 'manual' });
    return {
      kind: 'response',
      status: response.status,
      headers: response.headers,
      body: await readBody(response),
    };
  } catch {
    return { kind: 'no_response', reason: signal.aborted ? 'timeout' : 'network_error' };
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
