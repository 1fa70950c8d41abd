import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { closeServer, listenOnLoopback, readBody, sendJson } from './loopback.ts';

/** An invocation as the runtime gets it. */
export interface RuntimeInvocation {
  requestId: string;
  deadlineMs: number;
  functionArn: string;
  /** The event as JSON. */
  event: string;
}

/** An error as a runtime reports it. */
export interface RuntimeError {
  errorType: string;
  errorMessage: string;
  trace?: string[];
}

/** What an execution environment does about the calls of its runtime. */
export interface RuntimeSession {
  /** The runtime is ready; `deliver` hands it an invocation, at once or later. */
  onNext(deliver: (invocation: RuntimeInvocation) => void): void;
  /** `payload` is the handler's result as JSON. */
  onResponse(requestId: string, payload: string): void;
  onError(requestId: string, error: RuntimeError): void;
  onInitError(error: RuntimeError): void;
}

/** A server of Lambda's Runtime API for many execution environments, each below a path of its own. */
export interface RuntimeApi {
  /** Value of AWS_LAMBDA_RUNTIME_API for the environment of that session. */
  attach(environmentId: string, session: RuntimeSession): string;
  detach(environmentId: string): void;
  stop(): Promise<void>;
}

/** Starts the Runtime API on a free loopback port. */
export async function startRuntimeApi(): Promise<RuntimeApi> {
  const sessions = new Map<string, RuntimeSession>();
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
    handle(request, response, sessions).catch(() => response.destroy());
  });
  const port = await listenOnLoopback(server, undefined, 'runtime API');
  return {
    attach(environmentId, session) {
      sessions.set(environmentId, session);
      return `127.0.0.1:${port}/${environmentId}`;
    },
    detach: (environmentId) => void sessions.delete(environmentId),
    stop: () => closeServer(server),
  };
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  sessions: Map<string, RuntimeSession>,
): Promise<void> {
  const [, environmentId = '', , , , requestId = '', verb = ''] = (request.url ?? '').split('/');
  const session = sessions.get(environmentId);
  if (!session) return sendJson(response, 403, { errorType: 'InvalidEnvironment' });
  const rest = (request.url ?? '').slice(`/${environmentId}/2018-06-01/runtime`.length);
  if (rest === '/invocation/next') {
    session.onNext((invocation) => deliver(response, invocation));
    return;
  }
  const body = await readBody(request);
  if (rest === '/init/error') session.onInitError(JSON.parse(body) as RuntimeError);
  else if (verb === 'response') session.onResponse(requestId, body);
  else if (verb === 'error') session.onError(requestId, JSON.parse(body) as RuntimeError);
  else return sendJson(response, 404, { errorType: 'UnknownOperation' });
  sendJson(response, 202, { status: 'OK' });
}

function deliver(response: ServerResponse, invocation: RuntimeInvocation): void {
  response.writeHead(200, {
    'content-type': 'application/json',
    'lambda-runtime-aws-request-id': invocation.requestId,
    'lambda-runtime-deadline-ms': String(invocation.deadlineMs),
    'lambda-runtime-invoked-function-arn': invocation.functionArn,
  });
  response.end(invocation.event);
}
