import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from 'aws-cdk-lib';
import { Duration, Fn, Validations } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { CfnDBCluster } from 'aws-cdk-lib/aws-rds';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Trigger } from 'aws-cdk-lib/triggers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LocalCloud, LocalCloudOptions } from '../../../local/cloud/cloud.ts';
import { startCloud } from '../../../local/cloud/cloud.ts';
import { startEmail } from '../../../local/cloud/email.ts';
import type { CloudEvent } from '../../../local/cloud/events.ts';
import { startQueues } from '../../../local/cloud/queues.ts';
import { startSecrets } from '../../../local/cloud/secrets.ts';
import type { SqsCall, SqsMessage } from '../../../local/cloud/sqs-client.ts';
import { createSqsCaller } from '../../../local/cloud/sqs-client.ts';
import type { StackSpec } from '../../../local/cloud/stack.ts';
import { readStack } from '../../../local/cloud/stack.ts';
import { readTemplate } from '../../../local/cloud/template.ts';
import { addCluster, addFunction, addQueue, databaseUrl, everything, synthesize } from './fixture.ts';

let cloud: LocalCloud;
let sqs: SqsCall;
let assembly: ReturnType<typeof synthesize>;
const events: CloudEvent[] = [];

beforeAll(async () => {
  assembly = synthesize(everything);
  process.env.EVERGRANT_TEST_CANARY = 'of the parent';
  cloud = await startCloud({
    assemblyDir: assembly.assemblyDir,
    stackName: 'fixture',
    secrets: { 'evergrant/replaced': { given: true }, 'evergrant/own': 'plain' },
    onEvent: (event) => events.push(event),
  });
  sqs = createSqsCaller(cloud.endpoints.sqs);
});

afterAll(async () => {
  await cloud?.stop();
  assembly?.remove();
});

function eventsOf<Type extends CloudEvent['type']>(type: Type): Extract<CloudEvent, { type: Type }>[] {
  return events.filter((event): event is Extract<CloudEvent, { type: Type }> => event.type === type);
}

async function until<T>(read: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  for (const deadline = Date.now() + 8_000; ; await sleep(10)) {
    const value = await read();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`Never true: ${read}`);
  }
}

function send(queueId: string, ...bodies: string[]): Promise<unknown> {
  const Entries = bodies.map((MessageBody, index) => ({ Id: String(index), MessageBody }));
  return sqs('SendMessageBatch', { QueueUrl: cloud.queues[queueId]?.url, Entries });
}

async function receive(queueId: string): Promise<SqsMessage[]> {
  const QueueUrl = cloud.queues[queueId]?.url;
  const answer = await sqs<{ Messages?: SqsMessage[] }>('ReceiveMessage', {
    QueueUrl,
    MaxNumberOfMessages: 10,
  });
  return answer.Messages ?? [];
}

/** JSON lines that a function has logged. */
function logged<T>(functionId: string): T[] {
  return eventsOf('function.log')
    .filter((event) => event.functionId === functionId && event.line.startsWith('{'))
    .map(({ line }) => JSON.parse(line) as T);
}

async function payloadOf<T>(
  functionId: string,
  event: { [key: string]: string | number | boolean } = {},
): Promise<T> {
  const result = await cloud.invoke(functionId, event);
  if (!result.ok) throw new Error(`${result.errorType}: ${result.errorMessage}`);
  return result.payload as T;
}

// Together, because each of them waits for a whole second of AWS' clock or more.
describe.concurrent('what takes its time', () => {
  test('functions are killed at their timeout', async () => {
    const result = await cloud.invoke('hang', {});
    expect(result).toMatchObject({
      ok: false,
      errorType: 'Sandbox.Timedout',
      errorMessage: expect.stringContaining('Task timed out after 1.00 seconds'),
    });
    expect(result.durationMs).toBeGreaterThanOrEqual(995);
    expect(result.durationMs).toBeLessThan(3_000);
    expect(cloud.pids('hang')).toEqual([]);
  });

  test('event sources delete successes and leave failures, which end in the dead-letter queue unchanged', async () => {
    await send('Work', 'fine', 'poison {"id": 1}', 'fine too');
    const [message] = await until(async () => {
      const messages = await receive('WorkDeadLetters');
      return messages.length > 0 && messages;
    });
    expect(message?.Body).toBe('poison {"id": 1}');
    const batches = logged<{ batch: string[] }>('partial').map(({ batch }) => batch);
    expect(batches.flat().filter((body) => body.startsWith('poison'))).toHaveLength(2);
    expect(batches.flat().filter((body) => body === 'fine')).toHaveLength(1);
    await sqs('DeleteMessage', {
      QueueUrl: cloud.queues.WorkDeadLetters?.url,
      ReceiptHandle: message?.ReceiptHandle,
    });
  });

  test('event sources gather more than ten messages until the batch is full or the window ends', async () => {
    const bodies = Array.from({ length: 10 }, (_, index) => String(index));
    await Promise.all([send('Bulk', ...bodies), send('Bulk', ...bodies), send('Bulk', ...bodies)]);
    await until(() => logged<{ size: number }>('collect').reduce((sum, { size }) => sum + size, 0) === 30);
    expect(logged<{ size: number }>('collect').map(({ size }) => size)).toEqual([25, 5]);
  });
});

test('outputs are resolved, but for those of what is left out', () => {
  expect(cloud.outputs).toEqual({
    WorkUrl: `${cloud.endpoints.sqs}/000000000000/fixture-Work`,
    Greeted: 'hello us-east-1',
  });
});

describe('functions', () => {
  test('get the resolved environment, what Lambda adds, and nothing of the parent', async () => {
    const { env, functionName, remainingTimeMs } = await payloadOf<{
      env: Record<string, string>;
      functionName: string;
      remainingTimeMs: number;
    }>('echo');
    const arn = 'arn:aws:sqs:us-east-1:000000000000:fixture-Work';
    expect(env).toMatchObject({
      QUEUE_URL: `${cloud.endpoints.sqs}/000000000000/fixture-Work`,
      QUEUE_ARN: arn,
      QUEUE_NAME: 'fixture-Work',
      JOINED: 'hello-us-east-1-fixture-Work',
      SUBSTITUTED: `hello/${arn}/aws`,
      AWS_REGION: 'us-east-1',
      AWS_LAMBDA_FUNCTION_NAME: 'echo',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
      AWS_ACCESS_KEY_ID: 'LOCALecho',
      TZ: ':UTC',
    });
    expect(env.SECRET_ARN).toMatch(
      /^arn:aws:secretsmanager:us-east-1:000000000000:secret:fixture-Generated-\w{6}$/,
    );
    expect(env).not.toHaveProperty('EVERGRANT_TEST_CANARY');
    expect(functionName).toBe('echo');
    expect(remainingTimeMs).toBeGreaterThan(4_000);
    expect(remainingTimeMs).toBeLessThanOrEqual(5_000);
  });

  test('that are configured anew keep what they have until their process ends', async () => {
    const configured = async () => {
      const { env } = await payloadOf<{ env: Record<string, string> }>('echo');
      const { AWS_LAMBDA_FUNCTION_MEMORY_SIZE, ADDED, QUEUE_NAME } = env;
      return [AWS_LAMBDA_FUNCTION_MEMORY_SIZE, ADDED, QUEUE_NAME];
    };
    const before = await configured();
    cloud.configure('echo', { memoryMb: 320, environment: { ADDED: 'later' } });
    expect(await configured()).toEqual(before);
    expect(await cloud.invoke('echo', { exit: 3 })).toMatchObject({ ok: false });
    expect(await configured()).toEqual(['320', 'later', 'fixture-Work']);
    cloud.configure('echo', { memoryMb: 256 });
    expect(await cloud.invoke('echo', { exit: 3 })).toMatchObject({ ok: false });
    expect(await configured()).toEqual(['256', 'later', 'fixture-Work']);
  });

  test('that exit fail the invocation, and the next one gets a new process', async () => {
    expect(await cloud.invoke('echo', { exit: 3 })).toMatchObject({
      ok: false,
      errorType: 'Runtime.ExitError',
      errorMessage: expect.stringContaining('exit status 3'),
    });
    expect(await cloud.invoke('echo', {})).toMatchObject({ ok: true });
  });

  test('that throw keep their process', async () => {
    await cloud.invoke('echo', {});
    const pids = cloud.pids('echo');
    expect(await cloud.invoke('echo', { fail: true })).toMatchObject({
      ok: false,
      errorType: 'TypeError',
      errorMessage: 'as asked',
    });
    expect(cloud.pids('echo')).toEqual(pids);
  });

  test('are refused when they take a callback or are not exported, as Node 24 on Lambda refuses them', async () => {
    expect(await cloud.invoke('oldStyle', {})).toMatchObject({
      errorType: 'Runtime.CallbackHandlerDeprecated',
    });
    expect(await cloud.invoke('missing', {})).toMatchObject({ errorType: 'Runtime.HandlerNotFound' });
  });

  test('are frozen between invocations, in one process that is used again', async () => {
    const before = await payloadOf<{ ticks: number; pid: number }>('ticker');
    await sleep(500);
    const after = await payloadOf<{ ticks: number; pid: number }>('ticker');
    expect(after.pid).toBe(before.pid);
    expect(after.ticks - before.ticks).toBeLessThan(20);
  });

  test('run in as many processes as invocations overlap', async () => {
    const results = await Promise.all([1, 2, 3].map(() => cloud.invoke('slowWorker', {})));
    expect(results.every(({ ok }) => ok)).toBe(true);
    expect(cloud.pids('slowWorker').length).toBeGreaterThanOrEqual(3);
  });

  test('with reserved concurrency are throttled above it', async () => {
    const first = cloud.invoke('single', {});
    expect(await cloud.invoke('single', {})).toMatchObject({
      ok: false,
      errorType: 'TooManyRequestsException',
    });
    cloud.kill('single');
    expect(await first).toMatchObject({ ok: false, errorType: 'Runtime.ExitError' });
  });

  test('log lines belong to their request', async () => {
    const result = await cloud.invoke('echo', {});
    const line = eventsOf('function.log').find(({ requestId }) => requestId === result.requestId);
    expect(line).toMatchObject({ functionId: 'echo', line: 'echoing' });
  });
});

describe('event sources', () => {
  test('start a function at once, with records as Lambda makes them', async () => {
    const sentAt = Date.now();
    await sqs('SendMessage', {
      QueueUrl: cloud.queues.Work?.url,
      MessageBody: 'good',
      MessageAttributes: { kind: { DataType: 'String', StringValue: 'a' } },
    });
    await until(() => eventsOf('function.started').some(({ functionId }) => functionId === 'partial'));
    expect(Date.now() - sentAt).toBeLessThan(500);
    const [entry] = await until(() => {
      const found = logged<{ batch: string[]; records: object[] }>('partial').filter(
        ({ batch }) => batch[0] === 'good',
      );
      return found.length > 0 && found;
    });
    expect(entry?.records[0]).toMatchObject({
      body: 'good',
      eventSource: 'aws:sqs',
      eventSourceARN: cloud.queues.Work?.arn,
      awsRegion: 'us-east-1',
      attributes: { ApproximateReceiveCount: '1', SentTimestamp: expect.any(String) },
      messageAttributes: { kind: { dataType: 'String', stringValue: 'a' } },
    });
    await until(() =>
      eventsOf('batch.ended').some((e) => e.queueId === 'Work' && e.failedMessageIds.length === 0),
    );
  });

  test.each(['throw', 'unknown'])('leave the whole batch after "%s"', async (bad) => {
    await send('Work', bad, `with ${bad}`);
    const ended = await until(() =>
      eventsOf('batch.ended').find(({ error }) => error?.includes(bad === 'throw' ? 'is bad' : 'nobody')),
    );
    expect(ended.failedMessageIds).toHaveLength(ended.messageCount);
  });

  test('respect their maximum concurrency', async () => {
    const before = events.length;
    await send('Slow', '1', '2', '3', '4', '5', '6');
    await until(() => eventsOf('batch.ended').filter(({ queueId }) => queueId === 'Slow').length === 6);
    let running = 0;
    let most = 0;
    for (const event of events.slice(before)) {
      if (!('functionId' in event) || event.functionId !== 'slowWorker') continue;
      if (event.type === 'function.started') most = Math.max(most, ++running);
      if (event.type === 'function.ended') running--;
    }
    expect(most).toBe(2);
  });
});

describe('queues', () => {
  test('take messages of functions, with a group id', async () => {
    const messageId = await payloadOf<string>('sendMessage', { body: 'from within' });
    const [message] = await receive('Outbox');
    expect(message).toMatchObject({ MessageId: messageId, Body: 'from within' });
  });

  test('answer URLs that resolve', async () => {
    const answer = await sqs<{ QueueUrl: string }>('GetQueueUrl', { QueueName: 'fixture-Work' });
    expect(answer.QueueUrl).toBe(cloud.queues.Work?.url);
  });

  test('move dead letters back to their queue', async () => {
    await send('WorkDeadLetters', 'replayed');
    const SourceArn = cloud.queues.WorkDeadLetters?.arn;
    await sqs('StartMessageMoveTask', { SourceArn });
    await until(() => logged<{ batch: string[] }>('partial').some(({ batch }) => batch.includes('replayed')));
    // The function may have the message before the task has ended.
    const task = await until(async () => {
      const { Results } = await sqs<{ Results: { Status: string }[] }>('ListMessageMoveTasks', { SourceArn });
      return Results[0]?.Status !== 'RUNNING' && Results[0];
    });
    expect(task).toMatchObject({
      Status: 'COMPLETED',
      ApproximateNumberOfMessagesMoved: expect.any(Number),
    });
    await expect(sqs('StartMessageMoveTask', { SourceArn: cloud.queues.Work?.arn })).rejects.toMatchObject({
      code: 'UnsupportedOperation',
    });
  });

  test('know whose dead letters they hold', () => {
    expect(cloud.queues.WorkDeadLetters?.deadLetterOf).toBe('Work');
    expect(cloud.queues.Work?.deadLetterOf).toBeUndefined();
  });
});

describe('triggers and rules', () => {
  test('a trigger runs once, before event sources and rules', () => {
    const order = events.map((event) => (event.type === 'function.started' ? event.source : event.type));
    expect(order.filter((entry) => entry === 'trigger.done')).toHaveLength(1);
    expect(order.indexOf('trigger.done')).toBeLessThan(order.indexOf('rule.fired'));
    expect(order.indexOf('trigger')).toBe(0);
  });

  test('a rule fires at start', async () => {
    await until(() => eventsOf('function.ended').some(({ functionId }) => functionId === 'scanned'));
    expect(eventsOf('rule.fired').map(({ functionId }) => functionId)).toEqual(['scanned', 'migrate']);
  });

  test('resources that cannot be run are listed', () => {
    expect(cloud.unsupported).toEqual([expect.stringMatching(/^Parameter\w* \(AWS::SSM::Parameter\)$/)]);
  });
});

describe('secrets', () => {
  test('are generated as the template says, and found by ARN, partial ARN and name', async () => {
    const value = cloud.getSecret('Generated') as string;
    const { user, password } = JSON.parse(value) as { user: string; password: string };
    expect(user).toBe('evergrant');
    expect(password).toMatch(/^[d-zA-Z0-9]{20}$/);
    const { env } = await payloadOf<{ env: { SECRET_ARN: string } }>('echo');
    for (const id of [env.SECRET_ARN, env.SECRET_ARN.slice(0, -7), 'fixture-Generated']) {
      expect(await payloadOf('readSecret', { id })).toBe(value);
    }
  });

  test('given ones come before the template, and can be changed', async () => {
    expect(await payloadOf('readSecret', { id: 'evergrant/replaced' })).toBe('{"given":true}');
    expect(await payloadOf('readSecret', { id: 'evergrant/own' })).toBe('plain');
    cloud.putSecret('evergrant/own', 'rotated');
    expect(await payloadOf('readSecret', { id: 'evergrant/own' })).toBe('rotated');
  });

  test('that do not exist are reported as the SDK expects', async () => {
    expect(await payloadOf('readSecret', { id: 'nothing' })).toEqual({ name: 'ResourceNotFoundException' });
  });
});

describe('email', () => {
  test('arrives in the inbox', async () => {
    await payloadOf('sendEmail', { to: 'ann@example.com' });
    const [email] = await cloud.listEmails();
    expect(email).toMatchObject({
      subject: 'Hello',
      destination: { to: ['ann@example.com'] },
      body: { text: 'World' },
    });
    expect((await fetch(cloud.endpoints.inbox)).status).toBe(200);
  });

  test('can hang, fail and be slow, and be mended', async () => {
    const calls = cloud.emailCallCount();
    cloud.setEmailFault({ hang: true });
    expect(await payloadOf('sendEmail', { to: 'bob@example.com', timeoutMs: 200 })).toMatchObject({
      name: 'AbortError',
    });
    cloud.setEmailFault({ status: 429, body: { __type: 'TooManyRequestsException', message: 'slow down' } });
    expect(await payloadOf('sendEmail', { to: 'bob@example.com' })).toEqual({
      name: 'TooManyRequestsException',
    });
    cloud.setEmailFault({ delayMs: 100 });
    expect(await payloadOf('sendEmail', { to: 'cat@example.com' })).toHaveProperty('MessageId');
    cloud.setEmailFault(null);
    expect(cloud.emailCallCount() - calls).toBe(3);
    expect((await cloud.listEmails()).map(({ destination }) => destination.to[0])).not.toContain(
      'bob@example.com',
    );
    expect(eventsOf('email.called').at(-1)).toMatchObject({ functionId: 'sendEmail', status: 200 });
  });
});

describe('the Lambda endpoint', () => {
  const call = (path: string, init?: RequestInit) => fetch(`${cloud.endpoints.lambda}${path}`, init);
  const invoke = (name: string, body: string, type = 'RequestResponse') =>
    call(`/2015-03-31/functions/${name}/invocations`, {
      method: 'POST',
      body,
      headers: { 'x-amz-invocation-type': type },
    });

  test('invokes, and says when a function failed', async () => {
    expect(await (await invoke('echo', '{"a":1}')).json()).toMatchObject({ event: { a: 1 } });
    const failed = await invoke('echo', '{"fail":true}');
    expect(failed.status).toBe(200);
    expect(failed.headers.get('x-amz-function-error')).toBe('Unhandled');
    expect(await failed.json()).toMatchObject({ errorType: 'TypeError' });
  });

  test('hands asynchronous events over, and their failures to the destination', async () => {
    expect((await invoke('doomed', '{"fail":true}', 'Event')).status).toBe(202);
    const [message] = await until(async () => {
      const messages = await receive('Failures');
      return messages.length > 0 && messages;
    });
    expect(JSON.parse(message?.Body ?? '')).toMatchObject({
      requestContext: { condition: 'RetriesExhausted' },
      requestPayload: { fail: true },
      responsePayload: { errorType: 'TypeError' },
    });
  });

  test('kills a function that runs', async () => {
    const running = cloud.invoke('hang', {});
    await until(() => cloud.pids('hang').length > 0);
    const answer = (await (
      await call('/_switches/functions/hang/kill', { method: 'POST' })
    ).json()) as object;
    expect(answer).toMatchObject({ functionId: 'hang', killedPids: [expect.any(Number)] });
    expect(await running).toMatchObject({ errorType: 'Runtime.ExitError' });
  });

  test('explains bad input', async () => {
    const unknown = await invoke('nobody', '{}');
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ message: expect.stringContaining('echo') });
    expect((await invoke('echo', 'no json')).status).toBe(400);
    for (const body of [
      '[]',
      '{}',
      '{"hang":false}',
      '{"delayMs":"1"}',
      '{"status":1}',
      '{"hang":true,"delayMs":1}',
    ]) {
      const answer = await call('/_switches/email', { method: 'PUT', body });
      expect(answer.status, body).toBe(400);
    }
    expect((await call('/_switches/email', { method: 'PUT', body: '{"delayMs":1}' })).status).toBe(200);
    expect((await call('/_switches/email', { method: 'DELETE' })).status).toBe(200);
    expect((await call('/_switches')).status).toBe(200);
  });
});

describe('start and stop', () => {
  test('stop leaves no process behind, frozen or busy', async () => {
    let scans = 0;
    const define = (stack: Stack) => {
      addFunction(stack, 'ticker', 'ticker.handler');
      addFunction(stack, 'hang', 'echo.hang', { timeoutS: 60 });
      const scan = addFunction(stack, 'scan', 'echo.handler');
      new Rule(stack, 'Scan', {
        schedule: Schedule.rate(Duration.minutes(1)),
        targets: [new LambdaFunction(scan)],
      });
    };
    const own = await startOnce(define, {
      scanIntervalMs: 50,
      onEvent: (event) => {
        if (event.type === 'rule.fired') scans++;
      },
    });
    await own.invoke('ticker', {});
    const hanging = own.invoke('hang', {});
    await until(() => own.pids('hang').length > 0 && own.pids('scan').length > 0 && scans >= 3);
    const pids = [...own.pids('ticker'), ...own.pids('hang'), ...own.pids('scan')];
    const startedAt = Date.now();
    await own.stop();
    expect(Date.now() - startedAt).toBeLessThan(2_000);
    expect(await hanging).toMatchObject({ ok: false });
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    await expect(fetch(own.endpoints.sqs)).rejects.toThrow();
  });

  test('a failing trigger fails the start with the error of its function', async () => {
    const failing = startOnce((stack) => {
      new Trigger(stack, 'Migrate', { handler: addFunction(stack, 'migrate', 'echo.nothing') });
    });
    await expect(failing).rejects.toThrow(/Trigger Migrate\w* failed in migrate: Runtime.HandlerNotFound/);
  });

  test('a taken port is named with its option', async () => {
    const port = Number(new URL(cloud.endpoints.lambda).port);
    const taken = (option: string) => `Port ${port} (option ports.${option}) is already in use`;
    await expect(startQueues(port)).rejects.toThrow(taken('sqs'));
    await expect(startSecrets({ specs: [], given: {}, port })).rejects.toThrow(taken('secretsManager'));
    await expect(startEmail({ port, onEvent: () => {} })).rejects.toThrow(taken('email'));
    const { assemblyDir } = assembly;
    const failing = startCloud({ assemblyDir, stackName: 'fixture', secrets: {}, ports: { lambda: port } });
    await expect(failing).rejects.toThrow(taken('lambda'));
  });

  async function startOnce(define: (stack: Stack) => void, options: Partial<LocalCloudOptions> = {}) {
    const own = synthesize(define);
    try {
      return await startCloud({
        assemblyDir: own.assemblyDir,
        stackName: 'fixture',
        secrets: {},
        ...options,
      });
    } finally {
      own.remove();
    }
  }
});

describe('templates that AWS or the local cloud would refuse', () => {
  const templateOptions = {
    parameters: {},
    sqsEndpoint: 'http://sqs',
    databaseEndpoint: { host: 'localhost', port: 1 },
  };
  function read(define: (stack: Stack) => void): StackSpec {
    const own = synthesize(define);
    try {
      const { assemblyDir } = own;
      return readStack(readTemplate({ ...templateOptions, assemblyDir, stackName: 'fixture' }));
    } finally {
      own.remove();
    }
  }

  test('a function that may outlast the visibility timeout of its queue', () => {
    const define = (stack: Stack) => {
      const lambda = addFunction(stack, 'worker', 'worker.slow', { timeoutS: 31 });
      lambda.addEventSource(new SqsEventSource(addQueue(stack, 'Jobs', 30)));
      Validations.of(stack).acknowledge({
        id: 'CloudFormation-Validate::E3505',
        reason: 'the point of this test',
      });
    };
    expect(() => read(define)).toThrow(
      'visibility timeout: 30 seconds (Jobs) is less than Function timeout: 31',
    );
  });

  test('a schedule other than a rate', () => {
    const define = (stack: Stack) => {
      const targets = [new LambdaFunction(addFunction(stack, 'scan', 'echo.handler'))];
      new Rule(stack, 'Scan', { schedule: Schedule.cron({ minute: '5' }), targets });
    };
    expect(() => read(define)).toThrow(/^Scan\w* \(AWS::Events::Rule\), ScheduleExpression: is cron/);
  });

  test('a value that only CloudFormation knows', () => {
    const define = (stack: Stack) => {
      addFunction(stack, 'scan', 'echo.handler', {
        environment: { TOPIC: new Topic(stack, 'Alarms').topicArn },
      });
    };
    expect(() => read(define)).toThrow(
      /^scan, Environment.Variables.TOPIC: can't resolve .*AWS::SNS::Topic has no such/,
    );
  });

  test('a runtime other than Node 24', () => {
    const define = (stack: Stack) => {
      const lambda = addFunction(stack, 'scan', 'echo.handler').node.defaultChild as CfnFunction;
      lambda.runtime = 'nodejs22.x';
    };
    expect(() => read(define)).toThrow('Runtime: is nodejs22.x; the local cloud runs nodejs24.x only');
  });

  test.each<[string, object, string]>([
    [
      'another engine',
      { engine: 'aurora-mysql' },
      'Engine: is aurora-mysql; the local cloud has PostgreSQL only',
    ],
    [
      'passwords',
      { withExpressConfiguration: false, enableIamDatabaseAuthentication: false },
      'EnableIAMDatabaseAuthentication: is needed: the local cloud knows no password',
    ],
  ])('a database cluster with %s', (_, properties, message) => {
    expect(() => read((stack) => void addCluster(stack, properties))).toThrow(
      `Database (AWS::RDS::DBCluster), ${message}`,
    );
  });

  test('a second database cluster', () => {
    const define = (stack: Stack) => {
      addCluster(stack);
      new CfnDBCluster(stack, 'Second', {
        engine: 'aurora-postgresql',
        enableIamDatabaseAuthentication: true,
      });
    };
    expect(() => read(define)).toThrow('the local cloud has one cluster only');
  });

  test('attributes of a database cluster', () => {
    const { functions, databaseCluster } = read((stack) => {
      const cluster = addCluster(stack, {
        dbClusterIdentifier: 'Evergrant-Prod',
        databaseName: 'app',
        masterUsername: 'owner',
      });
      const CLUSTER = Fn.join(' ', [cluster.ref, cluster.attrDbClusterArn, cluster.attrDbClusterResourceId]);
      addFunction(stack, 'echo', 'echo.handler', { environment: { URL: databaseUrl(cluster), CLUSTER } });
    });
    expect(databaseCluster).toEqual({
      id: 'Database',
      resourceId: 'cluster-DATABASE',
      masterUser: 'owner',
      database: 'app',
    });
    expect(functions[0]?.environment).toEqual({
      URL: 'postgres://postgres@localhost:1/postgres',
      CLUSTER: 'evergrant-prod arn:aws:rds:us-east-1:000000000000:cluster:evergrant-prod cluster-DATABASE',
    });
  });

  test('a stack that is not there', () => {
    const options = { ...templateOptions, assemblyDir: assembly.assemblyDir };
    expect(() => readTemplate({ ...options, stackName: 'nothing' })).toThrow('No stack "nothing"');
    expect(() => readTemplate({ ...options, assemblyDir: '/nowhere', stackName: '' })).toThrow(
      'run cdk synth',
    );
  });
});
