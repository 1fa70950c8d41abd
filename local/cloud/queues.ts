import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { buildApp } from 'fauxqs';
import { createGroupIds } from './group-ids.ts';
import type { Authorizer } from './iam/authorizer.ts';
import { judgeRequestTime, trueTimeMs } from './iam/request-time.ts';
import { neededForSqs, sqsDenial } from './iam/sqs.ts';
import { ACCOUNT_ID, REGION } from './intrinsics.ts';
import { callerOf, explainListenError } from './loopback.ts';
import { createMoveTasks } from './move-tasks.ts';
import type { ServiceFault } from './service-fault.ts';
import type { SqsCall } from './sqs-client.ts';
import { createSqsCaller } from './sqs-client.ts';
import type { QueueSpec } from './stack.ts';

/** An SQS server. */
export interface Queues {
  endpoint: string;
  /** Calls as the account's administrator. */
  call: SqsCall;
  /** Calls with the role of a function, as Lambda does on its behalf. */
  callAs(functionId: string): SqsCall;
  /** Creates the stack's queues, dead-letter queues first. */
  create(specs: QueueSpec[]): Promise<void>;
  /** Breaks a queue for functions that send to it; null mends it. */
  setFault(queueId: string, fault: ServiceFault | null): void;
  stop(): Promise<void>;
}

/** What the hooks of the server get. */
interface ServedRequest {
  readonly raw: IncomingMessage;
  readonly headers: Record<string, unknown>;
  readonly body: unknown;
}

/** A call of SQS on its way to the server. */
export interface QueueCall {
  /** Logical id of the function whose role makes it; null: the account's administrator. */
  readonly callerId: string | null;
  /** Such as `SendMessageBatch`. */
  readonly action: string;
  /** Its parameters. What is changed in them reaches the server changed. */
  readonly body: Record<string, unknown>;
  readonly socket: Socket;
}

/** What SQS and the network do wrong, for whoever tries that out. */
export interface QueueDisturbance {
  /** Before a call that its role allows is carried out. `drop`: the connection breaks; an answer: it stands for the server's. */
  arrived(
    call: QueueCall,
  ): { readonly drop: true } | { readonly status: number; readonly body: object } | null;
  /** When the server has answered, before the answer leaves. */
  answered(call: QueueCall, payload: string): void;
}

const MOVE_TASK_ACTIONS = ['StartMessageMoveTask', 'ListMessageMoveTasks', 'CancelMessageMoveTask'];
const ACTIONS_THAT_ANSWER_URLS = ['CreateQueue', 'GetQueueUrl', 'ListQueues', 'ListDeadLetterSourceQueues'];

/**
 * Starts fauxqs on 127.0.0.1, with the parts of SQS that it lacks: message move tasks, group ids on standard queues, and
 * queue URLs whose host every process can resolve (its own, `sqs.us-east-1.localhost`, need not).
 * @param authorize Judges the calls of functions; without it everybody is the account's administrator.
 * @param disturbance Is asked about every call.
 * @throws Error that names a fixed port in use.
 */
export async function startQueues(
  port?: number,
  authorize?: Authorizer['authorize'],
  disturbance?: QueueDisturbance,
): Promise<Queues> {
  const app = buildApp({ logger: false, defaultRegion: REGION });
  const groupIds = createGroupIds();
  const state: { endpoint: string; moveTasks?: ReturnType<typeof createMoveTasks> } = { endpoint: '' };
  let specs: QueueSpec[] = [];
  /** By the queue's URL. */
  const faults = new Map<string, ServiceFault>();
  const mended: (() => void)[] = [];

  app.addHook('preHandler', async (request, reply) => {
    const untimely = judgeRequestTime(request.headers, trueTimeMs());
    if (!untimely) return;
    return reply
      .status(403)
      .header('content-type', 'application/x-amz-json-1.0')
      .send(
        JSON.stringify({ __type: `com.amazon.coral.service#${untimely.code}`, message: untimely.message }),
      );
  });
  app.addHook('preHandler', async (request, reply) => {
    const callerId = callerOf(request.raw);
    const action = actionOf(request.headers);
    if (!authorize || callerId === null || action === '') return;
    for (const needed of neededForSqs(action, request.body as Record<string, unknown>, {
      sourcesOf,
      queueOfTask,
    })) {
      const verdict = authorize({ callerId, ...needed });
      if (verdict.allowed) continue;
      const { status, headers, body } = sqsDenial(verdict);
      return reply
        .status(status)
        .headers({ 'content-type': 'application/x-amz-json-1.0', ...headers })
        .send(JSON.stringify(body));
    }
  });
  const callOf = (request: ServedRequest): QueueCall => ({
    callerId: callerOf(request.raw),
    action: actionOf(request.headers),
    body: (request.body ?? {}) as Record<string, unknown>,
    socket: request.raw.socket,
  });
  if (disturbance) {
    app.addHook('preHandler', async (request, reply) => {
      const instead = disturbance.arrived(callOf(request));
      if (instead === null) return;
      if ('drop' in instead) {
        reply.hijack();
        request.raw.socket.destroy();
        return;
      }
      return reply
        .status(instead.status)
        .header('content-type', 'application/x-amz-json-1.0')
        .send(JSON.stringify(instead.body));
    });
  }
  app.addHook('preHandler', async (request, reply) => {
    const { QueueUrl: url = '' } = (request.body ?? {}) as { QueueUrl?: string };
    const fault = faults.get(url);
    if (!fault || callerOf(request.raw) === null || !actionOf(request.headers).startsWith('SendMessage'))
      return;
    if ('status' in fault) return reply.status(fault.status).send();
    await new Promise<void>((resolve) => mended.push(resolve));
    // Its caller has gone: nobody was told that the message was taken.
    return reply.status(503).send();
  });
  app.addHook('preHandler', async (request, reply) => {
    const action = actionOf(request.headers);
    if (!state.moveTasks || !MOVE_TASK_ACTIONS.includes(action)) return;
    const { status, body } = await state.moveTasks.handle(action, request.body as Record<string, unknown>);
    return reply
      .status(status)
      .header('content-type', 'application/x-amz-json-1.0')
      .send(JSON.stringify(body));
  });
  app.addHook('onSend', async (request, _reply, payload) => {
    if (typeof payload !== 'string') return payload;
    disturbance?.answered(callOf(request), payload);
    const action = actionOf(request.headers);
    if (ACTIONS_THAT_ANSWER_URLS.includes(action)) {
      return payload.replaceAll(/http:\/\/sqs\.[^/"]+/g, state.endpoint);
    }
    return request.body ? groupIds.complete(action, request.body, payload) : payload;
  });
  try {
    await app.listen({ port: port ?? 0, host: '127.0.0.1' });
  } catch (error) {
    await app.close();
    throw explainListenError(error as Error, port, 'ports.sqs');
  }
  const address = app.server.address();
  state.endpoint = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  const call = createSqsCaller(state.endpoint);
  const moveTasks = createMoveTasks(call, urlOf);
  state.moveTasks = moveTasks;

  function urlOf(queueArn: string): string {
    return `${state.endpoint}/${ACCOUNT_ID}/${queueArn.split(':')[5]}`;
  }

  function sourcesOf(deadLetterQueueArn: string): string[] {
    const target = specs.find(({ arn }) => arn === deadLetterQueueArn);
    return specs.filter(({ id }) => id === target?.deadLetterOf).map(({ arn }) => arn);
  }

  function queueOfTask(taskHandle: string): string | undefined {
    return moveTasks.sourceOf(taskHandle);
  }

  return {
    endpoint: state.endpoint,
    call,
    callAs: (functionId) => createSqsCaller(state.endpoint, functionId),
    async create(wanted) {
      specs = wanted;
      for (const spec of inOrderOfRedrive(specs)) {
        await call('CreateQueue', { QueueName: spec.name, Attributes: spec.attributes });
      }
    },
    setFault(queueId, fault) {
      const { url = '' } = specs.find(({ id }) => id === queueId) ?? {};
      if (fault) faults.set(url, fault);
      else faults.delete(url);
      for (const resolve of mended.splice(0)) resolve();
    },
    async stop() {
      for (const resolve of mended.splice(0)) resolve();
      moveTasks.stop();
      await app.close();
    },
  };
}

function actionOf(headers: Record<string, unknown>): string {
  return String(headers['x-amz-target'] ?? '').replace('AmazonSQS.', '');
}

/** Dead-letter queues before the queues that name them. */
function inOrderOfRedrive(specs: QueueSpec[]): QueueSpec[] {
  return [...specs].sort(
    (a, b) => Number(b.deadLetterOf !== undefined) - Number(a.deadLetterOf !== undefined),
  );
}
