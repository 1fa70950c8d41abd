import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { longestPatience } from '../../lambdas/domain/provider-guards.ts';
import { parseSettings } from '../../lib/settings.ts';
import { refreshBatchingWindowSeconds, timingOf } from '../../lib/timing.ts';

const settings = fc
  .record({
    scanIntervalMinutes: fc.integer({ min: 1, max: 60 }),
    callTimeoutSeconds: fc.integer({ min: 3, max: 60 }),
    retryDelaySeconds: fc.option(fc.integer({ min: 1, max: 86_400 }), { nil: undefined }),
    refreshWindowSeconds: fc.integer({ min: 60, max: 30 * 86_400 }),
  })
  .filter((given) => given.refreshWindowSeconds > given.scanIntervalMinutes * 60)
  .map((given) => parseSettings(given));

const always = (
  claim: (timing: ReturnType<typeof timingOf>, given: ReturnType<typeof parseSettings>) => void,
) =>
  fc.assert(
    fc.property(settings, (given) => {
      claim(timingOf(given), given);
    }),
  );

describe('whatever is set', () => {
  it('messages stay hidden for six times the function’s timeout, and the batching window', () => {
    always((timing) => {
      expect(timing.refreshVisibility).toBeGreaterThanOrEqual(
        6 * timing.refresherTimeout + refreshBatchingWindowSeconds,
      );
      expect(timing.thresholdVisibility).toBeGreaterThanOrEqual(6 * timing.notifierTimeout);
      // SQS allows twelve hours.
      expect(timing.refreshVisibility).toBeLessThanOrEqual(43_200);
    });
  });

  it('sealed results that a dead scan had in hands are there again for the next', () => {
    always((timing, { scanIntervalMinutes }) => {
      expect(timing.sealedResultVisibility).toBeLessThanOrEqual(scanIntervalMinutes * 60);
    });
  });

  it('a claim that nobody starts lapses before the next scan', () => {
    always((timing, { scanIntervalMinutes }) => {
      expect(timing.claimHold).toBeLessThan(scanIntervalMinutes * 60);
      expect(timing.claimHold).toBeGreaterThan(refreshBatchingWindowSeconds);
    });
  });

  it('an attempt is held for longer than its function can live: two calls are never under way', () => {
    always((timing) => expect(timing.attemptHold).toBeGreaterThan(timing.refresherTimeout));
  });

  it('tokens are short-lived in whose first half no scan may come, and none where nobody scans', () => {
    always((timing, given) => {
      expect(timing.shortLifetime).toBe(2 * given.scanIntervalMinutes * 60);
      expect(timingOf({ ...given, scanning: false }).shortLifetime).toBe(0);
    });
  });

  it('an email is held for longer than its notifier can live, and not at the next delivery', () => {
    always((timing) => {
      expect(timing.emailHold).toBeGreaterThan(timing.notifierTimeout);
      expect(timing.emailHold).toBeLessThan(timing.thresholdVisibility);
    });
  });

  it('the relay leaves a redelivery by SQS time to come first', () => {
    always((timing) => expect(timing.eventRelayHold).toBeGreaterThan(timing.thresholdVisibility));
  });

  it('a success rate is of several scans, and of no more than outcomes are kept for', () => {
    always((timing, { scanIntervalMinutes }) => {
      expect(timing.successWindow).toBeGreaterThanOrEqual(6 * 60 * scanIntervalMinutes);
      expect(timing.successWindow).toBeGreaterThanOrEqual(1_800);
      expect(timing.successWindow).toBeLessThan(12 * 3_600);
    });
  });

  it('an open circuit can be probed at each scan, and no row behind it stays held beyond the next', () => {
    always((timing, { scanIntervalMinutes, callTimeoutSeconds }) => {
      expect(timing.circuitCooldown).toBeGreaterThan(0);
      // Probes fail by the time-out of their calls, and the cool-down is counted from there.
      if (callTimeoutSeconds <= 10) {
        expect(timing.circuitCooldown + callTimeoutSeconds + 7).toBeLessThan(scanIntervalMinutes * 60);
      }
      expect(timing.circuitWindow).toBe(scanIntervalMinutes * 60);
    });
  });

  it('whoever goes on failing has failed within memory before either window', () => {
    always((timing, { scanIntervalMinutes }) => {
      const longestPause = 1.5 * longestPatience * timing.retryDelay + scanIntervalMinutes * 60;
      const longestWindow = Math.max(timing.circuitWindow, timing.massRefusalWindow);
      expect(timing.failureMemory).toBeGreaterThan(longestWindow + longestPause);
      expect(timing.massRefusalWindow).toBeGreaterThanOrEqual(900);
    });
  });

  it('messages for a provider with a limit arrive before their claims lapse, and SQS takes their delay', () => {
    always((timing) => {
      expect(timing.pacedSpread).toBeLessThan(timing.claimHold);
      expect(timing.pacedSpread).toBeLessThanOrEqual(900);
      expect(timing.pacedSpread).toBeGreaterThan(0);
    });
  });

  it('a refresher has time for a call, its commit and its start', () => {
    always((timing, { callTimeoutSeconds }) => {
      // The refresher keeps seven seconds back from every call.
      expect(timing.refresherTimeout).toBeGreaterThanOrEqual(callTimeoutSeconds + 7 + 3);
    });
  });

  it('a scan ends by the next one', () => {
    always((timing, { scanIntervalMinutes }) => {
      expect(timing.scannerTimeout).toBeLessThanOrEqual(scanIntervalMinutes * 60);
      // It keeps ten seconds back.
      expect(timing.scannerTimeout).toBeGreaterThan(20);
    });
  });

  it('no function lives longer than Lambda allows', () => {
    always((timing) => {
      for (const timeout of [
        timing.scannerTimeout,
        timing.refresherTimeout,
        timing.notifierTimeout,
        timing.migratorTimeout,
      ]) {
        expect(timeout).toBeLessThanOrEqual(900);
      }
    });
  });

  it('all is in whole seconds', () => {
    always((timing) => {
      for (const [name, value] of Object.entries(timing)) expect(Number.isInteger(value), name).toBe(true);
    });
  });
});
