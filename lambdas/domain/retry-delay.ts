import type { Failure } from './outcome.ts';

/** Longest wait that a provider's `Retry-After` can impose, in seconds. */
export const maxRetryAfterSeconds = 3600;

/**
 * Seconds until the next attempt after a failure. One rhythm for every class: a token is about to expire, so
 * waiting longer each time would let it. The factor of 0.5 to 1.5 keeps rows that failed together from
 * coming back together (`random` is a number from 0 up to 1, given by the caller). A `Retry-After` is a
 * lower bound, spread over half a rhythm for the same reason.
 */
export function retryDelaySeconds(failure: Failure, baseSeconds: number, random: number): number {
  const spread = baseSeconds * (0.5 + random);
  if (failure.kind !== 'transient' || failure.retryAfterSeconds === null) return spread;
  return Math.max(
    spread,
    Math.min(failure.retryAfterSeconds, maxRetryAfterSeconds) + (baseSeconds * random) / 2,
  );
}
