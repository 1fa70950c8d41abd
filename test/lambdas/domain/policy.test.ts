import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultPolicy, type PolicySettings, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { modelFailure, newModel } from '../../support/failure-model.ts';

const stepFor = (
  settings: PolicySettings,
  failureClass: 'transient' | 'permanent',
  invalidRefreshToken: boolean,
  count: number,
) =>
  thresholdSteps(settings).filter(
    (step) =>
      step.failureClass === failureClass &&
      step.invalidRefreshToken === invalidRefreshToken &&
      step.fromCount <= count &&
      count <= (step.toCount ?? Number.POSITIVE_INFINITY),
  );

function* everySetting(): Generator<PolicySettings> {
  for (let warningThreshold = 1; warningThreshold <= 5; warningThreshold += 1) {
    for (let disconnectThreshold = warningThreshold + 1; disconnectThreshold <= 6; disconnectThreshold += 1) {
      for (let rateLimitThreshold = 1; rateLimitThreshold <= 6; rateLimitThreshold += 1) {
        for (const disconnectOnInvalidRefreshToken of [false, true]) {
          yield {
            warningThreshold,
            disconnectThreshold,
            rateLimitThreshold,
            disconnectOnInvalidRefreshToken,
          };
        }
      }
    }
  }
}

describe('the steps of a policy', () => {
  it('have the promised numbers by default', () => {
    expect(defaultPolicy).toEqual({
      warningThreshold: 2,
      disconnectThreshold: 3,
      rateLimitThreshold: 5,
      disconnectOnInvalidRefreshToken: false,
    });
  });

  it('say for every count and kind of failure what the contract says', () => {
    for (const settings of everySetting()) {
      const byClass = { transient: 'transient', permanent: 'permanent', dead: 'permanent' } as const;
      for (const [failure, failureClass] of Object.entries(byClass)) {
        for (let count = 1; count <= 10; count += 1) {
          const model = newModel(count - 1, count - 1);
          modelFailure(model, failure as keyof typeof byClass, settings);
          const [told] = model.told;
          const found = stepFor(settings, failureClass, failure === 'dead', count);
          const context = `${failure} ${count} ${JSON.stringify(settings)}`;
          expect(found.length, context).toBeLessThanOrEqual(1);
          expect(
            {
              notification: found[0]?.notification ?? null,
              email: found[0]?.email ?? null,
              disconnects: found[0]?.disconnects ?? false,
            },
            context,
          ).toEqual({
            notification: told?.notification ?? null,
            email: told?.email ?? null,
            disconnects: model.status === 'needs_reauthorization',
          });
        }
      }
    }
  });

  it('never disconnect for a passing failure, however often', () => {
    for (const settings of everySetting()) {
      for (const step of thresholdSteps(settings)) {
        if (step.failureClass === 'transient')
          expect(step).toMatchObject({ disconnects: false, email: null });
        if (step.disconnects) expect(step.toCount).toBeNull();
      }
    }
  });

  it.each(['warningThreshold', 'disconnectThreshold', 'rateLimitThreshold'] as const)(
    'do not exist for a %s that is no count',
    (name) => {
      for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        const settings = { ...defaultPolicy, [name]: value };
        expect(() => thresholdSteps(settings)).toThrow(RangeError);
        expect(() => thresholdSteps(settings)).toThrow(name);
      }
    },
  );

  it('do not exist for a warning that comes with or after the disconnection', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat({ max: 20 }), (disconnectThreshold, more) => {
        const settings = {
          ...defaultPolicy,
          disconnectThreshold,
          warningThreshold: disconnectThreshold + more,
        };
        expect(() => thresholdSteps(settings)).toThrow(/warningThreshold.*disconnectThreshold/);
        expect(() => thresholdSteps(settings)).toThrow(RangeError);
      }),
    );
  });
});
