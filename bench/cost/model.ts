import type { Assumptions } from './assumptions.ts';
import { at } from './fit.ts';
import type { Measured } from './measured.ts';
import { costUsd, type PriceId, type Prices } from './prices.ts';
import type { StackFacts, Stage } from './stack-facts.ts';

/**
 * `existing`: the product's own Postgres. `aurora`: an Aurora Serverless v2 of Evergrant's own, without a VPC.
 * `aurora-vpc`: the same in a VPC of its own, with NAT gateways. Data only; where it is set is `lib/`'s business.
 */
export const databaseModes = ['existing', 'aurora', 'aurora-vpc'] as const;
export type DatabaseMode = (typeof databaseModes)[number];

export interface Load {
  readonly integrations: number;
  readonly refreshesPerHour: number;
  readonly providers: number;
  readonly database: DatabaseMode;
}

export interface Basis {
  readonly measured: Measured;
  readonly prices: Prices;
  readonly stack: StackFacts;
  readonly assumptions: Assumptions;
  /** How long a function uses a secret that it has read. */
  readonly secretCacheSeconds: number;
  /** Batch calls to SQS that a function has under way at once. */
  readonly parallelSends: number;
  /** Share of the log lines about successes that are written; all by default. */
  readonly successLinesWritten?: number;
  readonly auroraStorage?: 'standard' | 'io-optimized';
}

/** What something costs in a month. */
export interface LineItem {
  readonly price: PriceId;
  readonly what: string;
  readonly group: Group;
  readonly quantity: number;
  readonly usd: number;
}

export const groups = [
  'Lambda',
  'SQS',
  'Logs',
  'Metrics, alarms, dashboard',
  'Secrets',
  'Email',
  'Data transfer',
  'Database',
] as const;
export type Group = (typeof groups)[number];

export interface Estimate {
  readonly load: Load;
  readonly lines: readonly LineItem[];
  readonly totalUsd: number;
  /** What the free tiers take off in an account that uses them for nothing else. */
  readonly freeUsd: number;
  readonly refreshesPerMonth: number;
  /** `null` without refreshes. */
  readonly costPerMillionUsd: number | null;
  readonly refreshesPerSecond: number;
  /** Messages in an invocation of the refresher. */
  readonly messagesPerInvocation: number;
  /** As billed, of one invocation. */
  readonly billedMs: Readonly<Record<Stage, number>>;
  /** From the first invocation of refreshers after a scan to the last, as far as concurrency allows. */
  readonly workOffSeconds: number;
  /** As results gathered for commits where it was measured, and if each had a commit of its own. */
  readonly statementsPerSecond: { readonly measured: number; readonly most: number };
  /** Bytes to and from Postgres in a month, in GB. */
  readonly databaseGb: { readonly sent: number; readonly received: number };
  /** `null` for an existing database. */
  readonly acu: number | null;
}

const gigabyte = 1e9;
const gibibyte = 2 ** 30;
/** A sealed token is base64url of the sealed bytes. */
const sealedLength = 4 / 3;

/** What a load costs in a month. Pure. */
export function estimate(load: Load, basis: Basis): Estimate {
  const { measured, prices, stack, assumptions: assumed } = basis;
  const seconds = assumed.hoursPerMonth * 3600;
  const scans = (assumed.hoursPerMonth * 60) / stack.scanIntervalMinutes;
  const refreshed = load.integrations * load.refreshesPerHour * assumed.hoursPerMonth;
  const deadGrants = load.integrations * assumed.deadGrantShare;
  const failed = refreshed * assumed.transientShare + deadGrants * measured.deadGrant.failedRefreshes;
  const attempts = refreshed + failed;
  const events = deadGrants * measured.deadGrant.events;
  const emails = deadGrants * measured.deadGrant.emails;

  const perScan = attempts / scans;
  const batches = batchesOf(perScan, basis);
  const invocations = { scanner: scans, refresher: batches.perScan * scans, notifier: events };
  const environments = Math.min(stack.maxConcurrency, batches.perScan);
  const billedMs = billedMsOf(perScan, batches, environments, load, basis);

  const readsPerScan =
    Math.min(1, (stack.scanIntervalMinutes * 60) / basis.secretCacheSeconds) *
    (measured.secretReads.scanner + environments * (measured.secretReads.refresher + load.providers));
  const secretReads = scans * readsPerScan + events * measured.secretReads.notifier;

  const emptyReceives = stack.eventSources * assumed.pollersPerQueue * (seconds / assumed.pollSeconds);
  const { sqs } = measured;
  const sqsRequests =
    attempts * (sqs.sends + sqs.receives + sqs.deletes) +
    events * (1 + 1 + 1) +
    emptyReceives +
    // Each scan asks once for sealed results; those are too few to reckon with.
    scans;

  const successLines = basis.successLinesWritten ?? 1;
  const { refresher } = measured;
  const unwrittenBytes =
    refreshed * (1 - successLines) * (refresher.successLineBytes + assumed.logLineOverheadBytes);
  const longerFailureBytes = failed * (refresher.failureLineBytes - refresher.successLineBytes);
  const logBytes =
    scans * lines(measured.scanner.logBytes, measured.scanner.logLines, assumed) +
    invocations.refresher *
      lines(at(refresher.logBytes, batches.messages), at(refresher.logLines, batches.messages), assumed) +
    longerFailureBytes -
    unwrittenBytes +
    events * lines(measured.notifier.logBytes, measured.notifier.logLines, assumed);

  const metrics =
    measured.metrics.ofScans +
    load.providers * measured.metrics.perProvider +
    (load.integrations > 0 ? measured.metrics.others : 0);

  const { call } = measured;
  const callBytes = {
    sent: call.requestBytes + assumed.newConnectionShare * call.tlsSentBytes,
    received:
      call.responseBytes + assumed.longerTokenBytes + assumed.newConnectionShare * call.tlsReceivedBytes,
  };

  const { database } = measured;
  const tokenBytes = assumed.longerTokenBytes * sealedLength;
  const otherStatements =
    scans * database.statementsPerIdleScan + attempts / 1000 + events * measured.notifier.statements;
  const refreshStatements = invocations.refresher * at(refresher.statements, batches.messages);
  const mostRefreshStatements = invocations.refresher + attempts;

  const items: LineItem[] = [];
  const add = (price: PriceId, what: string, group: Group, quantity: number) => {
    if (quantity > 0) items.push({ price, what, group, quantity, usd: costUsd(prices[price], quantity) });
  };
  for (const stage of ['scanner', 'refresher', 'notifier'] as const) {
    const gigabytes = stack.memoryMb[stage] / 1024;
    const gbSeconds = (invocations[stage] * billedMs[stage] * gigabytes) / 1000;
    add('lambdaGbSeconds', `Lambda: ${stage}, duration`, 'Lambda', gbSeconds);
    add('lambdaRequests', `Lambda: ${stage}, requests`, 'Lambda', invocations[stage]);
  }
  add('sqsRequests', 'SQS: requests', 'SQS', sqsRequests);
  add('logsIngested', 'Logs: ingestion', 'Logs', logBytes / gigabyte);
  add('logsStored', 'Logs: storage', 'Logs', (logBytes / gigabyte) * (stack.logRetentionDays / 30));
  add('customMetrics', 'Metrics', 'Metrics, alarms, dashboard', metrics);
  add('alarmMetrics', 'Alarms', 'Metrics, alarms, dashboard', stack.alarmMetrics);
  add('compositeAlarms', 'Composite alarms', 'Metrics, alarms, dashboard', stack.compositeAlarms);
  add('dashboards', 'Dashboard', 'Metrics, alarms, dashboard', stack.dashboards);
  // The database's and the token key's, beside the providers'.
  add('secrets', 'Secrets', 'Secrets', 2 + load.providers);
  add('secretReads', 'Secrets: reads', 'Secrets', secretReads);
  add('emails', 'SES: emails', 'Email', emails);
  add('dataOut', 'Data transfer to providers', 'Data transfer', (attempts * callBytes.sent) / gigabyte);

  const tableBytes = load.integrations * (database.bytesPerIntegration + tokenBytes) * assumed.bloat;
  const acu = load.database === 'existing' ? null : acuOf(tableBytes, attempts / seconds, basis);
  if (acu !== null) {
    const optimized = basis.auroraStorage === 'io-optimized';
    const acuHours = acu * assumed.hoursPerMonth;
    add(optimized ? 'acuHoursIoOptimized' : 'acuHours', 'Aurora: capacity', 'Database', acuHours);
    add(
      optimized ? 'auroraStorageIoOptimized' : 'auroraStorage',
      'Aurora: storage',
      'Database',
      tableBytes / gibibyte,
    );
    const writes = (attempts * (database.walBytesPerRefresh + tokenBytes)) / assumed.ioBytes;
    if (!optimized) add('auroraIos', 'Aurora: I/O', 'Database', writes);
  }
  if (load.database === 'aurora-vpc') {
    const gatewayHours = assumed.natGateways * assumed.hoursPerMonth;
    const natBytes = attempts * (callBytes.sent + callBytes.received + sqs.sentBytes);
    add('natHours', 'NAT gateways', 'Database', gatewayHours);
    add('publicAddressHours', 'Public addresses of the NAT gateways', 'Database', gatewayHours);
    add('natBytes', 'NAT gateways: data', 'Database', natBytes / gigabyte);
  }

  const totalUsd = items.reduce((sum, { usd }) => sum + usd, 0);
  return {
    load,
    lines: items,
    totalUsd,
    freeUsd: freeOf(items, prices),
    refreshesPerMonth: refreshed,
    costPerMillionUsd: refreshed === 0 ? null : totalUsd / (refreshed / 1e6),
    refreshesPerSecond: refreshed / seconds,
    messagesPerInvocation: batches.messages,
    billedMs,
    workOffSeconds: environments === 0 ? 0 : (batches.perScan * billedMs.refresher) / environments / 1000,
    statementsPerSecond: {
      measured: (otherStatements + refreshStatements) / seconds,
      most: (otherStatements + Math.max(refreshStatements, mostRefreshStatements)) / seconds,
    },
    databaseGb: {
      sent: (attempts * (database.sentBytesPerRefresh + 2 * tokenBytes)) / gigabyte,
      received: (attempts * (database.receivedBytesPerRefresh + tokenBytes)) / gigabyte,
    },
    acu,
  };
}

/** Price ids whose first units are free for an account, and what that is worth for these lines together. */
function freeOf(items: readonly LineItem[], prices: Prices): number {
  const byPrice = Map.groupBy(items, ({ price }) => price);
  return [...byPrice].reduce((sum, [id, ofPrice]) => {
    const used = ofPrice.reduce((total, { quantity }) => total + quantity, 0);
    return sum + Math.min(used, prices[id].free) * prices[id].usd;
  }, 0);
}

interface Batches {
  readonly perScan: number;
  readonly messages: number;
}

/** What is due after a scan reaches Lambda's pollers evenly; each fills its batches by itself. */
function batchesOf(perScan: number, { stack, measured, assumptions }: Basis): Batches {
  if (perScan === 0) return { perScan: 0, messages: 0 };
  const full = perScan / (stack.refreshBatchSize * measured.refresher.fullBatchShare);
  const count = Math.max(full, Math.min(perScan, assumptions.pollersPerQueue));
  return { perScan: count, messages: perScan / count };
}

/** How long a function is billed for CPU time that was measured on a core of this machine. */
export function lambdaCpuMs(cpuMs: number, memoryMb: number, assumed: Assumptions): number {
  const share = Math.min(1, memoryMb / assumed.memoryMbOfOneCore);
  return (cpuMs * assumed.coreSlowdown) / share;
}

/**
 * A batch of calls that are under way at once: one thread serves them all, so that computing for one goes on while
 * others wait. The batch ends when the last typical call is through, or a slow one, whichever is later. `cpuMs` for
 * the batch, `cpuMsOfOne` for a batch of one.
 */
export function batchMs(messages: number, cpuMs: number, cpuMsOfOne: number, assumed: Assumptions): number {
  const withoutSlow = assumed.typicalCallMs + cpuMs;
  const withSlow = Math.max(withoutSlow, slowCallEndsMs(assumed.slowCallMs, cpuMs, cpuMsOfOne));
  const chanceOfSlow = 1 - (1 - assumed.slowShare) ** messages;
  return withoutSlow + chanceOfSlow * (withSlow - withoutSlow);
}

/** A call that all others are done before: on average it begins halfway through the work for the others. */
export function slowCallEndsMs(callMs: number, cpuMs: number, cpuMsOfOne: number): number {
  return callMs + (cpuMs + cpuMsOfOne) / 2;
}

function billedMsOf(
  perScan: number,
  batches: Batches,
  environments: number,
  load: Load,
  { measured, stack, assumptions: assumed, parallelSends }: Basis,
): Record<Stage, number> {
  const { scanner, refresher, notifier, call } = measured;
  const cpu = (cpuMs: number, stage: Stage) => lambdaCpuMs(cpuMs, stack.memoryMb[stage], assumed);
  const thousands = perScan / 1000;
  // The claims of the next thousand go on while the messages of the last are sent: the slower counts.
  const sendMs = 1000 * measured.sqs.sends * (assumed.sqsMs / parallelSends);
  const scanMs =
    assumed.secretMs +
    measured.database.statementsPerIdleScan * assumed.statementMs +
    cpu(scanner.cpuMs.base, 'scanner') +
    assumed.emptyReceiveMs +
    thousands * Math.max(sendMs, cpu(scanner.cpuMs.perUnit, 'scanner'));

  const cpuOfBatch = (messages: number) =>
    cpu(at(refresher.cpuMs, messages) + messages * assumed.newConnectionShare * call.tlsCpuMs, 'refresher');
  // Each environment reads its secrets once after a scan: the token key, the database and the providers, in turn.
  const secretMs = batches.perScan === 0 ? 0 : (environments / batches.perScan) * 3 * assumed.secretMs;
  const refreshMs =
    batches.messages === 0
      ? 0
      : batchMs(batches.messages, cpuOfBatch(batches.messages), cpuOfBatch(1), assumed) +
        // The start and the last commit; those in between go on while other calls are waited for.
        2 * assumed.statementMs +
        secretMs;

  const emailsPerEvent = measured.deadGrant.emails / measured.deadGrant.events;
  const notifyMs =
    load.integrations === 0
      ? 0
      : assumed.secretMs +
        notifier.statements * assumed.statementMs +
        emailsPerEvent * assumed.emailMs +
        cpu(notifier.cpuMs, 'notifier');
  return { scanner: scanMs, refresher: refreshMs, notifier: notifyMs };
}

/** Log bytes of one invocation as CloudWatch counts them. */
function lines(bytes: number, count: number, assumed: Assumptions): number {
  const platformLines = 3;
  return bytes + assumed.platformLogBytes + (count + platformLines) * assumed.logLineOverheadBytes;
}

/** Capacity that keeps the table in memory and the CPU free enough, in steps of a half. */
function acuOf(
  tableBytes: number,
  attemptsPerSecond: number,
  { measured, assumptions: assumed }: Basis,
): number {
  const forMemory = tableBytes / (assumed.cacheShare * assumed.gibPerAcu * gibibyte);
  const vcpu = (attemptsPerSecond * measured.database.cpuMsPerRefresh * assumed.coreSlowdown) / 1000;
  const forCpu = vcpu / (assumed.vcpuPerAcu * assumed.databaseCpuShare);
  return Math.max(assumed.minimumAcu, Math.ceil(2 * Math.max(forMemory, forCpu)) / 2);
}
