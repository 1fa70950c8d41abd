import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SendMessageBatchCommand, type SendMessageBatchRequestEntry, SQSClient } from '@aws-sdk/client-sqs';
import type { Command, ExitCode } from '../../../cli/command.ts';
import type { QueueName } from '../../../cli/dlq/dead-letter.ts';
import type { Runtime } from '../../../cli/dlq/runtime.ts';
import type { Output } from '../../../cli/output.ts';
import type { Target } from '../../../cli/target.ts';
import { type Queues, startQueues } from '../../../local/cloud/queues.ts';

/** A call of an SQS client, before it is made or after it was answered. */
export interface Call {
  readonly number: number;
  readonly action: string;
  readonly moment: 'before' | 'after';
  readonly input: Record<string, unknown>;
}

/** An SQS client that tells of its calls to `onCall`, which may throw. */
export function createClient(endpoint: string, onCall: (call: Call) => void = () => {}): SQSClient {
  const client = new SQSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
    // A test may have put the clock forward, and SQS refuses what is signed at another time.
    systemClockOffset: performance.timeOrigin + performance.now() - Date.now(),
  });
  let number = 0;
  client.middlewareStack.add(
    (next, context) => async (args) => {
      number += 1;
      const call = {
        number,
        action: String(context.commandName).replace(/Command$/, ''),
        input: args.input as Record<string, unknown>,
      };
      onCall({ ...call, moment: 'before' });
      const answer = await next(args);
      onCall({ ...call, moment: 'after' });
      return answer;
    },
    { step: 'initialize' },
  );
  return client;
}

/** Three queues with a dead-letter queue each, as in the stack. */
export interface TestStack {
  readonly outputs: Record<string, string>;
  target(onCall?: (call: Call) => void): Target;
  send(queue: QueueName, messages: readonly TestMessage[], to?: 'deadLetters' | 'source'): Promise<void>;
  /** Everything in a queue, hidden messages included. */
  contents(queue: QueueName, of?: 'deadLetters' | 'source'): Promise<Contents>;
}

export interface TestMessage {
  readonly body: string;
  readonly groupId?: string;
  readonly attributes?: SendMessageBatchRequestEntry['MessageAttributes'];
}

export interface Contents {
  /** Bodies, sorted. */
  readonly all: string[];
  readonly hidden: number;
}

export interface TestQueues {
  readonly queues: Queues;
  stack(sourceAttributes?: Record<string, string>): Promise<TestStack>;
  stop(): Promise<void>;
}

export async function startTestQueues(): Promise<TestQueues> {
  const queues = await startQueues();
  const plain = createClient(queues.endpoint);
  return {
    queues,
    async stack(sourceAttributes = {}) {
      const prefix = `evergrant-${randomUUID()}`;
      const url = (name: string) => `${queues.endpoint}/000000000000/${prefix}-${name}`;
      const outputs = {
        RefreshQueueUrl: url('refresh'),
        RefreshDeadLetterQueueUrl: url('refresh-dead-letters'),
        ThresholdQueueUrl: url('threshold'),
        ThresholdDeadLetterQueueUrl: url('threshold-dead-letters'),
        SealedResultQueueUrl: url('sealed'),
        SealedResultDeadLetterQueueUrl: url('sealed-dead-letters'),
      };
      const urls = {
        refresh: { source: outputs.RefreshQueueUrl, deadLetters: outputs.RefreshDeadLetterQueueUrl },
        threshold: { source: outputs.ThresholdQueueUrl, deadLetters: outputs.ThresholdDeadLetterQueueUrl },
        sealed: {
          source: outputs.SealedResultQueueUrl,
          deadLetters: outputs.SealedResultDeadLetterQueueUrl,
        },
      };
      for (const name of ['refresh', 'threshold', 'sealed']) {
        const deadLetters = `${prefix}-${name}-dead-letters`;
        await queues.call('CreateQueue', { QueueName: deadLetters, Attributes: {} });
        await queues.call('CreateQueue', {
          QueueName: `${prefix}-${name}`,
          Attributes: {
            RedrivePolicy: JSON.stringify({
              deadLetterTargetArn: `arn:aws:sqs:us-east-1:000000000000:${deadLetters}`,
              maxReceiveCount: 5,
            }),
            ...sourceAttributes,
          },
        });
      }
      return {
        outputs,
        target: (onCall) => ({
          ...unreachable,
          outputs,
          output: (name) => outputs[name as keyof typeof outputs],
          sqs: createClient(queues.endpoint, onCall),
        }),
        async send(queue, messages, to = 'deadLetters') {
          for (let start = 0; start < messages.length; start += 10) {
            await plain.send(
              new SendMessageBatchCommand({
                QueueUrl: urls[queue][to],
                Entries: messages.slice(start, start + 10).map(({ body, groupId, attributes }, index) => ({
                  Id: String(index),
                  MessageBody: body,
                  MessageGroupId: groupId,
                  MessageAttributes: attributes,
                })),
              }),
            );
          }
        },
        async contents(queue, of = 'deadLetters') {
          const name = urls[queue][of].split('/').at(-1);
          const response = await fetch(`${queues.endpoint}/_fauxqs/queues/${name}`);
          const { messages } = (await response.json()) as {
            messages: {
              ready: { body: string }[];
              delayed: { body: string }[];
              inflight: { message: { body: string } }[];
            };
          };
          const visible = [...messages.ready, ...messages.delayed].map(({ body }) => body);
          const hidden = messages.inflight.map(({ message }) => message.body);
          return { all: [...visible, ...hidden].toSorted(), hidden: hidden.length };
        },
      };
    },
    async stop() {
      plain.destroy();
      await queues.stop();
    },
  };
}

/** What these commands have no business with. */
const forbidden = new Proxy(
  {},
  {
    get() {
      throw new Error('Not for dead letters.');
    },
  },
) as never;

const unreachable = {
  stackName: 'evergrant-test',
  local: true,
  lambda: forbidden,
  ses: forbidden,
  secrets: forbidden,
  events: forbidden,
  invoke: () => Promise.reject(new Error('Not for dead letters.')),
};

export interface TestRuntime extends Runtime {
  interrupt(): void;
  /** Milliseconds slept so far, by the clock of the runtime. */
  sleptMs(): number;
}

/** A clock that sleeping moves on, with no time lost. */
export function testRuntime(overrides: Partial<Runtime> = {}): TestRuntime {
  const startedAtMs = Date.now();
  let nowMs = startedAtMs;
  const listeners = new Set<() => void>();
  return {
    now: () => nowMs,
    async sleep(durationMs, signal) {
      const endMs = nowMs + durationMs;
      // What is waited for happens in a server beside.
      await sleep(10, undefined, { signal });
      nowMs = Math.max(nowMs, endMs);
    },
    onInterrupt(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    longPollSeconds: 0,
    workers: 1,
    ...overrides,
    interrupt: () => {
      for (const listener of listeners) listener();
    },
    sleptMs: () => nowMs - startedAtMs,
  };
}

export interface Run {
  /** `null`: it threw. */
  readonly exitCode: ExitCode | null;
  readonly error: (Error & { code?: string }) | null;
  /** Standard output, for people. */
  readonly text: string;
  readonly progress: string;
  // biome-ignore lint/suspicious/noExplicitAny: a document is read by whoever knows the command
  readonly document: any;
  readonly questions: string[];
}

/** Runs a command as the command line does: once for people, or with `--json`. */
export async function run(
  command: Command,
  target: Target,
  line: string | readonly string[],
  answers: { readonly confirm?: boolean | (() => boolean) } = {},
): Promise<Run> {
  const words = typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line;
  const json = words.includes('--json');
  const { values } = parseArgs({
    args: words.filter((word) => word !== '--json'),
    options: command.options ?? {},
  });
  const lines: string[] = [];
  const progress: string[] = [];
  const documents: unknown[] = [];
  const questions: string[] = [];
  const output: Output = {
    json,
    interactive: false,
    line: (text = '') => void (json || lines.push(text)),
    progress: (text) => void progress.push(text),
    notice: (text = '') => void progress.push(text),
    document: (value) => void (json && documents.push(JSON.parse(JSON.stringify(value)))),
    style: (_, text) => text,
    async confirm(question) {
      questions.push(question);
      const { confirm = false } = answers;
      return typeof confirm === 'function' ? confirm() : confirm;
    },
    canAsk: false,
    ask: async () => null,
  };
  let exitCode: ExitCode | null = null;
  let error: Run['error'] = null;
  try {
    exitCode = await command.run({
      options: values as Record<string, string | boolean | undefined>,
      arguments: [],
      target: async () => target,
      output,
    });
  } catch (thrown) {
    error = thrown as Error;
  }
  if (documents.length > 1) throw new Error('More than one document.');
  return {
    exitCode,
    error,
    text: lines.join('\n'),
    progress: progress.join('\n'),
    document: documents[0],
    questions,
  };
}

export const refresh = (provider?: string, integrationId: string = randomUUID()): TestMessage => ({
  body: JSON.stringify({ version: 1, integrationId, ...(provider !== undefined && { provider }) }),
  ...(provider !== undefined && { groupId: provider.replace(/[^\x21-\x7e]/g, '_') }),
});

export const event = (provider?: string, eventId: string = randomUUID()): TestMessage => ({
  body: JSON.stringify({ version: 1, eventId, ...(provider !== undefined && { provider }) }),
  groupId: 'relay',
});

/** As a refresher sends it; what is sealed is only as long as a JWE. */
export const sealed = (provider: string, integrationId: string = randomUUID()): TestMessage => ({
  body: JSON.stringify({
    version: 1,
    integrationId,
    claim: '7',
    grant: 'ab'.repeat(32),
    provider,
    sealed: `canary${'x'.repeat(4_994)}`,
  }),
  groupId: provider,
});

export const malformed = (groupId?: string): TestMessage => ({
  body: `not ours ${randomUUID()}`,
  ...(groupId !== undefined && { groupId }),
});

export const many = (count: number, make: () => TestMessage): TestMessage[] =>
  Array.from({ length: count }, make);

export const bodies = (...messages: readonly (readonly TestMessage[])[]): string[] =>
  messages
    .flat()
    .map(({ body }) => body)
    .toSorted();
