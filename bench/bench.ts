import os from 'node:os';
import { styleText } from 'node:util';
import type { MeasureContext } from './speed/measure.ts';
import { measures } from './speed/measures.ts';
import { helpText, readOptions, UsageError } from './speed/options.ts';
import { documentOf, type Machine, tableOf } from './speed/render.ts';
import { type Rig, rigDirectory, startRig } from './speed/rig.ts';
import { takeAll } from './speed/take.ts';

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2), measures);
  if (options === null) {
    process.stdout.write(helpText(measures));
    return 0;
  }
  const interruption = new AbortController();
  const { signal } = interruption;
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interruption.abort());
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const onProgress = (step: string) => {
    if (signal.aborted) throw new Error('interrupted');
    say(`… ${step}`);
  };
  let shared: Promise<Rig> | undefined;
  const context: MeasureContext = {
    quick: options.quick,
    onProgress,
    signal,
    rig() {
      shared ??= rigDirectory().then((directory) => startRig({ directory, onProgress }));
      return shared;
    },
  };
  const machine: Machine = {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: os.availableParallelism(),
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
  };
  try {
    const { taken, failed } = await takeAll(options.chosen, context, say);
    if (options.json) process.stdout.write(`${JSON.stringify(documentOf(machine, taken, failed))}\n`);
    else if (taken.length > 0) {
      process.stdout.write(
        tableOf(machine, taken, {
          width: Math.max(40, Math.min(process.stdout.columns ?? 100, 120)),
          styled: (format, text) => styleText(format, text, { stream: process.stdout }),
        }),
      );
    }
    for (const { measure, message } of failed) say(`${measure.name} failed: ${message}`);
    if (signal.aborted) say(`interrupted after ${taken.length} of ${options.chosen.length} measures`);
    return failed.length > 0 || signal.aborted ? 1 : 0;
  } finally {
    await (await shared?.catch(() => undefined))?.stop();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`${(error as Error).message}\n${usage ? 'Try: npm run bench -- --help\n' : ''}`);
  process.exitCode = usage ? 2 : 1;
}
