import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Command } from '../../../cli/command.ts';
import { discardCommand } from '../../../cli/dlq/discard.ts';
import { listCommand } from '../../../cli/dlq/list.ts';
import { replayCommand } from '../../../cli/dlq/replay.ts';
import type { Runtime } from '../../../cli/dlq/runtime.ts';
import {
  bodies,
  type Call,
  malformed,
  many,
  refresh,
  run,
  startTestQueues,
  type TestMessage,
  type TestQueues,
  type TestStack,
  testRuntime,
} from './harness.ts';

let queues: TestQueues;
let folder: string;
beforeAll(async () => {
  queues = await startTestQueues();
  folder = await mkdtemp(path.join(os.tmpdir(), 'evergrant-dlq-'));
});
afterEach(() => void vi.useRealTimers());
afterAll(async () => {
  await queues?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Lets every visibility timeout end. */
function endHolds(): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 13 * 3_600_000 });
}

const google = many(14, () => refresh('google'));
const slack = many(9, () => refresh('slack'));
const others = [...slack, ...many(3, () => malformed('google'))];
const mixed = [...google, ...others].toSorted((a, b) => (a.body < b.body ? -1 : 1));

async function filled(): Promise<TestStack> {
  const stack = await queues.stack();
  await stack.send('refresh', mixed);
  return stack;
}

const count = (all: readonly string[], { body }: TestMessage) => all.filter((each) => each === body).length;

/** Every call that goes wrong, and how. */
async function everyFailure(command: (runtime: Runtime) => Command, line: string) {
  const calls: Call[] = [];
  const stack = await filled();
  await run(
    command(testRuntime()),
    stack.target((call) => void calls.push(call)),
    line,
  );
  const numbers = calls.filter(({ moment }) => moment === 'before').map(({ number }) => number);
  expect(numbers.length).toBeGreaterThan(8);
  return numbers.flatMap((number) =>
    (['before', 'after'] as const).flatMap((moment) =>
      (['once', 'for good'] as const).map((duration) => ({ number, moment, duration })),
    ),
  );
}

type Failure = Awaited<ReturnType<typeof everyFailure>>[number];

/** Breaks the chosen call; `for good`: and all that come after it, as when a process is killed. */
const breaking = (failure: Failure) => (call: Call) => {
  const hit = call.number === failure.number && call.moment === failure.moment;
  const after = failure.duration === 'for good' && call.number > failure.number;
  if (hit || after) throw new Error('The connection is gone.');
};

describe('whatever call fails', { timeout: 120_000 }, () => {
  it('a replay of a provider loses nothing, and the next one finishes it', async () => {
    const line = '--queue refresh --provider google';
    const failures = await everyFailure(replayCommand, line);
    const stacks: TestStack[] = [];
    for (const failure of failures) {
      const stack = await filled();
      stacks.push(stack);
      await run(replayCommand(testRuntime()), stack.target(breaking(failure)), line);
      const { all: dead } = await stack.contents('refresh');
      const { all: back } = await stack.contents('refresh', 'source');
      const where = JSON.stringify(failure);
      for (const message of google) {
        expect(count(dead, message) + count(back, message), where).toBeGreaterThanOrEqual(1);
        expect(count(back, message), where).toBeLessThanOrEqual(1);
      }
      for (const message of others)
        expect([count(dead, message), count(back, message)], where).toEqual([1, 0]);
    }
    endHolds();
    for (const [index, stack] of stacks.entries()) {
      const where = JSON.stringify(failures[index]);
      const { exitCode } = await run(replayCommand(testRuntime()), stack.target(), line);
      expect(exitCode, where).toBe(0);
      expect(await stack.contents('refresh'), where).toEqual({ all: bodies(others), hidden: 0 });
      const { all: back } = await stack.contents('refresh', 'source');
      expect([...new Set(back)], where).toEqual(bodies(google));
    }
  });

  it('a replay that goes wrong once makes visible what it held, and says how far it came', async () => {
    const line = '--queue refresh --provider google';
    for (const failure of await everyFailure(replayCommand, line)) {
      if (failure.duration === 'for good') continue;
      const stack = await filled();
      let failed = '';
      const { exitCode, error } = await run(
        replayCommand(testRuntime()),
        stack.target((call) => {
          if (call.number === failure.number && call.moment === failure.moment) failed = call.action;
          breaking(failure)(call);
        }),
        line,
      );
      const where = `${JSON.stringify(failure)} ${failed}`;
      if (failed === 'ChangeMessageVisibilityBatch') {
        expect(exitCode, where).toBe(0);
        continue;
      }
      // A received batch whose answer was lost comes back by itself.
      const lost = failed === 'ReceiveMessage' && failure.moment === 'after';
      const { hidden } = await stack.contents('refresh');
      if (lost) expect(hidden, where).toBeLessThanOrEqual(10);
      else expect(hidden, where).toBe(0);
      expect(error?.message, where).toMatch(/The connection is gone/);
      if (failed !== 'GetQueueAttributes') {
        expect(error?.message, where).toMatch(/^\d+ dead letters? replayed\. .*nothing is lost/);
      }
    }
  });

  it('a discard deletes nothing that it has not saved', async () => {
    const save = (name: string | number) => path.join(folder, `saved-${name}.jsonl`);
    const line = (name: string | number) => `--queue refresh --provider google --yes --save ${save(name)}`;
    const failures = await everyFailure(discardCommand, line('first'));
    for (const [index, failure] of failures.entries()) {
      const stack = await filled();
      await run(discardCommand(testRuntime()), stack.target(breaking(failure)), line(index));
      const { all: dead } = await stack.contents('refresh');
      const saved = (await readFile(save(index), 'utf8').catch(() => ''))
        .split('\n')
        .filter(Boolean)
        .map((each) => (JSON.parse(each) as TestMessage).body);
      const where = JSON.stringify(failure);
      for (const message of mixed)
        expect(count(dead, message) + count(saved, message), where).toBeGreaterThan(0);
      for (const message of slack) expect(count(dead, message), where).toBe(1);
    }
  });

  it('a look changes nothing', async () => {
    for (const failure of await everyFailure(listCommand, '')) {
      const stack = await filled();
      await run(listCommand(testRuntime()), stack.target(breaking(failure)), '');
      expect((await stack.contents('refresh')).all, JSON.stringify(failure)).toEqual(bodies(mixed));
    }
  });
});

describe('interrupted at any call', { timeout: 120_000 }, () => {
  it.each([
    ['dlq list', listCommand, ''],
    ['dlq replay', replayCommand, '--queue refresh --provider google'],
    ['dlq replay at a rate', replayCommand, '--queue refresh --provider google --max-per-second 3'],
    ['dlq discard', discardCommand, '--queue refresh --provider google --yes'],
  ] as const)('%s finishes what it has begun, and hides nothing', async (name, command, line) => {
    const failures = await everyFailure(command, line);
    for (const { number, moment } of failures.filter(({ duration }) => duration === 'once')) {
      const stack = await filled();
      const runtime = testRuntime();
      const { error, exitCode, text } = await run(
        command(runtime),
        stack.target((call) => {
          if (call.number === number && call.moment === moment) runtime.interrupt();
        }),
        line,
      );
      const where = `${name} ${number} ${moment}`;
      const { all: dead, hidden } = await stack.contents('refresh');
      const { all: back } = await stack.contents('refresh', 'source');
      expect(hidden, where).toBe(0);
      if (exitCode === null) expect(error, where).toMatchObject({ name: 'CliError', code: 'interrupted' });
      // Nothing is in both queues: what was sent was deleted.
      if (command !== discardCommand) expect([...dead, ...back].toSorted(), where).toEqual(bodies(mixed));
      else
        for (const message of mixed)
          expect(dead.includes(message.body) || text.includes(idOf(message)), where).toBe(true);
    }
  });
});

const idOf = ({ body }: TestMessage) => (body.startsWith('{') ? JSON.parse(body).integrationId : body);

/** Replays the dead letters of `google` in a process that gets a signal at the n-th call of an action. */
async function replayInProcess(
  stack: TestStack,
  kill: { action: string; moment: string; nth: number; signal: NodeJS.Signals },
) {
  const child = fork(path.join(import.meta.dirname, 'killed-replay.ts'), {
    execArgv: [],
    silent: true,
    env: {
      ...process.env,
      KILL: JSON.stringify(kill),
      ENDPOINT: queues.queues.endpoint,
      OUTPUTS: JSON.stringify(stack.outputs),
    },
  });
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors += String(chunk);
  });
  const [exitCode, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { exitCode, signal, errors };
}

it.each(['SIGINT', 'SIGTERM'] as const)('%s ends a replay in good order', async (signal) => {
  const stack = await filled();
  const kill = { action: 'SendMessageBatch', moment: 'after', nth: 1, signal };
  const ended = await replayInProcess(stack, kill);
  expect(ended).toMatchObject({ exitCode: 1, signal: null });
  expect(ended.errors).toMatch(/^Interrupted\. \d+ dead letters? replayed\. The others are where they were/);
  const { all: dead, hidden } = await stack.contents('refresh');
  const { all: back } = await stack.contents('refresh', 'source');
  expect(hidden).toBe(0);
  expect(back.length).toBeGreaterThan(0);
  expect([...dead, ...back].toSorted()).toEqual(bodies(mixed));
});

describe('killed', () => {
  it.each([
    ['before anything is received', { action: 'ReceiveMessage', moment: 'before', nth: 1 }],
    ['after a receive', { action: 'ReceiveMessage', moment: 'after', nth: 2 }],
    ['before a send', { action: 'SendMessageBatch', moment: 'before', nth: 1 }],
    ['between send and delete', { action: 'SendMessageBatch', moment: 'after', nth: 2 }],
    ['after a delete', { action: 'DeleteMessageBatch', moment: 'after', nth: 1 }],
    [
      'before it makes the others visible',
      { action: 'ChangeMessageVisibilityBatch', moment: 'before', nth: 1 },
    ],
  ])('a replay loses nothing: %s', async (_, kill) => {
    const stack = await filled();
    const { signal } = await replayInProcess(stack, { ...kill, signal: 'SIGKILL' });
    expect(signal).toBe('SIGKILL');
    const { all: dead } = await stack.contents('refresh');
    const { all: back } = await stack.contents('refresh', 'source');
    for (const message of mixed) expect(count(dead, message) + count(back, message)).toBeGreaterThan(0);
    endHolds();
    const { exitCode } = await run(
      replayCommand(testRuntime()),
      stack.target(),
      '--queue refresh --provider google',
    );
    expect(exitCode).toBe(0);
    expect((await stack.contents('refresh')).all).toEqual(bodies(others));
    const replayed = (await stack.contents('refresh', 'source')).all;
    expect([...new Set(replayed)]).toEqual(bodies(google));
  });
});
