import { readFile } from 'node:fs/promises';
import { CliError, type CommandContext } from '../command.ts';
import {
  changed,
  definitionOf,
  isInCatalogue,
  isRecord,
  laidOver,
  type SecretContent,
} from './secret-content.ts';

/**
 * Asks for what is missing: the definition of a provider that the catalogue does not know, our client's credentials, and
 * the variables of its address. Returns the change with what was answered; an empty answer leaves what is there.
 * `everything`: nothing was mentioned, so credentials are asked for that are there as well.
 */
export async function askForContent(
  output: CommandContext['output'],
  name: string,
  existing: SecretContent,
  given: SecretContent,
  everything: boolean,
): Promise<SecretContent> {
  let change = given;
  const now = () => changed(existing, change) as SecretContent;
  const put = (patch: SecretContent) => {
    change = laidOver(change, patch);
  };

  if (!isInCatalogue(name, now())) {
    const provider = now().provider;
    const defined = isRecord(provider) ? provider : {};
    if (defined.displayName === undefined) {
      put({ provider: { displayName: await required(output, 'Its name, as users read it:') } });
    }
    if (defined.tokenEndpoint === undefined && defined.renewal !== 'none') {
      put({ provider: { tokenEndpoint: await required(output, 'Its token endpoint (https://…):') } });
    }
  }
  const definition = definitionOf(name, now());
  // What is wrong with it is said when all is judged.
  if (definition === null) return change;

  const { clientAuthentication, renewal } = definition;
  const needsClient = renewal !== 'none' && clientAuthentication !== 'anonymous';
  const wanted = (field: string) => {
    if (given[field] !== undefined) return false;
    return everything || now()[field] === undefined || given.clientId !== undefined;
  };
  if (needsClient) {
    if (clientAuthentication !== 'client_secret_as_user' && wanted('clientId')) {
      const id = await optional(output, 'Client id', existing.clientId);
      if (id !== '') put({ clientId: id });
    }
    if (clientAuthentication.startsWith('client_secret') && wanted('clientSecret')) {
      const kept = existing.clientSecret === undefined ? undefined : 'unchanged';
      const secret = await optional(output, 'Client secret (not shown)', kept, true);
      if (secret !== '') put({ clientSecret: secret });
    }
    if (clientAuthentication === 'private_key_jwt' && wanted('privateKey')) {
      const kept = existing.privateKey === undefined ? undefined : 'unchanged';
      const path = await optional(output, 'File of the private key (PKCS #8 in PEM)', kept);
      if (path !== '') put({ privateKey: await readPrivateKey(path) });
      const id = await optional(output, 'Key id, if it has one', existing.keyId ?? 'none');
      if (id !== '') put({ keyId: id });
    }
  }
  const variables = now().variables;
  const there = isRecord(variables) ? variables : {};
  const isNew = Object.keys(existing).length === 0;
  for (const [variable, { from, description, default: usual }] of Object.entries(definition.variables)) {
    const isNeeded = (definition.tokenEndpoint ?? '').includes(`{${variable}}`);
    if (from !== 'client' || !isNeeded || there[variable] !== undefined) continue;
    if (usual !== undefined && !isNew) continue;
    const value = await optional(output, `${variable}: ${description}`, usual);
    if (value !== '') put({ variables: { [variable]: value } });
  }
  return change;
}

/** A private key, as a file holds it. Throws `CliError`. */
export async function readPrivateKey(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CliError(
      'private_key_unreadable',
      `The file ${path} cannot be read (${(error as NodeJS.ErrnoException).code}); nothing was changed.`,
      { cause: error },
    );
  }
}

async function required(output: CommandContext['output'], question: string): Promise<string> {
  for (;;) {
    const answer = await answered(output, question, false);
    if (answer !== '') return answer;
  }
}

function optional(
  output: CommandContext['output'],
  question: string,
  usual: unknown,
  hidden = false,
): Promise<string> {
  const kept = typeof usual === 'string' ? ` [${usual}]` : '';
  return answered(output, `${question}${kept}:`, hidden);
}

async function answered(
  output: CommandContext['output'],
  question: string,
  hidden: boolean,
): Promise<string> {
  const answer = await output.ask(question, { hidden });
  if (answer === null) throw new CliError('declined', 'Nothing was changed.');
  return answer.trim();
}
