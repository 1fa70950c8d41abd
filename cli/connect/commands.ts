import type { Command } from '../command.ts';
import { defaultPort, redirectUriAt } from './redirect-uri.ts';

const options = {
  scope: { type: 'string', multiple: true },
  'authorization-endpoint': { type: 'string' },
  port: { type: 'string' },
  open: { type: 'boolean' },
} as const satisfies Command['options'];

const optionsHelp = `  --scope SCOPES                 instead of provider.scopes; repeat it, or put spaces between
  --authorization-endpoint URL   instead of provider.authorizationEndpoint
  --port PORT                    of this machine, for the way back (default ${defaultPort}; 0: any free one,
                                 for providers that take any port of a loopback address)
  --open                         open the browser as well

The provider must know the redirect URI ${redirectUriAt(defaultPort)} (or that of --port) of
the client whose credentials are in the provider's secret. Where to send the browser, and
what to ask for, stand in that secret as provider.authorizationEndpoint, provider.scopes and
provider.authorizationParameters. The browser must run on this machine; from elsewhere,
forward the port (ssh -L ${defaultPort}:127.0.0.1:${defaultPort}).

Tokens are sealed on this machine and stored by the operator's function; they are never
shown. With tokensAtRest=plain they become plain text at their first refresh (evergrant
refresh <integration-id> brings it on).

Exit codes
  0 the grant is stored   1 it did not work: nothing was stored`;

const connectCommand: Command = {
  name: 'connect',
  summary: 'connect an account in your browser, as a new integration',
  help: `Connects an account at a provider through the authorization code flow in your own browser,
and stores the grant as a new integration of a user, which is refreshed from then on. For a
first integration before a product makes any, or to try a provider's configuration with an
account of your own.

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
  run: async (context) => (await import('./run.ts')).connect(context),
};

const reconnectCommand: Command = {
  name: 'reconnect',
  summary: 'give an integration a new grant, in your browser',
  help: `Connects the account of an integration anew through the authorization code flow in your own
browser, and replaces its grant: its status becomes connected, and its failures are over.
Sign in at the provider as the account that the integration is of; whatever account signs in
there is the integration's from then on.

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
  run: async (context) => (await import('./run.ts')).reconnect(context),
};

export const connectCommands: readonly Command[] = [connectCommand, reconnectCommand];
