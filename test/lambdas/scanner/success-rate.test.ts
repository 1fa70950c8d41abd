import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProviderMeasure } from '../../../lambdas/postgres/measure-providers.ts';
import { minimumIntegrations, successRates } from '../../../lambdas/scanner/success-rate.ts';

const measure = (changes: Partial<ProviderMeasure> = {}): ProviderMeasure => ({
  provider: 'acme',
  refreshed: 0,
  disconnected: 0,
  failing: 0,
  newly_failing: 0,
  ...changes,
});
const percentOf = (changes: Partial<ProviderMeasure>) => successRates([measure(changes)])[0]?.percent;

describe('the success rate of a provider', () => {
  it('is the share of its integrations that came due and were refreshed', () => {
    expect(percentOf({ refreshed: 75, failing: 20, newly_failing: 20, disconnected: 5 })).toBe(75);
    expect(percentOf({ refreshed: 100 })).toBe(100);
  });

  it('does not exist for one of three that fails: that is one user’s grant', () => {
    expect(percentOf({ refreshed: 2, failing: 1, newly_failing: 1 })).toBeUndefined();
    expect(percentOf({ refreshed: 0, failing: 3, newly_failing: 3 })).toBeUndefined();
  });

  it('is not that of the few that fail for long, though they are tried more often than all others', () => {
    expect(percentOf({ refreshed: 104, failing: 50, newly_failing: 0 })).toBe(100);
  });

  it('stays at nothing through an outage that lasts', () => {
    expect(percentOf({ refreshed: 0, failing: 5_000, newly_failing: 0 })).toBe(0);
  });

  it('falls when many are disconnected, who are not failing any more', () => {
    expect(percentOf({ refreshed: 10, disconnected: 90 })).toBe(10);
  });

  it('names the lowest first, and is a percentage of enough integrations, whatever is measured', () => {
    const counts = fc.nat({ max: 10_000 });
    const measures = fc.array(
      fc
        .record({
          provider: fc.string(),
          refreshed: counts,
          disconnected: counts,
          old: counts,
          newly_failing: counts,
        })
        .map(({ old, ...rest }) => ({ ...rest, failing: old + rest.newly_failing })),
    );
    fc.assert(
      fc.property(measures, (given) => {
        const rates = successRates(given);
        expect(rates.map(({ percent }) => percent)).toEqual(
          rates.map(({ percent }) => percent).toSorted((a, b) => a - b),
        );
        for (const { percent, refreshed, failing, disconnected } of rates) {
          expect(percent).toBeGreaterThanOrEqual(0);
          expect(percent).toBeLessThanOrEqual(100);
          expect(refreshed + failing + disconnected).toBeGreaterThanOrEqual(minimumIntegrations);
        }
      }),
    );
  });
});
