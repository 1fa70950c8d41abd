import { pause, type Runtime } from './runtime.ts';

/** Lets batches of messages go at a rate: waits until the next may go, or the signal aborts. */
export type Pace = (count: number, signal: AbortSignal) => Promise<void>;

/** In the long run at most `maxPerSecond`, however many workers ask; `null`: no limit. */
export function createPace(maxPerSecond: number | null, runtime: Runtime): Pace {
  let nextAtMs = Number.NEGATIVE_INFINITY;
  return async (count, signal) => {
    if (maxPerSecond === null) return;
    const startAtMs = Math.max(runtime.now(), nextAtMs);
    nextAtMs = startAtMs + (count / maxPerSecond) * 1_000;
    await pause(runtime, startAtMs - runtime.now(), signal);
  };
}
