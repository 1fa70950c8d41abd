import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { errorFields, type Logger } from './observability/logger.ts';
import type { InvocationMetrics } from './observability/metrics.ts';

/** A function that failed. The log line before it has the details that may be logged. */
export class InvocationFailed extends Error {
  override readonly name = 'InvocationFailed';
  readonly code = 'invocation_failed';
}

/**
 * Wraps the work of a function: every log line carries the request id, metrics are written however the work
 * ends, and an error that nobody expected leaves the function without the values it may carry (the Lambda
 * runtime prints whatever is thrown).
 */
export function handler<Event, Result>(
  parts: { readonly logger: Logger; readonly metrics: InvocationMetrics },
  work: (event: Event, context: Context) => Promise<Result>,
) {
  const { logger, metrics } = parts;
  return middy<Event, Result>()
    .before(({ context }) => {
      logger.appendKeys({ requestId: context.awsRequestId });
    })
    .after(() => metrics.flush())
    .onError((request) => {
      const fields = errorFields(request.error);
      logger.error('invocation failed', { cause: fields });
      metrics.flush();
      // Replaced, not thrown: middy hangs the first error on a thrown one, and the runtime prints that as well.
      request.error = new InvocationFailed(
        `${fields.name}${fields.code ? ` (${fields.code})` : ''}: ${fields.message ?? fields.sqlstate ?? 'see the log line before'}`,
      );
    })
    .handler(work);
}
