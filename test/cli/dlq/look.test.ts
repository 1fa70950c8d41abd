import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../../../cli/command.ts';
import { listCommand } from '../../../cli/dlq/list.ts';
import { showCommand } from '../../../cli/dlq/show.ts';
import {
  bodies,
  event,
  malformed,
  many,
  refresh,
  run,
  sealed,
  startTestQueues,
  type TestMessage,
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

const list = (line = '') => run(listCommand(testRuntime({ workers: 3 })), stack.target(), line);
const show = (line = '') => run(showCommand(testRuntime({ workers: 3 })), stack.target(), line);

async function expectUntouched(messages: readonly TestMessage[]): Promise<void> {
  expect(await stack.contents('refresh')).toEqual({ all: bodies(messages), hidden: 0 });
}

describe('dlq list', () => {
  it('says of each queue how many there are, and of what kind', async () => {
    const refreshes = [
      ...many(120, () => refresh('google')),
      ...many(31, () => refresh('slack')),
      ...many(2, () => refresh()),
      ...many(4, () => malformed('slack')),
      ...many(3, () => malformed()),
    ];
    await stack.send('refresh', refreshes);
    await stack.send('threshold', [event('google'), event()]);
    await stack.send('sealed', [sealed('google'), malformed()]);
    const { exitCode, document } = await list('--json');
    expect(exitCode).toBe(0);
    const [first, second, third] = document.queues;
    expect(first).toMatchObject({
      queue: 'refresh',
      url: stack.outputs.RefreshDeadLetterQueueUrl,
      visible: 160,
      inFlight: 0,
      seen: 160,
      unseen: 0,
      oldestSentAt: expect.stringMatching(/^20.*Z$/),
      latestRedrive: null,
      groups: [
        { provider: 'google', problem: null, count: 120 },
        { provider: 'slack', problem: null, count: 31 },
        { provider: 'slack', problem: 'the body is not JSON', count: 4 },
        { provider: null, problem: 'the body is not JSON', count: 3 },
        { provider: null, problem: null, count: 2 },
      ],
    });
    expect(second.groups).toMatchObject([
      { provider: null, problem: null, count: 1 },
      { provider: 'google', problem: null, count: 1 },
    ]);
    expect(third).toMatchObject({
      queue: 'sealed',
      url: stack.outputs.SealedResultDeadLetterQueueUrl,
      visible: 2,
      groups: expect.arrayContaining([
        expect.objectContaining({ provider: 'google', problem: null, count: 1 }),
        expect.objectContaining({ provider: null, problem: 'the body is not JSON', count: 1 }),
      ]),
    });
    await expectUntouched(refreshes);
  });

  it('reads well', async () => {
    await stack.send('refresh', [...many(12, () => refresh('google')), malformed()]);
    const { text } = await list();
    expect(text.split('\n')).toEqual([
      expect.stringMatching(/^refresh: 13 dead letters, the oldest was sent \d s ago$/),
      expect.stringMatching(/^ {2}12 {2}google {2}oldest \d s$/),
      expect.stringMatching(
        /^ {3}1 {2}of an unknown provider {2}malformed: the body is not JSON {2}oldest \d s$/,
      ),
      'threshold: no dead letters',
      'sealed: no dead letters',
    ]);
  });

  it('says that it did not see all when it stopped at its limit', async () => {
    const messages = many(45, () => refresh('google'));
    await stack.send('refresh', messages);
    const { text } = await list('--queue refresh --limit 20');
    expect(text).toMatch(/^refresh: about 45 dead letters, the oldest seen was/);
    expect(text).toMatch(/ {2}20 {2}google/);
    expect(text).toMatch(/Seen are 20; --limit looks further/);
    await expectUntouched(messages);
  });

  it('says what is in flight with somebody else', async () => {
    await stack.send(
      'refresh',
      many(9, () => refresh('google')),
    );
    await queues.queues.call('ReceiveMessage', {
      QueueUrl: stack.outputs.RefreshDeadLetterQueueUrl,
      MaxNumberOfMessages: 4,
      VisibilityTimeout: 600,
    });
    const { text, document } = await list('--queue refresh');
    expect(text).toMatch(/about 9 dead letters, about 4 of them in flight/);
    expect(text).toMatch(/About 4 more were not seen: they are in flight/);
    expect(document).toBeUndefined();
  });

  it('counts only, when asked to look at none', async () => {
    await stack.send(
      'refresh',
      many(9, () => refresh('google')),
    );
    const calls: string[] = [];
    const { text } = await run(
      listCommand(testRuntime()),
      stack.target(({ action }) => calls.push(action)),
      '--limit 0',
    );
    expect(text).toBe('refresh: 9 dead letters\nthreshold: no dead letters\nsealed: no dead letters');
    expect(calls).not.toContain('ReceiveMessage');
  });

  it('lets no name steer the terminal', async () => {
    await stack.send('refresh', [{ body: refresh('\u001b[31mred\u009b').body }]);
    const { text } = await list('--queue refresh');
    expect(text).toContain('\\u001b[31mred\\u009b');
    expect(text).not.toContain('\u001b');
    expect(text).not.toContain('\u009b');
  });

  it.each(['--queue nothing', '--limit -1', '--limit many', '--limit 100001'])('refuses %s', async (line) => {
    expect((await list(line.replace(' -1', '=-1'))).error).toBeInstanceOf(UsageError);
  });
});

describe('dlq show', () => {
  it('shows messages in full', async () => {
    const integrationId = randomUUID();
    const message = {
      ...refresh('google', integrationId),
      attributes: { trace: { DataType: 'String', StringValue: 'canary-value-of-an-attribute' } },
    };
    await stack.send('refresh', [message]);
    const { text, exitCode } = await show();
    expect(exitCode).toBe(0);
    expect(text).toMatch(/^refresh {2}[\w-]{36}\n {2}sent {8}20.*Z, \d s ago\n {2}received {4}1 times/);
    expect(text).toContain(`  provider    google\n  group       google\n  integration ${integrationId}\n`);
    expect(text).toContain(`  body        ${message.body}\n  attributes  trace\n`);
    expect(text).toContain('threshold: none among 0 dead letters seen.');
    expect(text).not.toContain('canary');
    await expectUntouched([message]);
  });

  it('shows events, and why a message is malformed', async () => {
    const eventId = randomUUID();
    await stack.send('threshold', [event('slack', eventId)]);
    await stack.send('refresh', [{ body: `{"version":2,"integrationId":"${eventId}"}` }]);
    const { document } = await show('--json');
    const [first, second] = document.queues;
    expect(first.messages).toMatchObject([
      { queue: 'refresh', integrationId: null, provider: null, problem: expect.stringMatching(/^version: /) },
    ]);
    expect(second.messages).toMatchObject([
      { queue: 'threshold', eventId, provider: 'slack', groupId: 'relay', problem: null, receiveCount: 1 },
    ]);
  });

  it('finds messages of a provider, malformed ones and a single one, however many stand before', async () => {
    const crowd = many(150, () => refresh('google'));
    await stack.send('refresh', [...crowd, refresh('slack'), malformed('slack'), malformed()]);
    const ofSlack = (await show('--queue refresh --provider slack --json')).document.queues[0].messages;
    expect(new Set(ofSlack.map(({ problem }: { problem: string | null }) => problem))).toEqual(
      new Set([null, 'the body is not JSON']),
    );
    expect(ofSlack).toHaveLength(2);
    expect((await show('--queue refresh --malformed --json')).document.queues[0].messages).toHaveLength(2);
    const [{ messageId }] = ofSlack;
    expect(
      (await show(`--message ${messageId} --json`)).document.queues.flatMap(
        ({ messages }: { messages: { messageId: string }[] }) => messages,
      ),
    ).toMatchObject([{ messageId }]);
    expect((await stack.contents('refresh')).hidden).toBe(0);
  });

  it('keeps to its limit', async () => {
    await stack.send(
      'refresh',
      many(30, () => refresh('google')),
    );
    expect((await show('--queue refresh --json')).document.queues[0].messages).toHaveLength(10);
    expect(
      (await show('--queue refresh --provider google --limit 3 --json')).document.queues[0].messages,
    ).toHaveLength(3);
    expect((await stack.contents('refresh')).hidden).toBe(0);
  });

  it('says when there is no such message', async () => {
    expect((await show(`--message ${randomUUID()}`)).error).toMatchObject({
      name: 'CliError',
      code: 'message_not_found',
    });
  });

  it('shows of a sealed result whose it is, and how long what is sealed is', async () => {
    const integrationId = randomUUID();
    const message = sealed('google', integrationId);
    await stack.send('sealed', [message]);
    const { text, document } = await show('--queue sealed');
    expect(document).toBeUndefined();
    expect(text).toContain(`  provider    google\n  group       google\n  integration ${integrationId}\n`);
    expect(text).toContain(
      `  body        {"version":1,"integrationId":"${integrationId}","claim":"7","grant":"${'ab'.repeat(32)}","provider":"google","sealed":"«5000 characters»"}\n`,
    );
    const json = JSON.stringify((await show('--json')).document);
    expect(json).toContain('«5000 characters»');
    expect(text + json).not.toContain('canary');
    expect(await stack.contents('sealed')).toEqual({ all: [message.body], hidden: 0 });
  });

  it('shows nothing secret of what somebody else sent', async () => {
    await stack.send('refresh', [
      { body: `{"integrationId":"x","refresh_token":"canary","note":"1//canaryCANARYcanary0123456789"}` },
      { body: JSON.stringify({ version: 1, integrationId: randomUUID(), accessToken: 'canary' }) },
    ]);
    for (const line of ['', '--json']) {
      const { text, document } = await show(line);
      expect(text + JSON.stringify(document)).toContain('«');
      expect(text + JSON.stringify(document)).not.toContain('canary');
    }
  });
});
