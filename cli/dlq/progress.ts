import type { Output } from '../output.ts';
import type { Runtime } from './runtime.ts';

const intervalMs = 1_000;

/** Tells what is going on at most once a second, and nothing of what is over within one. */
export function createProgress(output: Output, runtime: Runtime): (text: () => string) => void {
  let toldAtMs = runtime.now();
  return (text) => {
    if (runtime.now() - toldAtMs < intervalMs) return;
    toldAtMs = runtime.now();
    output.progress(text());
  };
}
