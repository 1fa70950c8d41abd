import type { Failure } from './outcome.ts';

/**
 * When a provider as a whole is to blame, and no integration of it. The statements count, by distinct integrations
 * and never by attempts: one row that fails for ever is one, however often it is tried. What they count against is
 * here, and goes along as their parameters.
 */
export interface GuardLimits {
  /** So many integrations must be failing: below, it may as well be the integrations. */
  readonly leastFailing: number;
  /** And they must be this share of all that are known to have been tried. */
  readonly leastShare: number;
}

export const circuitLimits: GuardLimits = {
  // A provider's bad minute fails one or two of ten; that ten fail and as many succeed is no chance any more.
  leastFailing: 10,
  // While every second call succeeds, going on costs one wasted call for each that helps. Beyond that, waiting is better.
  leastShare: 0.5,
};

/** When so many grants are refused at once that it is hardly their users' doing. */
export const massRefusalLimits: GuardLimits = {
  // A user revokes a grant now and then. Twenty within minutes is an event, also where there are thousands a day.
  leastFailing: 20,
  // A big provider's ordinary losses are a few per mille of its refreshes; an administrator who removes our app from a
  // tenant may be some percent. A fifth is a fault of somebody who can mend it.
  leastShare: 0.2,
};

/** What has come of the integrations of a provider that are tried together. */
export interface Tally {
  readonly failing: number;
  readonly answered: number;
  readonly pending: number;
}

/**
 * Whether the limits may still be reached, or reached by more, by what is pending. That they are reached here already
 * decides nothing: what was answered before counts as well.
 */
export function isUndecided({ failing, answered, pending }: Tally, limits: GuardLimits): boolean {
  const atMost = failing + pending;
  return pending > 0 && atMost >= limits.leastFailing && atMost >= limits.leastShare * (atMost + answered);
}

/**
 * Integrations that find out whether an open circuit can be closed, at each scan. Three: one may be sick by itself,
 * and two are then still more than half. They are all that a provider gets while it is down.
 */
export const probesPerScan = 3;

/**
 * While disconnections are held, whoever would have been disconnected is tried half as often after each further refusal,
 * down to this part of the usual rhythm. A day of full rhythm would send a provider hundreds of refused calls for each
 * dead grant; and a grant that lives is found out within this many retry delays and a half.
 */
export const longestPatience = 12;

/** How long neither guard acts after an operator closed a circuit: what they judge by has passed by then. */
export const trustedSeconds = 3_600;

/**
 * How long a provider asks to be left alone, of several failures: the median, those that ask for nothing being 0. One
 * integration whose own limit is used up for an hour must not keep all others waiting, and where all are turned away
 * most of them say the same.
 */
export function usualRetryAfter(outcomes: readonly (Failure | { readonly kind: 'refreshed' })[]): number {
  const asked = outcomes
    .filter(({ kind }) => kind === 'transient' || kind === 'operator')
    .map((outcome) => (outcome.kind === 'transient' ? (outcome.retryAfterSeconds ?? 0) : 0))
    .toSorted((a, b) => a - b);
  return asked[Math.floor((asked.length - 1) / 2)] ?? 0;
}

/** Whether the provider itself has answered about the grant: then it is up, whatever it said. */
export function hasAnswered(outcome: { readonly kind: 'refreshed' } | Failure): boolean {
  return outcome.kind === 'refreshed' || (outcome.kind === 'permanent' && outcome.httpStatus !== null);
}

/** Whether the provider was called at all: what failed before says nothing of whether it is back. */
export function hasCalled(outcome: { readonly kind: 'refreshed' } | Failure): boolean {
  return outcome.kind === 'refreshed' || outcome.kind === 'transient' || outcome.httpStatus !== null;
}

/**
 * Whether a failure says anything about its provider. An operator's fault does when the provider answered: it refused
 * our client, and would refuse it for every other integration. One that never left our side says nothing.
 */
export function isEvidence(failure: Failure): boolean {
  return failure.kind !== 'operator' || failure.httpStatus !== null;
}
