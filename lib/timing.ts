import { longestPatience } from '../lambdas/domain/provider-guards.ts';
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
  readonly sealedResultVisibility: number;
  readonly claimHold: number;
  readonly attemptHold: number;
  readonly emailHold: number;
  readonly eventRelayHold: number;
  readonly retryDelay: number;
  /** Tokens that live shorter are refreshed by scheduled attempts; 0: none are. */
  readonly shortLifetime: number;
  /** How long before a grant ends its user is warned. */
  readonly lapseWarning: number;
  /** How far back the success rate of a provider looks. */
  readonly successWindow: number;
  /** How far back failures and successes count for the circuit of a provider. */
  readonly circuitWindow: number;
  /** How long an open circuit is not tried at least, and a row behind it stays held at most. */
  readonly circuitCooldown: number;
  /** How far back refused grants count for holding disconnections. */
  readonly massRefusalWindow: number;
  /** How far back it is known whether an integration that fails has failed before. */
  readonly failureMemory: number;
  /** How far the messages of a scan for a provider with a limit are spread. */
  readonly pacedSpread: number;
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
  const retryDelay = settings.retryDelaySeconds ?? scanInterval;
  // Three attempts, the number that disconnects, and a quarter of an hour where scans are frequent.
  const massRefusalWindow = Math.max(900, 3 * scanInterval);
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
    // A scan stores a batch in milliseconds, or fails within a few seconds; what a dead one had in hands is to be found soon.
    sealedResultVisibility: 20,
    // Lapses just before the next scan: what a crash left claimed is claimed again then, and not a scan later.
    claimHold: Math.floor(scanInterval * 0.9),
    // Outlives the function, so that no second call begins while a first could still be under way.
    attemptHold: refresherTimeout + marginSeconds,
    emailHold: notifierTimeout + marginSeconds,
    // A redelivery by SQS comes first; the relay is for events that never reached the queue.
    eventRelayHold: 2 * visibilityFactor * notifierTimeout,
    retryDelay,
    // At twice the interval a scan comes before half of the life is over. Who does not scan leaves the rows to others.
    shortLifetime: settings.scanning ? 2 * scanInterval : 0,
    lapseWarning: settings.lapseWarningDays * 86_400,
    // Refreshes come in the rhythm of the scans: several of them, so that the share does not depend on the moment.
    successWindow: Math.max(1800, 6 * scanInterval),
    // What was due at one scan, and not at the one before: of that the share is taken.
    circuitWindow: scanInterval,
    // Over by the next scan, so that each scan may probe, and the first after the closing finds every row.
    circuitCooldown: Math.max(1, Math.floor(scanInterval / 2)),
    massRefusalWindow,
    // A row whose disconnection is held is tried again after so long at the latest, and the scan that follows.
    failureMemory: massRefusalWindow + Math.ceil(1.5 * longestPatience * retryDelay) + 2 * scanInterval,
    // Over before the claims lapse, and no longer than SQS delays a message.
    pacedSpread: Math.min(900, Math.floor(scanInterval * 0.8)),
  };
}

/**
 * Messages per invocation of the refresher, all of which are under way at once: a token endpoint is waited for, not
 * computed. What larger batches win, and what they cost: docs/performance.md, "Settings".
 */
export const refreshBatchSize = 200;

/**
 * Memory of the refresher. Lambda gives CPU in proportion to it: so much that each call of a batch has 0.3 % of a core,
 * with which its answer is committed soon.
 */
export const refresherMemoryMb = 1_024;

/** Memory of the scanner. A scan of a million integrations lasts a quarter of its time with it: docs/cost.md, "Does it keep up". */
export const scannerMemoryMb = 512;

/** Messages gather this long for a fuller batch: fewer statements per refresh. */
export const refreshBatchingWindowSeconds = 1;
