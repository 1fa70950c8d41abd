import type { Settings } from './settings.ts';

/** Everything about time that one part of the system derives from another, in one place; all in seconds. */
export interface Timing {
  readonly scannerTimeout: number;
  readonly refresherTimeout: number;
  readonly notifierTimeout: number;
  readonly migratorTimeout: number;
  readonly operatorTimeout: number;
  /** How long received messages stay hidden from other consumers. */
  readonly refreshVisibility: number;
  readonly thresholdVisibility: number;
  readonly claimHold: number;
  readonly attemptHold: number;
  readonly emailHold: number;
  readonly eventRelayHold: number;
  readonly retryDelay: number;
  /** How long before a grant ends its user is warned. */
  readonly lapseWarning: number;
  /** How far back the success rate of a provider looks. */
  readonly successWindow: number;
}

/** AWS advises a visibility timeout of six times the function's, so that throttles do not use up receives. */
const visibilityFactor = 6;

/** Lambda ends a function at its timeout; the clocks of Lambda and Postgres need not agree to the second. */
const marginSeconds = 5;

export function timingOf(settings: Settings): Timing {
  const scanInterval = settings.scanIntervalMinutes * 60;
  // One call, one commit, and as much again for a second wave of calls and for the start.
  const refresherTimeout = 2 * settings.callTimeoutSeconds + 20;
  const notifierTimeout = 20;
  const refreshVisibility = visibilityFactor * refresherTimeout + refreshBatchingWindowSeconds;
  return {
    // A scan that is not done when the next one begins leaves the rest to it.
    scannerTimeout: Math.min(scanInterval, 240),
    refresherTimeout,
    notifierTimeout,
    migratorTimeout: 900,
    operatorTimeout: 60,
    refreshVisibility,
    thresholdVisibility: visibilityFactor * notifierTimeout,
    // Lapses just before the next scan: what a crash left claimed is claimed again then, and not a scan later.
    claimHold: Math.floor(scanInterval * 0.9),
    // Outlives the function, so that no second call begins while a first could still be under way.
    attemptHold: refresherTimeout + marginSeconds,
    emailHold: notifierTimeout + marginSeconds,
    // A redelivery by SQS comes first; the relay is for events that never reached the queue.
    eventRelayHold: 2 * visibilityFactor * notifierTimeout,
    retryDelay: settings.retryDelaySeconds ?? scanInterval,
    lapseWarning: settings.lapseWarningDays * 86_400,
    // Refreshes come in the rhythm of the scans: several of them, so that the share does not depend on the moment.
    successWindow: Math.max(1800, 6 * scanInterval),
  };
}

/** Messages gather this long for a fuller batch: fewer statements per refresh. */
export const refreshBatchingWindowSeconds = 1;
