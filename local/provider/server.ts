import { generateKeyPair, randomBytes } from 'node:crypto';
import { type EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import Provider, { type AdapterPayload, type Configuration, type JWK } from 'oidc-provider';
import { CallLog } from './call-log.ts';
import { FaultList } from './fault-list.ts';
import { checkLifetime, Faults } from './faults.ts';
import { GrantStore } from './grant-store.ts';
import { interactionPages, interactionPath } from './interaction.ts';
import { refreshEndpoint } from './refresh-endpoint.ts';
import { switches } from './switches.ts';

/** The one app that is registered at the provider (RFC 6749 section 2). */
export interface ProviderClient {
  clientId: string;
  clientSecret: string;
  clientAuth: 'client_secret_basic' | 'client_secret_post';
  /** Absolute; http is accepted. */
  redirectUri: string;
  /**
   * Of a command line that belongs to the app (RFC 8252 section 7.3): http on a loopback address, where any port will do. With
   * it, `redirectUri` must be https or on a loopback address, and may have any port there as well.
   */
  commandLineRedirectUri?: string;
}

export interface LocalProviderOptions {
  /** The key in `integrations.provider`, such as `acme-calendar`: lower case letters, digits and dashes. */
  name: string;
  /** For people, such as `Acme Calendar`. */
  displayName: string;
  /** 127.0.0.1 by default. */
  host?: string;
  /** A free one by default. */
  port?: number;
  client: ProviderClient;
  /** One hour by default; a switch changes it while running. */
  accessTokenLifetimeSeconds?: number;
  /** Counted anew from every rotation; 180 days by default. */
  refreshTokenLifetimeSeconds?: number;
}

export interface LocalProvider {
  readonly name: string;
  readonly origin: string;
  /** Equal to the origin. Its metadata is at `/.well-known/openid-configuration`. */
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  /** Says whether an access token works, and whose it is. */
  readonly userinfoEndpoint: string;
  /** What the HTTP switches below `/_switches` drive, in process. */
  readonly faults: Faults;
  /** Ends every connection, also hanging ones, and frees the port. */
  stop(): Promise<void>;
}

const HOUR_SECONDS = 60 * 60;
const DAY_SECONDS = 24 * HOUR_SECONDS;
const AUTHORIZATION_PATH = '/auth';
const TOKEN_PATH = '/token';
const USERINFO_PATH = '/userinfo';

/** Longer than any idle time of a client's pool, so that no connection closes at the moment of its reuse. */
const KEEP_ALIVE_TIMEOUT_MS = 10 * 60 * 1000;

/**
 * Starts an OAuth 2 and OpenID Connect server (oidc-provider) with authorization code flow and PKCE, refresh
 * tokens that rotate at every use with reuse detection (RFC 9700 section 4.14.2), and switches for faults.
 * Each provider keeps its own state in memory. Rejects if the port is taken or an option is invalid.
 */
export async function startProvider(options: LocalProviderOptions): Promise<LocalProvider> {
  const { name, displayName, client } = options;
  if (!/^[a-z0-9-]+$/.test(name)) {
    throw new TypeError(`name must be lower case letters, digits and dashes, not ${JSON.stringify(name)}`);
  }
  const refreshTokenLifetimeSeconds = checkLifetime(
    options.refreshTokenLifetimeSeconds ?? 180 * DAY_SECONDS,
    'refreshTokenLifetimeSeconds',
  );

  const store = new GrantStore();
  const calls = new CallLog();
  const list = new FaultList();
  const registerClient = (clientSecret: string) =>
    store.put('Client', client.clientId, clientMetadata({ ...client, clientSecret }, displayName));
  registerClient(client.clientSecret);
  const faults = new Faults({
    list,
    store,
    calls,
    accessTokenLifetimeSeconds: options.accessTokenLifetimeSeconds ?? HOUR_SECONDS,
    replaceClientSecret: registerClient,
  });

  const jwk = await sharedSigningKey();
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS });
  const origin = await listen(server, options.host ?? '127.0.0.1', options.port ?? 0);
  const stopping = new AbortController();
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      stopping.abort();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    })();
    return stopped;
  };

  try {
    const provider = new Provider(
      origin,
      oauthConfiguration({ name, store, faults, jwk, refreshTokenLifetimeSeconds }),
    );
    await provider.Client.find(client.clientId);

    const authorizationEndpoint = `${origin}${AUTHORIZATION_PATH}`;
    const tokenEndpoint = `${origin}${TOKEN_PATH}`;
    const userinfoEndpoint = `${origin}${USERINFO_PATH}`;
    const { clientId, clientAuth } = client;
    const description = {
      name,
      displayName,
      origin,
      issuer: origin,
      tokenEndpoint,
      userinfoEndpoint,
      client: { clientId, clientAuth },
      refreshTokenLifetimeSeconds,
    };
    reportErrors(provider);
    provider.use(switches(faults, description));
    provider.use(interactionPages(provider, displayName));
    provider.use(
      refreshEndpoint({ path: TOKEN_PATH, store, calls, faults: list, stopping: stopping.signal }),
    );
    server.on('request', provider.callback());
    return {
      name,
      origin,
      issuer: origin,
      authorizationEndpoint,
      tokenEndpoint,
      userinfoEndpoint,
      faults,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface OauthConfigurationOptions {
  name: string;
  store: GrantStore;
  faults: Faults;
  jwk: JWK;
  refreshTokenLifetimeSeconds: number;
}

/** Everything that oidc-provider would otherwise default for development, with a warning, is set here. */
function oauthConfiguration(options: OauthConfigurationOptions): Configuration {
  const { name, store, faults, jwk, refreshTokenLifetimeSeconds } = options;
  return {
    adapter: store.adapter,
    jwks: { keys: [jwk] },
    // A browser shares the cookies of one host among all of its ports, and so among local providers.
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      names: { session: `${name}_session`, interaction: `${name}_interaction`, resume: `${name}_resume` },
    },
    clockTolerance: 0,
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      resourceIndicators: { enabled: false },
      rpInitiatedLogout: { enabled: false },
    },
    routes: { authorization: AUTHORIZATION_PATH, token: TOKEN_PATH, userinfo: USERINFO_PATH },
    claims: { openid: ['sub'], email: ['email'] },
    scopes: ['openid', 'offline_access', 'email'],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    interactions: { url: (_ctx, interaction) => interactionPath(interaction.uid) },
    findAccount: (_ctx, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, email: accountId }),
    }),
    clientBasedCORS: () => false,
    renderError: (ctx, out) => {
      ctx.type = 'text';
      ctx.body = `${out.error}: ${out.error_description ?? ''}\n`;
    },
    ttl: {
      AccessToken: () => faults.accessTokenLifetimeSeconds,
      AuthorizationCode: 60,
      Grant: 10 * 365 * DAY_SECONDS,
      IdToken: HOUR_SECONDS,
      Interaction: HOUR_SECONDS,
      RefreshToken: refreshTokenLifetimeSeconds,
      Session: HOUR_SECONDS,
    },
  };
}

function clientMetadata(client: ProviderClient, displayName: string): AdapterPayload {
  return {
    client_id: client.clientId,
    client_name: `App of ${displayName}`,
    client_secret: client.clientSecret,
    token_endpoint_auth_method: client.clientAuth,
    ...(client.commandLineRedirectUri === undefined
      ? { redirect_uris: [client.redirectUri] }
      : {
          redirect_uris: [client.redirectUri, client.commandLineRedirectUri],
          application_type: 'native',
        }),
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
}

let signingKey: Promise<JWK> | undefined;

/**
 * RS256, which every OpenID Connect client expects by default (OpenID Connect Core section 2). Generating takes
 * tenths of a second, so the providers of one process share the key; id tokens differ by their issuer.
 */
async function sharedSigningKey(): Promise<JWK> {
  signingKey ??= promisify(generateKeyPair)('rsa', { modulusLength: 2048 }).then(
    ({ privateKey }) =>
      ({ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'local' }) as JWK,
  );
  return { ...(await signingKey) };
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}

/** Prints errors of the server's own, but not those of connections that clients broke off. */
function reportErrors(provider: EventEmitter): void {
  provider.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') console.error(error);
  });
}
