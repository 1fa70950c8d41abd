import type { Command } from '../command.ts';

/** Where the credentials may come from: standard input, unless it is a terminal. Tests give another one. */
export interface Input {
  readonly isTTY?: boolean | undefined;
  [Symbol.asyncIterator](): AsyncIterator<unknown>;
}

const list: Command = {
  name: 'provider list',
  summary: 'the providers that are known, and which are configured',
  help: `Shows the providers that are configured, with how our client authenticates there, whether refresh
tokens rotate, and what holds their integrations back; below them the rest of the catalogue. A
provider of your own, which the catalogue does not know, is one whose secret defines it.

Secrets Manager may list a secret only some minutes after it was made.

Usage
  evergrant provider list [--stack NAME | --local] [--json]

Examples
  evergrant provider list
  evergrant provider list --json | jq -r '.providers[] | select(.client == "missing").name'

What the columns say
  Client          own secret; that of the provider it is another name of; or not needed
  Authentication  basic: id and secret in a header; post: in the body; private key: signed; id only
  Rotation        whether a refresh brings a new refresh token and ends the old one

Exit codes
  0 listed   3 a secret is unusable, or connected integrations have none   1 it could not be listed`,
  run: async (context) => (await import('./list.ts')).listProviders(context),
};

const check: Command = {
  name: 'provider check',
  summary: 'what is wrong with a provider, and whether it accepts our client',
  help: `Looks at a provider's definition and secret, and then tries our client's credentials from where the
functions stand: it asks the token endpoint to renew a grant with a token that nobody has issued. A
provider that accepts our client refuses the token; one that does not refuses the client. No user's
grant is touched, and nothing of the secret is shown.

Usage
  evergrant provider check <name> [--variable NAME=VALUE]

Examples
  evergrant provider check google
  evergrant provider check shopify --variable shop=acme      its address differs by integration
  evergrant provider check google --json | jq -r .credentials

Options
  --variable NAME=VALUE    what an integration says of the address; repeat it for several

What the signs say
  ✓ well   ! works, or not known   ✗ does not work   - not checked

Exit codes
  0 no check failed   3 a check failed   1 nothing could be checked`,
  options: { variable: { type: 'string', multiple: true } },
  arguments: ['name'],
  run: async (context) => (await import('./check.ts')).checkProvider(context),
};

const set = (input: () => Input): Command => ({
  name: 'provider set',
  summary: "put our client's credentials into a provider's secret",
  help: `Asks for our client's credentials at a provider, or takes them from standard input, and stores them
in the provider's secret. What is not mentioned stays as it is. Nothing is stored that the functions
could not use, and nothing if somebody else changes the secret at the same time.

Usage
  evergrant provider set <name> [options]
  evergrant provider set <name> [options] < client.json

Examples
  evergrant provider set google                              asks for the client id and secret
  evergrant provider set google < client.json                also the file of Google's console
  evergrant provider set auth0 --variable domain=acme.eu.auth0.com
  evergrant provider set google-ads-team --extends google    a second client at Google
  evergrant provider set acme --issuer https://id.acme.example --display-name "Acme ID"
  echo '{"clientSecret": "'"$NEW_SECRET"'"}' | evergrant provider set google --yes

Options
  --client-id ID              our client's id there
  --client-secret             is refused: arguments can be seen by others, and the shell keeps them
  --private-key-file PATH     PKCS #8 in PEM, for providers that take signed assertions
  --variable NAME=VALUE       of the provider's address; repeat it for several
  --extends NAME              the definition of that provider in the catalogue
  --display-name NAME         what users read
  --issuer URL                the addresses from its /.well-known/openid-configuration
  --yes                       do not ask before a secret that is there is changed

On standard input: {"clientId", "clientSecret", "privateKey", "keyId", "variables", "extends",
"provider"}, each of them optional; "provider" has what differs from the catalogue. null takes a
field out (RFC 7396).

Exit codes
  0 stored, or nothing was to be changed   1 not stored; the message says why`,
  options: {
    'client-id': { type: 'string' },
    // Taken only to say why it is not taken.
    'client-secret': { type: 'string' },
    'private-key-file': { type: 'string' },
    variable: { type: 'string', multiple: true },
    extends: { type: 'string' },
    'display-name': { type: 'string' },
    issuer: { type: 'string' },
    yes: { type: 'boolean' },
  },
  arguments: ['name'],
  run: async (context) => (await import('./set.ts')).setProvider(context, input()),
});

const open: Command = {
  name: 'provider open',
  summary: 'stop calling a provider until its circuit is closed',
  help: `Opens a provider's circuit by hand: nobody calls it, its integrations wait and count as failing no
more, until the circuit is closed. For a provider that is known to be down, or that asks to be left
alone. Access tokens expire meanwhile. evergrant refresh <integration-id> is let through.

Usage
  evergrant provider open <name> [--yes]

Examples
  evergrant provider open hubspot
  evergrant provider close hubspot       when it is back

Options
  --yes    do not ask

Exit codes
  0 it is open   1 it is not; the message says why`,
  options: { yes: { type: 'boolean' } },
  arguments: ['name'],
  run: async (context) => (await import('./circuit.ts')).openCircuit(context),
};

const close: Command = {
  name: 'provider close',
  summary: 'call a provider again, and let its disconnections happen',
  help: `Closes a provider's circuit, whoever opened it, and ends the holding of its disconnections. What led
to either is still on record, so neither begins again by itself within an hour. Its integrations are
refreshed with the next scan, those that expired first.

Usage
  evergrant provider close <name> [--yes]

Examples
  evergrant provider close hubspot
  evergrant scan --provider hubspot      at once, instead of with the next scan

Options
  --yes    do not ask

Exit codes
  0 it is closed   1 it is not; the message says why`,
  options: { yes: { type: 'boolean' } },
  arguments: ['name'],
  run: async (context) => (await import('./circuit.ts')).closeCircuit(context),
};

export function providerCommandsWith(input: () => Input): readonly Command[] {
  return [list, check, set(input), open, close];
}

export const providerCommands = providerCommandsWith(() => process.stdin);
