import { randomUUID } from 'node:crypto';
import type { FoundIntegration } from '../../lambdas/operator/reports.ts';
import { addressOf } from '../../lambdas/providers/address.ts';
import type { ProviderClient } from '../../lambdas/providers/client.ts';
import { problemOfEndpoint, problemOfScope } from '../../lambdas/providers/definition.ts';
import { isProviderName } from '../../lambdas/secrets/provider-clients.ts';
import { CliError, type CommandContext, type ExitCode, UsageError } from '../command.ts';
import { readIntegrationId } from '../integration-id.ts';
import { askOperator } from '../operator.ts';
import type { Target } from '../target.ts';
import { connectAccount, type Destination } from './connect-account.ts';
import { defaultPort } from './redirect-uri.ts';
import { readProviderClient, readSealer } from './stack-secrets.ts';

/** For the browser to come back. */
const waitMs = 5 * 60_000;

/** `evergrant connect`: an account becomes a new integration. */
export async function connect(context: CommandContext): Promise<ExitCode> {
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
}

/** `evergrant reconnect`: an integration gets a new grant. */
export async function reconnect(context: CommandContext): Promise<ExitCode> {
  const integrationId = readIntegrationId(context.arguments[0]);
  const given = readOptions(context.options);
  const target = await context.target();
  context.output.progress('looking at the integration');
  const found = await askOperator<FoundIntegration>(target, { ask: 'find_integration', integrationId });
  if (!found.reconnectable) throw new CliError(found.code, found.message);
  const { provider, scopes } = found;
  return run(context, target, given, { integrationId, userId: null, provider }, scopes);
}

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
  destination: Destination,
  /** Of the grant before. */
  grantedScopes: readonly string[],
): Promise<ExitCode> {
  const { integrationId, provider } = destination;
  output.progress("reading the provider's secret and the token key");
  // Before anybody goes to the provider: what would only fail afterwards, fails now.
  target.output('OperatorFunction');
  const [{ client, secretId }, sealer] = await Promise.all([
    readProviderClient(target, provider),
    readSealer(target),
  ]);
  if (client.clientId === null) {
    throw new CliError(
      'client_id_missing',
      `Connecting an account takes a client at ${client.provider.displayName}: put clientId into the secret ${secretId}.`,
    );
  }
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
      timeoutMs: waitMs,
    },
    destination,
  );
  output.document({ integrationId, provider, expiresAt });
  output.line(output.style('green', `${client.provider.displayName} is connected.`));
  output.line(`Integration ${integrationId}; its token expires at ${expiresAt} and is refreshed before.`);
  return 0;
}

function authorizationEndpointOf(client: ProviderClient, secretId: string): string {
  const { provider } = client;
  if (provider.authorizationEndpoint !== undefined) {
    const address = addressOf(client, provider.authorizationEndpoint, null);
    if (address.ok) return address.url;
    throw new CliError(address.code, address.fix);
  }
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
