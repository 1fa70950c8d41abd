import type { Context } from 'aws-lambda';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { handler } from '../../lambdas/handler.ts';
import { InvocationClock, remainingAtEntry } from '../../lambdas/invocation-clock.ts';
import { InvocationMetrics } from '../../lambdas/observability/metrics.ts';
import { silentLogger } from '../support/silent-logger.ts';

const minuteMs = 60_000;

/** An invocation as it really is: how long the function still lives when its handler is entered. */
const invocation = fc
  .record({
    timeoutMs: fc.integer({ min: 13, max: 900 }).map((seconds) => seconds * 1000),
    /** Between the service's begin of the invocation and the handler, without an initialization. */
    deliveryMs: fc.integer({ min: 0, max: 2_000 }),
    /** Of the process, before this handler was entered; 0 for one that was there already. */
    initializationMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 10_000 })),
    /** Whether that is taken off the timeout. */
    initializationCounts: fc.boolean(),
  })
  .map(({ timeoutMs, deliveryMs, initializationMs, initializationCounts }) => ({
    timeoutMs,
    initializationMs,
    trueMs: timeoutMs - deliveryMs - (initializationCounts ? initializationMs : 0),
  }));

/** How far this machine's clock is ahead. */
const aheadMs = fc.oneof(
  fc.integer({ min: -11 * minuteMs, max: 11 * minuteMs }),
  fc.integer({ min: -5_000, max: 5_000 }),
);

describe('what remains when a handler is entered', () => {
  it('is what the runtime says, where the clock is right', () => {
    fc.assert(
      fc.property(invocation, ({ trueMs, ...entry }) => {
        expect(remainingAtEntry({ ...entry, reportedMs: trueMs })).toBe(trueMs);
      }),
    );
  });

  it('is never more than what the clock can hide within the delivery and the initialization', () => {
    fc.assert(
      fc.property(invocation, aheadMs, ({ trueMs, timeoutMs, initializationMs }, ahead) => {
        const remainingMs = remainingAtEntry({ timeoutMs, initializationMs, reportedMs: trueMs - ahead });
        expect(remainingMs).toBeLessThanOrEqual(timeoutMs);
        expect(remainingMs).toBeGreaterThanOrEqual(timeoutMs - 2_000 - initializationMs);
        // A clock that is ahead, or far behind, never makes a function believe that it lives for longer than it does.
        if (ahead >= 0 || ahead < -12_000) expect(remainingMs).toBeLessThanOrEqual(trueMs);
      }),
    );
  });

  it.each([
    ['ten minutes ahead', 40_000 - 10 * minuteMs],
    ['ten minutes behind', 40_000 + 10 * minuteMs],
    ['half a minute ahead', 10_000],
    ['a second behind', 41_000],
    ['no number', Number.NaN],
  ])('follows from the timeout by a clock that is %s', (_, reportedMs) => {
    expect(remainingAtEntry({ reportedMs, timeoutMs: 40_000, initializationMs: 0 })).toBe(38_000);
    expect(remainingAtEntry({ reportedMs, timeoutMs: 40_000, initializationMs: 500 })).toBe(37_500);
    // Begun long before anybody asked for it, so not at the expense of this invocation.
    expect(remainingAtEntry({ reportedMs, timeoutMs: 40_000, initializationMs: 900_000 })).toBe(28_000);
  });
});

describe('the clock of an invocation', () => {
  afterEach(() => void vi.restoreAllMocks());

  it.each([-10, 0, 10])('is the service’s where this machine’s is wrong by %d minutes', (minutes) => {
    const trueNowMs = Date.UTC(2026, 2, 1, 12);
    let passedMs = 20_000;
    vi.spyOn(performance, 'now').mockImplementation(() => passedMs);
    vi.spyOn(Date, 'now').mockImplementation(() => trueNowMs + minutes * minuteMs);
    const clock = new InvocationClock(40);
    clock.enter(trueNowMs + 40_000 - Date.now());
    expect(clock.nowMs()).toBe(trueNowMs);
    // It goes on by the monotonic clock, whatever becomes of the other.
    vi.spyOn(Date, 'now').mockImplementation(() => 0);
    passedMs += 1_500;
    expect(clock.nowMs()).toBe(trueNowMs + 1_500);
    expect(clock.remainingMs()).toBe((minutes === 0 ? 40_000 : 28_000) - 1_500);
  });

  it('begins anew with each invocation, and counts the start of the process once', () => {
    let passedMs = 3_000;
    vi.spyOn(performance, 'now').mockImplementation(() => passedMs);
    const clock = new InvocationClock(40);
    clock.enter(-1);
    expect(clock.remainingMs()).toBe(35_000);
    passedMs += 60_000;
    expect(clock.remainingMs()).toBe(-25_000);
    clock.enter(-1);
    expect(clock.remainingMs()).toBe(38_000);
  });

  it('leaves nothing to a work that outlives its invocation and goes on within the next one', () => {
    let passedMs = 100_000;
    vi.spyOn(performance, 'now').mockImplementation(() => passedMs);
    const clock = new InvocationClock(40);
    clock.enter(-1);
    const first = clock.remainingOfThis();
    passedMs += 1_000;
    expect(first()).toBe(clock.remainingMs());
    expect(first()).toBeGreaterThan(0);
    // Frozen and thawed, whether the monotonic clock has gone on meanwhile or not.
    clock.enter(-1);
    expect(first()).toBe(0);
    expect(clock.remainingOfThis()()).toBe(clock.remainingMs());
  });

  it('is what the work of a handler gets of its own invocation', async () => {
    const works: (() => number)[] = [];
    const logger = silentLogger();
    const clock = new InvocationClock(40);
    const handle = handler({ logger, metrics: new InvocationMetrics(), clock }, async (_, remainingMs) => {
      works.push(remainingMs);
    });
    const context = { awsRequestId: 'request', getRemainingTimeInMillis: () => 40_000 } as Context;
    for (let i = 0; i < 2; i += 1) await Promise.resolve(handle({}, context));
    expect(works.map((remainingMs) => remainingMs() > 0)).toEqual([false, true]);
  });

  it('is this machine’s before the first', () => {
    const clock = new InvocationClock(40);
    expect(Math.abs(clock.nowMs() - Date.now())).toBeLessThan(minuteMs);
    expect(clock.remainingMs()).toBeLessThanOrEqual(0);
  });
});
