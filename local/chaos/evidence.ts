import type { Change, CircuitChange } from './audit.ts';
import type { Member } from './crowd.ts';
import type { IssuedToken, TokenCall } from './ledger.ts';

/** A row of `integrations` at the end. */
export interface FinalRow {
  readonly id: string;
  readonly status: string;
  readonly permanent: number;
  readonly transient: number;
  readonly reason: string | null;
  /** As it was issued; `null`: none, or one that cannot be opened. */
  readonly refreshToken: string | null;
}

/** A time in which Postgres, or the way to it, was away or stood still. */
export interface Disturbance {
  readonly kind: string;
  readonly fromMs: number;
  toMs: number;
}

/** An event of the outbox at the end. */
export interface FinalEvent {
  readonly id: string;
  readonly integrationId: string;
  readonly handled: boolean;
}

/** What the functions said of themselves: additional evidence. */
export interface LogWord {
  readonly atMs: number;
  readonly integrationId: string;
  readonly word: 'result lost' | 'timeout' | 'network_error';
}

/** All that is known when a run has settled. Moments are milliseconds of one clock, that of this machine. */
export interface Evidence {
  readonly members: readonly Member[];
  readonly rows: ReadonlyMap<string, FinalRow>;
  readonly changes: readonly Change[];
  readonly circuits: readonly CircuitChange[];
  readonly calls: readonly TokenCall[];
  readonly token: (text: string) => IssuedToken | undefined;
  /** Whether the provider renewed the grant with the stored token, for each integration that was tried. */
  readonly usable: ReadonlyMap<string, boolean>;
  readonly notifications: readonly { readonly integrationId: string; readonly type: string }[];
  readonly events: readonly FinalEvent[];
  /** Emails in the inbox, by integration. */
  readonly emails: ReadonlyMap<string, number>;
  /** By event: how often the right to send was taken, and nothing written down of what came of it. */
  readonly unsettledEmails: ReadonlyMap<string, number>;
  readonly disturbances: readonly Disturbance[];
  /** Commits of new tokens that Postgres carried out, as seen on the way to it: the latest by integration. */
  readonly stored: ReadonlyMap<string, number>;
  /** Sealed results that their queue has taken: the latest by integration. */
  readonly queued: ReadonlyMap<string, number>;
  readonly words: readonly LogWord[];
  readonly messagesLeft: readonly { readonly queue: string; readonly count: number }[];
  /** Where a token was seen that must not be seen. */
  readonly leaks: readonly string[];
  /** Of a call, and of how long its caller waits. */
  readonly callTimeoutMs: number;
}
