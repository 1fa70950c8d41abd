import { expect, it } from 'vitest';
import { measure } from '../../bench/cost/measure.ts';
import { readStackFacts } from '../../bench/cost/stack-facts.ts';

// Half a minute: the stack starts, and batches wait for their window.
it.runIf(process.platform === 'linux')(
  'measures the stack that runs here: what can be counted is what it must be',
  { timeout: 300_000 },
  async () => {
    const { refreshBatchSize: batchSize } = await readStackFacts();
    const measured = await measure({
      integrations: 2 * batchSize,
      batchSize,
      typicalCallMs: 50,
      slowCallMs: 200,
      slowShare: 0.01,
      rounds: { small: [1, 20], full: 1 },
      onProgress: () => undefined,
      signal: new AbortController().signal,
    });
    expect(measured.setup.refreshes).toBe(2 * batchSize);
    expect(measured.deadGrant).toEqual({ events: 3, emails: 1, failedRefreshes: 3 });
    expect(measured.secretReads).toEqual({ scanner: 2, refresher: 2, notifier: 1 });
    expect(measured.metrics).toEqual({ ofScans: 15, perProvider: 9, others: 4 });
    expect(measured.sqs.sends).toBeCloseTo(0.1, 6);
    expect(measured.sqs.deletes).toBeCloseTo(0.1, 2);
    expect(measured.sqs.receives).toBeGreaterThanOrEqual(0.1);
    // What is known of providers, the relay, the three measures, the begin and the end of collecting sealed results, the claim,
    // the claim of what ends by itself and the record.
    expect(measured.database.statementsPerIdleScan).toBe(10);
    // A start and at least one commit for a batch.
    expect(measured.refresher.statements.base).toBeGreaterThan(1.5);
    expect(measured.refresher.successLineBytes).toBeGreaterThan(200);
    expect(measured.refresher.failureLineBytes).toBeGreaterThan(measured.refresher.successLineBytes);
    expect(measured.refresher.cpuMs.perUnit).toBeGreaterThan(0);
    expect(measured.call.tlsCpuMs).toBeGreaterThan(0);
    expect(measured.call.requestBytes).toBeGreaterThan(300);
    expect(measured.database.walBytesPerRefresh).toBeGreaterThan(500);
    expect(measured.database.bytesPerIntegration).toBeGreaterThan(300);
  },
);
