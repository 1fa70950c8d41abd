import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { assumptions } from './cost/assumptions.ts';
import { readMeasured, writeMeasured } from './cost/measured.ts';

const help = `Computes what Evergrant costs in a month on AWS, and writes docs/cost.md.

Usage
  npm run cost                          from the figures in bench/cost/measured.json
  npm run cost -- --measure             measure anew first: some minutes on an otherwise idle Linux machine
  npm run --silent cost -- --json       the figures as one JSON document; nothing is written

Options
  --measure           run the stack here and write bench/cost/measured.json
  --integrations <n>  accounts to measure with (default 1600, at least 300)
  --call-ms <n>       milliseconds that a provider takes to answer while measuring (default ${assumptions.typicalCallMs})
  --json              for machines; progress goes to standard error
  --help              this text

Exit codes: 0 done, 1 it could not be measured or computed, 2 wrong usage.
`;

class UsageError extends Error {}

interface Options {
  readonly measure: boolean;
  readonly json: boolean;
  readonly integrations: number;
  readonly callMs: number;
}

/** Reads the arguments; `null`: help is asked for. Throws `UsageError`. */
function readOptions(): Options | null {
  let values: {
    measure?: boolean;
    json?: boolean;
    help?: boolean;
    integrations?: string;
    'call-ms'?: string;
  };
  try {
    ({ values } = parseArgs({
      options: {
        measure: { type: 'boolean' },
        json: { type: 'boolean' },
        integrations: { type: 'string' },
        'call-ms': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return null;
  if (!values.measure && (values.integrations ?? values['call-ms']) !== undefined) {
    throw new UsageError('--integrations and --call-ms are for --measure');
  }
  return {
    measure: values.measure ?? false,
    json: values.json ?? false,
    integrations: whole('--integrations', values.integrations ?? '1600', 300, 100_000),
    callMs: whole('--call-ms', values['call-ms'] ?? String(assumptions.typicalCallMs), 1, 9_000),
  };
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new UsageError(`${option} must be a whole number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null) {
    process.stdout.write(help);
    return 0;
  }
  // The CDK and the local system take seconds to load: only what is asked for waits for them.
  if (options.measure) {
    const { defaultRounds, measure } = await import('./cost/measure.ts');
    const { readStackFacts } = await import('./cost/stack-facts.ts');
    const interruption = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());
    const { refreshBatchSize: batchSize } = await readStackFacts();
    await writeMeasured(
      await measure({
        integrations: options.integrations,
        batchSize,
        typicalCallMs: options.callMs,
        slowCallMs: assumptions.slowCallMs,
        slowShare: assumptions.slowShare,
        rounds: defaultRounds,
        onProgress: (step) => process.stderr.write(`… ${step}\n`),
        signal: interruption.signal,
      }),
    );
  }
  const { figuresOf } = await import('./cost/figures.ts');
  const { renderPage } = await import('./cost/render.ts');
  const figures = await figuresOf(await readMeasured());
  if (options.json) {
    const { basis, estimates, idle, levers, costPerMillionUsd } = figures;
    const { measured, stack } = basis;
    process.stdout.write(
      `${JSON.stringify({ costPerMillionUsd, estimates, idle, levers, measured, stack, assumptions })}\n`,
    );
    return 0;
  }
  await writeFile(path.join(import.meta.dirname, '..', 'docs', 'cost.md'), renderPage(figures));
  for (const { load, totalUsd } of figures.estimates.existing) {
    process.stdout.write(
      `${load.integrations.toLocaleString('en-US').padStart(9)} integrations: $${totalUsd.toFixed(2)} a month with an existing Postgres\n`,
    );
  }
  process.stdout.write('docs/cost.md is written.\n');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`${(error as Error).message}\n${usage ? 'Try: npm run cost -- --help\n' : ''}`);
  process.exitCode = usage ? 2 : 1;
}
