import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { EmailFault } from './email.ts';
import type { Authorizer } from './iam/authorizer.ts';
import { denialMessage } from './iam/authorizer.ts';
import { judgeRequestTime, trueTimeMs } from './iam/request-time.ts';
import { ACCOUNT_ID, REGION } from './intrinsics.ts';
import type { InvocationResult } from './invocation.ts';
import { THROTTLED } from './invocation.ts';
import type { Json } from './json.ts';
import { isObject } from './json.ts';
import { callerOf, closeServer, listenOnLoopback, readBody, sendJson } from './loopback.ts';
import type { EventSourceSpec, RuleSpec } from './stack.ts';
import { InvalidInput, parseEmailFault, switchesHelp } from './switches.ts';
import { lambdaNameIn } from './template.ts';

/** What the endpoint does in the cloud. */
export interface LambdaApiActions {
  /** Names that functions go by. */
  functionNames(): string[];
  /** Logical id by logical id or name; undefined when there is no such function. */
  functionIdOf(idOrName: string): string | undefined;
  authorize: Authorizer['authorize'];
  invoke(functionId: string, event: Json): Promise<InvocationResult>;
  /** Invokes asynchronously, with Lambda's retries. */
  send(functionId: string, event: Json): void;
  kill(functionId: string): number[];
  setEmailFault(fault: EmailFault | null): void;
  /** What feeds a function, with the ARNs of both. */
  eventSourcesOf(functionId: string): (EventSourceSpec & { queueArn: string; functionArn: string })[];
  /** A rule that runs, by its name. */
  rule(name: string): RuleSpec | undefined;
  cutDatabaseConnections(): void;
}

export interface LambdaApi {
  endpoint: string;
  stop(): Promise<void>;
}

/**
 * Starts an endpoint with Lambda's Invoke and ListEventSourceMappings and EventBridge's DescribeRule, for the AWS CLI and
 * SDKs, and with the switches below `/_switches`.
 * @param actions Asked for at each request, because functions need to know this endpoint before they can run.
 * @throws Error that names a fixed port in use.
 */
export async function startLambdaApi(actions: () => LambdaApiActions, port?: number): Promise<LambdaApi> {
  const server = createServer((request, response) => {
    handle(request, response, actions()).catch((error: unknown) => {
      const badInput = error instanceof InvalidInput;
      const type = badInput ? 'InvalidParameterValueException' : 'ServiceException';
      sendError(response, badInput ? 400 : 500, type, error instanceof Error ? error.message : String(error));
    });
  });
  const actualPort = await listenOnLoopback(server, port, 'ports.lambda');
  return { endpoint: `http://127.0.0.1:${actualPort}`, stop: () => closeServer(server) };
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  actions: LambdaApiActions,
): Promise<void> {
  const path = decodedPath(request.url ?? '/');
  const route = `${request.method} ${path}`;
  const invocation = /^POST \/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(route);
  if (invocation) return invoke(request, response, actions, invocation[1] as string);
  const kill = /^POST \/_switches\/functions\/([^/]+)\/kill$/.exec(route);
  if (kill) {
    const functionId = resolveFunction(response, actions, kill[1] as string);
    if (functionId) sendJson(response, 200, { functionId, killedPids: actions.kill(functionId) });
    return;
  }
  if (route === 'PUT /_switches/email') {
    const fault = parseEmailFault(await readJson(request, 'The body'));
    actions.setEmailFault(fault);
    return sendJson(response, 200, { fault });
  }
  if (route === 'DELETE /_switches/email') {
    actions.setEmailFault(null);
    return sendJson(response, 200, { fault: null });
  }
  if (route === 'POST /_switches/database/cut') {
    actions.cutDatabaseConnections();
    return sendJson(response, 200, {});
  }
  if (route === 'GET /_switches') return sendJson(response, 200, switchesHelp(actions.functionNames()));
  if (route === 'GET /2015-03-31/event-source-mappings') {
    return listEventSources(request, response, actions);
  }
  if (request.headers['x-amz-target'] === 'AWSEvents.DescribeRule') {
    return describeRule(await readJson(request, 'The body'), response, actions);
  }
  sendError(
    response,
    404,
    'UnknownOperationException',
    `The local cloud has no ${route}: it runs SQS, Secrets Manager, SES, Lambda's Invoke and a little more. See GET /_switches.`,
  );
}

function decodedPath(target: string): string {
  try {
    return decodeURIComponent(target.split('?')[0] as string);
  } catch {
    throw new InvalidInput('The path is not percent-encoded as URLs are.');
  }
}

async function invoke(
  request: IncomingMessage,
  response: ServerResponse,
  actions: LambdaApiActions,
  name: string,
): Promise<void> {
  const untimely = judgeRequestTime(request.headers, trueTimeMs());
  if (untimely) return sendError(response, 403, untimely.code, untimely.message);
  const verdict = actions.authorize({
    callerId: callerOf(request),
    action: 'lambda:InvokeFunction',
    resource: functionArn(name),
  });
  if (!verdict.allowed) return sendError(response, 403, 'AccessDeniedException', denialMessage(verdict));
  const functionId = resolveFunction(response, actions, name);
  if (!functionId) return;
  const type = request.headers['x-amz-invocation-type'] ?? 'RequestResponse';
  const event = await readJson(request, 'The payload');
  if (type === 'DryRun') return void response.writeHead(204).end();
  if (type === 'Event') {
    actions.send(functionId, event);
    return void response.writeHead(202).end();
  }
  if (type !== 'RequestResponse') {
    throw new InvalidInput(`X-Amz-Invocation-Type is ${type}; it must be RequestResponse, Event or DryRun.`);
  }
  const result = await actions.invoke(functionId, event);
  const headers = { 'x-amz-executed-version': '$LATEST', 'x-amzn-requestid': result.requestId };
  if (result.ok) return sendJson(response, 200, result.payload, headers);
  const { errorType, errorMessage, trace } = result;
  if (errorType === THROTTLED) return sendError(response, 429, THROTTLED, errorMessage);
  sendJson(
    response,
    200,
    { errorType, errorMessage, ...(trace ? { trace } : {}) },
    {
      ...headers,
      'x-amz-function-error': 'Unhandled',
    },
  );
}

function listEventSources(
  request: IncomingMessage,
  response: ServerResponse,
  actions: LambdaApiActions,
): void {
  const name = new URL(request.url ?? '/', 'http://localhost').searchParams.get('FunctionName');
  if (name === null) throw new InvalidInput('FunctionName is missing.');
  const functionId = resolveFunction(response, actions, name);
  if (!functionId) return;
  const mappings = actions.eventSourcesOf(functionId).map((source) => ({
    UUID: source.id,
    EventSourceArn: source.queueArn,
    FunctionArn: source.functionArn,
    State: 'Enabled',
    BatchSize: source.batchSize,
    MaximumBatchingWindowInSeconds: source.windowMs / 1_000,
    ScalingConfig: { MaximumConcurrency: source.maxConcurrency },
    FunctionResponseTypes: source.reportsBatchItemFailures ? ['ReportBatchItemFailures'] : [],
  }));
  sendJson(response, 200, { EventSourceMappings: mappings });
}

function describeRule(body: Json, response: ServerResponse, actions: LambdaApiActions): void {
  const name = isObject(body) ? String(body.Name) : '';
  const rule = actions.rule(name);
  const headers = { 'content-type': 'application/x-amz-json-1.1' };
  if (!rule) {
    const message = `Rule ${name} does not exist.`;
    sendJson(response, 400, { __type: 'ResourceNotFoundException', message }, headers);
    return;
  }
  const { arn: Arn, expression: ScheduleExpression } = rule;
  sendJson(response, 200, { Name: rule.name, Arn, ScheduleExpression, State: 'ENABLED' }, headers);
}

function functionArn(nameOrArn: string): string {
  return nameOrArn.startsWith('arn:')
    ? nameOrArn
    : `arn:aws:lambda:${REGION}:${ACCOUNT_ID}:function:${nameOrArn}`;
}

function resolveFunction(
  response: ServerResponse,
  actions: LambdaApiActions,
  name: string,
): string | undefined {
  const functionId = actions.functionIdOf(lambdaNameIn(name));
  if (!functionId) {
    const known = actions.functionNames().join(', ');
    sendError(
      response,
      404,
      'ResourceNotFoundException',
      `Function not found: ${name}. There are: ${known}.`,
    );
  }
  return functionId;
}

async function readJson(request: IncomingMessage, what: string): Promise<Json> {
  const body = await readBody(request);
  if (body === '') return {};
  try {
    return JSON.parse(body) as Json;
  } catch {
    throw new InvalidInput(`${what} must be JSON.`);
  }
}

function sendError(response: ServerResponse, status: number, type: string, message: string): void {
  sendJson(response, status, { Type: 'User', Message: message, message }, { 'x-amzn-errortype': type });
}
