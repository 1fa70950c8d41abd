import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Failure, Outcome } from '../../../lambdas/domain/outcome.ts';
import { circuitLimits, massRefusalLimits } from '../../../lambdas/domain/provider-guards.ts';
import { InvocationMetrics } from '../../../lambdas/observability/metrics.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import type { StartedAttempt } from '../../../lambdas/postgres/start-attempts.ts';
import { ProviderWatch } from '../../../lambdas/refresher/provider-watch.ts';
import { silentLogger } from '../../support/silent-logger.ts';

const down: Failure = {
  kind: 'transient',
  code: 'http_503',
  httpStatus: 503,
  providerCode: null,
  retryAfterSeconds: null,
  doubtful: false,
};
const refused: Failure = {
  kind: 'permanent',
  code: 'invalid_grant',
  httpStatus: 400,
  providerCode: null,
  invalidRefreshToken: true,
};

function attempts(count: number, provider = 'acme'): StartedAttempt[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${provider}-${index}`,
    provider,
    token: 'sealed',
    token_column: 'refresh_token',
    claim: '1',
    variables: null,
    probe: false,
    expires_in_seconds: 60,
    now_seconds: 0,
    lifetime_seconds: 3_600,
  }));
}

/** Nothing here asks the database: whether a failure waits is decided by the batch alone. */
const database: Database = { query: () => Promise.reject(new Error('nobody asks')) };

function watchOf(started: readonly StartedAttempt[], remainingMs = 40_000): ProviderWatch {
  return new ProviderWatch(
    {
      database,
      settings: {
        guards: {
          circuit: circuitLimits,
          massRefusal: massRefusalLimits,
          circuitWindowSeconds: 300,
          circuitCooldownSeconds: 150,
          maxRetryAfterSeconds: 3_600,
          massRefusalWindowSeconds: 900,
          disconnectionHoldSeconds: 43_200,
          memorySeconds: 2_100,
        },
      },
      logger: silentLogger(),
      metrics: new InvocationMetrics(),
      remainingMs: () => remainingMs,
    },
    started,
  );
}

/** Whether it has resolved, without any time having passed. */
async function isOver(work: Promise<void>): Promise<boolean> {
  let over = false;
  void work.then(() => {
    over = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return over;
}

describe('a failure waits', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('until half of its batch have failed, and all that wait are released together', async () => {
    const [first, second, ...others] = attempts(20);
    const watch = watchOf([first!, second!, ...others]);
    watch.learned(first!, down);
    const waiting = [watch.decided(first!, down)];
    watch.learned(second!, down);
    waiting.push(watch.decided(second!, down));
    for (const attempt of others.slice(0, 7)) watch.learned(attempt, down);
    expect(await Promise.all(waiting.map(isOver))).toEqual([false, false]);
    watch.learned(others[7]!, down);
    expect(await Promise.all(waiting.map(isOver))).toEqual([true, true]);
    expect(await isOver(watch.decided(others[7]!, down))).toBe(true);
  });

  it.each([
    ['tokens', { kind: 'refreshed', tokens: {} } as Outcome],
    ['refusals of grants', refused],
  ])('until its provider has answered so many with %s that it is up', async (_, answer) => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    for (const attempt of others.slice(0, 10)) watch.learned(attempt, answer);
    expect(await isOver(waiting)).toBe(false);
    watch.learned(others[10]!, answer);
    expect(await isOver(waiting)).toBe(true);
  });

  it('until too few are left to tell: those that are not called after all count for neither side', async () => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    for (const attempt of others.slice(0, 10)) watch.notCalled(attempt);
    expect(await isOver(waiting)).toBe(false);
    watch.notCalled(others[10]!);
    expect(await isOver(waiting)).toBe(true);
  });

  it('as a refusal until a fifth of its batch are refused, which holds disconnections for all of them', async () => {
    const [first, second, ...others] = attempts(120);
    const watch = watchOf([first!, second!, ...others]);
    watch.learned(first!, refused);
    const waiting = [watch.decided(first!, refused)];
    watch.learned(second!, refused);
    waiting.push(watch.decided(second!, refused));
    for (const attempt of others.slice(0, 21)) watch.learned(attempt, refused);
    expect(await Promise.all(waiting.map(isOver))).toEqual([false, false]);
    watch.learned(others[21]!, refused);
    expect(await Promise.all(waiting.map(isOver))).toEqual([true, true]);
  });

  it('as a refusal until so many are refreshed that it is its user’s doing, whatever else fails', async () => {
    const [first, ...others] = attempts(100);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, refused);
    const waiting = watch.decided(first!, refused);
    for (const attempt of others.slice(0, 80))
      watch.learned(attempt, { kind: 'refreshed', tokens: {} } as Outcome);
    expect(await isOver(waiting)).toBe(false);
    watch.learned(others[80]!, down);
    expect(await isOver(waiting)).toBe(true);
  });

  it('not as a refusal where the batch has too few of its provider', async () => {
    const [first, ...others] = attempts(19);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, refused);
    expect(await isOver(watch.decided(first!, refused))).toBe(true);
  });

  it('for a second at most', async () => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    await vi.advanceTimersByTimeAsync(999);
    expect(await isOver(waiting)).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await isOver(waiting)).toBe(true);
  });

  it('for its own provider alone', async () => {
    const [first, ...others] = attempts(20);
    const few = attempts(3, 'other');
    const watch = watchOf([first!, ...others, ...few]);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    for (const attempt of few) watch.learned(attempt, down);
    expect(await isOver(watch.decided(few[0]!, down))).toBe(true);
    expect(await isOver(waiting)).toBe(false);
  });

  it('not at all when the time of the function is short', async () => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others], 4_000);
    watch.learned(first!, down);
    expect(await isOver(watch.decided(first!, down))).toBe(true);
  });
});
