import { parseArgs } from 'node:util';
import type { Measure, MeasureContext, Outcome } from './speed/measure.ts';
import { measures } from './speed/measures.ts';
import { type Rig, rigDirectory, startRig } from './speed/rig.ts';

const help = `Measures how fast the bundled functions are, beside what they are compared with, in one run.

Usage
  npm run bench                           everything: about half an hour on an otherwise idle Linux machine
  npm run bench -- --quick                smaller sizes, under a minute: a look, not a proof
  npm run bench -- --only refresh scan    these alone
  npm run --silent bench -- --json        one JSON document

Options
  --only <name…>  ${measures.map(({ name }) => name).join(', ')}
  --quick         smaller sizes and fewer repetitions
  --json          for machines; progress goes to standard error
  --help          this text

Exit codes: 0 measured, whatever came out; 1 it could not be measured; 2 wrong usage.

Measures
${measures.map(({ name, what }) => `  ${name.padEnd(12)} ${what}`).join('\n')}
`;

class UsageError extends Error {}

interface Options {
  readonly chosen: readonly Measure[];
  readonly quick: boolean;
  readonly json: boolean;
}

/** Reads the arguments; `null`: help is asked for. Throws `UsageError`. */
function readOptions(): Options | null {
  let parsed: {
    values: { only?: string[]; quick?: boolean; json?: boolean; help?: boolean };
    positionals: string[];
  };
  try {
    parsed = parseArgs({
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
  const { values, positionals } = parsed;
  if (values.help) return null;
  if (values.only === undefined && positionals.length > 0) {
    throw new UsageError(
      `"${positionals[0]}" is no option; to choose measures: --only ${positionals.join(' ')}`,
    );
  }
  const names = [...(values.only ?? []), ...positionals].flatMap((name) => name.split(','));
  const unknown = names.find((name) => !measures.some((measure) => measure.name === name));
  if (unknown !== undefined) {
    throw new UsageError(
      `--only: there is no measure "${unknown}"; there are ${measures.map(({ name }) => name).join(', ')}`,
    );
  }
  return {
    chosen: values.only === undefined ? measures : measures.filter(({ name }) => names.includes(name)),
    quick: values.quick ?? false,
    json: values.json ?? false,
  };
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null) {
    process.stdout.write(help);
    return 0;
  }
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());
  const onProgress = (step: string) => {
    if (interruption.signal.aborted) throw new Error('interrupted');
    process.stderr.write(`… ${step}\n`);
  };
  let shared: Promise<Rig> | undefined;
  const context: MeasureContext = {
    quick: options.quick,
    onProgress,
    signal: interruption.signal,
    rig() {
      shared ??= rigDirectory().then((directory) => startRig({ directory, polling: false, onProgress }));
      return shared;
    },
  };
  const results: { measure: Measure; outcome: Outcome }[] = [];
  try {
    for (const measure of options.chosen) {
      onProgress(`${measure.name}: ${measure.what}`);
      results.push({ measure, outcome: await measure.run(context) });
    }
  } finally {
    await (await shared?.catch(() => undefined))?.stop();
  }
  process.stdout.write(options.json ? `${JSON.stringify(documentOf(results))}\n` : tableOf(results));
  return 0;
}

function documentOf(results: readonly { measure: Measure; outcome: Outcome }[]): object {
  return {
    ...Object.fromEntries(results.map(({ measure, outcome }) => [measure.key, outcome.value])),
    measures: results.map(({ measure, outcome }) => ({ ...measure, ...outcome })),
  };
}

function tableOf(results: readonly { measure: Measure; outcome: Outcome }[]): string {
  return `${results
    .map(({ measure: { key, goal, unit }, outcome: { value, spread, facts } }) => {
      const text = (figure: number) => `${Number(figure.toPrecision(3))} ${unit}`;
      const bound =
        goal === null
          ? ''
          : goal.atLeast === undefined
            ? `at most ${goal.atMost}`
            : `at least ${goal.atLeast}`;
      return `${key.padEnd(20)} ${text(value).padEnd(12)} ${spread ? `${text(spread[0])} … ${text(spread[1])}` : ''}  ${bound}\n  ${JSON.stringify(facts)}`;
    })
    .join('\n')}\n`;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`${(error as Error).message}\n${usage ? 'See npm run bench -- --help\n' : ''}`);
  process.exitCode = usage ? 2 : 1;
}
