import { parseArgs } from 'node:util';
import type { Protection } from './chaos/audit.ts';
import { type FaultKind, faultKinds, faultSpecs, specOf } from './chaos/plan.ts';

const protections: readonly Protection[] = ['sealed-results', 'fencing', 'outbox'];
const groups = [...new Set(Object.values(faultSpecs).map(({ group }) => group))];

const help = `Breaks everything around a running system, lets it settle, and holds it to what it promises.

Usage
  npm run chaos                                      two minutes, 1000 integrations, a seed by chance
  npm run chaos -- --minutes 10 --integrations 5000  a real run
  npm run chaos -- --seed 42 --minutes 10 --integrations 5000
                                                     the same plan of faults again
  npm run chaos -- --faults kill,database            only these; groups and kinds, "-" leaves one out
  npm run chaos -- --faults all,-db-outage
  npm run chaos -- --without outbox                  switch one protection off: the run has to fail, and to say why
  npm run --silent chaos -- --json                   the report as one JSON document

Options
  --seed <n>          what happens when, and to whom
  --minutes <n>       how long things go wrong (default 2); the start and the settling come on top
  --integrations <n>  accounts that are connected (default 1000, at least 50)
  --faults <list>     with commas between; groups: ${groups.join(', ')}
  --density <n>       how many times as many faults as usual (default 1)
  --without <name>    ${protections.join(', ')}
  --log <file>        keep what the functions have written, one line of JSON for each event
  --plan              print the plan and do nothing
  --json              for machines; progress goes to standard error
  --help              this text, with every kind of fault

Exit codes: 0 every promise was kept, 1 one was broken or the run could not be made, 2 wrong usage.

Kinds of faults
${faultKinds.map((kind) => `  ${kind.padEnd(26)} ${specOf(kind).what}`).join('\n')}
`;

class UsageError extends Error {}

interface Options {
  readonly seed: number;
  readonly durationMs: number;
  readonly integrations: number;
  readonly kinds: readonly FaultKind[];
  readonly density: number;
  readonly emphasis: FaultKind | null;
  readonly without: Protection | null;
  readonly logFile: string | null;
  readonly plan: boolean;
  readonly json: boolean;
}

/** Reads the arguments; `null`: help is asked for. Throws `UsageError`. */
function readOptions(): Options | null {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const parse = () =>
    parseArgs({
      options: {
        seed: text,
        minutes: text,
        integrations: text,
        faults: text,
        density: text,
        without: text,
        log: text,
        plan: flag,
        json: flag,
        help: { ...flag, short: 'h' },
      },
    });
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse());
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return null;
  const durationMs = amount('--minutes', values.minutes ?? '2', 0.1, 240) * 60_000;
  const without = protections.find((each) => each === values.without) ?? null;
  if (values.without !== undefined && without === null)
    throw new UsageError(`--without must be one of ${protections.join(', ')}, not "${values.without}"`);
  return {
    seed:
      values.seed === undefined
        ? Math.floor(Math.random() * 1e9)
        : whole('--seed', values.seed, 0, 2 ** 32 - 1),
    durationMs,
    integrations: whole('--integrations', values.integrations ?? '1000', 50, 100_000),
    kinds: kindsOf(values.faults, durationMs, without),
    density: amount('--density', values.density ?? '1', 0.01, 100),
    emphasis: without === null ? null : emphasisWithout[without],
    without,
    logFile: values.log ?? null,
    plan: values.plan ?? false,
    json: values.json ?? false,
  };
}

/** An outage that outlasts every hold needs half a minute and more: a short run has it only when it is asked for. */
const shortestWithOutageMs = 180_000;

/** Without a protection, what it protects from must happen. */
const neededWithout: Readonly<Record<Protection, FaultKind>> = {
  'sealed-results': 'db-outage',
  fencing: 'sqs-duplicate',
  outbox: 'kill-before-publish',
};
/** And often, where a run has room for that. */
const emphasisWithout: Readonly<Record<Protection, FaultKind | null>> = {
  ...neededWithout,
  'sealed-results': null,
};

function kindsOf(list: string | undefined, durationMs: number, without: Protection | null): FaultKind[] {
  const chosen = new Set<FaultKind>();
  for (const word of (list ?? 'all').split(',')) {
    const name = word.replace(/^-/, '');
    const named = faultKinds.filter((kind) => name === 'all' || kind === name || specOf(kind).group === name);
    if (named.length === 0)
      throw new UsageError(
        `--faults: there is no "${name}"; groups are ${groups.join(', ')}, and --help lists all kinds`,
      );
    for (const kind of named) {
      if (word.startsWith('-')) chosen.delete(kind);
      else chosen.add(kind);
    }
  }
  if (list === undefined && durationMs < shortestWithOutageMs) chosen.delete('db-outage');
  if (without !== null) chosen.add(neededWithout[without]);
  return faultKinds.filter((kind) => chosen.has(kind));
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most)
    throw new UsageError(`${option} must be a whole number from ${least} to ${most}, not "${text}"`);
  return value;
}

function amount(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value < least || value > most)
    throw new UsageError(`${option} must be a number from ${least} to ${most}, not "${text}"`);
  return value;
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null) {
    process.stdout.write(help);
    return 0;
  }
  if (options.plan) {
    const { planFaults } = await import('./chaos/plan.ts');
    for (const { atMs, kind, lastsMs } of planFaults(options))
      process.stdout.write(
        `${(atMs / 1000).toFixed(1).padStart(8)} s  ${kind}${lastsMs === 0 ? '' : `, for ${(lastsMs / 1000).toFixed(1)} s`}\n`,
      );
    return 0;
  }
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => interruption.abort(new Error('interrupted')));
  process.stderr.write(`Seed ${options.seed}.\n`);
  // The CDK and the local system take seconds to load: only what is asked for waits for them.
  const { runChaos } = await import('./chaos/run.ts');
  const { renderReport } = await import('./chaos/report.ts');
  const report = await runChaos({
    ...options,
    signal: interruption.signal,
    onProgress: (step) => process.stderr.write(`… ${step}\n`),
  });
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else process.stdout.write(renderReport(report, process.stdout));
  return report.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(
    `${usage ? '' : 'The run could not be made: '}${(error as Error).message}\n${usage ? 'Try: npm run chaos -- --help\n' : ''}`,
  );
  process.exitCode = usage ? 2 : 1;
}
