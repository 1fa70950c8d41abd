import type { CallFilter, CallLog, CallTotals, RefreshCall } from './call-log.ts';
import type { ActiveFault, Fault, FaultList } from './fault-list.ts';
import type { GrantStore } from './grant-store.ts';
import { InvalidInputError, requireInteger, requireText } from './invalid-input.ts';

/** The parts of a provider that its switches act on. */
export interface FaultTargets {
  list: FaultList;
  store: GrantStore;
  calls: CallLog;
  accessTokenLifetimeSeconds: number;
  /** Makes `clientSecret` the only one that the provider accepts. */
  replaceClientSecret(clientSecret: string): void;
}

const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;
const MAX_LIFETIME_SECONDS = 10 * 365 * 24 * 60 * 60;

/**
 * Everything that can be made to go wrong at a running provider, and what it saw meanwhile.
 * The HTTP switches are a thin layer over this. Input is checked; InvalidInputError names the field.
 */
export class Faults {
  readonly #targets: FaultTargets;
  #accessTokenLifetimeSeconds: number;

  constructor(targets: FaultTargets) {
    this.#targets = targets;
    this.#accessTokenLifetimeSeconds = checkLifetime(
      targets.accessTokenLifetimeSeconds,
      'accessTokenLifetimeSeconds',
    );
  }

  /** The active faults, in the order in which they are matched. */
  list(): ActiveFault[] {
    return this.#targets.list.list();
  }

  add(fault: Fault): ActiveFault {
    return this.#targets.list.add(fault);
  }

  /** Replaces all faults; if one of them is invalid, nothing changes. */
  replace(faults: Fault[]): ActiveFault[] {
    return this.#targets.list.replace(faults);
  }

  /** Whether there was a fault of this id. */
  remove(id: string): boolean {
    return this.#targets.list.remove(id);
  }

  clear(): void {
    this.#targets.list.clear();
  }

  /** Lifetime of access tokens that are issued from now on. */
  get accessTokenLifetimeSeconds(): number {
    return this.#accessTokenLifetimeSeconds;
  }

  setAccessTokenLifetimeSeconds(seconds: number): void {
    this.#accessTokenLifetimeSeconds = checkLifetime(seconds, 'seconds');
  }

  /** Rotates the client's secret at the provider; calls with the old one get the server's own `invalid_client`. */
  setClientSecret(clientSecret: string): void {
    requireText(clientSecret, 'clientSecret');
    if (!PRINTABLE_ASCII.test(clientSecret)) {
      throw new InvalidInputError('clientSecret', 'must be printable ASCII (RFC 6749 appendix A.2)');
    }
    this.#targets.replaceClientSecret(clientSecret);
  }

  /** The user revokes the app at the provider; returns how many grants that ended. */
  revokeAccount(account: string): number {
    return this.#targets.store.revokeAccount(requireText(account, 'account'));
  }

  /** Refresh calls that were completed, oldest first (the last 100,000 are kept), with their totals. */
  calls(filter: CallFilter = {}): { calls: RefreshCall[]; totals: CallTotals } {
    return this.#targets.calls.select(filter);
  }

  /** Totals of every refresh call since the provider started. */
  totals(): CallTotals {
    return this.#targets.calls.totals();
  }

  /** Grants that are in force. */
  grantCount(): number {
    return this.#targets.store.grantCount();
  }
}

/** Returns a lifetime of tokens as a whole number of seconds from 1 to ten years. Throws InvalidInputError. */
export function checkLifetime(seconds: unknown, field: string): number {
  return requireInteger(seconds, field, 1, MAX_LIFETIME_SECONDS);
}
