import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../../../cli/command.ts';
import { discardCommand } from '../../../cli/dlq/discard.ts';
import {
  bodies,
  type Call,
  createClient,
  malformed,
  many,
  refresh,
  run,
  sealed,
  startTestQueues,
  type TestQueues,
  type TestStack,
  testRuntime,
} from './harness.ts';

let queues: TestQueues;
let stack: TestStack;
let folder: string;
beforeAll(async () => {
  queues = await startTestQueues();
});
beforeEach(async () => {
  stack = await queues.stack();
  folder = await mkdtemp(path.join(os.tmpdir(), 'evergrant-dlq-'));
  return () => rm(folder, { recursive: true, force: true });
});
afterAll(() => queues?.stop());

const discard = (line: string, answers: Parameters<typeof run>[3] = {}, onCall?: (call: Call) => void) =>
  run(discardCommand(testRuntime({ workers: 3 })), stack.target(onCall), line, answers);

const deadLetters = () => stack.contents('refresh');

it('deletes the messages of a provider, prints each as a line of JSON, and leaves the others', async () => {
  const google = many(83, () => refresh('google'));
  const others = [...many(60, () => refresh('slack')), ...many(9, () => malformed())];
  await stack.send('refresh', [...others, ...google]);
  const { exitCode, text, progress, questions } = await discard('--queue refresh --provider google --yes');
  expect(exitCode).toBe(0);
  expect(questions).toEqual([]);
  const lines = text.split('\n').map((line) => JSON.parse(line));
  expect(lines.map(({ body }) => body).toSorted()).toEqual(bodies(google));
  expect(lines[0]).toMatchObject({ queue: 'refresh', provider: 'google', problem: null });
  expect(progress).toMatch(/83 dead letters discarded\.$/);
  expect(await deadLetters()).toEqual({ all: bodies(others), hidden: 0 });
  expect((await stack.contents('refresh', 'source')).all).toEqual([]);
});

it('deletes malformed messages, and says in its document what they were, but nothing secret', async () => {
  const good = many(5, () => refresh('google'));
  await stack.send('refresh', [...good, { body: '{"refresh_token":"canary"}' }, malformed()]);
  const { document } = await discard('--queue refresh --malformed --yes --json');
  expect(document).toMatchObject({ queue: 'refresh', matched: 2, taken: 2, unseen: 0, undeleted: 0 });
  expect(document.messages).toHaveLength(2);
  expect(JSON.stringify(document)).not.toContain('canary');
  expect((await deadLetters()).all).toEqual(bodies(good));
});

it('deletes everything only when told so', async () => {
  const messages = many(25, () => refresh('google'));
  await stack.send('refresh', messages);
  expect((await discard('--queue refresh --yes')).error).toBeInstanceOf(UsageError);
  expect((await deadLetters()).all).toEqual(bodies(messages));
  expect((await discard('--queue refresh --all --yes --json')).document).toMatchObject({ taken: 25 });
  expect((await deadLetters()).all).toEqual([]);
});

describe('with --save', () => {
  it('keeps messages whole, so that they can be sent again', async () => {
    const message = {
      body: '{"refresh_token":"kept whole"}',
      groupId: 'google',
      attributes: {
        trace: { DataType: 'String', StringValue: 'x' },
        raw: { DataType: 'Binary', BinaryValue: Uint8Array.from([0, 255]) },
      },
    };
    await stack.send('refresh', [message, ...many(30, () => refresh('google'))]);
    const file = path.join(folder, 'saved.jsonl');
    const { exitCode, text, progress } = await discard(`--queue refresh --all --yes --save ${file}`);
    expect(exitCode).toBe(0);
    expect(text).toBe('');
    expect(progress).toContain(`31 dead letters discarded, kept in ${file}.`);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(31);
    const saved = lines.map((line) => JSON.parse(line)).find(({ body }) => body === message.body);
    expect(saved).toMatchObject({ queue: 'refresh', groupId: 'google', sentAt: expect.any(String) });
    await createClient(queues.queues.endpoint).send(
      new SendMessageCommand({
        QueueUrl: stack.outputs.RefreshQueueUrl,
        MessageBody: saved.body,
        MessageGroupId: saved.groupId,
        MessageAttributes: saved.attributes,
      }),
    );
    expect((await stack.contents('refresh', 'source')).all).toEqual([message.body]);
  });

  it('keeps a sealed result whole, of which nothing is printed but its length', async () => {
    const message = sealed('google');
    await stack.send('sealed', [message, message]);
    const file = path.join(folder, 'sealed.jsonl');
    expect((await discard(`--queue sealed --all --yes --save ${file}`)).exitCode).toBe(0);
    const saved = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(saved.map((line) => JSON.parse(line).body)).toEqual([message.body, message.body]);
    await stack.send('sealed', [message]);
    const { text } = await discard('--queue sealed --all --yes');
    expect(text).toContain('«5000 characters»');
    expect(text).not.toContain('canary');
  });

  it('touches no file that is there, and deletes nothing then', async () => {
    const file = path.join(folder, 'there');
    await writeFile(file, 'precious');
    await stack.send('refresh', [refresh('google')]);
    const { error } = await discard(`--queue refresh --all --yes --save ${file}`);
    expect(error).toMatchObject({ name: 'CliError', code: 'save_file_unusable' });
    expect(await readFile(file, 'utf8')).toBe('precious');
    expect((await deadLetters()).all).toHaveLength(1);
    expect((await discard(`--queue refresh --all --yes --save ${folder}/no/such/file`)).error).toMatchObject({
      code: 'save_file_unusable',
    });
  });

  it('leaves no empty file behind', async () => {
    await chmod(folder, 0o700);
    await discard(`--queue refresh --all --yes --save ${folder}/nothing`);
    expect(await readdir(folder)).toEqual([]);
  });

  it('writes before it deletes', async () => {
    await stack.send(
      'refresh',
      many(12, () => refresh('google')),
    );
    const file = path.join(folder, 'saved.jsonl');
    const savedAtDelete: number[] = [];
    const { readFileSync } = await import('node:fs');
    await discard(`--queue refresh --all --yes --save ${file}`, {}, ({ action, moment, input }) => {
      if (action !== 'DeleteMessageBatch' || moment !== 'before') return;
      const lines = readFileSync(file, 'utf8').split('\n').length - 1;
      savedAtDelete.push(lines - (input.Entries as unknown[]).length);
    });
    expect(savedAtDelete.length).toBeGreaterThan(0);
    for (const surplus of savedAtDelete) expect(surplus).toBeGreaterThanOrEqual(0);
  });
});

describe('without --yes', () => {
  it('asks, having counted', async () => {
    const messages = [...many(12, () => refresh('google')), ...many(3, () => refresh('slack'))];
    await stack.send('refresh', messages);
    const { exitCode, text, questions } = await discard('--queue refresh --provider google', {
      confirm: false,
    });
    expect(exitCode).toBe(0);
    expect(questions).toEqual([
      'Delete 12 dead letters of 15 seen in the refresh dead-letter queue for good?',
    ]);
    expect(text).toBe('  12  google\nNothing was deleted.');
    expect(await deadLetters()).toEqual({ all: bodies(messages), hidden: 0 });
  });

  it('deletes exactly what was counted: what arrives meanwhile stays', async () => {
    await stack.send(
      'refresh',
      many(12, () => refresh('google')),
    );
    const late = refresh('google');
    const asked = discardCommand(testRuntime());
    const target = stack.target();
    let sent: Promise<void> = Promise.resolve();
    const { exitCode } = await run(
      { ...asked, run: (context) => asked.run({ ...context, output: lateOutput(context.output) }) },
      target,
      '--queue refresh --all',
      { confirm: true },
    );
    expect(exitCode).toBe(0);
    expect(await deadLetters()).toEqual({ all: [late.body], hidden: 0 });

    function lateOutput(output: Parameters<typeof asked.run>[0]['output']) {
      return {
        ...output,
        async confirm(question: string) {
          sent = stack.send('refresh', [late]);
          await sent;
          return output.confirm(question);
        },
      };
    }
  });

  it('says of sealed results what they are, and deletes none without a yes', async () => {
    const results = many(2, () => sealed('google'));
    await stack.send('sealed', [...results, malformed()]);
    const whole = await discard('--queue sealed --all', { confirm: false });
    expect(whole.questions).toEqual([
      "Delete 3 dead letters of 3 seen in the sealed dead-letter queue for good? 2 may be the only copy of a user's grant, which a replay stores.",
    ]);
    const others = await discard('--queue sealed --malformed', { confirm: true });
    expect(others.questions).toEqual([
      'Delete 1 dead letter of 3 seen in the sealed dead-letter queue for good?',
    ]);
    expect(await stack.contents('sealed')).toEqual({ all: bodies(results), hidden: 0 });
  });

  it('asks nothing when there is nothing to delete', async () => {
    await stack.send('refresh', [refresh('google')]);
    const { questions, text } = await discard('--queue refresh --provider slack', { confirm: true });
    expect(questions).toEqual([]);
    expect(text).toBe('None of 1 dead letter seen is meant.');
    const { error } = await discard('--queue refresh --message nowhere', { confirm: true });
    expect(error).toMatchObject({ code: 'message_not_found' });
  });
});

it('in a dry run says what it would delete, and deletes nothing', async () => {
  const messages = [...many(3, () => refresh('google')), malformed('google')];
  await stack.send('refresh', messages);
  const { text } = await discard('--queue refresh --provider google --dry-run');
  expect(text).toBe(
    'Would delete 4 dead letters of 4 seen:\n  3  google\n  1  google  malformed: the body is not JSON',
  );
  expect((await discard('--queue refresh --all --dry-run --json')).document).toMatchObject({
    dryRun: true,
    matched: 4,
  });
  expect(await deadLetters()).toEqual({ all: bodies(messages), hidden: 0 });
});

it.each([
  '--all --yes',
  '--queue refresh',
  '--queue refresh --all --malformed',
  '--queue refresh --all --provider google',
  '--queue refresh --all --dry-run --yes',
  '--queue refresh --all --dry-run --save x',
  '--queue refresh --message= --yes',
])('refuses wrong usage: %s', async (line) => {
  expect((await discard(line)).error).toBeInstanceOf(UsageError);
});
