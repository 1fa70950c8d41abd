import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { bundling } from '../../lib/bundling.ts';
import { functionVariables } from '../../local/cloud/function-environment.ts';
import { readStack } from '../../local/cloud/stack.ts';
import { readTemplate } from '../../local/cloud/template.ts';
import type { Assembly } from '../../local/synth.ts';
import { figureOf, type Measure } from './measure.ts';

const projectRoot = path.join(import.meta.dirname, '../..');
const stages = ['scanner', 'refresher', 'notifier'] as const;

/** The library of each function that takes longest to import, and those that nobody could do its work without. */
const librariesOf = {
  scanner: { heaviest: 'sqs', needed: ['sqs', 'secrets', 'postgres'] },
  refresher: { heaviest: 'sqs', needed: ['sqs', 'secrets', 'postgres'] },
  notifier: { heaviest: 'ses', needed: ['ses', 'secrets', 'postgres'] },
} as const;
/** What the functions import of them. */
const libraries = {
  secrets: `export { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';`,
  postgres: `export { default as pg } from 'pg';`,
  sqs: `export { ChangeMessageVisibilityBatchCommand, DeleteMessageBatchCommand, ReceiveMessageCommand,
    SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';`,
  ses: `export { AccountSuspendedException, BadRequestException, MailFromDomainNotVerifiedException, MessageRejected,
    SESv2Client, SESv2ServiceException, SendEmailCommand } from '@aws-sdk/client-sesv2';`,
} as const;

/** Something to import, with the environment that it needs. */
interface Subject {
  readonly file: string;
  readonly environment: Readonly<Record<string, string>>;
}

interface Imported {
  readonly durationMs: number;
  readonly cpuMs: number;
}

export const importTime: Measure = {
  name: 'import',
  key: 'importVsHeaviest',
  what: 'import of a bundled function, as a cold start does it, against that of its heaviest library alone, the worst of three',
  unit: '×',
  goal: { atMost: 1.3 },
  async run({ quick, rig: started, onProgress, signal }) {
    const { assembly } = (await started()).system;
    const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-import-'));
    try {
      onProgress('bundling the functions and their libraries');
      const subjects = await prepare(assembly, directory);
      const taken = new Map([...subjects.keys()].map((name) => [name, [] as Imported[]]));
      // The first reads its file from the disk.
      for (const subject of subjects.values()) await imported(subject);
      const repetitions = quick ? 3 : 20;
      for (let repetition = 0; repetition < repetitions; repetition += 1) {
        signal.throwIfAborted();
        for (const [name, subject] of subjects) taken.get(name)?.push(await imported(subject));
      }
      const median = (name: string, of: keyof Imported) =>
        figureOf((taken.get(name) ?? []).map((each) => each[of])).value;
      const medianMs = (name: string) => median(name, 'durationMs');
      const emptyMs = medianMs('empty');
      const perFunction = await Promise.all(
        stages.map(async (stage) => {
          const functionMs = medianMs(stage);
          const { heaviest, needed } = librariesOf[stage];
          const libraryMs = medianMs(heaviest);
          const neededMs = medianMs(nameOf(needed));
          return {
            stage,
            ratio: functionMs / libraryMs,
            facts: {
              bytes: await bytesOf(subjects.get(stage)),
              importMs: functionMs,
              library: heaviest,
              libraryImportMs: libraryMs,
              ratio: functionMs / libraryMs,
              cpuMs: median(stage, 'cpuMs'),
              libraryCpuMs: median(heaviest, 'cpuMs'),
              cpuRatio: median(stage, 'cpuMs') / median(heaviest, 'cpuMs'),
              ratioBeyondEmptyHandler: (functionMs - emptyMs) / (libraryMs - emptyMs),
              needed,
              neededImportMs: neededMs,
              ratioToNeeded: functionMs / neededMs,
              ratioOfNeeded: neededMs / libraryMs,
            },
          };
        }),
      );
      return {
        value: Math.max(...perFunction.map(({ ratio }) => ratio)),
        spread: null,
        facts: {
          processes: repetitions,
          emptyHandlerMs: emptyMs,
          ...Object.fromEntries(perFunction.map(({ stage, facts }) => [stage, facts])),
        },
      };
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

function nameOf(needed: readonly (keyof typeof libraries)[]): string {
  return needed.join('-');
}

async function prepare(assembly: Assembly, directory: string): Promise<Map<string, Subject>> {
  const functions = bundledFunctions(assembly);
  const contents = new Map<string, string>();
  for (const { heaviest, needed } of Object.values(librariesOf)) {
    contents.set(heaviest, libraries[heaviest]);
    contents.set(nameOf(needed), needed.map((library) => libraries[library]).join('\n'));
  }
  await bundleLibraries(directory, contents);
  const alone = ['empty', ...contents.keys()].map((name) => [
    name,
    { file: path.join(directory, `${name}.js`), environment: functions[0]?.[1].environment ?? {} },
  ]) as [string, Subject][];
  return new Map([...alone, ...functions]);
}

/** The assets that a deployment uploads, with the environment that it gives them. */
function bundledFunctions(assembly: Assembly): [string, Subject][] {
  // Nobody calls anything: what is imported only has to find its variables.
  const nowhere = 'http://127.0.0.1:9';
  const { functions } = readStack(
    readTemplate({
      ...assembly,
      parameters: {},
      sqsEndpoint: nowhere,
      databaseEndpoint: { host: '127.0.0.1', port: 9 },
    }),
  );
  return stages.map((stage) => {
    const spec = functions.find(({ name }) => name.endsWith(`-${stage}`));
    if (spec === undefined) throw new Error(`the stack has no ${stage}`);
    const environment = functionVariables(spec, spec.assetDir, {
      sqs: nowhere,
      secretsManager: nowhere,
      ses: nowhere,
      lambda: nowhere,
      databaseAuthorityFile: null,
    });
    return [stage, { file: path.join(spec.assetDir, 'index.js'), environment }];
  });
}

/** With the settings of the functions' bundles, but with everything that they bring: nothing of ours stands in for it. */
async function bundleLibraries(directory: string, contents: ReadonlyMap<string, string>): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'empty.js'), 'exports.handler = async () => {};');
  await Promise.all(
    [...contents].map(([name, imports]) =>
      build({
        ...bundling,
        stdin: { contents: imports, resolveDir: projectRoot },
        outfile: path.join(directory, `${name}.js`),
        bundle: true,
        platform: 'node',
        logLevel: 'silent',
      }),
    ),
  );
}

/** In a fresh process, without the start of Node itself. */
async function imported({ file, environment }: Subject): Promise<Imported> {
  // As Lambda's runtime loads CommonJS.
  const program = `const before = process.cpuUsage();
    const beganAtMs = performance.now();
    require(${JSON.stringify(file)});
    const durationMs = performance.now() - beganAtMs;
    const { user, system } = process.cpuUsage(before);
    const taken = JSON.stringify({ durationMs, cpuMs: (user + system) / 1000 });
    process.stdout.write(taken, () => process.exit());`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=commonjs', '--eval', program],
    {
      env: environment,
    },
  );
  return JSON.parse(stdout);
}

/** Of all files of a bundle. */
async function bytesOf(subject: Subject | undefined): Promise<number> {
  if (subject === undefined) return 0;
  const folder = path.dirname(subject.file);
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (file) => (await stat(path.join(folder, file))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
