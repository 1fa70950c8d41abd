import type { TokenRequest } from './request.ts';
import { disconnect, follow, mayHaveArrived, type SentRequest } from './sent-request.ts';
import type { Answer } from './verdict.ts';

/** Token responses are a few kilobytes; whoever sends more than this is not answering our question. */
const maxBodyBytes = 256 * 1024;

/**
 * Sends one request to a token endpoint, with a deadline for the whole exchange, body included. Redirects are not
 * followed: our credentials go nowhere else. Never throws for anything that a provider or the network does. A connection
 * on which the exchange did not end is closed before this resolves, so that whoever calls again is not calling twice.
 */
export async function sendTokenRequest(
  { url, method, headers, body }: TokenRequest,
  timeoutMs: number,
): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs);
  const sent: SentRequest = { taken: false, connection: null };
  try {
    const response = await follow(sent, () =>
      fetch(url, { method, headers, body, signal, redirect: 'manual' }),
    );
    const text = await readBody(response);
    if (text === null) await disconnect(sent);
    return { kind: 'response', status: response.status, headers: response.headers, body: text };
  } catch {
    await disconnect(sent);
    return {
      kind: 'no_response',
      reason: signal.aborted ? 'timeout' : 'network_error',
      mayHaveArrived: mayHaveArrived(sent),
    };
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
