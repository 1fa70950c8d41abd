import type { Json } from './json.ts';

/** Who caused an invocation. */
export type InvocationSource = 'trigger' | 'event-source' | 'rule' | 'retry' | 'api';

/** How an invocation ended. A handler's own error is a result, never an exception. */
export type InvocationResult =
  | { ok: true; payload: Json; durationMs: number; requestId: string }
  | {
      ok: false;
      errorType: string;
      errorMessage: string;
      trace?: string[];
      durationMs: number;
      requestId: string;
    };

/** Error type of an invocation that the function's reserved concurrency did not admit. */
export const THROTTLED = 'TooManyRequestsException';
/** Error type of an invocation that was killed at the function's timeout. */
export const TIMED_OUT = 'Sandbox.Timedout';
/** Error type of an invocation whose process ended. */
export const EXITED = 'Runtime.ExitError';
