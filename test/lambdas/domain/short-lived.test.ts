import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scheduleRefresh, scheduleRetry } from '../../../lambdas/domain/short-lived.ts';

/** A chance, from 0 up to 1. */
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
/** Twice the scan interval, for each that can be set. */
const shortLifetime = fc.integer({ min: 1, max: 60 }).map((minutes) => 2 * 60 * minutes);

describe('the next attempt after a success', () => {
  it('comes in whole seconds after a good third of the life, and before half of it', () => {
    fc.assert(
      fc.property(
        shortLifetime,
        fc.double({ min: 60, max: 7_200, noNaN: true }),
        chance,
        (short, life, by) => {
          const next = scheduleRefresh(life, short, by);
          expect(next === null).toBe(life >= short);
          if (next === null) return;
          const { delaySeconds, holdSeconds } = next;
          expect(Number.isInteger(delaySeconds)).toBe(true);
          expect(delaySeconds).toBeGreaterThanOrEqual(Math.min(900, life * 0.36 - 1));
          expect(delaySeconds).toBeLessThanOrEqual(Math.min(900, life * 0.45));
          // Before the age of messages is alarmed.
          expect(delaySeconds).toBeLessThanOrEqual(0.9 * (short / 2));
          // Who relies on the scans alone has time left as well.
          expect(holdSeconds).toBeGreaterThan(delaySeconds);
          expect(holdSeconds).toBeLessThan(life * 0.6);
        },
      ),
    );
  });

  it('spreads tokens that were refreshed together', () => {
    expect(scheduleRefresh(300, 600, 0)).toEqual({ delaySeconds: 108, holdSeconds: 135 });
    expect(scheduleRefresh(300, 600, 0.999)).toEqual({ delaySeconds: 134, holdSeconds: 167.5 });
  });

  it.each([[0], [1], [40], [-5], [Number.NaN]])(
    'is left to the scans for a token that lives %s seconds: no lifetime makes a hot loop',
    (lifetime) => {
      expect(scheduleRefresh(lifetime, 600, 0.5)).toBeNull();
    },
  );

  it('is left to the scans for all tokens where nothing is short-lived', () => {
    expect(scheduleRefresh(300, 0, 0.5)).toBeNull();
  });
});

describe('the next attempt after a passing failure', () => {
  const failing = { lifetimeSeconds: 300, expiresInSeconds: 180, retryAfterSeconds: null };

  it('comes while the token is good, some twenty seconds from now at least', () => {
    fc.assert(
      fc.property(fc.double({ min: -400, max: 600, noNaN: true }), chance, (expiresInSeconds, by) => {
        const next = scheduleRetry({ ...failing, expiresInSeconds }, 600, by);
        if (expiresInSeconds < 44) expect(next).toBeNull();
        if (expiresInSeconds > 56) expect(next).not.toBeNull();
        if (next === null) return;
        expect(next.delaySeconds).toBeGreaterThanOrEqual(20);
        expect(next.holdSeconds).toBeLessThan(expiresInSeconds * 0.6);
      }),
    );
  });

  it('ends by itself: a life has a handful of attempts, and then the rhythm of all rows', () => {
    let expiresInSeconds = 300 - scheduleRefresh(300, 600, 0)!.delaySeconds;
    let attempts = 0;
    for (;;) {
      attempts += 1;
      const next = scheduleRetry({ ...failing, expiresInSeconds }, 600, 0);
      if (next === null) break;
      expiresInSeconds -= next.delaySeconds;
    }
    expect(attempts).toBe(4);
    expect(expiresInSeconds).toBeGreaterThan(0);
  });

  it('respects Retry-After, and is none where that leaves no time', () => {
    expect(scheduleRetry({ ...failing, retryAfterSeconds: 120 }, 600, 0)?.delaySeconds).toBe(120);
    expect(scheduleRetry({ ...failing, retryAfterSeconds: 120 }, 600, 0.9)?.delaySeconds).toBe(134);
    expect(scheduleRetry({ ...failing, retryAfterSeconds: 170 }, 600, 0)).toBeNull();
    expect(scheduleRetry({ ...failing, retryAfterSeconds: 3_600 }, 600, 0)).toBeNull();
  });

  it.each([
    ['a token of an hour', { lifetimeSeconds: 3_600 }],
    ['a token whose life nobody knows', { lifetimeSeconds: null }],
    ['a token without an end', { expiresInSeconds: null }],
    ['a token that has ended', { expiresInSeconds: -1 }],
  ])('is left to the scans for %s', (_, change) => {
    expect(scheduleRetry({ ...failing, ...change }, 600, 0.5)).toBeNull();
  });
});
