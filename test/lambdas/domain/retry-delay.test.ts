import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Failure } from '../../../lambdas/domain/outcome.ts';
import { maxRetryAfterSeconds, retryDelaySeconds } from '../../../lambdas/domain/retry-delay.ts';

const transient = (retryAfterSeconds: number | null): Failure => ({
  kind: 'transient',
  code: 'rate_limited',
  httpStatus: 429,
  providerCode: null,
  retryAfterSeconds,
  doubtful: false,
});
const failures = fc.oneof(
  fc.option(fc.nat({ max: 100_000 })).map((seconds) => transient(seconds)),
  fc.constant<Failure>({
    kind: 'permanent',
    code: 'x',
    httpStatus: 400,
    providerCode: null,
    invalidRefreshToken: true,
  }),
  fc.constant<Failure>({ kind: 'operator', code: 'x', httpStatus: null, providerCode: null, fix: 'x' }),
);
const base = fc.integer({ min: 1, max: 86_400 });
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('the wait after a failure', () => {
  it('is about the set time, spread by half either way', () => {
    expect(retryDelaySeconds(transient(null), 300, 0)).toBe(150);
    expect(retryDelaySeconds(transient(null), 300, 0.5)).toBe(300);
    expect(retryDelaySeconds(transient(null), 300, 0.999999)).toBeCloseTo(450, 2);
  });

  it('is never shorter than half the set time, nor than what the provider asked for, up to the cap', () => {
    fc.assert(
      fc.property(failures, base, random, (failure, seconds, chance) => {
        const delay = retryDelaySeconds(failure, seconds, chance);
        expect(delay).toBeGreaterThanOrEqual(seconds / 2);
        const asked = failure.kind === 'transient' ? (failure.retryAfterSeconds ?? 0) : 0;
        expect(delay).toBeGreaterThanOrEqual(Math.min(asked, maxRetryAfterSeconds));
        expect(delay).toBeLessThanOrEqual(Math.max(1.5 * seconds, maxRetryAfterSeconds + seconds / 2));
      }),
    );
  });

  it('differs for rows that failed together, also when all were told the same time', () => {
    fc.assert(
      fc.property(failures, base, random, random, (failure, seconds, one, other) => {
        fc.pre(Math.abs(one - other) > 0.01);
        expect(retryDelaySeconds(failure, seconds, one)).not.toBe(retryDelaySeconds(failure, seconds, other));
      }),
    );
  });
});
