import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { TokenSealer } from '../../lambdas/sealing/token-sealer.ts';
import type { CloudEvent } from '../../local/cloud/events.ts';
import { startPostgres } from '../../local/cloud/postgres.ts';
import { type LocalSystem, startSystem } from '../../local/system.ts';
import { cpuMs } from '../cost/observe.ts';
import type { ProviderOrder, ProviderReport } from './provider-process.ts';

/** Names of the providers that are configured, each with a path of its own at the provider's process. */
export const providerNames = ['alpha', 'beta', 'gamma', 'delta'] as const;

export interface RigOptions {
  readonly directory: string;
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly onEvent?: (event: CloudEvent) => void;
  readonly onProgress: (step: string) => void;
}

/** One invocation as it was seen from outside. */
export interface Invoked {
  readonly durationMs: number;
  /** Of the function's process, all threads. */
  readonly cpuMs: number;
  readonly payload: unknown;
}

/** The system, whose queues feed no function before one asks for that, with a Postgres, an SQS server and a provider, each in processes other than the functions'. */
export interface Rig {
  readonly system: LocalSystem;
  /** Without TLS, as a superuser. */
  readonly databaseUrl: string;
  /** Content of the secret with the token keys. */
  readonly tokenKeySecret: string;
  /** Address of a provider's token endpoint. */
  tokenEndpoint(provider: string): string;
  sql<Row extends pg.QueryResultRow>(statement: string, values?: unknown[]): Promise<Row[]>;
  /** How long each provider takes to answer; 0 for those that are not named. */
  delay(delaysMs: ProviderOrder['delaysMs']): Promise<void>;
  /**
   * Empties the table and connects as many integrations anew, their tokens sealed, spread evenly over the providers. Their
   * tokens expire in a minute, so all are due. Returns their ids in the order of the providers, one after another.
   */
  connect(count: number, providers?: readonly string[]): Promise<string[]>;
  /** Opens a claim for each, as a scan does; everybody's hold ends. */
  claimAll(): Promise<void>;
  /** Invokes a function and waits for its end. Throws when it fails. */
  invoke(stage: 'scanner' | 'refresher' | 'notifier', event: object): Promise<Invoked>;
  stop(): Promise<void>;
}

/** What Lambda gives the refresher for these integrations. */
export function refreshEvent(rig: Rig, ids: readonly string[]): object {
  const queue = rig.system.cloud.queues[rig.system.queueIds.refresh];
  return {
    Records: ids.map((integrationId) => ({
      messageId: randomUUID(),
      receiptHandle: randomUUID(),
      body: JSON.stringify({ version: 1, integrationId, provider: providerNames[0] }),
      attributes: {},
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: queue?.arn ?? '',
      awsRegion: 'us-east-1',
    })),
  };
}

export async function startRig(options: RigOptions): Promise<Rig> {
  const resources = new AsyncDisposableStack();
  try {
    return await start(options, resources);
  } catch (error) {
    await resources.disposeAsync();
    throw error;
  }
}

/** A new folder for a rig. PostgreSQL's account has to get through it when we are root. */
export async function rigDirectory(): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-bench-'));
  await chmod(directory, 0o755);
  return directory;
}

async function start(options: RigOptions, resources: AsyncDisposableStack): Promise<Rig> {
  const { directory, onProgress } = options;
  resources.defer(() => rm(directory, { recursive: true, force: true }));
  const provider = await startProvider();
  resources.defer(() => {
    provider.process.disconnect();
  });
  const postgres = await startPostgres({
    dataDir: path.join(directory, 'postgres'),
    persistent: false,
    // As a server for this has: the default of 128 MB is for machines that do something else.
    settings: ['shared_buffers=2GB', 'max_wal_size=8GB', 'work_mem=16MB'],
  });
  resources.defer(() => postgres.stop());
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  pool.on('error', () => undefined);
  resources.defer(() => pool.end());
  const tokenEndpoint = (name: string) => `http://127.0.0.1:${provider.port}/${name}`;
  const system = await startSystem({
    directory,
    databaseUrl: postgres.url,
    persistent: false,
    providers: [],
    clients: Object.fromEntries(
      providerNames.map((name) => [
        name,
        {
          clientId: 'acme-flows',
          clientSecret: 'acme-flows-secret',
          provider: {
            displayName: name,
            tokenEndpoint: tokenEndpoint(name),
            clientAuthentication: 'client_secret_basic',
          },
        },
      ]),
    ),
    scanIntervalMs: null,
    polling: false,
    ...(options.settings && { settings: options.settings }),
    ...(options.onEvent && { onEvent: options.onEvent }),
    onProgress,
  });
  resources.defer(() => system.stop());
  const tokenKeySecret = system.cloud.getSecret('evergrant/local/token-key');
  if (tokenKeySecret === undefined) throw new Error('the system has no token key');
  const sealer = await TokenSealer.fromSecret(tokenKeySecret);

  const sql: Rig['sql'] = async <Row extends pg.QueryResultRow>(statement: string, values?: unknown[]) =>
    (await pool.query<Row>(statement, values)).rows;
  return {
    system,
    databaseUrl: postgres.url,
    tokenKeySecret,
    tokenEndpoint,
    sql,
    async delay(delaysMs) {
      const done = once(provider.process, 'message');
      provider.process.send({ delaysMs } satisfies ProviderOrder);
      await done;
    },
    async connect(count, providers = providerNames) {
      await sql(
        `TRUNCATE integrations, evergrant.threshold_events, evergrant.provider_states, evergrant.refresh_outcomes,
           evergrant.recent_failures CASCADE`,
      );
      const ids: string[] = [];
      for (let from = 0; from < count; from += insertedAtOnce) {
        const rows = await Promise.all(
          Array.from({ length: Math.min(insertedAtOnce, count - from) }, async (_, index) => {
            const id = randomUUID();
            return {
              id,
              provider: providers[(from + index) % providers.length],
              access: await sealer.seal('a'.repeat(220), { integrationId: id, column: 'access_token' }),
              refresh: await sealer.seal('r'.repeat(100), { integrationId: id, column: 'refresh_token' }),
            };
          }),
        );
        ids.push(...rows.map(({ id }) => id));
        await sql(
          `INSERT INTO integrations (id, user_id, provider, access_token, refresh_token, expires_at, last_refresh_success)
           SELECT id, gen_random_uuid(), provider, access, refresh, now() + interval '1 minute', now() - interval '59 minutes'
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS given (id, provider, access, refresh)`,
          [
            rows.map(({ id }) => id),
            rows.map(({ provider }) => provider),
            rows.map(({ access }) => access),
            rows.map(({ refresh }) => refresh),
          ],
        );
      }
      await sql('VACUUM (ANALYZE) integrations');
      return ids;
    },
    async claimAll() {
      await sql(
        `UPDATE integrations SET refresh_claim = refresh_claim + 1, refresh_claim_open = true, refresh_held_until = NULL,
           refresh_started_at = NULL`,
      );
    },
    async invoke(stage, event) {
      const functionId = system.functionId(stage);
      const before = new Map(system.cloud.pids(functionId).map((pid) => [pid, cpuMs(pid)]));
      const beganAtMs = performance.now();
      const result = await system.cloud.invoke(functionId, event as never);
      const durationMs = performance.now() - beganAtMs;
      if (!result.ok) throw new Error(`the ${stage} failed: ${result.errorType}: ${result.errorMessage}`);
      const spentMs = system.cloud
        .pids(functionId)
        .reduce((sum, pid) => sum + cpuMs(pid) - (before.get(pid) ?? 0), 0);
      return { durationMs, cpuMs: spentMs, payload: result.payload };
    },
    stop: () => resources.disposeAsync(),
  };
}

const insertedAtOnce = 2_000;

async function startProvider(): Promise<{ process: ChildProcess; port: number }> {
  const child = fork(path.join(import.meta.dirname, 'provider-process.ts'));
  const [{ port }] = (await once(child, 'message')) as [ProviderReport];
  return { process: child, port };
}
