import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request that reached the token endpoint. */
export interface TokenCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** As sent, byte for byte. */
  readonly body: string;
  readonly parameters: URLSearchParams;
  /** That it came from: one for each connection. */
  readonly port: number;
}

export interface TokenAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** An object is sent as JSON. */
  readonly body?: object | string | Buffer;
}

/** Answers one call; may take the response over by writing to it and returning nothing. */
export type Answering = (
  call: TokenCall,
  response: ServerResponse,
) => TokenAnswer | undefined | Promise<TokenAnswer | undefined>;

export interface TokenEndpoint {
  readonly url: string;
  readonly calls: TokenCall[];
  /** The most calls that were ever under way at once. */
  readonly mostAtOnce: number;
  answer: Answering;
  stop(): Promise<void>;
}

/** A token endpoint on loopback that answers as the test says. */
export async function startTokenEndpoint(answer: Answering): Promise<TokenEndpoint> {
  const calls: TokenCall[] = [];
  let underWay = 0;
  let mostAtOnce = 0;
  const server = createServer(async (request, response) => {
    underWay += 1;
    mostAtOnce = Math.max(mostAtOnce, underWay);
    response.on('close', () => {
      underWay -= 1;
    });
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    const call: TokenCall = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body,
      parameters: new URLSearchParams(body),
      port: request.socket.remotePort ?? 0,
    };
    calls.push(call);
    const given = await endpoint.answer(call, response);
    if (given === undefined) return;
    const { status = 200, headers = {}, body: content = '' } = given;
    const isRaw = typeof content === 'string' || Buffer.isBuffer(content);
    response.writeHead(status, { ...(isRaw ? {} : { 'content-type': 'application/json' }), ...headers });
    response.end(isRaw ? content : JSON.stringify(content));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint: TokenEndpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    calls,
    get mostAtOnce() {
      return mostAtOnce;
    },
    answer,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return endpoint;
}

/** What RFC 6749 §5.1 describes. */
export const granted = (tokens: object = {}): TokenAnswer => ({
  body: { access_token: 'new-access', token_type: 'Bearer', expires_in: 3600, ...tokens },
});

/** What RFC 6749 §5.2 describes. */
export const refused = (error: string, status = 400): TokenAnswer => ({ status, body: { error } });
