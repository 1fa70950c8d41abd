import { randomUUID } from 'node:crypto';
import type { FoundIntegration } from '../../lambdas/operator/reports.ts';
import {
  type ProviderClient,
  problemOfEndpoint,
  problemOfScope,
} from '../../lambdas/providers/definition.ts';
import { isProviderName } from '../../lambdas/secrets/provider-clients.ts';
import { CliError, type Command, type CommandContext, UsageError } from '../command.ts';
import { readIntegrationId } from '../integration-id.ts';
import { askOperator } from '../operator.ts';
import type { Target } from '../target.ts';
import { connectAccount } from './connect-account.ts';
import { defaultPort, redirectUriAt } from './redirect-uri.ts';
import { readProviderClient, readSealer } from './stack-secrets.ts';

const waitMinutes = 5;

const options = {
  scope: { type: 'string', multiple: true },
  'authorization-endpoint': { type: 'string' },
  port: { type: 'string' },
  open: { type: 'boolean' },
} as const satisfies Command['options'];

const optionsHelp = `  --scope SCOPES                 instead of provider.scopes; repeat it, or put spaces between
  --authorization-endpoint URL   instead of provider.authorizationEndpoint
  --port PORT                    of this machine, for the way back from the provider (default ${defaultPort};
                                 0: any free one, for providers that take any port of a loopback address)
  --open                         open the browser as well

The provider must know the redirect URI ${redirectUriAt(defaultPort)} (or that of --port) of the
client whose credentials are in the provider's secret. Where to send the browser, and what to ask for, stand in that
secret as provider.authorizationEndpoint, provider.scopes and provider.authorizationParameters. The browser must run
on this machine; from elsewhere, forward the port (ssh -L ${defaultPort}:127.0.0.1:${defaultPort}).

Tokens are sealed on this machine and stored by the operator's function; they are never shown. With tokensAtRest=plain
they become plain text at their first refresh (evergrant refresh <integration-id> brings it on).`;

const connectCommand: Command = {
  name: 'connect',
  summary: 'connect an account in your browser, as a new integration',
  help: `Connects an account at a provider through the authorization code flow in your own browser, and stores the
grant as a new integration of a user, which is refreshed from then on. For a first integration before a product
makes any, or to try a provider's configuration with an account of your own.

Usage
  evergrant connect <provider> --user <user-id> [options]

Examples
  evergrant connect google --user 5e3f1c52-6c0e-4d0e-9d2e-6f8f1b7a9c10
  evergrant connect google --user 5e3f1c52-6c0e-4d0e-9d2e-6f8f1b7a9c10 --scope "openid email" --open

Options
  --user USER-ID                 whose integration it is (integrations.user_id)
${optionsHelp}`,
  options: { user: { type: 'string' }, ...options },
  arguments: ['provider'],
  async run(context) {
    const provider = context.arguments[0] ?? '';
    const userId = readUserId(context.options.user);
    const given = readOptions(context.options);
    if (!isProviderName(provider)) {
      throw new UsageError(
        `${JSON.stringify(provider)} is no provider. It is the provider column of integrations, such as google.`,
      );
    }
    const target = await context.target();
    return run(context, target, given, { integrationId: randomUUID(), userId, provider }, []);
  },
};

const reconnectCommand: Command = {
  name: 'reconnect',
  summary: 'give an integration a new grant, in your browser',
  help: `Connects the account of an integration anew through the authorization code flow in your own browser, and
replaces its grant: its status becomes connected, and its failures are over. Sign in at the provider as the account
that the integration is of; whatever account signs in there is the integration's from then on.

Usage
  evergrant reconnect <integration-id> [options]

Examples
  evergrant reconnect 0b64a2f8-41f7-4f0e-9c3e-0f1d4f5b6a7c
  evergrant reconnect 0b64a2f8-41f7-4f0e-9c3e-0f1d4f5b6a7c --open

Without --scope it asks for provider.scopes and for what the integration was granted before.

Options
${optionsHelp}`,
  options,
  arguments: ['integration-id'],
  async run(context) {
    const integrationId = readIntegrationId(context.arguments[0]);
    const given = readOptions(context.options);
    const target = await context.target();
    context.output.progress('looking at the integration');
    const found = await askOperator<FoundIntegration>(target, { ask: 'find_integration', integrationId });
    if (!found.reconnectable) throw new CliError(found.code, found.message);
    const { provider, scopes } = found;
    return run(context, target, given, { integrationId, userId: null, provider }, scopes);
  },
};

export const connectCommands: readonly Command[] = [connectCommand, reconnectCommand];

interface GivenOptions {
  /** `null`: those of the provider's secret. */
  readonly scopes: readonly string[] | null;
  readonly authorizationEndpoint: string | null;
  readonly port: number;
  readonly open: boolean;
}

async function run(
  { output }: CommandContext,
  target: Target,
  given: GivenOptions,
  destination: { readonly integrationId: string; readonly userId: string | null; readonly provider: string },
  /** Of the grant before. */
  grantedScopes: readonly string[],
): Promise<0> {
  const { integrationId, provider } = destination;
  output.progress("reading the provider's secret and the token key");
  // Before anybody goes to the provider: what would only fail afterwards, fails now.
  target.output('OperatorFunction');
  const [{ client, secretId }, sealer] = await Promise.all([
    readProviderClient(target, provider),
    readSealer(target),
  ]);
  const { expiresAt } = await connectAccount(
    {
      target,
      output,
      sealer,
      provider: {
        client,
        secretId,
        authorizationEndpoint: given.authorizationEndpoint ?? authorizationEndpointOf(client, secretId),
        scopes: given.scopes ?? scopesToAskFor(client, grantedScopes),
      },
      port: given.port,
      open: given.open,
      timeoutMs: waitMinutes * 60_000,
    },
    destination,
  );
  output.document({ integrationId, provider, expiresAt });
  output.line(output.style('green', `${client.provider.displayName} is connected.`));
  output.line(`Integration ${integrationId}; its token expires at ${expiresAt} and is refreshed before.`);
  return 0;
}

function authorizationEndpointOf({ provider }: ProviderClient, secretId: string): string {
  if (provider.authorizationEndpoint !== undefined) return provider.authorizationEndpoint;
  throw new CliError(
    'authorization_endpoint_missing',
    `Nothing says where ${provider.displayName} lets people give access: put provider.authorizationEndpoint into the secret ${secretId}, or name it with --authorization-endpoint.`,
  );
}

/** A new grant must not take from the product what the one before gave it. */
function scopesToAskFor({ provider }: ProviderClient, granted: readonly string[]): string[] {
  const usable = granted.filter((scope) => problemOfScope(scope, '') === null);
  return [...new Set([...(provider.scopes ?? []), ...usable])];
}

function readUserId(given: CommandContext['options'][string]): string {
  if (typeof given !== 'string') {
    throw new UsageError('connect needs --user <user-id>: whose integration it becomes.');
  }
  const id = given.toLowerCase();
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return id;
  throw new UsageError(
    `--user ${JSON.stringify(given)} is no user id. It is the user_id column of integrations, such as 5e3f1c52-6c0e-4d0e-9d2e-6f8f1b7a9c10.`,
  );
}

function readOptions(given: CommandContext['options']): GivenOptions {
  const { scope, 'authorization-endpoint': endpoint, port = String(defaultPort), open } = given;
  const scopes = Array.isArray(scope) ? scope.flatMap((text) => text.split(' ')).filter(Boolean) : null;
  const problem =
    scopes?.map((text) => problemOfScope(text, '--scope')).find((found) => found !== null) ??
    (typeof endpoint === 'string' ? problemOfEndpoint(endpoint, '--authorization-endpoint') : null);
  if (problem) throw new UsageError(`${problem}.`);
  if (!/^\d{1,5}$/.test(String(port)) || Number(port) > 65_535) {
    throw new UsageError('--port: must be a port, from 0 to 65535.');
  }
  return {
    scopes,
    authorizationEndpoint: typeof endpoint === 'string' ? endpoint : null,
    port: Number(port),
    open: open === true,
  };
}
