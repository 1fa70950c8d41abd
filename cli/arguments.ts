import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type Command, UsageError } from './command.ts';
import { didYouMean } from './suggest.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

/** What somebody asked for. */
export type Request =
  /** `topic`: a command, the first word of several (`key`), or `null` for everything. */
  | { readonly kind: 'help'; readonly topic: Command | string | null }
  | {
      readonly kind: 'run';
      readonly command: Command;
      readonly options: Readonly<Record<string, string | boolean | undefined>>;
      readonly arguments: readonly string[];
    };

const targetOptions = {
  stack: { type: 'string' },
  local: { type: 'boolean' },
  directory: { type: 'string' },
} as const satisfies Options;

const everywhere = {
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies Options;

/**
 * Reads the arguments of the command line. Options may stand anywhere, also before the command's words. Throws
 * `UsageError` that names what is wrong, and what may have been meant.
 */
export function readArguments(given: readonly string[], commands: readonly Command[]): Request {
  const argv = withKeyIdsLast(given);
  // Leniently first, only to tell the command's words from the values of options.
  const lenient: Options = Object.assign(
    {},
    ...commands.map(({ options = {} }) => options),
    targetOptions,
    everywhere,
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options: lenient,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const positionals = tokens.filter((token) => token.kind === 'positional');
  const asksForHelp = tokens.some((token) => token.kind === 'option' && token.name === 'help');
  const words = positionals.map(({ value }) => value);
  if (words[0] === 'help') return { kind: 'help', topic: topicOf(words.slice(1), commands) };
  if (asksForHelp) return { kind: 'help', topic: topicOf(words, commands) };

  const command = findCommand(words, commands);
  const wordCount = command.name.split(' ').length;
  const wordIndices = new Set(positionals.slice(0, wordCount).map(({ index }) => index));
  const options: Options = {
    ...(command.needsTarget !== false && targetOptions),
    ...everywhere,
    ...command.options,
  };
  const parsed = parseStrictly(
    argv.filter((_, index) => !wordIndices.has(index)),
    options,
    command,
  );
  return { kind: 'run', command, ...parsed };
}

/** Key ids are base64url (RFC 7638), so that one in 64 begins with a dash; no option is as long as they are. */
function withKeyIdsLast(argv: readonly string[]): readonly string[] {
  const isKeyId = (argument: string) => /^-[\w-]{42}$/.test(argument);
  if (argv.includes('--') || !argv.some(isKeyId)) return argv;
  return [...argv.filter((argument) => !isKeyId(argument)), '--', ...argv.filter(isKeyId)];
}

function parseStrictly(
  args: string[],
  options: Options,
  command: Command,
): {
  options: Record<string, string | boolean | undefined>;
  arguments: string[];
} {
  let values: Record<string, unknown>;
  let positionals: string[];
  try {
    ({ values, positionals } = parseArgs({ args, options, allowPositionals: true }));
  } catch (error) {
    throw new UsageError(problemOf(error as Error & { code?: string }, Object.keys(options)), {
      cause: error,
    });
  }
  const wanted = command.arguments ?? [];
  const missing = wanted[positionals.length];
  if (missing !== undefined) {
    throw new UsageError(`${command.name} needs ${wanted.map((name) => `<${name}>`).join(' ')}.`);
  }
  const surplus = positionals[wanted.length];
  if (surplus !== undefined) {
    throw new UsageError(
      `${JSON.stringify(surplus)} is one argument too many for ${command.name}${
        wanted.length === 0 ? ', which takes none' : `, which takes ${wanted.join(', ')}`
      }.`,
    );
  }
  return {
    options: values as Record<string, string | boolean | undefined>,
    arguments: positionals,
  };
}

/** What parseArgs says, for people. */
function problemOf({ code, message }: Error & { code?: string }, known: readonly string[]): string {
  const option = /'(-[^' ]*)/.exec(message)?.[1] ?? '';
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const names = known.map((name) => `--${name}`);
    return `There is no option ${option} here.${didYouMean(option, names)}`;
  }
  if (/does not take an argument/.test(message)) return `${option} takes no value.`;
  if (code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE') return `${option} needs a value.`;
  return message;
}

function topicOf(words: readonly string[], commands: readonly Command[]): Command | string | null {
  const [first, second] = words;
  if (first === undefined) return null;
  if (second === undefined && groupsOf(commands).includes(first)) return first;
  return findCommand(words, commands);
}

function findCommand(words: readonly string[], commands: readonly Command[]): Command {
  const [first, second] = words;
  if (first === undefined) throw new UsageError('Name a command.');
  const command =
    commands.find(({ name }) => name === `${first} ${second}`) ?? commands.find(({ name }) => name === first);
  if (command) return command;
  const groups = groupsOf(commands);
  if (groups.includes(first)) {
    const seconds = commands
      .filter(({ name }) => name.startsWith(`${first} `))
      .map(({ name }) => name.slice(first.length + 1));
    if (second === undefined) throw new UsageError(`${first} is one of: ${seconds.join(', ')}.`);
    throw new UsageError(
      `There is no command ${first} ${second}: ${first} is one of ${seconds.join(', ')}.${didYouMean(second, seconds)}`,
    );
  }
  const firsts = [...new Set(commands.map(({ name }) => name.split(' ')[0] as string))];
  throw new UsageError(`There is no command ${JSON.stringify(first)}.${didYouMean(first, firsts)}`);
}

/** First words that several commands share. */
function groupsOf(commands: readonly Command[]): string[] {
  return [
    ...new Set(commands.filter(({ name }) => name.includes(' ')).map(({ name }) => name.split(' ')[0]!)),
  ];
}
