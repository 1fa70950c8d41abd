import { metricNames } from '../contract.ts';
import type { Logger } from './logger.ts';
import type { InvocationMetrics } from './metrics.ts';

/** A grant that Evergrant had disconnected works: counted for its provider and in all, as the alarm knows no providers. */
export function tellPrematureDisconnection(
  { logger, metrics }: { readonly logger: Pick<Logger, 'error'>; readonly metrics: InvocationMetrics },
  { integrationId, provider }: { readonly integrationId: string; readonly provider: string },
): void {
  metrics.count(metricNames.prematureDisconnections, 1);
  metrics.count(metricNames.prematureDisconnections, 1, { provider });
  logger.error('premature disconnection', { integrationId, provider });
}
