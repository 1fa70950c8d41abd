import type { AlarmState } from './alarms.ts';
import type { InvocationSource } from './invocation.ts';

/** What happens in a local cloud, for whoever shows it. Functions, queues and rules are named by logical id. */
export type CloudEvent =
  | {
      type: 'function.started';
      functionId: string;
      requestId: string;
      source: InvocationSource;
      pid: number | null;
      coldStart: boolean;
    }
  | { type: 'function.ended'; functionId: string; requestId: string; durationMs: number; ok: true }
  | {
      type: 'function.ended';
      functionId: string;
      requestId: string;
      durationMs: number;
      ok: false;
      /** `Sandbox.Timedout`, `Runtime.ExitError`, or the handler's own. */
      errorType: string;
      errorMessage: string;
    }
  /** `requestId` is null for what a function writes while it initializes. */
  | { type: 'function.log'; functionId: string; requestId: string | null; line: string }
  | { type: 'function.throttled'; functionId: string; source: InvocationSource; reservedConcurrency: number }
  | { type: 'function.killed'; functionId: string; pids: number[] }
  /** An asynchronous invocation has used up its retries. */
  | {
      type: 'invocation.discarded';
      functionId: string;
      attempts: number;
      errorType: string;
      onFailureQueueArn: string | null;
    }
  | {
      type: 'batch.ended';
      eventSourceId: string;
      queueId: string;
      functionId: string;
      messageCount: number;
      /** Messages that stay in the queue until their visibility timeout ends. */
      failedMessageIds: string[];
      /** Why the whole batch stays, if it does. */
      error: string | null;
    }
  | { type: 'queue.error'; queueId: string; action: string; message: string }
  /** The first call of its kind that a role, or a resource's policy, does not allow; `callerId` may be a service. */
  | { type: 'access.denied'; callerId: string; action: string; resource: string; message: string }
  | { type: 'trigger.done'; triggerId: string; functionId: string; durationMs: number }
  | { type: 'rule.fired'; ruleId: string; functionId: string }
  /** An alarm of the template has changed its state. */
  | { type: 'alarm'; name: string; description: string; from: AlarmState; to: AlarmState }
  /** A connection that the database cluster's endpoint did not let in; `functionId` as far as it is known. */
  | { type: 'database.refused'; clusterId: string; functionId: string | null; reason: string }
  /** A call to the email service; `status` is null when it was left hanging. */
  | { type: 'email.called'; functionId: string | null; status: number | null };
