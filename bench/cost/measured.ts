import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Line } from './fit.ts';

/** What `measure` found on one machine. Times are of that machine: the model carries them over to Lambda. */
export interface Measured {
  /** YYYY-MM-DD. */
  readonly date: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly setup: {
    readonly integrations: number;
    readonly providers: number;
    /** Refreshes in full batches, over all rounds. */
    readonly refreshes: number;
    readonly typicalCallMs: number;
    readonly slowCallMs: number;
    readonly slowShare: number;
  };
  readonly scanner: {
    /** By thousand claimed integrations. */
    readonly cpuMs: Line;
    readonly durationMs: Line;
    readonly logBytes: number;
    readonly logLines: number;
  };
  readonly refresher: {
    /** By message of the invocation, as the others. */
    readonly cpuMs: Line;
    readonly logBytes: Line;
    readonly logLines: Line;
    readonly statements: Line;
    /** Of the line that says that one integration was refreshed. */
    readonly successLineBytes: number;
    /** Of the line that says that one refresh failed. */
    readonly failureLineBytes: number;
    /** How full batches are, from 0 to 1, when more messages wait than a batch holds. */
    readonly fullBatchShare: number;
    readonly fullBatchMessages: number;
    /** Of those full batches, medians: as billed here, and its slowest call. */
    readonly fullBatchDurationMs: number;
    readonly fullBatchSlowestCallMs: number;
  };
  /** By threshold event. */
  readonly notifier: {
    readonly cpuMs: number;
    readonly durationMs: number;
    readonly logBytes: number;
    readonly logLines: number;
    readonly statements: number;
  };
  readonly deadGrant: {
    readonly events: number;
    readonly emails: number;
    readonly failedRefreshes: number;
  };
  /** SQS requests by message, as the server counted them. */
  readonly sqs: {
    readonly sends: number;
    readonly receives: number;
    readonly deletes: number;
    /** What the scanner sent for one message. */
    readonly sentBytes: number;
  };
  /** `GetSecretValue` calls of a new execution environment. */
  readonly secretReads: {
    readonly scanner: number;
    readonly notifier: number;
    /** Beside one for each provider. */
    readonly refresher: number;
  };
  readonly metrics: {
    /** Custom metrics that scans write, whatever there is to do. */
    readonly ofScans: number;
    /** Of each provider: all that were seen while refreshes succeeded and failed in every class. */
    readonly perProvider: number;
    /** The others: failures and notifications, of all providers together. */
    readonly others: number;
  };
  readonly database: {
    readonly statementsPerIdleScan: number;
    /** Of all stages together, in full batches. */
    readonly statementsPerRefresh: number;
    readonly sentBytesPerRefresh: number;
    readonly receivedBytesPerRefresh: number;
    /** Write-ahead log, without full-page images. */
    readonly walBytesPerRefresh: number;
    /** Of the server's processes. */
    readonly cpuMsPerRefresh: number;
    /** Of the table with its indexes and TOAST. */
    readonly bytesPerIntegration: number;
  };
  /** Of one call to a token endpoint. */
  readonly call: {
    readonly requestBytes: number;
    readonly responseBytes: number;
    readonly tlsCpuMs: number;
    readonly tlsSentBytes: number;
    readonly tlsReceivedBytes: number;
  };
}

const file = path.join(import.meta.dirname, 'measured.json');

export async function readMeasured(): Promise<Measured> {
  return JSON.parse(await readFile(file, 'utf8')) as Measured;
}

/** Figures keep four digits: more is noise. */
export async function writeMeasured(measured: Measured): Promise<void> {
  const rounded = (_: string, value: unknown) =>
    typeof value === 'number' ? Number(value.toPrecision(4)) : value;
  await writeFile(file, `${JSON.stringify(measured, rounded, 2)}\n`);
}
