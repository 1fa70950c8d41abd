import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import * as oauth from 'oauth4webapi';
import { closeServer, listenOnLoopback } from '../cloud/loopback.ts';
import { type Connection, exchangeCode } from '../provider/connect.ts';
import type { LocalProvider, ProviderClient } from '../provider/server.ts';
import { integrationsPage, messagePage } from './pages.ts';
import type { ProductStore } from './store.ts';

/** A provider that the product knows, and the product's client there. */
export interface ProductProvider {
  readonly provider: LocalProvider;
  readonly displayName: string;
  readonly client: ProviderClient;
}

/** The product's own pages: what the button in an email leads to. */
export interface ProductServer {
  readonly origin: string;
  /** Where providers send the browser back to. */
  readonly redirectUri: string;
  /** The pages work from then on. */
  open(store: ProductStore, providers: readonly ProductProvider[]): void;
  stop(): Promise<void>;
}

interface Pending {
  readonly integrationId: string;
  readonly provider: string;
  readonly verifier: string;
}

/** Starts the product's web server; the port is known, and the pages are closed, until `open` is called. */
export async function startProductServer(port: number | undefined): Promise<ProductServer> {
  let parts: { store: ProductStore; providers: ReadonlyMap<string, ProductProvider> } | undefined;
  const pending = new Map<string, Pending>();

  const server = createServer((request, response) => {
    answer(request, response).catch((error: Error) => {
      html(response, 500, messagePage('That did not work', error.message));
    });
  });
  const origin = `http://127.0.0.1:${await listenOnLoopback(server, port, '--port')}`;
  const redirectUri = `${origin}/oauth/callback`;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = URL.parse(request.url ?? '/', origin);
    if (!url) return html(response, 404, messagePage('Not found', 'There is no such page.'));
    if (!parts) return html(response, 503, messagePage('One moment', 'The product is starting.'));
    if (url.pathname === '/') return redirect(response, '/integrations');
    if (url.pathname === '/integrations') {
      const rows = await parts.store.integrations([...parts.providers.keys()]);
      const names = new Map([...parts.providers].map(([name, { displayName }]) => [name, displayName]));
      return html(response, 200, integrationsPage(rows, names, url.searchParams.get('reconnect')));
    }
    if (url.pathname === '/reconnect') return reconnect(response, url.searchParams.get('integration') ?? '');
    if (url.pathname === '/oauth/callback') return callback(response, url);
    return html(response, 404, messagePage('Not found', 'There is no such page.'));
  }

  async function reconnect(response: ServerResponse, integrationId: string): Promise<void> {
    const known = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(integrationId)
      ? await parts?.store.integration(integrationId)
      : undefined;
    const connectable = known && parts?.providers.get(known.provider);
    if (!known || !connectable) {
      return html(response, 404, messagePage('Not found', 'There is no such integration.'));
    }
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    pending.set(state, { integrationId, provider: known.provider, verifier });
    const server = await discover(connectable.provider);
    const target = new URL(server.authorization_endpoint as string);
    target.search = new URLSearchParams({
      client_id: connectable.client.clientId,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: 'openid offline_access',
      // Whoever signed in last at the provider need not be whose integration this is.
      prompt: 'login consent',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
    }).toString();
    redirect(response, target.href);
  }

  async function callback(response: ServerResponse, url: URL): Promise<void> {
    const state = url.searchParams.get('state') ?? '';
    const started = pending.get(state);
    const connectable = started && parts?.providers.get(started.provider);
    if (!started || !connectable || !parts) {
      return html(
        response,
        400,
        messagePage('That link is used up', 'Start again from the integrations page.'),
      );
    }
    pending.delete(state);
    if (url.searchParams.get('error') === 'access_denied') {
      return html(
        response,
        200,
        messagePage('Not connected', 'You did not give access; nothing has changed.'),
      );
    }
    const connection = await exchange(connectable, url, state, started.verifier);
    await parts.store.reconnect(started.integrationId, connection);
    redirect(response, '/integrations');
  }

  async function exchange(
    { provider, client }: ProductProvider,
    callbackUrl: URL,
    state: string,
    verifier: string,
  ): Promise<Connection> {
    const tokens = await exchangeCode(await discover(provider), client, {
      callback: callbackUrl,
      state,
      verifier,
    });
    return {
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token ?? '',
      expiresInSeconds: tokens.expires_in ?? 3600,
      scopes: tokens.scope?.split(' ') ?? [],
    };
  }

  return {
    origin,
    redirectUri,
    open: (store, providers) => {
      parts = { store, providers: new Map(providers.map((each) => [each.provider.name, each])) };
    },
    stop: () => closeServer(server),
  };
}

async function discover(provider: LocalProvider): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(provider.issuer);
  return oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { [oauth.allowInsecureRequests]: true }),
  );
}

function html(response: ServerResponse, status: number, page: string): void {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }).end(page);
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { location }).end();
}
