import { randomUUID } from 'node:crypto';
import type { CloudEvent } from './events.ts';
import type { ExecutionEnvironment } from './execution-environment.ts';
import { startEnvironment } from './execution-environment.ts';
import type { ServiceEndpoints } from './function-environment.ts';
import { functionVariables, LOG_STREAM } from './function-environment.ts';
import type { Authorizer } from './iam/authorizer.ts';
import { ACCOUNT_ID, REGION } from './intrinsics.ts';
import type { InvocationResult, InvocationSource } from './invocation.ts';
import { THROTTLED } from './invocation.ts';
import type { Json } from './json.ts';
import { startRuntimeApi } from './runtime-api.ts';
import type { FunctionSpec } from './stack.ts';
import { createTaskRoots } from './task-root.ts';
import { startWatchdog } from './watchdog.ts';

/** Runs functions in execution environments, as many as invocations overlap. */
export interface Functions {
  /** Invokes a function by its logical id and waits for the end. Never rejects for what the function does. */
  invoke(functionId: string, event: Json, source: InvocationSource): Promise<InvocationResult>;
  /** Changes what the function's next environments have; those that live keep what they started with. */
  configure(functionId: string, change: FunctionConfiguration): void;
  /** Kills every environment of the function, busy or frozen. Returns their process ids. */
  kill(functionId: string): number[];
  /** Process ids of the environments that live now. */
  pids(functionId: string): number[];
  stop(): Promise<void>;
}

/** What of a function can be changed while the stack runs. */
export interface FunctionConfiguration {
  memoryMb?: number;
  /** Variables that join the function's own. */
  environment?: Record<string, string>;
}

export interface FunctionsOptions {
  specs: FunctionSpec[];
  endpoints: ServiceEndpoints;
  /** Milliseconds by which the wall clock of the execution environment that is being started is ahead; right by default. */
  clockOffsetMs?: (() => number) | undefined;
  /** Judges the logging of functions: what a role may not log is dropped, as Lambda drops it. */
  authorize: Authorizer['authorize'];
  onEvent: (event: CloudEvent) => void;
}

/** Starts what functions need to run; the environments themselves start with the first invocations. */
export async function startFunctions(options: FunctionsOptions): Promise<Functions> {
  const { specs, endpoints, clockOffsetMs, authorize, onEvent } = options;
  const byId = new Map(specs.map((spec) => [spec.id, spec]));
  const environments = new Map<string, Set<ExecutionEnvironment>>(specs.map(({ id }) => [id, new Set()]));
  const runtimeApi = await startRuntimeApi();
  const taskRoots = createTaskRoots();
  const watchdog = startWatchdog();
  let stopped = false;

  function launch(spec: FunctionSpec): ExecutionEnvironment {
    const taskRoot = taskRoots.of(spec.assetDir);
    const mayLog = (action: string) =>
      authorize({ callerId: spec.id, action: `logs:${action}`, resource: logStreamArn(spec) }).allowed;
    const hasStream = mayLog('CreateLogStream');
    const environment = startEnvironment({
      spec,
      taskRoot,
      variables: functionVariables(spec, taskRoot, endpoints, clockOffsetMs?.()),
      runtimeApi,
      watchdog,
      onLine: (requestId, line) => {
        if (!hasStream || !mayLog('PutLogEvents')) return;
        onEvent({ type: 'function.log', functionId: spec.id, requestId, line });
      },
    });
    const siblings = environments.get(spec.id)!;
    siblings.add(environment);
    void environment.ended.then(() => siblings.delete(environment));
    return environment;
  }

  async function invoke(
    functionId: string,
    event: Json,
    source: InvocationSource,
  ): Promise<InvocationResult> {
    const spec = byId.get(functionId);
    if (!spec) throw new Error(`No function ${functionId}; there are ${[...byId.keys()].join(', ')}.`);
    const requestId = randomUUID();
    const siblings = [...environments.get(functionId)!];
    const idle = siblings.filter((environment) => environment.isIdle());
    const busy = siblings.length - idle.length;
    if (stopped) return refusal(requestId, 'ServiceException', 'The local cloud has stopped.');
    if (spec.reservedConcurrency !== null && busy >= spec.reservedConcurrency) {
      onEvent({
        type: 'function.throttled',
        functionId,
        source,
        reservedConcurrency: spec.reservedConcurrency,
      });
      return refusal(requestId, THROTTLED, 'Rate Exceeded.');
    }
    const environment = idle.at(-1) ?? launch(spec);
    const { pid } = environment;
    onEvent({
      type: 'function.started',
      functionId,
      requestId,
      source,
      pid: pid ?? null,
      coldStart: !idle.length,
    });
    const result = await environment.run(requestId, JSON.stringify(event));
    const { durationMs } = result;
    if (result.ok) onEvent({ type: 'function.ended', functionId, requestId, durationMs, ok: true });
    else {
      const { errorType, errorMessage } = result;
      onEvent({
        type: 'function.ended',
        functionId,
        requestId,
        durationMs,
        ok: false,
        errorType,
        errorMessage,
      });
    }
    return result;
  }

  return {
    invoke,
    configure(functionId, { environment, ...change }) {
      const spec = byId.get(functionId)!;
      byId.set(functionId, { ...spec, ...change, environment: { ...spec.environment, ...environment } });
    },
    kill(functionId) {
      const pids: number[] = [];
      for (const environment of environments.get(functionId) ?? []) {
        environment.kill();
        if (environment.pid) pids.push(environment.pid);
      }
      onEvent({ type: 'function.killed', functionId, pids });
      return pids;
    },
    pids: (functionId) => [...(environments.get(functionId) ?? [])].flatMap(({ pid }) => pid ?? []),
    async stop() {
      stopped = true;
      const all = [...environments.values()].flatMap((siblings) => [...siblings]);
      for (const environment of all) environment.kill();
      await Promise.all(all.map(({ ended }) => ended));
      await Promise.all([runtimeApi.stop(), watchdog.stop(), taskRoots.remove()]);
    },
  };
}

function logStreamArn({ logGroupName }: FunctionSpec): string {
  return `arn:aws:logs:${REGION}:${ACCOUNT_ID}:log-group:${logGroupName}:log-stream:${LOG_STREAM}`;
}

function refusal(requestId: string, errorType: string, errorMessage: string): InvocationResult {
  return { ok: false, errorType, errorMessage, durationMs: 0, requestId };
}
