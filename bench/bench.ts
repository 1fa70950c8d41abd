import os from 'node:os';
import { styleText } from 'node:util';
import type { MeasureContext } from './speed/measure.ts';
import { measures } from './speed/measures.ts';
import { helpText, readOptions, UsageError } from './speed/options.ts';
import { documentOf, type Machine, type Taken, tableOf } from './speed/render.ts';
import { type Rig, rigDirectory, startRig } from './speed/rig.ts';

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2), measures);
  if (options === null) {
    process.stdout.write(helpText(measures));
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
  const taken: Taken[] = [];
  try {
    for (const measure of options.chosen) {
      onProgress(`${measure.name}: ${measure.what}`);
      taken.push({ measure, outcome: await measure.run(context) });
    }
  } finally {
    await (await shared?.catch(() => undefined))?.stop();
  }
  process.stdout.write(
    options.json
      ? `${JSON.stringify(documentOf(machine, taken))}\n`
      : tableOf(machine, taken, {
          width: Math.max(40, Math.min(process.stdout.columns ?? 100, 120)),
          styled: (format, text) => styleText(format, text, { stream: process.stdout }),
        }),
  );
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`${(error as Error).message}\n${usage ? 'Try: npm run bench -- --help\n' : ''}`);
  process.exitCode = usage ? 2 : 1;
}
