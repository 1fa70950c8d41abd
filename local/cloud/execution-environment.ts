import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { InvocationResult } from './invocation.ts';
import { EXITED, TIMED_OUT } from './invocation.ts';
import type { Json } from './json.ts';
import type { RuntimeApi, RuntimeError, RuntimeInvocation } from './runtime-api.ts';
import type { FunctionSpec } from './stack.ts';
import type { Watchdog } from './watchdog.ts';
import { signalGroup } from './watchdog.ts';

/** One process that runs one function, one invocation at a time, frozen in between. */
export interface ExecutionEnvironment {
  pid: number | undefined;
  /** Ready for an invocation. */
  isIdle(): boolean;
  /** Runs an invocation; to be called on a fresh or idle environment only. */
  run(requestId: string, event: string): Promise<InvocationResult>;
  /** Ends the process without warning. */
  kill(): void;
  /** Resolves when the process is gone. */
  ended: Promise<void>;
}

export interface EnvironmentOptions {
  spec: FunctionSpec;
  /** Variables of the process, apart from AWS_LAMBDA_RUNTIME_API. */
  variables: Record<string, string>;
  /** Directory with the bundle. */
  taskRoot: string;
  runtimeApi: RuntimeApi;
  watchdog: Watchdog;
  /** A line of output, with the request it belongs to; null during initialization. */
  onLine: (requestId: string | null, line: string) => void;
}

const BOOTSTRAP = fileURLToPath(new URL('./runtime-bootstrap.mjs', import.meta.url));
/** Lambda's own limit for the initialization. */
const INIT_TIMEOUT_MS = 10_000;
/** Grandchildren may hold the output open after the process is gone. */
const OUTPUT_DRAIN_MS = 500;

interface Running {
  requestId: string;
  event: string;
  startedAt: number;
  timer?: NodeJS.Timeout;
  timedOut: boolean;
  outcome?: { payload: string } | { error: RuntimeError };
  settle: (result: InvocationResult) => void;
}

/** Starts a process for a function; its first `run` waits for the initialization. */
export function startEnvironment(options: EnvironmentOptions): ExecutionEnvironment {
  const { spec, runtimeApi, watchdog } = options;
  const environmentId = randomUUID();
  let deliver: ((invocation: RuntimeInvocation) => void) | null = null;
  let running: Running | null = null;
  let initError: RuntimeError | null = null;
  let initialized = false;
  let logRequestId: string | null = null;

  const address = runtimeApi.attach(environmentId, {
    onNext(next) {
      deliver = next;
      void becomeReady();
    },
    onResponse: (requestId, payload) => conclude(requestId, { payload }),
    onError: (requestId, error) => conclude(requestId, { error }),
    onInitError: (error) => {
      initError = error;
    },
  });
  const child = spawnRuntime(options, address);
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream as Readable }).on('line', (line) => options.onLine(logRequestId, line));
  }
  if (child.pid) watchdog.guard(child.pid, 'KILL');
  const initTimer = setTimeout(() => kill(), INIT_TIMEOUT_MS);
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      initError = { errorType: 'Runtime.InvalidEntrypoint', errorMessage: error.message };
      onGone(null, null);
      resolve();
    });
    child.once('exit', async (code, signal) => {
      // What the handler started goes with it, as a sandbox would.
      if (child.pid) {
        signalGroup(child.pid, 'SIGKILL');
        watchdog.release(child.pid);
      }
      await outputDrained(child);
      onGone(code, signal);
      resolve();
    });
  });

  async function becomeReady(): Promise<void> {
    // Lines that the process wrote before it asked for more are in the pipe already: read them first.
    await nextTurn();
    if (!initialized) {
      initialized = true;
      clearTimeout(initTimer);
      if (running) dispatch(running);
      else freeze();
      return;
    }
    if (!running?.outcome) return;
    freeze();
    settle(running, resultOf(running, running.outcome));
  }

  function dispatch(invocation: Running): void {
    const next = deliver;
    deliver = null;
    logRequestId = invocation.requestId;
    invocation.startedAt = Date.now();
    invocation.timer = setTimeout(() => {
      invocation.timedOut = true;
      kill();
    }, spec.timeoutMs);
    next?.({
      requestId: invocation.requestId,
      deadlineMs: invocation.startedAt + spec.timeoutMs,
      functionArn: spec.arn,
      event: invocation.event,
    });
  }

  function conclude(requestId: string, outcome: NonNullable<Running['outcome']>): void {
    if (running?.requestId === requestId) running.outcome ??= outcome;
  }

  function settle(invocation: Running, result: InvocationResult): void {
    clearTimeout(invocation.timer);
    running = null;
    invocation.settle(result);
  }

  function onGone(code: number | null, signal: NodeJS.Signals | null): void {
    clearTimeout(initTimer);
    runtimeApi.detach(environmentId);
    deliver = null;
    if (running)
      settle(running, resultOf(running, running.outcome ?? { error: reasonOfEnd(running, code, signal) }));
  }

  function reasonOfEnd(
    invocation: Running,
    code: number | null,
    signal: NodeJS.Signals | null,
  ): RuntimeError {
    const prefix = `RequestId: ${invocation.requestId} Error: `;
    if (
      invocation.timedOut ||
      (!initialized && signal === 'SIGKILL' && Date.now() - invocation.startedAt >= INIT_TIMEOUT_MS)
    ) {
      const seconds = (invocation.timedOut ? spec.timeoutMs : INIT_TIMEOUT_MS) / 1_000;
      return {
        errorType: TIMED_OUT,
        errorMessage: `${prefix}Task timed out after ${seconds.toFixed(2)} seconds`,
      };
    }
    if (initError) return initError;
    if (signal) {
      const name = signal === 'SIGKILL' ? 'killed' : signal === 'SIGABRT' ? 'aborted' : signal;
      return { errorType: EXITED, errorMessage: `${prefix}Runtime exited with error: signal: ${name}` };
    }
    const reason =
      code === 0
        ? 'Runtime exited without providing a reason'
        : `Runtime exited with error: exit status ${code}`;
    return { errorType: EXITED, errorMessage: prefix + reason };
  }

  function freeze(): void {
    if (child.pid && child.exitCode === null && child.signalCode === null) signalGroup(child.pid, 'SIGSTOP');
  }

  function kill(): void {
    // From now on it must not be taken for idle.
    deliver = null;
    if (child.pid && child.exitCode === null && child.signalCode === null) signalGroup(child.pid, 'SIGKILL');
  }

  return {
    pid: child.pid,
    isIdle: () => initialized && running === null && deliver !== null,
    run(requestId, event) {
      return new Promise((resolve) => {
        running = { requestId, event, startedAt: Date.now(), timedOut: false, settle: resolve };
        if (!initialized) return;
        if (child.pid) signalGroup(child.pid, 'SIGCONT');
        dispatch(running);
      });
    },
    kill,
    ended,
  };
}

/** The heap of a function, as /var/runtime/bootstrap of Lambda's Node images divides the memory. */
export function heapFlags(memoryMb: number): string[] {
  const newSpaceMb = Math.floor(memoryMb / 10);
  return [
    '--expose-gc',
    `--max-semi-space-size=${Math.floor(newSpaceMb / 2)}`,
    `--max-old-space-size=${memoryMb - newSpaceMb}`,
  ];
}

function spawnRuntime(options: EnvironmentOptions, address: string): ChildProcess {
  return spawn(process.execPath, [...heapFlags(options.spec.memoryMb), BOOTSTRAP], {
    cwd: options.taskRoot,
    env: { ...options.variables, AWS_LAMBDA_RUNTIME_API: address },
    // A group of its own: Ctrl-C in the terminal must reach us only, and a kill must reach the handler's children too.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function outputDrained(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, OUTPUT_DRAIN_MS);
    child.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function resultOf(invocation: Running, outcome: NonNullable<Running['outcome']>): InvocationResult {
  const common = { requestId: invocation.requestId, durationMs: Date.now() - invocation.startedAt };
  if ('error' in outcome) return { ok: false, ...outcome.error, ...common };
  return { ok: true, payload: JSON.parse(outcome.payload) as Json, ...common };
}
