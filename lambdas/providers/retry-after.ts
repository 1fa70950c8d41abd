import { maxRetryAfterSeconds } from '../domain/retry-delay.ts';
import { type AnswerBody, type AnswerHeaders, numberIn, valueAt } from './answer-body.ts';
import { httpDateSeconds, momentSeconds } from './lifetimes.ts';

/**
 * How long a provider wants us to wait, in whatever dialect it says so, capped; `null`: it does not say. Moments are
 * compared with the answer's own `Date`, so that our clock plays no part.
 *
 * `limited`: the answer is about a rate limit. The headers that say when a limit's window ends come with every answer
 * of many providers, and would make any passing fault wait for that end.
 */
export function retryAfterSeconds(
  headers: AnswerHeaders,
  body: AnswerBody | null,
  limited: boolean,
): number | null {
  const wait =
    retryAfter(headers) ??
    span(headers.get('x-ratelimit-reset-after')) ??
    span(valueAt(body, 'retry_after')) ??
    span(valueAt(body, 'error.retry_after')) ??
    (limited || isUsedUp(headers) ? untilReset(headers) : null);
  return wait === null ? null : Math.min(Math.max(0, Math.ceil(wait)), maxRetryAfterSeconds);
}

/** RFC 9110 §10.2.3. Decimals are against it, and sent all the same. */
function retryAfter(headers: AnswerHeaders): number | null {
  const value = headers.get('retry-after');
  const moment = httpDateSeconds(value);
  return moment === null ? span(value) : untilMoment(moment, headers);
}

function untilReset(headers: AnswerHeaders): number | null {
  for (const name of ['ratelimit-reset', 'x-rate-limit-reset', 'x-ratelimit-reset']) {
    const value = headers.get(name);
    const moment = momentSeconds(value);
    const wait = moment === null ? span(value) : untilMoment(moment, headers);
    if (wait !== null) return wait;
  }
  // The one header of draft-ietf-httpapi-ratelimit-headers: `"default";r=0;t=30`, in older versions `reset=30`.
  return span(/\b(?:t|reset)=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);
}

function isUsedUp(headers: AnswerHeaders): boolean {
  return ['ratelimit-remaining', 'x-rate-limit-remaining', 'x-ratelimit-remaining'].some(
    (name) => numberIn(headers.get(name)) === 0,
  );
}

function span(value: unknown): number | null {
  const number = numberIn(value);
  return number === null || number < 0 ? null : number;
}

function untilMoment(seconds: number, headers: AnswerHeaders): number | null {
  const now = httpDateSeconds(headers.get('date'));
  return now === null ? null : seconds - now;
}
