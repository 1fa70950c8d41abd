import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Queues, startQueues } from '../../../local/cloud/queues.ts';
import type { SqsMessage } from '../../../local/cloud/sqs-client.ts';

const arn = (name: string) => `arn:aws:sqs:us-east-1:000000000000:${name}`;

let queues: Queues;
let number = 0;
/** Names of a queue and its dead-letter queue, new for each test. */
let work: string;
let deadLetters: string;

beforeAll(async () => {
  queues = await startQueues();
});
beforeEach(async () => {
  number += 1;
  work = `work-${number}`;
  deadLetters = `work-dead-letters-${number}`;
  await queues.call('CreateQueue', { QueueName: deadLetters, Attributes: {} });
  await queues.call('CreateQueue', {
    QueueName: work,
    Attributes: {
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arn(deadLetters), maxReceiveCount: 1 }),
    },
  });
});
afterAll(() => queues?.stop());

const url = (name: string) => `${queues.endpoint}/000000000000/${name}`;

const send = (name: string, body: string, groupId?: string) =>
  queues.call('SendMessage', {
    QueueUrl: url(name),
    MessageBody: body,
    MessageAttributes: { trace: { DataType: 'String', StringValue: 'x' } },
    ...(groupId === undefined ? {} : { MessageGroupId: groupId }),
  });

async function receive(name: string, visibility = 30): Promise<SqsMessage[]> {
  const { Messages: messages = [] } = await queues.call<{ Messages?: SqsMessage[] }>('ReceiveMessage', {
    QueueUrl: url(name),
    MaxNumberOfMessages: 10,
    VisibilityTimeout: visibility,
    MessageSystemAttributeNames: ['All'],
    MessageAttributeNames: ['All'],
  });
  return messages;
}

const groupsOf = (messages: SqsMessage[]) =>
  Object.fromEntries(messages.map(({ Body, Attributes }) => [Body, Attributes?.MessageGroupId]));

type Task = {
  Status: string;
  TaskHandle?: string;
  ApproximateNumberOfMessagesMoved: number;
  ApproximateNumberOfMessagesToMove: number;
};

async function tasks(): Promise<Task[]> {
  const { Results } = await queues.call<{ Results: Task[] }>('ListMessageMoveTasks', {
    SourceArn: arn(deadLetters),
    MaxResults: 10,
  });
  return Results;
}

async function until<T>(read: () => Promise<T | undefined | false>): Promise<T> {
  for (const deadline = Date.now() + 8_000; ; await sleep(5)) {
    const value = await read();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`Never true: ${read}`);
  }
}

const over = () => until(async () => (await tasks()).every(({ Status }) => !/ING$/.test(Status)));
const start = (more: object = {}) =>
  queues.call<{ TaskHandle: string }>('StartMessageMoveTask', { SourceArn: arn(deadLetters), ...more });

describe('group ids on standard queues', () => {
  test('come back with the message, of those that were sent with one', async () => {
    await send(work, 'grouped', 'google');
    await send(work, 'alone');
    await queues.call('SendMessageBatch', {
      QueueUrl: url(work),
      Entries: [
        { Id: 'a', MessageBody: 'first of a batch', MessageGroupId: 'slack' },
        { Id: 'b', MessageBody: 'second of a batch' },
      ],
    });
    expect(groupsOf(await receive(work))).toEqual({
      grouped: 'google',
      alone: undefined,
      'first of a batch': 'slack',
      'second of a batch': undefined,
    });
  });

  test('stay with it on its way to the dead-letter queue and back', async () => {
    await send(work, 'poison', 'google');
    await receive(work, 0);
    await receive(work, 0);
    const dead = await receive(deadLetters);
    expect(groupsOf(dead)).toEqual({ poison: 'google' });
    await queues.call('ChangeMessageVisibility', {
      QueueUrl: url(deadLetters),
      ReceiptHandle: dead[0]?.ReceiptHandle,
      VisibilityTimeout: 0,
    });
    await start();
    await over();
    const [message] = await receive(work);
    expect(message).toMatchObject({
      Body: 'poison',
      Attributes: { MessageGroupId: 'google' },
      MessageAttributes: { trace: { StringValue: 'x' } },
    });
  });

  test('are given to those only who ask for them', async () => {
    await send(work, 'grouped', 'google');
    const { Messages } = await queues.call<{ Messages: SqsMessage[] }>('ReceiveMessage', {
      QueueUrl: url(work),
      MessageSystemAttributeNames: ['SentTimestamp'],
    });
    expect(Messages[0]?.Attributes).toEqual({ SentTimestamp: expect.any(String) });
  });
});

describe('move tasks', () => {
  test('move what is there at the start, and count it', async () => {
    for (let i = 0; i < 25; i += 1) await send(deadLetters, String(i));
    await start({ DestinationArn: arn(work) });
    await over();
    expect(await tasks()).toMatchObject([
      {
        Status: 'COMPLETED',
        ApproximateNumberOfMessagesMoved: 25,
        ApproximateNumberOfMessagesToMove: 25,
        DestinationArn: arn(work),
      },
    ]);
    expect((await tasks())[0]).not.toHaveProperty('TaskHandle');
  });

  test('with a rate are under way until they are cancelled, and only one at a time', async () => {
    for (let i = 0; i < 5; i += 1) await send(deadLetters, String(i));
    const { TaskHandle } = await start({ MaxNumberOfMessagesPerSecond: 1 });
    const running = await until(async () =>
      (await tasks()).find(({ ApproximateNumberOfMessagesMoved: moved }) => moved > 0),
    );
    expect(running).toMatchObject({
      Status: 'RUNNING',
      TaskHandle,
      ApproximateNumberOfMessagesMoved: 1,
      ApproximateNumberOfMessagesToMove: 5,
      MaxNumberOfMessagesPerSecond: 1,
    });
    await expect(start()).rejects.toMatchObject({ code: 'UnsupportedOperation' });
    await queues.call('CancelMessageMoveTask', { TaskHandle });
    await expect(start()).rejects.toMatchObject({ code: 'UnsupportedOperation' });
    await over();
    expect(await tasks()).toMatchObject([{ Status: 'CANCELLED' }]);
    await expect(queues.call('CancelMessageMoveTask', { TaskHandle })).rejects.toMatchObject({
      code: 'ResourceNotFoundException',
    });
  });

  test('start once when two ask at the same time', async () => {
    await send(deadLetters, 'one');
    const started = await Promise.allSettled([start({ MaxNumberOfMessagesPerSecond: 1 }), start(), start()]);
    expect(started.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test.each([
    ['ResourceNotFoundException', 'StartMessageMoveTask', { SourceArn: arn('nowhere') }],
    ['ResourceNotFoundException', 'ListMessageMoveTasks', { SourceArn: arn('nowhere') }],
    ['ResourceNotFoundException', 'StartMessageMoveTask', { DestinationArn: arn('nowhere') }],
    ['InvalidParameterValue', 'StartMessageMoveTask', { MaxNumberOfMessagesPerSecond: 501 }],
    ['InvalidParameterValue', 'StartMessageMoveTask', { MaxNumberOfMessagesPerSecond: 0 }],
    ['InvalidParameterValue', 'ListMessageMoveTasks', { MaxResults: 11 }],
  ])('refuse with %s: %s %j', async (code, action, parameters) => {
    await expect(queues.call(action, { SourceArn: arn(deadLetters), ...parameters })).rejects.toMatchObject({
      code,
    });
  });
});
