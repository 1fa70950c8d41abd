/**
 * When a token is refreshed that does not live long enough for the rhythm of the scans: by an attempt of its own, which a
 * delayed message asks for. Of two scans one falls into the second half of a token's life if it lives for twice their
 * interval; a token that lives shorter than `shortLifetimeSeconds`, which is that, is short-lived.
 */

/** A scheduled attempt, in seconds from now. */
export interface ScheduledAttempt {
  /** Until its message arrives: whole seconds, as SQS takes them. */
  readonly delaySeconds: number;
  /** Until scans may claim the row, as the message has got lost by then. */
  readonly holdSeconds: number;
}

/** Longest delay of a message, SQS quota. */
const longestDelaySeconds = 900;

/**
 * Shortest delay: nobody is called more than three times a minute, nor more than fifteen times a scan interval, whatever
 * lifetimes an endpoint may name.
 */
const shortestDelaySeconds = (shortLifetimeSeconds: number) => Math.min(20, shortLifetimeSeconds / 30);

/**
 * The part of the remaining life after which the next attempt comes, by chance, so that tokens that were refreshed
 * together do not come back together for ever. More than half of the life is left for what goes wrong, and no delay is
 * longer than nine tenths of the scan interval: the age of messages has an alarm at one.
 */
const part = (random: number) => 0.36 + 0.09 * random;

/**
 * The next attempt after a success; `null`: the token lives for long enough, or so shortly that nobody could keep it
 * fresh, and scans see to it. `random` is a number from 0 up to 1, given by the caller.
 */
export function scheduleRefresh(
  lifetimeSeconds: number,
  shortLifetimeSeconds: number,
  random: number,
): ScheduledAttempt | null {
  if (!(lifetimeSeconds < shortLifetimeSeconds)) return null;
  return scheduled(lifetimeSeconds * part(random), shortLifetimeSeconds);
}

/**
 * An early attempt after a passing failure of a short-lived token that is still good for a while; `null`: there is no
 * time for one before its end, or not by the provider's `Retry-After`, and the failure is one like any other.
 */
export function scheduleRetry(
  failing: {
    /** How long the access token lives from one refresh to its end; `null`: not known. */
    readonly lifetimeSeconds: number | null;
    /** Until its end. */
    readonly expiresInSeconds: number | null;
    /** What the provider says; `null`: nothing. */
    readonly retryAfterSeconds: number | null;
  },
  shortLifetimeSeconds: number,
  random: number,
): ScheduledAttempt | null {
  const { lifetimeSeconds, expiresInSeconds, retryAfterSeconds } = failing;
  if (lifetimeSeconds === null || expiresInSeconds === null) return null;
  if (!(lifetimeSeconds < shortLifetimeSeconds)) return null;
  const earliest = (retryAfterSeconds ?? 0) + expiresInSeconds * 0.09 * random;
  const next = scheduled(Math.max(earliest, expiresInSeconds * part(random)), shortLifetimeSeconds);
  return next !== null && next.delaySeconds < expiresInSeconds * 0.9 ? next : null;
}

function scheduled(seconds: number, shortLifetimeSeconds: number): ScheduledAttempt | null {
  if (seconds < shortestDelaySeconds(shortLifetimeSeconds)) return null;
  const delaySeconds = Math.min(longestDelaySeconds, Math.floor(seconds));
  // A message takes a second or two; behind a queue that is late the scan's own message would be late as well.
  return { delaySeconds, holdSeconds: delaySeconds + Math.max(5, delaySeconds / 4) };
}
