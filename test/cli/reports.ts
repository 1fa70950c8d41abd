import type {
  HeldDisconnections,
  HistoryReport,
  OpenCircuit,
  ProviderStatus,
  StatusReport,
} from '../../lambdas/operator/reports.ts';

export const now = '2026-11-23T18:21:05.123Z';

/** A moment so many seconds from `now`. */
export const at = (seconds: number) => new Date(Date.parse(now) + seconds * 1000).toISOString();

export function provider(overrides: Partial<ProviderStatus> = {}): ProviderStatus {
  return {
    provider: 'acme-calendar',
    connected: 1204,
    expired: 0,
    due: 3,
    held: 2,
    failingTransient: 0,
    failingPermanent: 0,
    needsReauthorization: 0,
    withoutRefreshToken: 0,
    withoutResult: 0,
    lastSuccess: at(-12),
    ...overrides,
  };
}

export function statusReport(overrides: Partial<StatusReport> = {}): StatusReport {
  return {
    now,
    providers: [provider()],
    failing: [],
    failingCount: 0,
    lastScan: {
      startedAt: at(-130),
      durationMs: 84,
      claimed: 17,
      enqueued: 17,
      released: 0,
      left: 0,
      eventsRelayed: 0,
      oldestExpiredSeconds: 0,
    },
    circuits: [],
    disconnectionsHeld: [],
    eventsWaiting: { count: 0, oldest: null },
    ...overrides,
  };
}

export function integration(
  overrides: Partial<NonNullable<HistoryReport['integration']>> = {},
): NonNullable<HistoryReport['integration']> {
  return {
    provider: 'acme-calendar',
    userId: '7f3f4f6e-3f0b-4c56-8a43-1f0c9f2f4b1d',
    status: 'connected',
    disconnectReason: null,
    expiresAt: at(3000),
    refreshTokenExpiresAt: null,
    consecutiveFailures: 0,
    consecutiveTransientFailures: 0,
    heldUntil: null,
    claimOpen: false,
    attempting: false,
    lastRefreshAttempt: at(-600),
    lastRefreshSuccess: at(-600),
    lastFailureAt: null,
    doubtfulSince: null,
    accessToken: 'sealed',
    refreshToken: 'sealed',
    keyId: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs',
    ...overrides,
  };
}

export function openCircuit(overrides: Partial<OpenCircuit> = {}): OpenCircuit {
  return {
    provider: 'acme-calendar',
    cause: 'outage',
    code: 'http_503',
    meaning: 'The provider has a fault of its own.',
    failing: 34,
    openedAt: at(-720),
    nextTryAt: at(90),
    ...overrides,
  };
}

export function heldDisconnections(overrides: Partial<HeldDisconnections> = {}): HeldDisconnections {
  return {
    provider: 'acme-calendar',
    since: at(-7200),
    until: at(36_000),
    refused: 41,
    ...overrides,
  };
}
