import { spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { commands } from '../../cli/commands.ts';
import { main } from '../../cli/main.ts';
import { end, evergrant, temporaryDirectory } from '../cli/harness.ts';
import { useTestAccount } from '../support/aws.ts';
import { Output } from './output.ts';
import { canary, json, longRuns, runs, seeded, text, timeoutMs } from './settings.ts';

const root = path.join(import.meta.dirname, '..', '..');
/** Nobody listens there, so that no stack is found. */
const nowhere = 'http://127.0.0.1:9';

const words = [...new Set(commands.flatMap(({ name }) => name.split(' ')))];
const options = [
  ...new Set(commands.flatMap((command) => Object.keys(command.options ?? {}))),
  'stack',
  'local',
  'directory',
  'json',
  'help',
];
const argument = text.map((value) => value.replaceAll('\0', ''));
const value = fc.oneof(
  argument,
  fc.uuid(),
  fc.constantFrom(
    'refresh',
    'threshold',
    'acme',
    'google',
    '1',
    '0',
    '-1',
    '5',
    `${nowhere}/`,
    'postgres://us:pw@127.0.0.1:9/db?sslmode=disable',
    'subdomain=acme',
    '=',
    'x'.repeat(43),
    `-${'x'.repeat(42)}`,
  ),
);
const option = fc.oneof(
  fc.constantFrom(...options).map((name) => [`--${name}`]),
  fc.tuple(fc.constantFrom(...options), value).map(([name, given]) => [`--${name}`, given]),
  fc.tuple(fc.constantFrom(...options), value).map(([name, given]) => [`--${name}=${given}`]),
  fc.constantFrom(['--'], ['-'], ['-h'], ['-x'], ['--no-json'], ['--jsn'], ['--yes=yes'], ['-hj']),
  argument.map((given) => [`--${given}`]),
);
const anyArgv = fc.array(
  fc.oneof(
    fc.constantFrom(...words).map((word) => [word]),
    value.map((given) => [given]),
    option,
  ),
  { maxLength: 6 },
);
/** A command that there is, with what it needs or a little more or less. */
const commandArgv = fc
  .constantFrom(...commands)
  .chain((command) =>
    fc.tuple(
      fc.constant([command.name.split(' ')]),
      fc.array(
        value.map((given) => [given]),
        {
          minLength: Math.max(0, (command.arguments?.length ?? 0) - 1),
          maxLength: (command.arguments?.length ?? 0) + 1,
        },
      ),
      fc.array(
        fc.oneof(
          option,
          fc.constantFrom(
            ['--yes'],
            ['--json'],
            ['--local', '--directory', '/nonexistent'],
            ['--stack', 'some'],
          ),
        ),
        { maxLength: 3 },
      ),
    ),
  )
  .map((groups) => groups.flat());
const argv = fc.oneof(anyArgv, { weight: 2, arbitrary: commandArgv }).map((parts) => parts.flat());

/** What people see: how it ended, and one message where it did not do what was asked. */
function expectPlainEnding(
  given: readonly string[],
  { code, stdout, stderr }: { code: number | null; stdout: string; stderr: string },
): void {
  const told = JSON.stringify({
    given,
    code,
    stdout: stdout.slice(0, 2_000),
    stderr: stderr.slice(0, 2_000),
  });
  expect([0, 1, 2], told).toContain(code);
  expect(`${stdout}${stderr}`, told).not.toMatch(/^\s+at .+:\d+:\d+\)?$|Unhandled|node:internal/m);
  if (stdout.startsWith('{')) {
    const document = JSON.parse(stdout);
    if (code !== 0)
      expect(document, told).toMatchObject({
        error: { code: expect.any(String), message: expect.any(String) },
      });
    return;
  }
  if (code === 0) return;
  expect(stderr.match(/^evergrant: ./gm)?.length ?? 0, told).toBe(1);
  if (code === 2) expect(stderr, told).toMatch(/\nTry: evergrant .*--help\n$/);
}

describe(`command lines of any kind ${seeded}`, () => {
  let output: Output;
  let directory: string;
  beforeAll(async () => {
    directory = await temporaryDirectory();
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));
  beforeEach(() => {
    useTestAccount();
    vi.stubEnv('AWS_ENDPOINT_URL', nowhere);
    vi.stubEnv('AWS_MAX_ATTEMPTS', '1');
    vi.stubEnv('AWS_CONFIG_FILE', '/dev/null');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null');
    vi.stubEnv('EVERGRANT_STACK', undefined);
    vi.stubEnv('DATABASE_URL', undefined);
    output = new Output();
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  /** As `bin/evergrant.ts` does, in this process. */
  async function inProcess(given: readonly string[]) {
    output.forget();
    const before: { emitter: NodeJS.EventEmitter; event: string }[] = [
      { emitter: process, event: 'SIGINT' },
      { emitter: process.stdout, event: 'error' },
      { emitter: process.stderr, event: 'error' },
    ];
    const known = before.map(({ emitter, event }) => emitter.listeners(event));
    try {
      const code = await main(given, commands);
      return { code, stdout: output.stdout, stderr: output.stderr };
    } finally {
      for (const [index, { emitter, event }] of before.entries()) {
        for (const listener of emitter.listeners(event)) {
          if (!known[index]!.includes(listener)) emitter.off(event, listener as () => void);
        }
      }
    }
  }

  it(
    'end with a code and one message',
    () =>
      fc.assert(
        fc.asyncProperty(argv, async (given) => expectPlainEnding(given, await inProcess(given))),
        runs(200),
      ),
    timeoutMs,
  );

  it(
    'end so whatever stands in the file of a local system',
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.oneof(
            argument,
            json.map((document) => JSON.stringify(document) ?? ''),
            fc
              .record(
                {
                  stackName: json,
                  outputs: json,
                  endpoints: fc.oneof(
                    json,
                    fc.record(
                      Object.fromEntries(
                        ['sqs', 'lambda', 'secretsManager', 'ses'].map((each) => [
                          each,
                          fc.oneof(json, fc.constant(nowhere)),
                        ]),
                      ),
                    ),
                  ),
                },
                { requiredKeys: [] },
              )
              .map((document) => JSON.stringify(document)),
          ),
          fc.constantFrom(
            ...commands.filter(({ needsTarget }) => needsTarget !== false).map(({ name }) => name),
          ),
          async (file, name) => {
            const command = commands.find((each) => each.name === name)!;
            await writeFile(path.join(directory, 'running.json'), file);
            const given = [
              ...command.name.split(' '),
              ...(command.arguments ?? []).map(() => '00000000-0000-4000-8000-000000000000'),
              '--local',
              '--directory',
              directory,
            ];
            expectPlainEnding(given, await inProcess(given));
          },
        ),
        runs(40),
      ),
    timeoutMs,
  );

  it(
    'end so as processes, too',
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(argv, { minLength: 3, maxLength: 3 }), async (lines) => {
          const env = {
            ...process.env,
            AWS_ENDPOINT_URL: nowhere,
            AWS_MAX_ATTEMPTS: '1',
            AWS_REGION: 'us-east-1',
          };
          const ended = await Promise.all(lines.map((line) => evergrant(line, env)));
          for (const [index, each] of ended.entries()) expectPlainEnding(lines[index]!, each);
        }),
        longRuns(2),
      ),
    timeoutMs,
  );

  // Only what they refuse: what they take would start a whole system.
  it.each([
    ['local/start.ts', ['--scan-interval', '--database-url'], /^Try: npm start -- --help$/m],
    ['local/demo.ts', [], /^Try: npm run demo -- --help$/m],
    ['bench/cost.ts', ['--integrations', '--call-ms'], /^Try: npm run cost -- --help$/m],
  ])(
    'of %s that are wrong are told so',
    (script, valued, hint) => {
      const wrong = fc.oneof(
        argument.filter((given) => !given.startsWith('-') && given !== '').map((given) => [given]),
        argument.map((given) => [`--x${given}`]),
        fc.constantFrom(['--helpp'], ['-x'], ['--json=1', '--fresh=1'], ['--', 'x']),
        ...valued.map((name) =>
          argument.filter((given) => !/\d|^postgres/.test(given)).map((given) => [`${name}=${given}`]),
        ),
        ...valued.map((name) =>
          fc.constantFrom([name], [`${name}=0`], [`${name}=-1`], [`${name}=1e99`], [`${name}=${canary}`]),
        ),
      );
      return fc.assert(
        fc.asyncProperty(fc.array(wrong, { minLength: 2, maxLength: 2 }), async (lines) => {
          const ended = await Promise.all(
            lines.map((line) =>
              end(
                spawn(process.execPath, [path.join(root, script), ...line], {
                  stdio: ['ignore', 'pipe', 'pipe'],
                }),
              ),
            ),
          );
          for (const [index, { code, stdout, stderr }] of ended.entries()) {
            const told = JSON.stringify({ line: lines[index], code, stdout, stderr });
            expect(code, told).toBe(2);
            expect(stdout, told).toBe('');
            expect(stderr, told).toMatch(hint);
            expect(stderr, told).not.toMatch(/^\s+at .+:\d+:\d+\)?$/m);
          }
        }),
        longRuns(1),
      );
    },
    timeoutMs,
  );
});
