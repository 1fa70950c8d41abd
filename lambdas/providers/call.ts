import { once } from 'node:events';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { connections } from './connections.ts';
import type { TokenRequest } from './request.ts';
import { maxBodyBytes, unpack } from './unpack.ts';
import type { Answer } from './verdict.ts';

/**
 * Sends one request to a token endpoint, with a deadline for the whole exchange, body included. Redirects are not
 * followed: our credentials go nowhere else. Never throws for anything that a provider or the network does. A connection
 * on which the exchange did not end is closed before this resolves, so that whoever calls again is not calling twice.
 */
export async function sendTokenRequest(token: TokenRequest, timeoutMs: number): Promise<Answer> {
  let request: ClientRequest | undefined;
  let timedOut = false;
  /** From then on the connection may carry somebody else's request. */
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  try {
    request = begin(token);
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        timedOut = true;
        reject(new Error('timeout'));
      }, timeoutMs);
    });
    const exchange = receive(request);
    // Whoever loses the race fails as well when the connection is closed.
    exchange.catch(() => undefined);
    const { response, packed } = await Promise.race([exchange, deadline]);
    if (packed === null) await disconnect(request);
    ended = true;
    const { headers, statusCode: status = 0 } = response;
    const body = packed === null ? null : unpack(packed, headers['content-encoding']);
    return {
      kind: 'response',
      status,
      headers: { get: (name) => textOf(headers[name.toLowerCase()]) },
      body: body?.toString('utf8') ?? null,
    };
  } catch {
    if (request && !ended) await disconnect(request);
    return {
      kind: 'no_response',
      reason: timedOut ? 'timeout' : 'network_error',
      // It is given to a connection that can carry it, or to none.
      mayHaveArrived: request !== undefined && request.socket !== null,
    };
  } finally {
    clearTimeout(timer);
  }
}

function begin({ url, method, headers, body }: TokenRequest): ClientRequest {
  const address = new URL(url);
  // Lambda's runtime allows five times as many bytes of headers as Node does by itself.
  const options = { method, headers, maxHeaderSize: 16 * 1024 };
  const request =
    address.protocol === 'https:'
      ? https.request(address, { ...options, agent: connections['https:'] })
      : http.request(address, { ...options, agent: connections['http:'] });
  request.end(body ?? undefined);
  return request;
}

/** The answer, and its body as it came; `null`: that is too large to be one. */
function receive(
  request: ClientRequest,
): Promise<{ readonly response: IncomingMessage; readonly packed: Buffer | null }> {
  return new Promise((resolve, reject) => {
    const broken = () => reject(new Error('the connection broke'));
    request.on('error', reject);
    request.on('close', broken);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.byteLength;
        if (size > maxBodyBytes) resolve({ response, packed: null });
      });
      response.on('end', () => resolve({ response, packed: Buffer.concat(chunks, size) }));
    });
  });
}

/** Resolves when the connection of an exchange that has not ended is closed. */
async function disconnect(request: ClientRequest): Promise<void> {
  const { socket } = request;
  request.destroy();
  if (socket === null || socket.closed) return;
  await once(socket, 'close').catch(() => undefined);
}

function textOf(header: string | string[] | undefined): string | null {
  return Array.isArray(header) ? header.join(', ') : (header ?? null);
}
