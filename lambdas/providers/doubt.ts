import type { FailureCode } from '../domain/failure-codes.ts';
import type { ProviderDefinition } from './definition.ts';
import type { Answer } from './verdict.ts';

/**
 * Statuses of 5xx that say that the request was not handled: 501, 503, 505 and 511 by RFC 9110 §15.6 and RFC 6585 §6, 529
 * as "overloaded" where it is used, and those of Cloudflare that it gives while it has no connection to its origin (521
 * refused, 523 unreachable, 525 and 526 no TLS). Each other may come from a server that has failed with the token in its
 * hands, or, as 502 and 504, from a gateway that lost the server's answer.
 */
const notHandled: ReadonlySet<number> = new Set([501, 503, 505, 511, 521, 523, 525, 526, 529]);

/** By which a server says that it turned the request away, whatever the status beside it. */
const turnedAway: ReadonlySet<string> = new Set<FailureCode>([
  'rate_limited',
  'slow_down',
  'quota_exhausted',
]);

/**
 * By which a server says that it failed in the midst of it, whatever the status beside it. Slack answers so with 200 and
 * warns: "It's possible some aspect of the operation succeeded before the error was raised"
 * (docs.slack.dev/reference/methods/oauth.v2.access, `fatal_error` and `internal_error`).
 */
const failedMidway: ReadonlySet<string> = new Set<FailureCode>(['server_error', 'internal_failure']);

/**
 * Whether a call that failed for a passing reason may have spent the refresh token all the same, so that the provider
 * holds a new one that nobody got. What is not sure to have changed nothing is in doubt:
 *
 * - no answer, unless the request surely never left us;
 * - a 2xx that cannot be read, or is not what the provider documents: it has handled the request;
 * - a fault of the server's own, as said above.
 *
 * A refusal is no doubt: 408 (the request did not come in whole, RFC 9110 §15.5.9), 425, 429, every other 4xx, and a 2xx
 * that says that it is one. Neither is anything of a provider that never rotates, as nothing can be spent there.
 *
 * `code`: what the verdict calls the failure.
 */
export function leavesDoubt(
  { rotation }: Pick<ProviderDefinition, 'rotation'>,
  answer: Answer,
  code: string,
): boolean {
  if (rotation === 'never') return false;
  if (answer.kind === 'no_response') return answer.mayHaveArrived;
  if (turnedAway.has(code)) return false;
  if (failedMidway.has(code) && answer.status !== 503) return true;
  if (answer.status >= 500) return !notHandled.has(answer.status);
  return answer.status >= 200 && answer.status < 300 && code === 'malformed_response';
}
