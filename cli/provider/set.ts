import { findInCatalogue } from '../../lambdas/providers/catalogue.ts';
import { CliError, type CommandContext, type ExitCode, UsageError } from '../command.ts';
import { createSecret, readCurrentVersion, replaceCurrentVersion } from '../secret-versions.ts';
import { didYouMean } from '../suggest.ts';
import { listed } from '../words.ts';
import type { Input } from './commands.ts';
import { discover } from './discovery.ts';
import { catalogueNames, readProviderName, readVariables } from './names.ts';
import { askForContent, readPrivateKey } from './prompts.ts';
import {
  changed,
  definitionOf,
  differences,
  isInCatalogue,
  judgeContent,
  laidOver,
  parseContent,
  readGivenContent,
  type SecretContent,
} from './secret-content.ts';

/** A secret takes 64 KiB; whoever sends more has sent something else. */
const longestInput = 64 * 1024;

/** `evergrant provider set`. */
export async function setProvider(context: CommandContext, input: Input): Promise<ExitCode> {
  const { output } = context;
  const provider = readProviderName(context.arguments[0]);
  const options = await readOptions(context.options);
  const stack = await context.target();
  const secretId = stack.output('ProviderSecretPrefix') + provider;
  output.progress("reading the provider's secret");
  const stored = await readCurrentVersion(stack, secretId);
  const existing = stored === null ? {} : parseContent(stored.value);

  const given = await readInput(context, input);
  if (options.issuer !== null) output.progress(`reading the metadata of ${options.issuer}`);
  const entry = findInCatalogue(provider);
  const discovered =
    options.issuer === null
      ? {}
      : {
          // Its addresses are those of one of our accounts there; all else is as the catalogue has it.
          ...(entry !== null && existing?.extends === undefined && { extends: entry.name }),
          provider: await discover(options.issuer, { signs: options.content.privateKey !== undefined }),
        };
  let change = [discovered, given, options.content].reduce(laidOver);
  if (output.canAsk) {
    introduce(context, provider, changed(existing, change) as SecretContent, secretId);
    const everything = Object.keys(change).length === 0;
    change = await askForContent(output, provider, existing ?? {}, change, everything);
  }
  const next = changed(existing, change) as SecretContent;
  const judged = judgeContent(provider, next);
  if (judged.problems !== null) throw refusal(provider, next, judged.problems, output.canAsk);

  const fields = differences(existing ?? {}, next);
  if (stored !== null && existing !== null && fields.length === 0) {
    output.document({ provider, secretId, changed: [] });
    output.line(`The secret ${secretId} says so already. Nothing was changed.`);
    return 0;
  }
  if (stored === null && needsNoClient(provider, next) && Object.keys(change).length === 0) {
    output.document({ provider, secretId, changed: [] });
    output.line(`${judged.client.provider.displayName} needs no secret: nothing of a client is sent there.`);
    return 0;
  }
  if (stored !== null && !(await agreed(context, provider, existing, next, fields))) return 1;

  output.progress('storing the secret');
  const value = JSON.stringify(next);
  const isStored =
    stored === null
      ? await createSecret(stack, secretId, {
          value,
          description: `Evergrant: our client at ${judged.client.provider.displayName}`,
        })
      : await replaceCurrentVersion(stack, stored, value);
  if (!isStored) {
    throw new CliError(
      'provider_secret_changed',
      `Somebody else has changed the secret ${secretId} meanwhile; nothing was changed here. Try again.`,
    );
  }
  output.document({ provider, secretId, created: stored === null, changed: fields });
  output.line(
    stored === null
      ? `Stored in the new secret ${secretId}.`
      : `Stored in the secret ${secretId}: ${listed(fields)} changed.`,
  );
  output.line(
    `The functions take it up within five minutes. To try it now:  evergrant provider check ${provider}`,
  );
  return 0;
}

interface GivenOptions {
  readonly content: SecretContent;
  readonly issuer: string | null;
}

async function readOptions(options: CommandContext['options']): Promise<GivenOptions> {
  const text = (name: string) => {
    const value = options[name];
    if (value === undefined) return undefined;
    if (typeof value === 'string' && value.trim() !== '') return value;
    throw new UsageError(`--${name} is empty.`);
  };
  if (options['client-secret'] !== undefined) {
    throw new UsageError(
      'The client secret is no option: others could see it, and the shell would keep it. It is asked for, or comes by standard input.',
    );
  }
  const variables = readVariables(options.variable);
  const base = text('extends');
  if (base !== undefined && findInCatalogue(base) === null) {
    throw new UsageError(
      `--extends ${JSON.stringify(base)} is not in the catalogue.${didYouMean(base, catalogueNames())}`,
    );
  }
  const keyFile = text('private-key-file');
  const displayName = text('display-name');
  return {
    issuer: text('issuer') ?? null,
    content: withoutGaps({
      clientId: text('client-id'),
      privateKey: keyFile === undefined ? undefined : await readPrivateKey(keyFile),
      variables: Object.keys(variables).length === 0 ? undefined : variables,
      extends: base,
      provider: displayName === undefined ? undefined : { displayName },
    }),
  };
}

/** What stands on standard input, if that is no terminal; nothing at all is no change. */
async function readInput({ output }: CommandContext, input: Input): Promise<SecretContent> {
  if (input.isTTY || output.canAsk) return {};
  output.progress('reading standard input');
  let text = '';
  for await (const chunk of input) {
    text += String(chunk);
    if (text.length > longestInput) {
      throw new CliError(
        'input_malformed',
        'Standard input is longer than a secret can be; nothing was changed.',
      );
    }
  }
  return text.trim() === '' ? {} : readGivenContent(text);
}

/** What whoever is asked should know before. */
function introduce(
  { output }: CommandContext,
  provider: string,
  next: SecretContent,
  secretId: string,
): void {
  output.notice(`For the secret ${secretId}. Ctrl-C leaves everything as it is.`);
  const entry = findInCatalogue(provider);
  if (!isInCatalogue(provider, next)) {
    output.notice(
      `The catalogue does not know ${provider}, so that it has to be described.${didYouMean(provider, catalogueNames())}`,
    );
  } else if (entry !== null && entry.name !== provider && next.extends === undefined) {
    output.notice(
      `Without a secret of its own, ${provider} shares the client of ${entry.name} (evergrant provider set ${entry.name}).`,
    );
  }
}

function refusal(
  provider: string,
  next: SecretContent,
  problems: readonly string[],
  wasAsked: boolean,
): CliError {
  const unknown = isInCatalogue(provider, next)
    ? ''
    : ` The catalogue does not know ${provider}: "provider" needs its displayName and tokenEndpoint.${didYouMean(provider, catalogueNames())}`;
  const how = wasAsked ? '' : ' What is missing may come by standard input: evergrant provider set --help.';
  return new CliError(
    'provider_secret_malformed',
    `Nothing was changed. ${problems.join('; ')}.${unknown}${how}`,
  );
}

async function agreed(
  { options, output }: CommandContext,
  provider: string,
  existing: SecretContent | null,
  next: SecretContent,
  fields: readonly string[],
): Promise<boolean> {
  if (existing !== null && existing.clientId !== undefined && fields.includes('clientId')) {
    output.notice(
      `Grants belong to the client id that they were made with: with another one, users have to connect anew. To keep both, store this one under another name: evergrant provider set ${provider}-2 --extends ${next.extends ?? provider}`,
    );
  }
  const question =
    existing === null
      ? `${provider} has a secret that cannot be read. Replace it as a whole?`
      : `${provider} is configured. Change ${listed(fields)} in its secret?`;
  if (options.yes === true || (await output.confirm(question))) return true;
  output.document({ error: { code: 'declined', message: 'Nothing was changed.' } });
  output.line('Nothing was changed.');
  return false;
}

function needsNoClient(provider: string, next: SecretContent): boolean {
  const definition = definitionOf(provider, next);
  return definition?.renewal === 'none' || definition?.clientAuthentication === 'anonymous';
}

function withoutGaps(content: SecretContent): SecretContent {
  return Object.fromEntries(Object.entries(content).filter(([, value]) => value !== undefined));
}
