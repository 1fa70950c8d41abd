import { setTimeout as sleep } from 'node:timers/promises';

/** Rejects when `ms` have passed; the work may still end either way. */
export async function before<Result>(work: Promise<Result>, ms: number): Promise<Result> {
  const timer = new AbortController();
  const late = sleep(Math.max(0, ms), undefined, { signal: timer.signal }).then(() => {
    throw new Error('the work was still under way when the time was up');
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
