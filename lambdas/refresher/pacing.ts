import { setTimeout as sleep } from 'node:timers/promises';
import { errorFields, type Logger } from '../observability/logger.ts';
import { type Database, withTimeout } from '../postgres/database.ts';
import { recordLimit } from '../postgres/record-limit.ts';
import { reserveCalls } from '../postgres/reserve-calls.ts';
import type { StartedAttempt } from '../postgres/start-attempts.ts';
import { type ProviderClients, secretNamesOf } from '../secrets/provider-clients.ts';

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
 * reserved with one statement for a client, whatever names its integrations have, and only for clients with a limit;
 * the most urgent come first.
 */
export class Pacing {
  readonly #parts: PacingParts;
  readonly #attempts: readonly StartedAttempt[];
  /** By provider, and by client. */
  readonly #turns = new Map<string, Promise<Reserved>>();
  readonly #reserved = new Map<string, Promise<Reserved>>();

  constructor(parts: PacingParts, attempts: readonly StartedAttempt[]) {
    this.#parts = parts;
    this.#attempts = attempts;
  }

  /** Resolves when the attempt may make its call, or as soon as it is known that it may not. Never throws. */
  async turn({ id, provider }: StartedAttempt): Promise<Turn> {
    const turns = this.#turns.get(provider) ?? this.#turnsOf(provider);
    this.#turns.set(provider, turns);
    const reserved = await turns;
    if (reserved === null) return 'unlimited';
    const atMs = reserved.get(id);
    if (atMs === undefined) return 'none';
    const waitMs = atMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    return 'now';
  }

  /**
   * Resolves when an attempt may make a second call, for which nothing was reserved, or as soon as it is known that it
   * may not make one within `withinMs`. Never throws.
   */
  async anotherTurn({ provider }: StartedAttempt, withinMs: number): Promise<boolean> {
    const { database, providers, logger, callableMs } = this.#parts;
    try {
      const found = await providers.get(provider);
      if (!found.ok) return false;
      const { callsPerSecond } = found.client.provider;
      if (callsPerSecond === undefined) return true;
      const { granted, first_in_seconds } = await reserveCalls(withTimeout(database, reservationMs), {
        provider: found.clientName,
        callsPerSecond,
        calls: 1,
        withinSeconds: (Math.min(withinMs, callableMs()) - marginMs) / 1000,
      });
      if (granted > 0) await sleep(first_in_seconds * 1000);
      return granted > 0;
    } catch (error) {
      logger.error('calls not reserved', { provider, cause: errorFields(error) });
      return false;
    }
  }

  async #turnsOf(provider: string): Promise<Reserved> {
    const { database, providers, logger } = this.#parts;
    try {
      const found = await providers.get(provider);
      const callsPerSecond = found.ok ? found.client.provider.callsPerSecond : undefined;
      if (!found.ok || callsPerSecond === undefined) return null;
      const { clientName } = found;
      const reserving = this.#reserved.get(clientName) ?? this.#reserve(clientName, provider, callsPerSecond);
      this.#reserved.set(clientName, reserving);
      const reserved = await reserving;
      if (provider !== clientName) {
        await recordLimit(withTimeout(database, reservationMs), { provider, callsPerSecond }).catch((error) =>
          logger.warn('limit not recorded', { provider, cause: errorFields(error) }),
        );
      }
      return reserved;
    } catch (error) {
      // Without a turn of its own a call might be the one that is too many.
      logger.error('calls not reserved', { provider, cause: errorFields(error) });
      return new Map();
    }
  }

  async #reserve(clientName: string, provider: string, callsPerSecond: number): Promise<Reserved> {
    const { database, callableMs } = this.#parts;
    const names = await this.#namesOf(clientName, provider);
    const wanted = this.#attempts
      .filter((attempt) => names.has(attempt.provider))
      .toSorted((a, b) => urgency(a) - urgency(b));
    const { granted, first_in_seconds } = await reserveCalls(withTimeout(database, reservationMs), {
      provider: clientName,
      callsPerSecond,
      calls: wanted.length,
      withinSeconds: (callableMs() - marginMs) / 1000,
    });
    const firstAtMs = performance.now() + first_in_seconds * 1000;
    return new Map(
      wanted.slice(0, granted).map(({ id }, index) => [id, firstAtMs + (index * 1000) / callsPerSecond]),
    );
  }

  /** The names in this batch that share a client. Others are not asked for theirs: their secrets may be slow to come. */
  async #namesOf(clientName: string, provider: string): Promise<ReadonlySet<string>> {
    const shared = secretNamesOf(provider).at(-1);
    const relatives = [...new Set(this.#attempts.map((attempt) => attempt.provider))].filter(
      (name) => secretNamesOf(name).at(-1) === shared,
    );
    const clients = await Promise.all(relatives.map((name) => this.#parts.providers.get(name)));
    return new Set(
      relatives.filter((_, index) => {
        const found = clients[index];
        return found?.ok && found.clientName === clientName;
      }),
    );
  }
}

/** An end that is not finite is no reason to hurry. */
function urgency({ expires_in_seconds }: StartedAttempt): number {
  return expires_in_seconds ?? Number.MAX_VALUE;
}
