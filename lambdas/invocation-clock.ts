import { functionEnv } from './contract.ts';
import { wholeNumber } from './env.ts';

/** The variable that says what an `InvocationClock` goes by, for `readEnv`. */
export const functionTimeout = [functionEnv.timeoutSeconds, wholeNumber(1, 900)] as const;

/** What is known when a handler is entered. */
export interface Entry {
  /**
   * What the runtime says remains: the deadline, which the service sets by its own clock, less this machine's clock
   * (`getRemainingTimeInMillis`).
   */
  readonly reportedMs: number;
  /** The function's timeout, from which the service reckons the deadline. */
  readonly timeoutMs: number;
  /**
   * What the timeout may have been used for before the handler was entered. Lambda counts an initialization that it
   * begins with the invocation ("suppressed init", after one that failed or took over ten seconds); any other it does not.
   */
  readonly initializationMs: number;
}

/** How much later than its begin by the service an invocation may reach the handler. */
const deliveryMs = 2_000;

/** An initialization that takes longer has begun ahead of any invocation. */
const longestInitializationMs = 10_000;

/**
 * Milliseconds that remain, at least, when a handler is entered. What the runtime says is taken while it is what a clock
 * that is right would say; beyond that it tells of a wrong clock, and the timeout is what is left to go by.
 */
export function remainingAtEntry({ reportedMs, timeoutMs, initializationMs }: Entry): number {
  const leastMs = timeoutMs - deliveryMs - Math.min(initializationMs, longestInitializationMs);
  return reportedMs >= leastMs && reportedMs <= timeoutMs ? reportedMs : leastMs;
}

/**
 * What time it is for the invocation that is under way, whatever the clock of this machine says: the span that remains
 * runs by the monotonic clock, and the moment follows from the deadline, which the service sets. Both are the service's
 * to within the time that the invocation took to get here: milliseconds, or those of an initialization that counts.
 */
export class InvocationClock {
  readonly #timeoutMs: number;
  #enteredAtMs = performance.now();
  #remainingMs = 0;
  #entries = 0;
  /** Milliseconds since 1970 when `performance.now()` was 0. */
  #originMs = performance.timeOrigin;

  constructor(timeoutSeconds: number) {
    this.#timeoutMs = timeoutSeconds * 1000;
  }

  /** Begins an invocation; `reportedMs` is the runtime's `getRemainingTimeInMillis()` at this moment. */
  enter(reportedMs: number): void {
    const wallMs = Date.now();
    this.#enteredAtMs = performance.now();
    const initializationMs = this.#entries === 0 ? this.#enteredAtMs : 0;
    this.#entries += 1;
    this.#remainingMs = remainingAtEntry({ reportedMs, timeoutMs: this.#timeoutMs, initializationMs });
    this.#originMs = wallMs + reportedMs - this.#timeoutMs - this.#enteredAtMs;
  }

  /** Milliseconds until the function is killed. */
  remainingMs(): number {
    return this.#remainingMs - (performance.now() - this.#enteredAtMs);
  }

  /**
   * `remainingMs()` of the invocation that is under way, and 0 once another one has begun: what outlives its invocation
   * goes on when the frozen process thaws, and must not take the time of the next one for its own.
   */
  remainingOfThis(): () => number {
    const entry = this.#entries;
    return () => (this.#entries === entry ? this.remainingMs() : 0);
  }

  /** Milliseconds since 1970 by the service's clock; before the first invocation by this machine's. */
  nowMs(): number {
    return this.#originMs + performance.now();
  }
}
