import type { ProviderMeasure } from '../postgres/measure-providers.ts';

/** The share of a provider's integrations that came due lately and have been refreshed, 0 to 100. */
export interface SuccessRate {
  readonly provider: string;
  readonly percent: number;
  readonly refreshed: number;
  readonly failing: number;
  readonly disconnected: number;
}

/** Below so many integrations a share says nothing: one of three that fails is one user's grant, not the provider. */
export const minimumIntegrations = 20;

/**
 * Success rates of the providers with enough integrations to have one, the lowest first. Integrations are
 * counted, not attempts: one that fails is tried every few minutes, and a handful of them would outweigh
 * hundreds that succeed once an hour. For the same reason one that has been failing for longer than the window
 * no longer counts, unless nothing of its provider succeeds at all: an outage does not end by growing old.
 */
export function successRates(measures: readonly ProviderMeasure[]): SuccessRate[] {
  return measures
    .map((measure) => {
      const { provider, refreshed, disconnected } = measure;
      const failing = refreshed === 0 ? measure.failing : measure.newly_failing;
      return { provider, refreshed, failing, disconnected, total: refreshed + failing + disconnected };
    })
    .filter(({ total }) => total >= minimumIntegrations)
    .map(({ total, ...counts }) => ({ ...counts, percent: (100 * counts.refreshed) / total }))
    .sort((a, b) => a.percent - b.percent);
}
