import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Failure } from '../../../lambdas/domain/outcome.ts';
import {
  circuitLimits,
  hasAnswered,
  isEvidence,
  isUndecided,
  usualRetryAfter,
} from '../../../lambdas/domain/provider-guards.ts';

const transient = (retryAfterSeconds: number | null, httpStatus: number | null = 503): Failure => ({
  kind: 'transient',
  code: 'http_503',
  httpStatus,
  providerCode: null,
  retryAfterSeconds,
  doubtful: false,
});
const permanent = (httpStatus: number | null): Failure => ({
  kind: 'permanent',
  code: 'invalid_grant',
  httpStatus,
  providerCode: null,
  invalidRefreshToken: true,
});
const operator = (httpStatus: number | null): Failure => ({
  kind: 'operator',
  code: 'invalid_client',
  httpStatus,
  providerCode: null,
  fix: 'Mend it.',
});

describe('an answer', () => {
  it('is a success or a refusal of the grant: either way the provider is up', () => {
    expect(hasAnswered({ kind: 'refreshed' })).toBe(true);
    expect(hasAnswered(permanent(400))).toBe(true);
    expect(hasAnswered(transient(null))).toBe(false);
    expect(hasAnswered(operator(401))).toBe(false);
  });

  it('is none where nobody was asked: a damaged token was never sent', () => {
    expect(hasAnswered(permanent(null))).toBe(false);
  });
});

it('our own faults say nothing about a provider that did not answer them', () => {
  expect(isEvidence(operator(401))).toBe(true);
  expect(isEvidence(operator(null))).toBe(false);
  expect(isEvidence(transient(null, null))).toBe(true);
  expect(isEvidence(permanent(null))).toBe(true);
});

describe('whether failures are a provider’s doing', () => {
  it.each([
    ['a first failure of a full batch', { failing: 1, answered: 0, pending: 99 }, true],
    ['one short of half', { failing: 49, answered: 0, pending: 51 }, true],
    ['half of them, and the rest may fail', { failing: 50, answered: 0, pending: 50 }, true],
    ['all of them', { failing: 100, answered: 0, pending: 0 }, false],
    ['too few, whatever comes', { failing: 1, answered: 0, pending: 8 }, false],
    ['just enough, if all fail', { failing: 1, answered: 0, pending: 9 }, true],
    ['answered for most', { failing: 1, answered: 51, pending: 48 }, false],
    ['answered for half, and the rest may fail', { failing: 1, answered: 50, pending: 49 }, true],
    ['nothing is pending', { failing: 30, answered: 70, pending: 0 }, false],
  ])('is settled or not by %s', (_, tally, undecided) => {
    expect(isUndecided(tally, circuitLimits)).toBe(undecided);
  });

  it('is settled when nothing is pending, or all of it failing would not be enough, and only then', () => {
    const count = fc.nat({ max: 120 });
    fc.assert(
      fc.property(count, count, count, (failing, answered, pending) => {
        const reachedWith = (more: number) =>
          failing + more >= circuitLimits.leastFailing &&
          failing + more >= circuitLimits.leastShare * (failing + answered + pending);
        const ways = Array.from({ length: pending }, (_, more) => reachedWith(more + 1));
        expect(isUndecided({ failing, answered, pending }, circuitLimits)).toBe(ways.includes(true));
      }),
    );
  });
});

describe('how long a provider asks to be left alone', () => {
  it('is what most of its failures say, and none of one that is alone', () => {
    expect(usualRetryAfter([])).toBe(0);
    expect(usualRetryAfter([{ kind: 'refreshed' }, permanent(400)])).toBe(0);
    expect(usualRetryAfter([transient(60), transient(60), transient(3_600)])).toBe(60);
    expect(usualRetryAfter([transient(null), transient(null), transient(3_600)])).toBe(0);
    expect(usualRetryAfter([transient(30), permanent(400), { kind: 'refreshed' }])).toBe(30);
  });

  it('is asked for by one of them, and no longer than half of them ask for', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 3_600 })), { minLength: 1 }), (asked) => {
        const usual = usualRetryAfter(asked.map((seconds) => transient(seconds)));
        expect(asked.map((seconds) => seconds ?? 0)).toContain(usual);
        const atLeast = asked.filter((seconds) => (seconds ?? 0) >= usual).length;
        expect(2 * atLeast).toBeGreaterThanOrEqual(asked.length);
      }),
    );
  });
});
