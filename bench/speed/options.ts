import { parseArgs } from 'node:util';
import { didYouMean } from '../../cli/suggest.ts';
import type { Measure } from './measure.ts';

/** Wrong usage, in words that name the fix. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Options {
  readonly chosen: readonly Measure[];
  readonly quick: boolean;
  readonly json: boolean;
}

/** Reads the arguments; `null`: help is asked for. Throws `UsageError`. */
export function readOptions(given: readonly string[], measures: readonly Measure[]): Options | null {
  const { values, positionals } = parsed(given);
  if (values.help) return null;
  if (values.only === undefined && positionals.length > 0) {
    throw new UsageError(
      `"${positionals[0]}" is no option; to choose measures: --only ${positionals.join(' ')}`,
    );
  }
  const known = measures.map(({ name }) => name);
  const wanted = [...(values.only ?? []), ...positionals].flatMap((name) => name.split(','));
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const hint = didYouMean(unknown, known);
    throw new UsageError(`--only: there is no measure "${unknown}".${hint} There are ${known.join(', ')}.`);
  }
  return {
    chosen: values.only === undefined ? measures : measures.filter(({ name }) => wanted.includes(name)),
    quick: values.quick ?? false,
    json: values.json ?? false,
  };
}

function parsed(given: readonly string[]) {
  try {
    return parseArgs({
      args: [...given],
      allowPositionals: true,
      options: {
        only: { type: 'string', multiple: true },
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

export function helpText(measures: readonly Measure[]): string {
  const width = Math.max(...measures.map(({ name }) => name.length));
  return `Measures how fast the bundled functions are, beside what they are compared with, in one run.

Usage
  npm run bench                           everything: an hour and a half on an otherwise idle Linux machine
  npm run bench -- --quick                smaller sizes, under a minute: a look, not a proof
  npm run bench -- --only refresh scan    these alone
  npm run --silent bench -- --json        one JSON document

Options
  --only <name…>  measures by their names below
  --quick         smaller sizes and fewer repetitions
  --json          for machines; progress goes to standard error
  --help          this text

Exit codes: 0 measured, whatever came out; 1 it could not be measured; 2 wrong usage.

Measures
${measures.map(({ name, what }) => `  ${name.padEnd(width)}  ${what}`).join('\n')}
`;
}
