import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/**
 * Listens on 127.0.0.1.
 * @param port A fixed port, or undefined for a free one.
 * @param option The option that the port came from, for the error message.
 * @returns The port in use.
 * @throws Error that names the port and the option when the port can't be had.
 */
export function listenOnLoopback(server: Server, port: number | undefined, option: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(explainListenError(error, port, option)));
    server.listen(port ?? 0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}

/** Turns a failed listen on a fixed port into a message that names the port, the option and the way out. */
export function explainListenError(error: Error, port: number | undefined, option: string): Error {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return error;
  return new Error(
    `Port ${port} (option ${option}) is already in use on 127.0.0.1. Stop what listens there, or choose another port.`,
    { cause: error },
  );
}

/** Closes a server and every connection that is still open to it. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Reads a whole request body as text. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Answers with a JSON body. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  // First, as it fails where a caller has nested too deep, and a begun answer could not say so.
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(text);
}

/**
 * Which local function signed a request: the logical id in its access key (see `function-environment.ts`), or null for
 * anybody else. `iam/authorizer.ts` judges by it.
 */
export function callerOf(request: IncomingMessage): string | null {
  return /Credential=LOCAL([A-Za-z0-9]+)\//.exec(request.headers.authorization ?? '')?.[1] ?? null;
}
