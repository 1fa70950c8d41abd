import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CliError } from '../command.ts';
import { answeredPage, html, notFoundPage, type Page, strayPage } from './pages.ts';
import { callbackPath, redirectUriAt } from './redirect-uri.ts';

/** What the browser brought back from the provider. It waits for its page until it gets one. */
export interface BrowserAnswer {
  readonly parameters: URLSearchParams;
  /** Resolves when the page is out, or the browser has left. */
  reply(page: Page): Promise<void>;
}

/** Waits on the loopback interface for the browser to come back (RFC 8252 §7.3). */
export interface LoopbackListener {
  readonly redirectUri: string;
  /** The first answer that comes. Throws `CliError` when none has come in time. */
  answer(timeoutMs: number): Promise<BrowserAnswer>;
  stop(): Promise<void>;
}

/** Port 0 stands for any free one. Throws `CliError` when the port cannot be had. */
export async function listenForBrowser(wantedPort: number): Promise<LoopbackListener> {
  const { promise: answered, resolve: take } = Promise.withResolvers<BrowserAnswer>();
  let taken = false;
  const server = createServer((request, response) => {
    const parameters = callbackParameters(request);
    if (!parameters) return void send(response, notFoundPage);
    // A look at the address by hand, or a preview of it, is no answer.
    if (!['code', 'error', 'state'].some((name) => parameters.has(name)))
      return void send(response, strayPage);
    if (taken) return void send(response, answeredPage);
    taken = true;
    take({ parameters, reply: (page) => send(response, page) });
  });
  const port = await listen(server, wantedPort);
  return {
    redirectUri: redirectUriAt(port),
    answer: (timeoutMs) => within(answered, timeoutMs, redirectUriAt(port)),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function callbackParameters({ method, url = '' }: IncomingMessage): URLSearchParams | null {
  const address = URL.parse(url, 'http://127.0.0.1');
  return method === 'GET' && address?.pathname === callbackPath ? address.searchParams : null;
}

function send(response: ServerResponse, page: Page): Promise<void> {
  return new Promise((resolve) => {
    response.once('close', resolve);
    response.writeHead(page.status, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
      // The address of the page holds the code.
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      connection: 'close',
    });
    response.end(html(page));
    if (response.destroyed) resolve();
  });
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be had (${error.code})`;
      reject(
        new CliError(
          'port_unavailable',
          `Port ${port} of 127.0.0.1 ${why}. Name another with --port, and register ${redirectUriAt('<port>')} with it at the provider.`,
          { cause: error },
        ),
      );
    });
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

async function within(
  answered: Promise<BrowserAnswer>,
  timeoutMs: number,
  redirectUri: string,
): Promise<BrowserAnswer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new CliError(
            'browser_timed_out',
            `Nobody came back from the provider within ${Math.round(timeoutMs / 60_000)} minutes; nothing was changed. If the provider showed an error about the redirect URI, register ${redirectUri} there, then try again.`,
          ),
        ),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
