import type { CloudEvent } from './events.ts';
import type { Functions } from './functions.ts';
import type { InvocationResult, InvocationSource } from './invocation.ts';
import { THROTTLED } from './invocation.ts';
import type { Json } from './json.ts';
import type { SqsCall } from './sqs-client.ts';
import type { FunctionSpec, QueueSpec } from './stack.ts';

/** Lambda's own delays before the first and the second retry of a failed event. */
const RETRY_DELAYS_MS = [60_000, 120_000];
const FIRST_THROTTLE_DELAY_MS = 1_000;
const LAST_THROTTLE_DELAY_MS = 300_000;

/** Invokes functions as Lambda does for asynchronous callers: at once if it can, with retries, in no caller's time. */
export interface AsynchronousInvoker {
  send(functionId: string, event: Json, source: InvocationSource): void;
  stop(): void;
}

export interface AsynchronousOptions {
  specs: FunctionSpec[];
  queues: QueueSpec[];
  functions: Functions;
  /** Calls SQS with the role of a function. */
  callAs: (functionId: string) => SqsCall;
  onEvent: (event: CloudEvent) => void;
}

export function createAsynchronousInvoker(options: AsynchronousOptions): AsynchronousInvoker {
  const { functions, onEvent } = options;
  const specs = new Map(options.specs.map((spec) => [spec.id, spec]));
  const timers = new Set<NodeJS.Timeout>();
  let stopped = false;

  async function run(spec: FunctionSpec, event: Json, source: InvocationSource): Promise<void> {
    const acceptedAt = Date.now();
    let failures = 0;
    let throttleDelayMs = FIRST_THROTTLE_DELAY_MS;
    for (;;) {
      const result = await functions.invoke(spec.id, event, failures ? 'retry' : source);
      if (result.ok || stopped) return;
      let delayMs: number;
      if (result.errorType === THROTTLED) {
        delayMs = throttleDelayMs;
        throttleDelayMs = Math.min(throttleDelayMs * 2, LAST_THROTTLE_DELAY_MS);
      } else {
        delayMs = RETRY_DELAYS_MS[failures] ?? LAST_THROTTLE_DELAY_MS;
        failures++;
      }
      const tooOld = Date.now() + delayMs - acceptedAt > spec.asynchronous.maxEventAgeMs;
      if (failures > spec.asynchronous.maxRetryAttempts || tooOld) {
        return discard(spec, event, result, failures, tooOld ? 'EventAgeExceeded' : 'RetriesExhausted');
      }
      await delay(delayMs);
      if (stopped) return;
    }
  }

  async function discard(
    spec: FunctionSpec,
    event: Json,
    result: InvocationResult & { ok: false },
    attempts: number,
    condition: string,
  ): Promise<void> {
    const { onFailureQueueArn } = spec.asynchronous;
    const { errorType, errorMessage, requestId } = result;
    onEvent({ type: 'invocation.discarded', functionId: spec.id, attempts, errorType, onFailureQueueArn });
    const queue = options.queues.find(({ arn }) => arn === onFailureQueueArn);
    if (!queue) return;
    const record = {
      version: '1.0',
      timestamp: new Date().toISOString(),
      requestContext: {
        requestId,
        functionArn: `${spec.arn}:$LATEST`,
        condition,
        approximateInvokeCount: attempts,
      },
      requestPayload: event,
      responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
      responsePayload: { errorType, errorMessage },
    };
    await options.callAs(spec.id)('SendMessage', {
      QueueUrl: queue.url,
      MessageBody: JSON.stringify(record),
    });
  }

  function delay(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        resolve();
      }, delayMs);
      timers.add(timer);
    });
  }

  return {
    send(functionId, event, source) {
      const spec = specs.get(functionId);
      if (!spec) throw new Error(`No function ${functionId}.`);
      run(spec, event, source).catch((error: unknown) => {
        onEvent({
          type: 'queue.error',
          queueId: spec.id,
          action: 'send to the on-failure destination',
          message: String(error),
        });
      });
    },
    stop() {
      stopped = true;
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
