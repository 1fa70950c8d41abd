import { secretCacheMs } from '../../lambdas/secrets/secret-reader.ts';
import { parallelBatches } from '../../lambdas/sqs/queue.ts';
import { type Assumptions, assumptions } from './assumptions.ts';
import type { Measured } from './measured.ts';
import { type Basis, type DatabaseMode, databaseModes, type Estimate, estimate } from './model.ts';
import { prices } from './prices.ts';
import { readStackFacts } from './stack-facts.ts';

/** The sizes of the page. */
export const sizes = [1_000, 100_000, 1_000_000] as const;

/** A change and what it does to the monthly total, in dollars by size; negative is cheaper. */
export interface Lever {
  readonly what: string;
  readonly how: string;
  readonly effectUsd: readonly number[];
  /** By size: a scan's work is not done before the next scan. */
  readonly fallsBehind: readonly boolean[];
}

/** Everything that the page says, as numbers. */
export interface Figures {
  readonly basis: Basis;
  readonly estimates: Readonly<Record<DatabaseMode, readonly Estimate[]>>;
  /** Deployed, with nothing connected. */
  readonly idle: Readonly<Record<DatabaseMode, Estimate>>;
  readonly levers: readonly Lever[];
  /** Of the largest size with an existing database: what a million refreshes cost. */
  readonly costPerMillionUsd: number;
}

export async function figuresOf(measured: Measured): Promise<Figures> {
  const basis: Basis = {
    measured,
    prices,
    stack: await readStackFacts(),
    assumptions,
    secretCacheSeconds: secretCacheMs / 1000,
    parallelSends: parallelBatches,
  };
  const byMode = <Value>(of: (mode: DatabaseMode) => Value) =>
    Object.fromEntries(databaseModes.map((mode) => [mode, of(mode)])) as Record<DatabaseMode, Value>;
  const estimates = byMode((mode) => sizes.map((size) => estimateOf(size, mode, basis)));
  return {
    basis,
    estimates,
    idle: byMode((mode) =>
      estimate({ integrations: 0, refreshesPerHour: 1, providers: 0, database: mode }, basis),
    ),
    levers: await leversOf(basis),
    costPerMillionUsd: estimates.existing.at(-1)!.costPerMillionUsd!,
  };
}

function estimateOf(
  integrations: number,
  database: DatabaseMode,
  basis: Basis,
  providers = basis.assumptions.providers,
): Estimate {
  return estimate({ integrations, refreshesPerHour: 1, providers, database }, basis);
}

/** Whether what one scan asks for takes longer than the time until the next, or a function longer than it may. */
export function fallsBehind({ billedMs, workOffSeconds }: Estimate, { stack }: Basis): boolean {
  return (
    workOffSeconds > stack.scanIntervalMinutes * 60 ||
    billedMs.scanner > stack.timeoutSeconds.scanner * 1000 ||
    billedMs.refresher > stack.timeoutSeconds.refresher * 1000
  );
}

async function leversOf(basis: Basis): Promise<Lever[]> {
  const lever = (
    what: string,
    how: string,
    changed: Basis,
    { mode = 'existing', providers }: { mode?: DatabaseMode; providers?: number } = {},
  ): Lever => {
    const after = sizes.map((size) => estimateOf(size, mode, changed, providers));
    return {
      what,
      how,
      effectUsd: sizes.map((size, index) => after[index]!.totalUsd - estimateOf(size, mode, basis).totalUsd),
      fallsBehind: after.map((each) => fallsBehind(each, changed)),
    };
  };
  const assuming = (other: Partial<Assumptions>): Basis => ({
    ...basis,
    assumptions: { ...basis.assumptions, ...other },
  });
  const withMemory = (memoryMb: number): Basis => ({
    ...basis,
    stack: { ...basis.stack, memoryMb: { ...basis.stack.memoryMb, refresher: memoryMb } },
  });
  const rarerScans = { scanIntervalMinutes: 10, refreshWindowSeconds: 1200 };
  const moreProviders = 5 * basis.assumptions.providers;
  const { refresher: memoryMb } = basis.stack.memoryMb;
  return [
    lever(
      'No log lines about successes',
      "`POWERTOOLS_LOG_LEVEL=WARN` in the refresher's environment; failures are still logged, successes counted",
      { ...basis, successLinesWritten: 0 },
    ),
    lever(
      'A tenth of the log lines about successes',
      'sampling them in `lambdas/refresher/refresh-batch.ts`; no setting does it',
      { ...basis, successLinesWritten: 0.1 },
    ),
    lever('Logs kept for 7 days', '`-c logRetentionDays=7`', {
      ...basis,
      stack: await readStackFacts({ logRetentionDays: 7 }),
    }),
    lever(
      'TLS connections reused in every other call',
      'connections live for some seconds, so it happens where batches follow each other at once; reckoned with nowhere above',
      assuming({ newConnectionShare: 0.5 }),
    ),
    lever(
      `Half the memory for the refresher (${memoryMb / 2} MB)`,
      '`lib/timing.ts`; batches take longer, as memory is CPU',
      withMemory(memoryMb / 2),
    ),
    lever(
      `Twice the memory for the refresher (${memoryMb * 2} MB)`,
      '`lib/timing.ts`; batches are done sooner',
      withMemory(memoryMb * 2),
    ),
    lever(`Batches of 10, to show what batches of ${basis.stack.refreshBatchSize} save`, '`lib/timing.ts`', {
      ...basis,
      stack: { ...basis.stack, refreshBatchSize: 10 },
    }),
    lever(
      'A longer batching window, at best',
      '`lib/timing.ts`; one poller then gathers what five would have shared',
      assuming({ pollersPerQueue: 1 }),
    ),
    lever(
      'Scans every 10 minutes',
      '`-c scanIntervalMinutes=10 -c refreshWindowSeconds=1200`; failures are noticed later',
      { ...basis, stack: await readStackFacts(rarerScans) },
    ),
    lever(
      `${moreProviders} providers instead of ${basis.assumptions.providers}`,
      'a secret, and metrics by provider, for each',
      basis,
      { providers: moreProviders },
    ),
    lever(
      'I/O-optimized storage (Aurora only)',
      'a property of the cluster, without interruption',
      { ...basis, auroraStorage: 'io-optimized' },
      { mode: 'aurora' },
    ),
  ];
}
