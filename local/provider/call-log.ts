import { hash } from 'node:crypto';

/** One refresh call as the provider saw it. Tokens appear as fingerprints only. */
export interface RefreshCall {
  /** 1 for the first call that was completed, without gaps. */
  sequence: number;
  /** Whose grant; null when the presented refresh token was never issued here. */
  account: string | null;
  /** ISO 8601. */
  receivedAt: string;
  /** Until the answer was ready or the client had left, whichever came first. */
  durationMs: number;
  /** HTTP status of the answer; null when none was given (reset, hang, the client had left). */
  status: number | null;
  /** OAuth error code of the answer (RFC 6749 section 5.2). */
  error: string | null;
  /** Another refresh call for the same grant was in flight at some time of this one. */
  overlapped: boolean;
  /** A refresh token that was consumed already was presented. */
  reuse: boolean;
  refreshTokenFingerprint: string | null;
  /** Fingerprint of the refresh token that replaced it, also when the answer carrying it was lost. */
  rotatedTo: string | null;
  /** Id of the fault that was applied. */
  faulted: string | null;
  clientId: string | null;
}

/** Which calls to select: of one account, and with a sequence above `since`. */
export interface CallFilter {
  account?: string;
  since?: number;
}

/** Counts over a selection of calls. */
export interface CallTotals {
  calls: number;
  reuse: number;
  overlapped: number;
}

/** A call that was received and is not completed. */
export interface OngoingCall {
  readonly receivedAt: Date;
  readonly startedAtMs: number;
  readonly grantId: string | null;
  overlapped: boolean;
  durationMs: number | null;
}

/** What is known of a call once it is completed. */
export type CallOutcome = Omit<RefreshCall, 'sequence' | 'receivedAt' | 'durationMs' | 'overlapped'>;

const DEFAULT_LIMIT = 100_000;

/** The last refresh calls of one provider, and totals since its start that outlive the log's limit. */
export class CallLog {
  readonly #limit: number;
  readonly #ring: RefreshCall[] = [];
  readonly #inFlightByGrant = new Map<string, Set<OngoingCall>>();
  readonly #totals: CallTotals = { calls: 0, reuse: 0, overlapped: 0 };

  constructor(limit: number = DEFAULT_LIMIT) {
    this.#limit = limit;
  }

  /** Notes that a call was received. `grantId` is null for an unknown refresh token. */
  begin(grantId: string | null): OngoingCall {
    const call: OngoingCall = {
      receivedAt: new Date(),
      startedAtMs: performance.now(),
      grantId,
      overlapped: false,
      durationMs: null,
    };
    if (grantId === null) return call;
    const others = this.#inFlightByGrant.get(grantId) ?? new Set();
    for (const other of others) other.overlapped = true;
    call.overlapped = others.size > 0;
    this.#inFlightByGrant.set(grantId, others.add(call));
    return call;
  }

  /** The client has its answer or has left: the call is no longer in flight, even if work on it goes on. */
  end(call: OngoingCall): void {
    if (call.durationMs !== null) return;
    call.durationMs = Math.round((performance.now() - call.startedAtMs) * 10) / 10;
    if (call.grantId === null) return;
    const inFlight = this.#inFlightByGrant.get(call.grantId);
    inFlight?.delete(call);
    if (inFlight?.size === 0) this.#inFlightByGrant.delete(call.grantId);
  }

  /** Ends the call and adds it to the log. */
  complete(call: OngoingCall, outcome: CallOutcome): RefreshCall {
    this.end(call);
    this.#totals.calls += 1;
    if (outcome.reuse) this.#totals.reuse += 1;
    if (call.overlapped) this.#totals.overlapped += 1;
    const recorded: RefreshCall = {
      sequence: this.#totals.calls,
      account: outcome.account,
      receivedAt: call.receivedAt.toISOString(),
      durationMs: call.durationMs ?? 0,
      status: outcome.status,
      error: outcome.error,
      overlapped: call.overlapped,
      reuse: outcome.reuse,
      refreshTokenFingerprint: outcome.refreshTokenFingerprint,
      rotatedTo: outcome.rotatedTo,
      faulted: outcome.faulted,
      clientId: outcome.clientId,
    };
    this.#ring[recorded.sequence % this.#limit] = recorded;
    return recorded;
  }

  /** The remembered calls that match, oldest first, with their totals. */
  select(filter: CallFilter = {}): { calls: RefreshCall[]; totals: CallTotals } {
    const last = this.#totals.calls;
    const calls: RefreshCall[] = [];
    const totals: CallTotals = { calls: 0, reuse: 0, overlapped: 0 };
    for (
      let sequence = Math.max(filter.since ?? 0, last - this.#limit, 0) + 1;
      sequence <= last;
      sequence += 1
    ) {
      const call = this.#ring[sequence % this.#limit];
      if (!call || (filter.account !== undefined && call.account !== filter.account)) continue;
      calls.push(call);
      totals.calls += 1;
      if (call.reuse) totals.reuse += 1;
      if (call.overlapped) totals.overlapped += 1;
    }
    return { calls, totals };
  }

  /** Totals of every call since the provider started. */
  totals(): CallTotals {
    return { ...this.#totals };
  }
}

/** The first 12 hex digits of a token's SHA-256: enough to follow it through a log, useless as a token. */
export function fingerprint(token: string): string {
  return hash('sha256', token).slice(0, 12);
}
