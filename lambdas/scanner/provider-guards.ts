import { metricNames } from '../contract.ts';
import { probesPerScan } from '../domain/provider-guards.ts';
import { errorFields, type Logger } from '../observability/logger.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import { claimProbes } from '../postgres/claim-probes.ts';
import type { ClaimableIntegration } from '../postgres/claimable-row.ts';
import type { Database } from '../postgres/database.ts';
import type { ProviderState } from '../postgres/provider-state.ts';
import { readProviderStates } from '../postgres/read-provider-states.ts';

/** A claim that is to be handed on. */
export type ClaimedRow = ClaimableIntegration & { readonly claim: string };

/** What keeps a scan from claiming all that is due of some providers. */
export interface ProviderGuards {
  readonly open: readonly ProviderState[];
  /** Providers with a limit of calls per second, none of them open. */
  readonly paced: readonly { readonly provider: string; readonly callsPerSecond: number }[];
  readonly held: readonly ProviderState[];
}

export function guardsOf(states: readonly ProviderState[]): ProviderGuards {
  return {
    open: states.filter(({ circuit_open }) => circuit_open),
    paced: states.flatMap(({ provider, circuit_open, calls_per_second }) =>
      circuit_open || calls_per_second === null ? [] : [{ provider, callsPerSecond: calls_per_second }],
    ),
    held: states.filter(({ disconnections_held }) => disconnections_held),
  };
}

interface GuardParts {
  readonly database: Database;
  readonly settings: {
    readonly refreshWindowSeconds: number;
    readonly claimHoldSeconds: number;
    readonly circuitCooldownSeconds: number;
  };
  readonly logger: Logger;
}

/**
 * The guards as they are at the begin of a scan. Without them a scan goes on: the refreshers start nothing behind an
 * open circuit and keep to the limits by themselves; only probes have to wait for the next scan.
 */
export async function readGuards({ database, logger }: GuardParts): Promise<ProviderGuards> {
  try {
    return guardsOf(await readProviderStates(database));
  } catch (error) {
    logger.error('scan goes on without', { what: 'states of providers', cause: errorFields(error) });
    return guardsOf([]);
  }
}

/** Measures at each scan, also 0: an alarm needs to see that it is over. */
export function reportGuards({ open, held }: ProviderGuards, metrics: InvocationMetrics): void {
  metrics.measure(
    metricNames.openCircuits,
    open.filter(({ circuit_cause }) => circuit_cause === 'outage').length,
  );
  metrics.seconds(
    metricNames.longestCircuitSeconds,
    Math.max(0, ...open.map(({ circuit_open_seconds }) => Math.round(circuit_open_seconds ?? 0))),
  );
  for (const { provider, circuit_cause } of open) {
    metrics.measure(metricNames.circuitOpen, 1, { provider, cause: circuit_cause ?? 'outage' });
  }
  metrics.measure(metricNames.disconnectionsHeld, held.length);
  for (const { provider } of held) metrics.measure(metricNames.disconnectionsHeld, 1, { provider });
}

/** Claims the probes of circuits that may be tried again: all that a provider gets while its circuit is open. */
export async function probe(
  { database, settings, logger }: GuardParts,
  { open }: ProviderGuards,
  { provider, limit }: { readonly provider: string | null; readonly limit: number | null },
  collectedAt: string | null,
): Promise<ClaimedRow[]> {
  const probes: ClaimedRow[] = [];
  for (const state of open) {
    if (!state.circuit_may_probe || (provider !== null && state.provider !== provider)) continue;
    const wanted = Math.min(probesPerScan, (limit ?? Number.POSITIVE_INFINITY) - probes.length);
    if (wanted <= 0) break;
    const claimed = await claimProbes(database, {
      provider: state.provider,
      windowSeconds: settings.refreshWindowSeconds,
      holdSeconds: settings.claimHoldSeconds,
      probes: wanted,
      cooldownSeconds: settings.circuitCooldownSeconds,
      collectedAt,
    });
    logger.info('circuit probed', {
      provider: state.provider,
      circuitCause: state.circuit_cause,
      probes: claimed.length,
    });
    probes.push(...claimed);
  }
  return probes;
}

/** One way through the due rows, most urgent first. */
export interface ClaimRun {
  readonly provider: string | null;
  readonly excludedProviders: readonly string[];
  readonly limit: number;
  /** Those whose latest attempt failed come after the others: they are due for longest, and would use a limit up. */
  readonly healthyFirst?: boolean;
  /** By how much the message of the row at an index is delayed; at once without it. */
  readonly delaySeconds?: (index: number) => number;
}

/** What of `claimRuns` goes its own way, or waits: the run over all providers leaves it out. */
export function apartFrom({ open, paced }: ProviderGuards): string[] {
  return [...open, ...paced].map(({ provider }) => provider);
}

/**
 * The ways that a scan goes: one for each provider with a limit, which is not given more than it can take until the
 * next scan, in messages that arrive in its rhythm; then one over all others. The limited ones come first, as their
 * share is bounded and the others' is not.
 */
export function claimRuns(
  guards: ProviderGuards,
  provider: string | null,
  spreadSeconds: number,
): readonly ClaimRun[] {
  return [
    ...guards.paced
      .filter((paced) => provider === null || paced.provider === provider)
      .map(({ provider: name, callsPerSecond }) => ({
        provider: name,
        excludedProviders: [],
        limit: Math.max(1, Math.floor(callsPerSecond * spreadSeconds)),
        healthyFirst: true,
        delaySeconds: (index: number) => Math.min(Math.floor(index / callsPerSecond), spreadSeconds),
      })),
    { provider, excludedProviders: apartFrom(guards), limit: Number.POSITIVE_INFINITY },
  ];
}
