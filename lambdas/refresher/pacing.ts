import { setTimeout as sleep } from 'node:timers/promises';
import { errorFields, type Logger } from '../observability/logger.ts';
import { type Database, withTimeout } from '../postgres/database.ts';
import { reserveCalls } from '../postgres/reserve-calls.ts';
import type { StartedAttempt } from '../postgres/start-attempts.ts';
import type { ProviderClients } from '../secrets/provider-clients.ts';

export interface PacingParts {
  readonly database: Database;
  readonly providers: ProviderClients;
  readonly logger: Logger;
  /** Milliseconds in which a call may still begin. */
  readonly callableMs: () => number;
}

/** When an attempt may make its call. */
export type Turn =
  /** At once: its provider has no limit. */
  | 'unlimited'
  /** Now, as its turn has come. */
  | 'now'
  /** Not in this invocation: its provider's limit leaves no room for it. */
  | 'none';

/** How long a reservation is waited for: results of other providers wait behind it, on the same connection. */
const reservationMs = 2_000;

/** A turn that comes at the last moment must still find it: timers are late rather than early. */
const marginMs = 250;

/** Attempt's id → `performance.now()` of its call; `null`: its provider has no limit. */
type Reserved = ReadonlyMap<string, number> | null;

/**
 * Keeps the calls of a batch to the limits that its providers document, together with all other batches. Calls are
 * reserved with one statement for a provider, and only for those that has a limit; the most urgent come first.
 */
export class Pacing {
  readonly #parts: PacingParts;
  readonly #attempts: readonly StartedAttempt[];
  readonly #reserved = new Map<string, Promise<Reserved>>();

  constructor(parts: PacingParts, attempts: readonly StartedAttempt[]) {
    this.#parts = parts;
    this.#attempts = attempts;
  }

  /** Resolves when the attempt may make its call, or as soon as it is known that it may not. Never throws. */
  async turn({ id, provider }: StartedAttempt): Promise<Turn> {
    const reserving = this.#reserved.get(provider) ?? this.#reserve(provider);
    this.#reserved.set(provider, reserving);
    const reserved = await reserving;
    if (reserved === null) return 'unlimited';
    const atMs = reserved.get(id);
    if (atMs === undefined) return 'none';
    const waitMs = atMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    return 'now';
  }

  async #reserve(provider: string): Promise<Reserved> {
    const { database, providers, logger, callableMs } = this.#parts;
    try {
      const found = await providers.get(provider);
      const callsPerSecond = found.ok ? found.client.provider.callsPerSecond : undefined;
      if (callsPerSecond === undefined) return null;
      const wanted = this.#attempts
        .filter((attempt) => attempt.provider === provider)
        .toSorted((a, b) => urgency(a) - urgency(b));
      const { granted, first_in_seconds } = await reserveCalls(withTimeout(database, reservationMs), {
        provider,
        callsPerSecond,
        calls: wanted.length,
        withinSeconds: (callableMs() - marginMs) / 1000,
      });
      const firstAtMs = performance.now() + first_in_seconds * 1000;
      return new Map(
        wanted.slice(0, granted).map(({ id }, index) => [id, firstAtMs + (index * 1000) / callsPerSecond]),
      );
    } catch (error) {
      // Without a turn of its own a call might be the one that is too many.
      logger.error('calls not reserved', { provider, cause: errorFields(error) });
      return new Map();
    }
  }
}

/** An end that is not finite is no reason to hurry. */
function urgency({ expires_in_seconds }: StartedAttempt): number {
  return expires_in_seconds ?? Number.MAX_VALUE;
}
