import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CliError } from './command.ts';
import { ConnectedTarget, type Endpoints } from './connected-target.ts';
import type { Target } from './target.ts';

/** What `npm start` writes into its directory while it runs. */
interface Running {
  readonly stackName: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly endpoints: Endpoints;
}

const usualDirectory = path.join(import.meta.dirname, '..', '.evergrant');

/** The system that `npm start` runs with this directory. Throws `CliError` when none runs. */
export async function openLocalTarget(directory = usualDirectory): Promise<Target> {
  const file = path.join(directory, 'running.json');
  const start = `Start it with npm start${directory === usualDirectory ? '' : ` -- --directory ${directory}`}`;
  let running: Running;
  try {
    running = readRunning(await readFile(file, 'utf8'));
  } catch (error) {
    throw new CliError(
      'not_running',
      `No local system runs in ${directory}. ${start}, and keep it running; one with a directory of its own is named with --directory PATH.`,
      { cause: error },
    );
  }
  await fetch(running.endpoints.lambda, { signal: AbortSignal.timeout(5_000) }).catch((error: Error) => {
    throw new CliError(
      'not_running',
      `The local system in ${directory} is gone: nothing answers at ${running.endpoints.lambda}. ${start} again.`,
      { cause: error },
    );
  });
  return new ConnectedTarget(running.stackName, running.outputs, running.endpoints);
}

const endpointNames = ['sqs', 'lambda', 'secretsManager', 'ses'] as const satisfies (keyof Endpoints)[];

/** Throws when it is not what `npm start` writes: an earlier version did, or somebody else. */
function readRunning(content: string): Running {
  const { stackName, outputs, endpoints } = JSON.parse(content);
  const texts: unknown[] = [
    stackName,
    ...Object.values(outputs),
    ...endpointNames.map((name) => endpoints[name]),
  ];
  if (!texts.every((text) => typeof text === 'string')) throw new TypeError('not what npm start writes');
  return { stackName, outputs, endpoints };
}
