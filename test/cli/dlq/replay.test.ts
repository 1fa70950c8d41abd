import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../../../cli/command.ts';
import { replayCommand } from '../../../cli/dlq/replay.ts';
import {
  bodies,
  type Call,
  event,
  malformed,
  many,
  refresh,
  run,
  startTestQueues,
  type TestQueues,
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

const replay = (
  line: string | string[],
  runtime = testRuntime({ workers: 4 }),
  onCall?: (call: Call) => void,
) => run(replayCommand(runtime), stack.target(onCall), line);

const deadLetters = () => stack.contents('refresh');
const source = () => stack.contents('refresh', 'source');

describe('replaying the dead letters of a provider', () => {
  it('moves them all, leaves the others visible, and says so', async () => {
    const google = many(137, () => refresh('google'));
    const others = [...many(90, () => refresh('slack')), ...many(41, () => refresh()), ...many(5, malformed)];
    await stack.send(
      'refresh',
      [...others, ...google].toSorted(() => Math.random() - 0.5),
    );
    const { exitCode, document } = await replay('--queue refresh --provider google --json');
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({
      queue: 'refresh',
      by: 'one_by_one',
      matched: 137,
      taken: 137,
      seen: 273,
      unseen: 0,
      malformedLeft: 0,
      undeleted: 0,
    });
    expect(await source()).toEqual({ all: bodies(google), hidden: 0 });
    expect(await deadLetters()).toEqual({ all: bodies(others), hidden: 0 });
  });

  it('keeps body, attributes and group', async () => {
    const message = {
      ...refresh('google'),
      groupId: 'a-group-of-its-own',
      attributes: {
        trace: { DataType: 'String', StringValue: 'Größe' },
        raw: { DataType: 'Binary', BinaryValue: Uint8Array.from([0, 255, 7]) },
        size: { DataType: 'Number', StringValue: '7' },
      },
    };
    await stack.send('refresh', [message]);
    await replay('--queue refresh --provider google');
    const { Messages } = await queues.queues.call<{ Messages: object[] }>('ReceiveMessage', {
      QueueUrl: stack.outputs.RefreshQueueUrl,
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    });
    expect(Messages[0]).toMatchObject({
      Body: message.body,
      Attributes: { MessageGroupId: 'a-group-of-its-own' },
      MessageAttributes: {
        trace: { DataType: 'String', StringValue: 'Größe' },
        raw: { DataType: 'Binary', BinaryValue: 'AP8H' },
        size: { DataType: 'Number', StringValue: '7' },
      },
    });
  });

  it('gives a message that lost its group the one that its provider has', async () => {
    await stack.send('refresh', [{ body: refresh('zwei Wörter').body }]);
    await replay(['--queue', 'refresh', '--provider', 'zwei Wörter']);
    const { Messages } = await queues.queues.call<{ Messages: object[] }>('ReceiveMessage', {
      QueueUrl: stack.outputs.RefreshQueueUrl,
      MessageSystemAttributeNames: ['MessageGroupId'],
    });
    expect(Messages).toMatchObject([{ Attributes: { MessageGroupId: 'zwei_W_rter' } }]);
  });

  it('knows messages of earlier versions by their group', async () => {
    const old = { body: refresh().body, groupId: 'google' };
    const oldNamedOddly = { body: refresh().body, groupId: 'zwei_W_rter' };
    await stack.send('refresh', [old, oldNamedOddly, refresh('slack')]);
    expect((await replay('--queue refresh --provider google --json')).document.taken).toBe(1);
    expect((await replay('--queue refresh --provider slack --json')).document.taken).toBe(1);
    expect(await source()).toMatchObject({ all: expect.arrayContaining([old.body]) });
    expect(await deadLetters()).toMatchObject({ all: [oldNamedOddly.body] });
  });

  it('takes the name in the body before the group, which relayed events share', async () => {
    const google = many(3, () => event('google'));
    const nameless = many(2, () => event());
    await stack.send('threshold', [...google, ...nameless, event('relay-ish')]);
    expect((await replay('--queue threshold --provider relay --json')).document.taken).toBe(0);
    expect((await replay('--queue threshold --provider google --json')).document.taken).toBe(3);
    expect((await stack.contents('threshold', 'source')).all).toEqual(bodies(google));
  });

  it('leaves malformed messages, unless they are asked for', async () => {
    const good = many(3, () => refresh('google'));
    const bad = many(2, () => malformed('google'));
    await stack.send('refresh', [...bad, ...good]);
    const { text, exitCode } = await replay('--queue refresh --provider google');
    expect(exitCode).toBe(0);
    expect(text).toMatch(/3 dead letters of 5 seen replayed/);
    expect(text).toMatch(/2 malformed stay.*dlq discard --queue refresh --malformed/);
    expect((await deadLetters()).all).toEqual(bodies(bad));
    await replay('--queue refresh --provider google --include-malformed');
    expect((await source()).all).toEqual(bodies(good, bad));
  });

  it('replays one message by its id, and says when there is none', async () => {
    const messages = many(25, () => refresh('google'));
    await stack.send('refresh', messages);
    const { Messages } = await queues.queues.call<{
      Messages: { MessageId: string; Body: string; ReceiptHandle: string }[];
    }>('ReceiveMessage', { QueueUrl: stack.outputs.RefreshDeadLetterQueueUrl, MaxNumberOfMessages: 1 });
    const [message] = Messages;
    const id = message!.MessageId;
    await queues.queues.call('ChangeMessageVisibility', {
      QueueUrl: stack.outputs.RefreshDeadLetterQueueUrl,
      ReceiptHandle: message!.ReceiptHandle,
      VisibilityTimeout: 0,
    });
    expect((await replay(`--queue refresh --message ${id} --json`)).document.taken).toBe(1);
    expect((await source()).all).toEqual([message!.Body]);
    expect(await deadLetters()).toMatchObject({ hidden: 0 });
    const { error } = await replay(`--queue refresh --message ${id}`);
    expect(error).toMatchObject({ name: 'CliError', code: 'message_not_found' });
  });

  it('sends no batch that is longer than SQS takes', async () => {
    const big = many(7, () => ({ body: 'x'.repeat(300_000) + Math.random(), groupId: 'big' }));
    await stack.send('refresh', big.slice(0, 3));
    await stack.send('refresh', big.slice(3, 6));
    await stack.send('refresh', big.slice(6));
    const { document } = await replay('--queue refresh --provider big --include-malformed --json');
    expect(document).toMatchObject({ taken: 7 });
    expect((await source()).all).toEqual(bodies(big));
  });

  it('leaves what SQS does not accept, replays the rest, and says how to go on', async () => {
    stack = await queues.stack({ MaximumMessageSize: '1024' });
    const good = many(12, () => refresh('google'));
    const bad = many(2, () => ({
      body: JSON.stringify({
        version: 1,
        integrationId: crypto.randomUUID(),
        provider: 'google',
        x: 'x'.repeat(2_000),
      }),
    }));
    await stack.send('refresh', [...good.slice(0, 6), ...bad, ...good.slice(6)]);
    const { error } = await replay('--queue refresh --provider google');
    expect(error).toMatchObject({ name: 'CliError', code: 'dead_letters_refused' });
    expect(error?.message).toMatch(/^12 dead letters replayed\..*2 × InvalidParameterValue/);
    expect((await source()).all).toEqual(bodies(good));
    expect(await deadLetters()).toEqual({ all: bodies(bad), hidden: 0 });
  });

  it('says when messages could not be seen', async () => {
    await stack.send(
      'refresh',
      many(15, () => refresh('google')),
    );
    await queues.queues.call('ReceiveMessage', {
      QueueUrl: stack.outputs.RefreshDeadLetterQueueUrl,
      MaxNumberOfMessages: 4,
      VisibilityTimeout: 600,
    });
    const { exitCode, text } = await replay('--queue refresh --provider google');
    expect(exitCode).toBe(3);
    expect(text).toMatch(/About 4 more were not seen: they are in flight with somebody else/);
  });

  it('keeps to the rate, in the long run', async () => {
    await stack.send(
      'refresh',
      many(53, () => refresh('google')),
    );
    const runtime = testRuntime();
    const sends: { atMs: number; count: number }[] = [];
    await replay('--queue refresh --provider google --max-per-second 4', runtime, (call) => {
      if (call.action !== 'SendMessageBatch' || call.moment !== 'before') return;
      sends.push({ atMs: runtime.now(), count: (call.input.Entries as unknown[]).length });
    });
    expect(sends.reduce((sum, { count }) => sum + count, 0)).toBe(53);
    const firstAtMs = sends[0]!.atMs;
    let sent = 0;
    for (const { atMs, count } of sends) {
      expect(count).toBeLessThanOrEqual(4);
      expect(sent).toBeLessThanOrEqual((4 * (atMs - firstAtMs)) / 1_000 + 1e-6);
      sent += count;
    }
    expect(runtime.sleptMs()).toBeGreaterThanOrEqual((49 / 4) * 1_000);
  });

  it('keeps to the rate with several workers as well', async () => {
    await stack.send(
      'refresh',
      many(60, () => refresh('google')),
    );
    const runtime = testRuntime({ workers: 4 });
    const { document } = await replay(
      '--queue refresh --provider google --max-per-second 20 --json',
      runtime,
    );
    expect(document.taken).toBe(60);
    expect(runtime.sleptMs()).toBeGreaterThanOrEqual(2_500);
  });

  it('does not hide what stays any longer than need be, and goes round no second time', async () => {
    const others = many(120, () => refresh('slack'));
    await stack.send('refresh', others);
    const receives: Call[] = [];
    await replay('--queue refresh --provider google', testRuntime(), (call) => {
      if (call.action === 'ReceiveMessage' && call.moment === 'before') receives.push(call);
    });
    expect(receives).toHaveLength(13);
    expect(receives[0]?.input.VisibilityTimeout).toBe(120);
    expect(await deadLetters()).toEqual({ all: bodies(others), hidden: 0 });
  });

  it('comes to an end when its holds do not last', async () => {
    const others = many(60, () => refresh('slack'));
    const google = many(30, () => refresh('google'));
    await stack.send('refresh', [...others, ...google]);
    // As if each receive came after its visibility timeout: all that was held is visible again.
    const held = new Set<string>();
    const target = stack.target();
    const send = target.sqs.send.bind(target.sqs);
    target.sqs.send = (async (command: { input: Record<string, unknown>; constructor: { name: string } }) => {
      const answer = (await send(command as never)) as {
        Messages?: { ReceiptHandle: string; Body: string }[];
      };
      for (const { ReceiptHandle, Body } of answer.Messages ?? []) {
        if (Body.includes('slack')) held.add(ReceiptHandle);
      }
      for (const ReceiptHandle of held) {
        held.delete(ReceiptHandle);
        await queues.queues.call('ChangeMessageVisibility', {
          QueueUrl: stack.outputs.RefreshDeadLetterQueueUrl,
          ReceiptHandle,
          VisibilityTimeout: 0,
        });
      }
      return answer;
    }) as never;
    const { document } = await run(
      replayCommand(testRuntime()),
      target,
      '--queue refresh --provider google --json',
    );
    expect(document).toMatchObject({ taken: 30, seen: 90 });
    expect((await source()).all).toEqual(bodies(google));
    expect((await deadLetters()).all).toEqual(bodies(others));
  });

  it('can be run twice at once', async () => {
    const google = many(200, () => refresh('google'));
    const others = many(100, () => refresh('slack'));
    await stack.send(
      'refresh',
      [...google, ...others].toSorted(() => Math.random() - 0.5),
    );
    const runs = await Promise.all([
      replay('--queue refresh --provider google --json'),
      replay('--queue refresh --provider google --json'),
      replay('--queue refresh --provider nobody --json'),
    ]);
    for (const { error } of runs) expect(error).toBeNull();
    // What one of them held, the others could not see: another run finds it.
    await replay('--queue refresh --provider google');
    expect((await source()).all).toEqual(bodies(google));
    expect(await deadLetters()).toEqual({ all: bodies(others), hidden: 0 });
  });
});

describe('a dry run', () => {
  it('without dead letters announces no list of them', async () => {
    const { text, exitCode } = await replay('--queue refresh --dry-run');
    expect(exitCode).toBe(0);
    expect(text).toBe("Would replay 0 dead letters of 0 seen by SQS's redrive.");
  });

  it('says what would be replayed, and changes nothing', async () => {
    const messages = [...many(12, () => refresh('google')), ...many(3, () => malformed('google'))];
    await stack.send('refresh', messages);
    const actions = new Set<string>();
    const { text, exitCode } = await replay(
      '--queue refresh --provider google --max-per-second 5 --dry-run',
      testRuntime(),
      ({ action }) => actions.add(action),
    );
    expect(exitCode).toBe(0);
    expect(text).toMatch(
      /Would replay 12 dead letters of 15 seen one by one, at most 5 a second:\n {2}12 {2}google/,
    );
    expect(text).toMatch(/The other 3 would stay\. Malformed: 3/);
    expect([...actions].toSorted()).toEqual([
      'ChangeMessageVisibilityBatch',
      'GetQueueAttributes',
      'ReceiveMessage',
    ]);
    expect(await deadLetters()).toEqual({ all: bodies(messages), hidden: 0 });
  });

  it('of everything tells whether SQS moves it', async () => {
    await stack.send(
      'refresh',
      many(5, () => refresh('google')),
    );
    expect((await replay('--queue refresh --dry-run --json')).document).toMatchObject({
      by: 'redrive',
      matched: 5,
    });
    await stack.send('refresh', [malformed()]);
    expect((await replay('--queue refresh --dry-run --json')).document).toMatchObject({
      by: 'one_by_one',
      matched: 5,
    });
    expect((await replay('--queue refresh --dry-run --include-malformed --json')).document).toMatchObject({
      by: 'redrive',
      matched: 6,
    });
  });
});

it('refuses wrong usage before it looks for the stack', async () => {
  const lines = [
    '',
    '--queue nothing',
    '--queue refresh --max-per-second 0',
    '--queue refresh --max-per-second 501',
    '--queue refresh --max-per-second 1.5',
    '--queue refresh --max-per-second fast',
    '--queue refresh --provider=',
    '--queue refresh --cancel --provider google',
    '--queue refresh --cancel --dry-run',
  ];
  for (const line of lines) {
    const { error } = await run(
      replayCommand(testRuntime()),
      { ...stack.target(), output: () => expect.fail('It looked.') },
      line,
    );
    expect(error, line).toBeInstanceOf(UsageError);
  }
});

describe('any selection', () => {
  const provider = fc.constantFrom('google', 'slack', 'zwei Wörter', 'relay');
  const message = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('named'), provider }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('grouped'), provider }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('nameless'), provider }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('malformed'), provider }) },
  );
  const group = (name: string) => name.replace(/[^\x21-\x7e]/g, '_');

  it('moves what it means, leaves the rest visible, and loses nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { maxLength: 60 }),
        fc.constantFrom('refresh' as const, 'threshold' as const),
        provider,
        fc.boolean(),
        fc.integer({ min: 1, max: 5 }),
        fc.option(fc.integer({ min: 1, max: 500 })),
        async (kinds, queue, wanted, included, workers, rate) => {
          stack = await queues.stack();
          const make = queue === 'refresh' ? refresh : event;
          const sent = kinds.map(({ kind, provider: name }) => {
            if (kind === 'named') return { body: make(name).body, groupId: 'relay' };
            if (kind === 'grouped') return { body: make().body, groupId: group(name) };
            if (kind === 'malformed') return malformed(group(name));
            return { body: make().body };
          });
          const expected = sent.filter((_, index) => {
            const { kind, provider: name } = kinds[index]!;
            if (kind === 'nameless' || (kind === 'malformed' && !included)) return false;
            // The relay's group says nothing about events.
            if (kind !== 'named' && queue === 'threshold' && name === 'relay') return false;
            return name === wanted;
          });
          await stack.send(queue, sent);
          const { exitCode, document } = await run(replayCommand(testRuntime({ workers })), stack.target(), [
            ...['--json', '--queue', queue, '--provider', wanted],
            ...(included ? ['--include-malformed'] : []),
            ...(rate === null ? [] : ['--max-per-second', String(rate)]),
          ]);
          expect(exitCode).toBe(0);
          expect(document).toMatchObject({ matched: expected.length, taken: expected.length });
          expect(await stack.contents(queue, 'source')).toEqual({ all: bodies(expected), hidden: 0 });
          expect(await stack.contents(queue)).toEqual({
            all: bodies(sent.filter((each) => !expected.includes(each))),
            hidden: 0,
          });
        },
      ),
      { numRuns: 25 },
    );
  });
});
