import { afterEach } from 'vitest';
import { type Connection, connectAccount } from '../../../local/provider/connect.ts';
import {
  type LocalProvider,
  type LocalProviderOptions,
  startProvider,
} from '../../../local/provider/server.ts';

export const client = {
  clientId: 'product',
  // Characters that basic authentication must encode (RFC 6749 section 2.3.1).
  clientSecret: 's3cret: /+%&',
  clientAuth: 'client_secret_basic',
  redirectUri: 'http://localhost:3000/oauth/callback',
} as const;

const running: LocalProvider[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((provider) => provider.stop()));
});

/** Starts a provider that is stopped after the test. */
export async function start(options: Partial<LocalProviderOptions> = {}): Promise<LocalProvider> {
  const provider = await startProvider({
    name: 'acme-calendar',
    displayName: 'Acme Calendar',
    client,
    ...options,
  });
  running.push(provider);
  return provider;
}

export function connect(provider: LocalProvider, account: string): Promise<Connection> {
  return connectAccount(provider, { account, client });
}

export interface TokenAnswer {
  status: number;
  headers: Headers;
  text: string;
  body: { error?: string; access_token?: string; refresh_token?: string; expires_in?: number };
}

/** One refresh call, by plain HTTP, so that a test sees exactly what came back. */
export async function refresh(
  provider: LocalProvider,
  refreshToken: string,
  {
    clientSecret = client.clientSecret,
    timeoutMs = 5000,
  }: { clientSecret?: string; timeoutMs?: number } = {},
): Promise<TokenAnswer> {
  const credentials = `${client.clientId}:${encodeURIComponent(clientSecret)}`;
  const response = await fetch(provider.tokenEndpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : {} };
}

/** A refresh that must work; returns the token that replaces the presented one. */
export async function rotate(provider: LocalProvider, refreshToken: string): Promise<string> {
  const { status, text, body } = await refresh(provider, refreshToken);
  if (status !== 200 || body.refresh_token === undefined)
    throw new Error(`refresh answered ${status}: ${text}`);
  return body.refresh_token;
}
