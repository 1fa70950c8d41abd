import type { Assumptions } from '../../bench/cost/assumptions.ts';
import type { Measured } from '../../bench/cost/measured.ts';
import type { Basis } from '../../bench/cost/model.ts';
import { prices } from '../../bench/cost/prices.ts';
import type { StackFacts } from '../../bench/cost/stack-facts.ts';

/** Round figures, so that results can be computed by hand. */
export const measured: Measured = {
  date: '2026-01-02',
  machine: { cpu: 'a CPU', cores: 2, node: 'v24.0.0' },
  setup: {
    integrations: 1000,
    providers: 3,
    refreshes: 3000,
    typicalCallMs: 200,
    slowCallMs: 1000,
    slowShare: 0.01,
  },
  scanner: {
    cpuMs: { base: 10, perUnit: 100 },
    durationMs: { base: 20, perUnit: 300 },
    logBytes: 700,
    logLines: 2,
  },
  refresher: {
    cpuMs: { base: 10, perUnit: 1 },
    logBytes: { base: 800, perUnit: 300 },
    logLines: { base: 2, perUnit: 1 },
    statements: { base: 3, perUnit: 0.01 },
    successLineBytes: 300,
    failureLineBytes: 500,
    fullBatchShare: 1,
    fullBatchMessages: 100,
    fullBatchDurationMs: 1100,
    fullBatchSlowestCallMs: 1000,
  },
  notifier: { cpuMs: 8, durationMs: 20, logBytes: 600, logLines: 2, statements: 4 },
  deadGrant: { events: 3, emails: 1, failedRefreshes: 3 },
  sqs: { sends: 0.1, receives: 0.1, deletes: 0.1, sentBytes: 250 },
  secretReads: { scanner: 1, notifier: 1, refresher: 2 },
  metrics: { ofScans: 5, perProvider: 5, others: 4 },
  database: {
    statementsPerIdleScan: 2,
    statementsPerRefresh: 0.05,
    sentBytesPerRefresh: 1000,
    receivedBytesPerRefresh: 500,
    walBytesPerRefresh: 4096,
    cpuMsPerRefresh: 0.2,
    bytesPerIntegration: 1024,
  },
  call: { requestBytes: 500, responseBytes: 1000, tlsCpuMs: 1, tlsSentBytes: 1500, tlsReceivedBytes: 3000 },
};

/** Nothing fails, nothing is longer, and a core is a core. */
export const plain: Assumptions = {
  hoursPerMonth: 720,
  providers: 10,
  coreSlowdown: 1,
  memoryMbOfOneCore: 1024,
  newConnectionShare: 1,
  typicalCallMs: 200,
  slowCallMs: 1000,
  slowShare: 0,
  statementMs: 0,
  sqsMs: 0,
  secretMs: 0,
  emailMs: 0,
  transientShare: 0,
  deadGrantShare: 0,
  pollersPerQueue: 5,
  pollSeconds: 20,
  emptyReceiveMs: 0,
  platformLogBytes: 0,
  logLineOverheadBytes: 0,
  longerTokenBytes: 0,
  bloat: 1,
  minimumAcu: 0.5,
  gibPerAcu: 2,
  cacheShare: 0.5,
  vcpuPerAcu: 0.25,
  databaseCpuShare: 1,
  ioBytes: 4096,
  natGateways: 2,
};

export const stack: StackFacts = {
  memoryMb: { scanner: 512, refresher: 512, notifier: 256 },
  timeoutSeconds: { scanner: 240, refresher: 40, notifier: 20 },
  scanIntervalMinutes: 5,
  refreshWindowMinutes: 10,
  refreshBatchSize: 100,
  maxConcurrency: 10,
  eventSources: 2,
  alarmMetrics: 12,
  compositeAlarms: 0,
  dashboards: 1,
  logRetentionDays: 30,
  resourceTypes: [],
};

export const basis: Basis = {
  measured,
  prices,
  stack,
  assumptions: plain,
  secretCacheSeconds: 300,
  parallelSends: 16,
};
