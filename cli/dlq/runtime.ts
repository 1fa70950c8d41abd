import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../command.ts';

/** What the commands take from the machine. Tests give another one, so that they need not wait. */
export interface Runtime {
  /** Milliseconds. */
  now(): number;
  /** Rejects when the signal aborts. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
  /** Calls back at the first Ctrl-C or SIGTERM; the second ends the process as always. Returns what takes it back. */
  onInterrupt(listener: () => void): () => void;
  /** How long SQS looks for messages before it says that there are none. Below 1 it asks only some of its servers. */
  readonly longPollSeconds: number;
  /** Receives under way at once. */
  readonly workers: number;
}

export const machine: Runtime = {
  now: () => Date.now(),
  sleep: (durationMs, signal) => sleep(durationMs, undefined, { signal }),
  onInterrupt(listener) {
    const remove = () => {
      process.removeListener('SIGINT', once);
      process.removeListener('SIGTERM', once);
    };
    const once = () => {
      remove();
      listener();
    };
    process.on('SIGINT', once);
    process.on('SIGTERM', once);
    return remove;
  },
  longPollSeconds: 1,
  workers: 8,
};

/** Runs work with a signal that Ctrl-C aborts; the work then ends in its own good time. */
export async function interruptible<Result>(
  runtime: Runtime,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const interruption = new AbortController();
  const remove = runtime.onInterrupt(() => interruption.abort());
  try {
    return await work(interruption.signal);
  } finally {
    remove();
  }
}

/** Sleeps until the time has passed or the signal aborts. */
export async function pause(runtime: Runtime, durationMs: number, signal: AbortSignal): Promise<void> {
  if (durationMs <= 0 || signal.aborted) return;
  try {
    await runtime.sleep(durationMs, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** What a command that was interrupted ends with. */
export function interrupted(whatNow: string): CliError {
  return new CliError('interrupted', `Interrupted. ${whatNow}`);
}
