import middy from '@middy/core';
import { before } from './deadline.ts';
import type { InvocationClock } from './invocation-clock.ts';
import { errorFields, type Logger } from './observability/logger.ts';
import type { InvocationMetrics } from './observability/metrics.ts';

/** A function that failed. The log line before it has the details that may be logged. */
export class InvocationFailed extends Error {
  override readonly name = 'InvocationFailed';
  readonly code = 'invocation_failed';
}

/** Before the deadline, for a line and the metrics of work that did not end in time. */
const closingMs = 5;

/**
 * Wraps the work of a function: every log line carries the request id, metrics are written however the work
 * ends, and an error that nobody expected leaves the function without the values it may carry (the Lambda
 * runtime prints whatever is thrown). The work gets no context but `remainingMs`, which says what remains of its own
 * invocation: the runtime's reckoning goes by this machine's clock.
 */
export function handler<Event, Result>(
  parts: { readonly logger: Logger; readonly metrics: InvocationMetrics; readonly clock: InvocationClock },
  work: (event: Event, remainingMs: () => number) => Promise<Result>,
) {
  const { logger, metrics, clock } = parts;
  // middy's own early end reckons by this machine's clock.
  return middy<Event, Result>({ timeoutEarlyInMillis: 0 })
    .before(({ context }) => {
      clock.enter(context.getRemainingTimeInMillis());
      logger.appendKeys({ requestId: context.awsRequestId });
    })
    .after(() => metrics.flush(clock.nowMs()))
    .onError((request) => {
      const fields = errorFields(request.error);
      logger.error('invocation failed', { cause: fields });
      metrics.flush(clock.nowMs());
      // Replaced, not thrown: middy hangs the first error on a thrown one, and the runtime prints that as well.
      request.error = new InvocationFailed(
        `${fields.name}${fields.code ? ` (${fields.code})` : ''}: ${fields.message ?? fields.sqlstate ?? 'see the log line before'}`,
      );
    })
    .handler((event) => before(work(event, clock.remainingOfThis()), clock.remainingMs() - closingMs));
}
