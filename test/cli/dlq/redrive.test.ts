import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { listCommand } from '../../../cli/dlq/list.ts';
import { replayCommand } from '../../../cli/dlq/replay.ts';
import type { Target } from '../../../cli/target.ts';
import {
  bodies,
  type Call,
  malformed,
  many,
  refresh,
  run,
  startTestQueues,
  type TestQueues,
  type TestRuntime,
  type TestStack,
  testRuntime,
} from './harness.ts';

let queues: TestQueues;
let stack: TestStack;
beforeAll(async () => {
  queues = await startTestQueues();
});
beforeEach(async () => {
  stack = await queues.stack();
});
afterAll(() => queues?.stop());

const replay = (line: string, runtime: TestRuntime = testRuntime(), onCall?: (call: Call) => void) =>
  run(replayCommand(runtime), stack.target(onCall), line);
const list = (line: string) => run(listCommand(testRuntime()), stack.target(), line);

const arnOf = (url: string | undefined) => `arn:aws:sqs:us-east-1:000000000000:${url?.split('/').at(-1)}`;

/** A redrive of somebody else, slow enough to be met. */
const startSlowRedrive = () =>
  queues.queues.call<{ TaskHandle: string }>('StartMessageMoveTask', {
    SourceArn: arnOf(stack.outputs.RefreshDeadLetterQueueUrl),
    MaxNumberOfMessagesPerSecond: 1,
  });

/** The target, whose answers to `ListMessageMoveTasks` pass through `change`. */
function withTasks(change: (results: Record<string, unknown>[]) => Record<string, unknown>[]): Target {
  const target = stack.target();
  const send = target.sqs.send.bind(target.sqs);
  target.sqs.send = (async (command: { constructor: { name: string } }) => {
    const answer = (await send(command as never)) as { Results?: Record<string, unknown>[] };
    if (command.constructor.name === 'ListMessageMoveTasksCommand')
      answer.Results = change(answer.Results ?? []);
    return answer;
  }) as never;
  return target;
}

describe('replaying everything', () => {
  it("is SQS's own redrive, followed to its end", async () => {
    const messages = [...many(230, () => refresh('google')), ...many(70, () => refresh())];
    await stack.send('refresh', messages);
    const actions: Call[] = [];
    const { exitCode, document } = await replay(
      '--queue refresh --max-per-second 500 --json',
      testRuntime({ workers: 4 }),
      (call) => void (call.moment === 'before' && actions.push(call)),
    );
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({
      queue: 'refresh',
      by: 'redrive',
      redrive: { status: 'COMPLETED', moved: 300, toMove: 300 },
      unseen: 0,
    });
    expect(actions.map(({ action }) => action)).not.toContain('SendMessageBatch');
    expect(actions.find(({ action }) => action === 'StartMessageMoveTask')?.input).toEqual({
      SourceArn: arnOf(stack.outputs.RefreshDeadLetterQueueUrl),
      DestinationArn: arnOf(stack.outputs.RefreshQueueUrl),
      MaxNumberOfMessagesPerSecond: 500,
    });
    expect(await stack.contents('refresh', 'source')).toEqual({ all: bodies(messages), hidden: 0 });
    expect((await stack.contents('refresh')).all).toEqual([]);
  });

  it('leaves the rate to SQS where none is given', async () => {
    await stack.send('refresh', [refresh('google')]);
    const started: Call[] = [];
    await replay('--queue refresh', testRuntime(), (call) => {
      if (call.action === 'StartMessageMoveTask') started.push(call);
    });
    expect(started[0]?.input).not.toHaveProperty('MaxNumberOfMessagesPerSecond');
  });

  it('tells how far it is, once a second', async () => {
    await stack.send(
      'refresh',
      many(4, () => refresh('google')),
    );
    const runtime = testRuntime();
    // Each poll is a second later by its clock, and some milliseconds by the server's.
    const { progress, exitCode } = await replay('--queue refresh --max-per-second 3', runtime);
    expect(exitCode).toBe(0);
    expect(progress).toMatch(/^refresh: \d of about 4 moved$/m);
    expect(runtime.sleptMs()).toBeGreaterThanOrEqual(1_000);
  });

  it('has nothing to do in an empty queue', async () => {
    const { exitCode, text } = await replay('--queue refresh');
    expect(exitCode).toBe(0);
    expect(text).toBe('There are no refresh dead letters.');
  });

  it('goes one by one where malformed messages would come straight back, and says so beforehand', async () => {
    const good = many(20, () => refresh('google'));
    const bad = many(3, () => malformed());
    await stack.send('refresh', [...good, ...bad]);
    const { exitCode, progress, text } = await replay('--queue refresh');
    expect(exitCode).toBe(0);
    expect(progress).toMatch(
      /^3 of 23 seen are malformed .*one by one\. --include-malformed takes everything/,
    );
    expect(text).toMatch(/20 dead letters of 23 seen replayed/);
    expect((await stack.contents('refresh', 'source')).all).toEqual(bodies(good));
    expect(await stack.contents('refresh')).toEqual({ all: bodies(bad), hidden: 0 });
  });

  it('takes malformed messages along when they are asked for', async () => {
    const messages = [...many(5, () => refresh('google')), ...many(3, () => malformed())];
    await stack.send('refresh', messages);
    const { document } = await replay('--queue refresh --include-malformed --json');
    expect(document).toMatchObject({ by: 'redrive', redrive: { moved: 8 } });
    expect((await stack.contents('refresh', 'source')).all).toEqual(bodies(messages));
  });

  it('says when messages are in flight with somebody else', async () => {
    await stack.send(
      'refresh',
      many(12, () => refresh('google')),
    );
    await queues.queues.call('ReceiveMessage', {
      QueueUrl: stack.outputs.RefreshDeadLetterQueueUrl,
      MaxNumberOfMessages: 5,
      VisibilityTimeout: 600,
    });
    const { exitCode, text } = await replay('--queue refresh');
    expect(exitCode).toBe(3);
    expect(text).toMatch(/^7 dead letters moved back.*\nAbout 5 were in flight/);
  });
});

describe('a redrive that is under way', () => {
  beforeEach(async () => {
    await stack.send(
      'refresh',
      many(40, () => refresh('google')),
    );
  });

  it('keeps another from starting, and the error tells of it', async () => {
    await startSlowRedrive();
    const { error } = await replay('--queue refresh');
    expect(error).toMatchObject({ name: 'CliError', code: 'redrive_active' });
    expect(error?.message).toMatch(
      /under way since 20.*: \d+ of about 40 moved\. `evergrant dlq list --queue refresh`.*--cancel` ends it/,
    );
  });

  it('keeps another from starting also when it began a moment ago', async () => {
    const { error } = await replay('--queue refresh --include-malformed', testRuntime(), () => {});
    expect(error).toBeNull();
    await stack.send(
      'refresh',
      many(40, () => refresh('google')),
    );
    let listed = 0;
    const target = withTasks((results) => {
      listed += 1;
      return listed === 1 ? [] : results;
    });
    await startSlowRedrive();
    const second = await run(replayCommand(testRuntime()), target, '--queue refresh --include-malformed');
    expect(second.error).toMatchObject({ code: 'redrive_active' });
  });

  it('shows in the list', async () => {
    await startSlowRedrive();
    expect((await list('--queue refresh --limit 0')).text).toMatch(
      /A redrive is under way: \d+ of about 40 moved/,
    );
    expect((await list('--queue refresh --limit 0 --json')).document.queues[0].latestRedrive).toMatchObject({
      status: 'RUNNING',
      toMove: 40,
    });
  });

  it('is cancelled by --cancel, which waits for its end', async () => {
    await startSlowRedrive();
    const { exitCode, text } = await replay('--queue refresh --cancel');
    expect(exitCode).toBe(0);
    expect(text).toMatch(/^The redrive has ended: \d+ of about 40 moved\.$/);
    const { all: dead } = await stack.contents('refresh');
    const { all: back } = await stack.contents('refresh', 'source');
    expect(dead.length + back.length).toBe(40);
    expect(dead.length).toBeGreaterThan(30);
    expect((await replay('--queue refresh --cancel --json')).document).toEqual({
      queue: 'refresh',
      redrive: null,
    });
  });

  it('goes on after Ctrl-C, which says how to follow and to end it', async () => {
    const runtime = testRuntime();
    const { error } = await replay('--queue refresh --max-per-second 1', runtime, ({ action, moment }) => {
      if (action === 'StartMessageMoveTask' && moment === 'after') runtime.interrupt();
    });
    expect(error).toMatchObject({ name: 'CliError', code: 'interrupted' });
    expect(error?.message).toMatch(
      /goes on in SQS: \d+ of about 40 moved.*dlq list --queue refresh.*--cancel/,
    );
    expect((await list('--queue refresh --limit 0 --json')).document.queues[0].latestRedrive.status).toBe(
      'RUNNING',
    );
    await replay('--queue refresh --cancel');
  });

  it('that somebody cancels ends the command that follows it', async () => {
    const following = replay('--queue refresh --max-per-second 1');
    let cancelled = false;
    while (!cancelled) {
      const { document } = await replay('--queue refresh --cancel --json');
      cancelled = document.redrive !== null;
    }
    expect((await following).error).toMatchObject({
      code: 'redrive_cancelled',
      message: expect.stringMatching(/What was moved stays moved/),
    });
  });

  it('that fails ends the command with its reason', async () => {
    const target = withTasks((results) =>
      results.map((result) => ({ ...result, Status: 'FAILED', FailureReason: 'AccessDenied' })),
    );
    const { error } = await run(replayCommand(testRuntime()), target, '--queue refresh');
    expect(error).toMatchObject({ code: 'redrive_failed' });
    expect(error?.message).toMatch(/AccessDenied\. What was not moved is still there/);
  });

  it('is not taken for an earlier one, nor waited for for ever when SQS forgets it', async () => {
    await replay('--queue refresh');
    await stack.send(
      'refresh',
      many(4, () => refresh('google')),
    );
    const [first] = (
      await queues.queues.call<{ Results: Record<string, unknown>[] }>('ListMessageMoveTasks', {
        SourceArn: arnOf(stack.outputs.RefreshDeadLetterQueueUrl),
      })
    ).Results;
    const { error } = await run(
      replayCommand(testRuntime()),
      withTasks(() => [first!]),
      '--queue refresh',
    );
    expect(error).toMatchObject({ code: 'redrive_unknown' });
  });
});
