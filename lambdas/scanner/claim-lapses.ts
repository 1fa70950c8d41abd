import { claimLapsing, type LapsingIntegration } from '../postgres/claim-lapsing.ts';
import type { Database } from '../postgres/database.ts';

/** Rows per statement, and in a scan: a crowd that ended before the installation is worked off in several scans. */
const chunkSize = 1_000;
const scanLimit = 10_000;

export interface LapseParts {
  readonly database: Database;
  readonly settings: { readonly lapseWarningSeconds: number; readonly claimHoldSeconds: number };
  /** Whether one more chunk can be claimed and handed on. */
  readonly timeLeft: () => boolean;
  /** Hands claimed rows on, and gives up the claims that nobody takes. Returns how many were taken. */
  readonly enqueue: (claims: readonly LapsingIntegration[]) => Promise<number>;
}

/**
 * Claims what comes to an end by itself and asks the refreshers for it: grants that are refreshed before they end, and
 * access tokens that their users have to be told of. After what is due, as that ends sooner.
 */
export async function claimLapses(
  { database, settings, timeLeft, enqueue }: LapseParts,
  wanted: {
    readonly provider: string | null;
    readonly excludedProviders: readonly string[];
    /** `null`: as many as a scan takes on. */
    readonly limit: number | null;
    /** See `isAccountedFor`. */
    readonly collectedAt: string | null;
  },
): Promise<{ readonly claimed: readonly LapsingIntegration[]; readonly enqueued: number }> {
  const most = Math.min(wanted.limit ?? scanLimit, scanLimit);
  const claimed: LapsingIntegration[] = [];
  let enqueued = 0;
  while (claimed.length < most && timeLeft()) {
    const limit = Math.min(chunkSize, most - claimed.length);
    const chunk = await claimLapsing(database, {
      leadSeconds: settings.lapseWarningSeconds,
      holdSeconds: settings.claimHoldSeconds,
      provider: wanted.provider,
      excludedProviders: wanted.excludedProviders,
      limit,
      collectedAt: wanted.collectedAt,
    });
    claimed.push(...chunk);
    if (chunk.length > 0) enqueued += await enqueue(chunk);
    if (chunk.length < limit) break;
  }
  return { claimed, enqueued };
}
