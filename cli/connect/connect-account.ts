import type { StoreGrantReport, StoreGrantRequest } from '../../lambdas/operator/reports.ts';
import type { TokenSealer } from '../../lambdas/sealing/token-sealer.ts';
import { CliError } from '../command.ts';
import { askOperator } from '../operator.ts';
import type { Output } from '../output.ts';
import type { Target } from '../target.ts';
import {
  authorizationRequest,
  type ConnectableProvider,
  readAuthorizationResponse,
} from './authorization.ts';
import { type Grant, obtainGrant } from './exchange.ts';
import { listenForBrowser } from './loopback-listener.ts';
import { openBrowser } from './open-browser.ts';
import { connectedPage, failedPage } from './pages.ts';

/** What connecting takes, all of it looked up before anybody is sent to the provider. */
export interface Connecting {
  readonly target: Target;
  readonly output: Output;
  readonly sealer: TokenSealer;
  readonly provider: ConnectableProvider;
  /** Of this machine; 0: a free one. */
  readonly port: number;
  /** Open the browser, and not only print the address. */
  readonly open: boolean;
  /** For the browser to come back. */
  readonly timeoutMs: number;
}

/** The integration that the grant is for; see `StoreGrantRequest`. */
export type Destination = Pick<StoreGrantRequest, 'integrationId' | 'userId' | 'provider'>;

/**
 * Connects an account through the operator's browser, and stores the grant. Returns when its access token expires.
 * Throws `CliError`. Tokens leave this process sealed only.
 */
export async function connectAccount(
  connecting: Connecting,
  destination: Destination,
): Promise<{ readonly expiresAt: string }> {
  const { output, provider } = connecting;
  const { displayName } = provider.client.provider;
  const listener = await listenForBrowser(connecting.port);
  try {
    const request = await authorizationRequest(provider, listener.redirectUri);
    output.notice(`The redirect URI ${listener.redirectUri} must be registered at ${displayName}.`);
    output.notice('Open this address in your browser, and sign in as the account to connect:');
    output.notice(`\n${request.url}\n`);
    if (connecting.open && !(await openBrowser(request.url))) {
      output.notice('No browser could be opened from here: open the address yourself.');
    }
    output.progress('waiting for the browser to come back');
    const answer = await listener.answer(connecting.timeoutMs);
    try {
      const response = readAuthorizationResponse(provider, request, answer.parameters);
      output.progress(`asking ${displayName} for the tokens`);
      const grant = await obtainGrant(provider, request, response, Date.now() / 1000);
      output.progress('storing the grant');
      const stored = await store(connecting, destination, grant);
      await answer.reply(connectedPage(displayName));
      return stored;
    } catch (error) {
      await answer.reply(failedPage(displayName));
      throw error;
    }
  } finally {
    await listener.stop();
  }
}

async function store(
  { target, sealer, provider: { scopes } }: Connecting,
  destination: Destination,
  grant: Grant,
): Promise<{ readonly expiresAt: string }> {
  const { integrationId } = destination;
  const [accessToken, refreshToken] = await Promise.all([
    sealer.seal(grant.accessToken, { integrationId, column: 'access_token' }),
    sealer.seal(grant.refreshToken, { integrationId, column: 'refresh_token' }),
  ]);
  const report = await askOperator<StoreGrantReport>(target, {
    ask: 'store_grant',
    ...destination,
    accessToken,
    refreshToken,
    expiresInSeconds: grant.expiresInSeconds,
    refreshTokenExpiresInSeconds: grant.refreshTokenExpiresInSeconds,
    // What was asked for was granted, if the answer does not say otherwise (RFC 6749 §5.1).
    scopes: grant.scopes ?? (scopes.length > 0 ? scopes : null),
  });
  if (!report.stored) throw new CliError(report.code, report.message);
  return report;
}
