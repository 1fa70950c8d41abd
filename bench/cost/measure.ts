import { mkdtemp, rm } from 'node:fs/promises';
import os, { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { metricNames } from '../../lambdas/contract.ts';
import type { CloudEvent } from '../../local/cloud/events.ts';
import { startPostgres } from '../../local/cloud/postgres.ts';
import type { ProductProvider } from '../../local/product/server.ts';
import { connectAccount } from '../../local/provider/connect.ts';
import { type LocalSystem, startSystem } from '../../local/system.ts';
import { fitLine, mean, median } from './fit.ts';
import type { Measured } from './measured.ts';
import {
  childrenOf,
  cpuMs,
  type HttpTraffic,
  type PostgresTraffic,
  watchHttpTraffic,
  watchPostgresTraffic,
} from './observe.ts';
import { measureTls } from './tls.ts';

export interface MeasureOptions {
  /** Connected accounts, spread over the providers; hundreds at least. */
  readonly integrations: number;
  /** Messages per invocation of the refresher at most. */
  readonly batchSize: number;
  /** Milliseconds that a token endpoint takes, that a slow call takes, and the share of slow ones. */
  readonly typicalCallMs: number;
  readonly slowCallMs: number;
  readonly slowShare: number;
  /** Integrations that are due at once in each small round, and how often all are. */
  readonly rounds: { readonly small: readonly number[]; readonly full: number };
  readonly onProgress: (step: string) => void;
  readonly signal: AbortSignal;
}

const providers = ['acme-calendar', 'globex-crm', 'initech-mail'];
export const defaultRounds: MeasureOptions['rounds'] = {
  small: [1, 1, 2, 3, 5, 10, 15, 20, 30, 40, 60, 80],
  full: 3,
};
const idleScans = 8;
const deadGrants = 30;
const oneDayMs = 86_400_000;

/** One invocation as it was seen from outside. */
interface Invocation {
  readonly stage: 'scanner' | 'refresher' | 'notifier';
  readonly cold: boolean;
  readonly cpuMs: number;
  readonly durationMs: number;
  readonly lines: readonly string[];
}

/** What had been counted at one moment. */
interface Counted {
  readonly statements: number;
  readonly databaseSentBytes: number;
  readonly databaseReceivedBytes: number;
  readonly databaseCpuMs: number;
  readonly walBytes: number;
  readonly sqsSends: number;
  readonly sqsReceives: number;
  readonly sqsDeletes: number;
  readonly providerReceivedBytes: number;
  readonly providerSentBytes: number;
  readonly sqsReceivedBytes: number;
}

/**
 * Runs the stack here, on the bundled functions, with providers that take their time, and measures what the model of
 * costs needs. Needs Linux. Takes minutes; nothing is left behind.
 */
export async function measure(options: MeasureOptions): Promise<Measured> {
  if (process.platform !== 'linux') throw new Error('measuring needs Linux: CPU times come from /proc');
  const resources = new AsyncDisposableStack();
  try {
    return await measureWith(options, resources);
  } finally {
    await resources.disposeAsync();
  }
}

async function measureWith(options: MeasureOptions, resources: AsyncDisposableStack): Promise<Measured> {
  const { signal, typicalCallMs, slowCallMs, slowShare, rounds } = options;
  const onProgress = (step: string) => {
    if (signal.aborted) throw new Error('interrupted');
    options.onProgress(step);
  };
  const directory = await mkdtemp(path.join(tmpdir(), 'evergrant-cost-'));
  resources.defer(() => rm(directory, { recursive: true, force: true }));
  onProgress('measuring TLS handshakes');
  const tls = await measureTls();

  const postgres = await startPostgres({ dataDir: path.join(directory, 'postgres'), persistent: false });
  resources.defer(() => postgres.stop());
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  pool.on('error', () => undefined);
  resources.defer(() => pool.end());
  // Aurora writes no full-page images.
  await pool.query('ALTER SYSTEM SET full_page_writes = off');
  await pool.query('SELECT pg_reload_conf()');
  const postgresTraffic = await watchPostgresTraffic(postgres.port);
  resources.defer(() => postgresTraffic.stop());
  const behindProxy = new URL(postgres.url);
  behindProxy.port = String(postgresTraffic.port);
  const httpTraffic = watchHttpTraffic();
  resources.defer(() => httpTraffic.stop());

  const invocations = new Invocations();
  const system = await startSystem({
    directory,
    databaseUrl: behindProxy.href,
    persistent: false,
    providers: providers.map((name) => ({
      name,
      displayName: name,
      clientAuth: 'client_secret_basic',
      accessTokenLifetimeSeconds: 3600,
    })),
    // Scans are asked for one by one.
    scanIntervalMs: oneDayMs,
    // Few at a time, so that functions and providers do not fight for the cores; failures come again at once.
    settings: { maxConcurrency: 2, retryDelaySeconds: 1 },
    onEvent: (event) => invocations.take(event),
    onProgress,
  });
  resources.defer(() => system.stop());
  invocations.name(system);
  const bench = new Bench({
    system,
    pool,
    postgresPid: postgres.pid,
    postgresTraffic,
    httpTraffic,
    invocations,
    signal,
  });

  onProgress(`connecting ${options.integrations} accounts`);
  const accounts = await bench.connect(options.integrations);
  for (const { provider } of system.providers) {
    const own = accounts.filter((account) => account.provider.provider === provider);
    const slow = own.filter((_, index) => (index + 1) % Math.round(1 / slowShare) === 0);
    provider.faults.replace([
      ...slow.map(({ email }) => ({ account: email, delayMs: slowCallMs })),
      { delayMs: typicalCallMs },
    ]);
  }

  onProgress('warming up');
  await bench.round(accounts);
  const { scanner: scannerId, refresher: refresherId, notifier: notifierId } = bench.functionIds;
  const readsBy = (functionId: string, stage: Invocation['stage']) =>
    httpTraffic.requests(portOf(system.cloud.endpoints.secretsManager), 'GetSecretValue', functionId) /
    invocations.environmentsOf(stage);
  const secretReads = {
    scanner: readsBy(scannerId, 'scanner'),
    refresher: readsBy(refresherId, 'refresher') - providers.length,
  };

  onProgress(`${idleScans} scans with nothing due`);
  const idle = await bench.observe(async () => {
    for (let count = 0; count < idleScans; count += 1) await bench.scan();
  });

  onProgress(`${rounds.small.length} small rounds`);
  const small: Round[] = [];
  for (const size of rounds.small) small.push(await bench.round(accounts.slice(0, size)));

  const full: Round[] = [];
  for (let round = 1; round <= rounds.full; round += 1) {
    onProgress(`${accounts.length} refreshes, round ${round} of ${rounds.full}`);
    full.push(await bench.round(accounts));
  }
  const bytesPerIntegration = await bench.bytesPerIntegration(accounts.length);

  onProgress(`${deadGrants} dead grants, and failures of every class`);
  const dead = accounts.slice(0, deadGrants);
  const failing = await bench.fail(dead, accounts.slice(deadGrants, deadGrants + 10 * providers.length));
  const notifierReads = readsBy(notifierId, 'notifier');

  const idlePerScan = idle.counted.statements / idleScans;
  const fullInvocations = full.flatMap((round) => round.of('refresher'));
  const refreshes = fullInvocations.reduce((sum, invocation) => sum + messagesOf(invocation), 0);
  const totalOf = (key: keyof Counted) => full.reduce((sum, round) => sum + round.counted[key], 0);
  const scans = [idle, ...small, ...full].flatMap((round) => round.of('scanner').filter(({ cold }) => !cold));
  const warmRefreshes = [...small, ...full]
    .flatMap((round) => round.of('refresher'))
    .filter((invocation) => !invocation.cold && messagesOf(invocation) > 0);
  const batches = fullInvocations.filter((invocation) => messagesOf(invocation) === options.batchSize);
  const notifications = failing.deadRounds.flatMap((round) => round.of('notifier'));
  const warmNotifications = notifications.filter(({ cold }) => !cold);
  const failedLines = failing.deadRounds
    .flatMap((round) => round.of('refresher'))
    .flatMap(({ lines }) => lines.filter((line) => isOutcome(line, 'refresh failed')));
  const successLines = fullInvocations.flatMap(({ lines }) =>
    lines.filter((line) => isOutcome(line, 'refreshed')),
  );
  const perMessage = (value: (invocation: Invocation) => number) =>
    fitLine(warmRefreshes.map((invocation) => ({ units: messagesOf(invocation), value: value(invocation) })));
  const perThousand = (value: (invocation: Invocation) => number) =>
    fitLine(scans.map((scan) => ({ units: claimedBy(scan) / 1000, value: value(scan) })));
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
      cores: os.availableParallelism(),
      node: process.version,
    },
    setup: {
      integrations: accounts.length,
      providers: providers.length,
      refreshes,
      typicalCallMs,
      slowCallMs,
      slowShare,
    },
    scanner: {
      cpuMs: perThousand((scan) => scan.cpuMs),
      durationMs: perThousand((scan) => scan.durationMs),
      logBytes: mean(scans.map(bytesOf)),
      logLines: mean(scans.map(({ lines }) => lines.length)),
    },
    refresher: {
      cpuMs: perMessage((invocation) => invocation.cpuMs),
      logBytes: perMessage(bytesOf),
      logLines: perMessage(({ lines }) => lines.length),
      statements: fitLine(
        [...small, ...full].map((round) => {
          const batchesOfRound = round.of('refresher');
          const messages = batchesOfRound.reduce((sum, invocation) => sum + messagesOf(invocation), 0);
          const ofScanner = idlePerScan + Math.floor(messages / 1000);
          return {
            units: messages / batchesOfRound.length,
            value: (round.counted.statements - ofScanner) / batchesOfRound.length,
          };
        }),
      ),
      successLineBytes: mean(successLines.map((line) => Buffer.byteLength(line))),
      failureLineBytes: mean(failedLines.map((line) => Buffer.byteLength(line))),
      fullBatchShare: refreshes / fullInvocations.length / options.batchSize,
      fullBatchMessages: options.batchSize,
      fullBatchDurationMs: median(batches.map(({ durationMs }) => durationMs)),
      fullBatchSlowestCallMs: median(batches.map(slowestCallMs)),
    },
    notifier: {
      cpuMs: mean(warmNotifications.map((invocation) => invocation.cpuMs)),
      durationMs: median(warmNotifications.map((invocation) => invocation.durationMs)),
      logBytes: mean(warmNotifications.map(bytesOf)),
      logLines: mean(warmNotifications.map(({ lines }) => lines.length)),
      statements: failing.notifierStatements / notifications.length,
    },
    deadGrant: {
      events: failing.events / deadGrants,
      emails: failing.emails / deadGrants,
      failedRefreshes: failedLines.length / deadGrants,
    },
    sqs: {
      sends: totalOf('sqsSends') / refreshes,
      receives: totalOf('sqsReceives') / refreshes,
      deletes: totalOf('sqsDeletes') / refreshes,
      sentBytes: totalOf('sqsReceivedBytes') / refreshes,
    },
    secretReads: { ...secretReads, notifier: notifierReads },
    metrics: metricsIn(
      idle.invocations,
      [idle, ...small, ...full, ...failing.deadRounds, failing.others].flatMap((round) => round.invocations),
    ),
    database: {
      statementsPerIdleScan: idlePerScan,
      statementsPerRefresh: totalOf('statements') / refreshes,
      sentBytesPerRefresh: totalOf('databaseSentBytes') / refreshes,
      receivedBytesPerRefresh: totalOf('databaseReceivedBytes') / refreshes,
      walBytesPerRefresh: totalOf('walBytes') / refreshes,
      cpuMsPerRefresh: totalOf('databaseCpuMs') / refreshes,
      bytesPerIntegration,
    },
    call: {
      requestBytes: totalOf('providerReceivedBytes') / refreshes,
      responseBytes: totalOf('providerSentBytes') / refreshes,
      tlsCpuMs: tls.cpuMs,
      tlsSentBytes: tls.sentBytes,
      tlsReceivedBytes: tls.receivedBytes,
    },
  };
}

interface Account {
  readonly email: string;
  readonly integrationId: string;
  readonly provider: ProductProvider;
}

/** What happened between two moments. */
class Round {
  readonly counted: Counted;
  readonly invocations: readonly Invocation[];

  constructor(counted: Counted, invocations: readonly Invocation[]) {
    this.counted = counted;
    this.invocations = invocations;
  }

  of(stage: Invocation['stage']): readonly Invocation[] {
    return this.invocations.filter((invocation) => invocation.stage === stage);
  }
}

/** Puts the events of the cloud together to invocations. */
class Invocations {
  readonly #ended: Invocation[] = [];
  readonly #running = new Map<
    string,
    { functionId: string; pid: number | null; cold: boolean; cpuMsBefore: number; lines: string[] }
  >();
  readonly #environments = new Map<string, number>();
  #stages: ReadonlyMap<string, Invocation['stage']> = new Map();
  /** What an invocation failed with, for whoever waits. */
  failure: string | null = null;
  #openBatches = 0;

  /** Tells which function is which; what was seen before is dropped. */
  name({ functionId }: LocalSystem): void {
    this.#stages = new Map(
      (['scanner', 'refresher', 'notifier'] as const).map((stage) => [functionId(stage), stage]),
    );
  }

  take(event: CloudEvent): void {
    if (event.type === 'function.started') {
      const { functionId, pid, coldStart: cold } = event;
      if (cold) this.#environments.set(functionId, (this.#environments.get(functionId) ?? 0) + 1);
      if (event.source === 'event-source') this.#openBatches += 1;
      const cpuMsBefore = pid === null ? 0 : cpuMs(pid);
      this.#running.set(event.requestId, { functionId, pid, cold, cpuMsBefore, lines: [] });
    } else if (event.type === 'function.log' && event.requestId !== null) {
      this.#running.get(event.requestId)?.lines.push(event.line);
    } else if (event.type === 'batch.ended') {
      this.#openBatches -= 1;
    } else if (event.type === 'function.ended') {
      const started = this.#running.get(event.requestId);
      this.#running.delete(event.requestId);
      const stage = this.#stages.get(event.functionId);
      if (!started || stage === undefined) return;
      if (!event.ok) this.failure = `the ${stage} failed: ${event.errorType}: ${event.errorMessage}`;
      const { pid, cold, cpuMsBefore, lines } = started;
      const spentMs = pid === null ? 0 : cpuMs(pid) - cpuMsBefore;
      this.#ended.push({ stage, cold, cpuMs: spentMs, durationMs: event.durationMs, lines });
    }
  }

  get count(): number {
    return this.#ended.length;
  }

  since(count: number): readonly Invocation[] {
    return this.#ended.slice(count);
  }

  /** Nothing runs, and the messages of what ran are deleted. */
  get quiet(): boolean {
    return this.#running.size === 0 && this.#openBatches === 0;
  }

  environmentsOf(stage: Invocation['stage']): number {
    const [functionId = ''] = [...this.#stages].find(([, other]) => other === stage) ?? [];
    return this.#environments.get(functionId) ?? 0;
  }
}

interface BenchParts {
  readonly system: LocalSystem;
  readonly pool: pg.Pool;
  readonly postgresPid: number;
  readonly postgresTraffic: PostgresTraffic;
  readonly httpTraffic: HttpTraffic;
  readonly invocations: Invocations;
  readonly signal: AbortSignal;
}

/** Makes integrations due, lets them be refreshed, and counts meanwhile. */
class Bench {
  readonly functionIds: Readonly<Record<Invocation['stage'], string>>;
  readonly #parts: BenchParts;

  constructor(parts: BenchParts) {
    this.#parts = parts;
    const { functionId } = parts.system;
    this.functionIds = {
      scanner: functionId('scanner'),
      refresher: functionId('refresher'),
      notifier: functionId('notifier'),
    };
  }

  /** Connects accounts through the authorization code flow, spread evenly over the providers. */
  async connect(count: number): Promise<Account[]> {
    const { store, providers: available } = this.#parts.system;
    const accounts: Account[] = [];
    let next = 0;
    const worker = async () => {
      for (let index = next++; index < count && !this.#parts.signal.aborted; index = next++) {
        const provider = available[index % available.length]!;
        const email = `user-${index}@acme-flows.example`;
        const user = await store.addUser(email, `User ${index}`);
        const { client } = provider;
        const connection = await connectAccount(provider.provider, { account: email, client });
        const integrationId = await store.connect(user.id, provider.provider.name, connection);
        accounts.push({ email, integrationId, provider });
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    return accounts.toSorted((a, b) => a.email.localeCompare(b.email, 'en', { numeric: true }));
  }

  async scan(): Promise<void> {
    const { system } = this.#parts;
    const result = await system.cloud.invoke(this.functionIds.scanner, {});
    if (!result.ok) throw new Error(`a scan failed: ${result.errorType}: ${result.errorMessage}`);
  }

  /** Makes accounts due and refreshes them with one scan. */
  async round(accounts: readonly Account[]): Promise<Round> {
    await this.#age(accounts);
    return this.observe(async () => {
      const before = this.#parts.invocations.count;
      await this.scan();
      await this.#settled(
        `${accounts.length} refreshes`,
        () => this.#outcomesSince(before) >= accounts.length,
      );
    });
  }

  /** Does something and tells what happened meanwhile. */
  async observe(work: () => Promise<void>): Promise<Round> {
    const { invocations } = this.#parts;
    const countBefore = invocations.count;
    const before = await this.#counted();
    await work();
    const after = await this.#counted();
    const counted = Object.fromEntries(
      Object.entries(after).map(([key, value]) => [key, value - before[key as keyof Counted]]),
    ) as Record<keyof Counted, number>;
    return new Round(counted, invocations.since(countBefore));
  }

  /** Lets grants die: three permanent failures each. Then lets others fail in the other classes. */
  async fail(dead: readonly Account[], others: readonly Account[]) {
    const { system, pool } = this.#parts;
    const eventsHandled = async () => {
      const { rows } = await pool.query<{ events: number; open: number }>(
        `SELECT count(*)::int AS events, count(*) FILTER (WHERE handled_at IS NULL)::int AS open
         FROM evergrant.threshold_events`,
      );
      return rows[0]!;
    };
    for (const { email, provider } of dead) provider.provider.faults.revokeAccount(email);
    await this.#age(dead);
    const deadRounds: Round[] = [];
    let notifierStatements = 0;
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      // The first attempts wait for nothing, the others for the delay after a failure, spread by half.
      if (attempt > 1) await sleep(2_000);
      const round = await this.observe(async () => {
        const before = this.#parts.invocations.count;
        await this.scan();
        await this.#settled(
          `failure ${attempt} of dead grants`,
          async () => this.#outcomesSince(before) >= dead.length && (await eventsHandled()).open === 0,
        );
      });
      deadRounds.push(round);
      // Of a refresher's batch of failures: its start and its commits, which no notifier has part in.
      notifierStatements += round.counted.statements - 2 - 2 * round.of('refresher').length;
    }
    const { events } = await eventsHandled();
    const emails = (await system.cloud.listEmails()).length;

    const answers = [
      { status: 503, body: '' },
      { status: 401, body: { error: 'invalid_client' } },
    ];
    for (const [index, { email, provider }] of others.entries()) {
      provider.provider.faults.replace([
        {
          account: email,
          times: 1,
          answer: answers[Math.floor(index / system.providers.length) % answers.length]!,
        },
        ...provider.provider.faults.list().map(({ applied: _, ...fault }) => fault),
      ]);
    }
    const failed = await this.round(others);
    return { deadRounds, others: failed, events, emails, notifierStatements };
  }

  async bytesPerIntegration(count: number): Promise<number> {
    // Dead versions that autovacuum has not come to yet are no lasting size.
    await this.#parts.pool.query('VACUUM FULL integrations');
    const { rows } = await this.#parts.pool.query<{ bytes: string }>(
      `SELECT pg_total_relation_size('integrations') AS bytes`,
    );
    return Number(rows[0]?.bytes) / count;
  }

  async #age(accounts: readonly Account[]): Promise<void> {
    await this.#parts.pool.query(
      `UPDATE integrations SET expires_at = now() + interval '5 minutes' WHERE id = ANY($1)`,
      [accounts.map(({ integrationId }) => integrationId)],
    );
  }

  #outcomesSince(count: number): number {
    return this.#parts.invocations
      .since(count)
      .filter(({ stage }) => stage === 'refresher')
      .reduce((sum, invocation) => sum + messagesOf(invocation), 0);
  }

  async #settled(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
    const { invocations, signal } = this.#parts;
    const deadlineMs = performance.now() + 120_000;
    while (!invocations.quiet || !(await done())) {
      if (signal.aborted) throw new Error('interrupted');
      if (invocations.failure !== null) throw new Error(invocations.failure);
      if (performance.now() > deadlineMs) throw new Error(`waited two minutes in vain: ${what}`);
      await sleep(100);
    }
  }

  async #counted(): Promise<Counted> {
    const { system, pool, postgresPid, postgresTraffic, httpTraffic } = this.#parts;
    const { rows } = await pool.query<{ wal: string }>(`SELECT pg_current_wal_lsn() - '0/0' AS wal`);
    const sqs = portOf(system.cloud.endpoints.sqs);
    const ofProviders = system.providers.map(({ provider }) => httpTraffic.bytes(portOf(provider.origin)));
    const deletes =
      httpTraffic.requests(sqs, 'DeleteMessageBatch') + httpTraffic.requests(sqs, 'DeleteMessage');
    return {
      statements: postgresTraffic.statements,
      databaseSentBytes: postgresTraffic.sentBytes,
      databaseReceivedBytes: postgresTraffic.receivedBytes,
      databaseCpuMs: childrenOf(postgresPid).reduce((sum, pid) => sum + cpuMs(pid), 0),
      walBytes: Number(rows[0]?.wal),
      sqsSends: httpTraffic.requests(sqs, 'SendMessageBatch', this.functionIds.scanner),
      sqsReceives: httpTraffic.requests(sqs, 'ReceiveMessage'),
      sqsDeletes: deletes,
      providerReceivedBytes: ofProviders.reduce((sum, { received }) => sum + received, 0),
      providerSentBytes: ofProviders.reduce((sum, { sent }) => sum + sent, 0),
      sqsReceivedBytes: httpTraffic.bytes(sqs, this.functionIds.scanner).received,
    };
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function isOutcome(line: string, message: 'refreshed' | 'refresh failed' | 'operator fault'): boolean {
  return line.includes(`"message":"${message}"`);
}

/** Messages of a refresher's invocation: each ends in one line. */
function messagesOf({ lines }: Invocation): number {
  return lines.filter(
    (line) =>
      isOutcome(line, 'refreshed') || isOutcome(line, 'refresh failed') || isOutcome(line, 'operator fault'),
  ).length;
}

function slowestCallMs({ lines }: Invocation): number {
  return Math.max(...lines.map((line) => Number(parsed(line).durationMs ?? 0)));
}

function claimedBy({ lines }: Invocation): number {
  return lines.reduce((sum, line) => sum + Number(parsed(line).claimed ?? 0), 0);
}

function bytesOf({ lines }: Invocation): number {
  return lines.reduce((sum, line) => sum + Buffer.byteLength(line), 0);
}

/** Custom metrics in embedded metric lines: each name with each combination of dimensions is one. */
function metricsIn(ofScans: readonly Invocation[], all: readonly Invocation[]): Measured['metrics'] {
  const scanned = new Set(ofScans.flatMap(({ lines }) => lines.flatMap(metricsOfLine)));
  const others = [...new Set(all.flatMap(({ lines }) => lines.flatMap(metricsOfLine)))].filter(
    (metric) => !scanned.has(metric),
  );
  const byProvider = Map.groupBy(
    others.filter((metric) => metric.includes('provider=')),
    (metric) => /provider=([^,]+)/.exec(metric)?.[1] ?? '',
  );
  const most = Math.max(...[...byProvider.values()].map((metrics) => metrics.length));
  if (!others.some((metric) => metric.startsWith(metricNames.refreshed)))
    throw new Error('no metric of a refresh was seen in the logs');
  return {
    ofScans: scanned.size,
    perProvider: most,
    others: others.length - [...byProvider.values()].flat().length,
  };
}

interface EmbeddedMetrics {
  readonly CloudWatchMetrics: readonly {
    readonly Dimensions: readonly (readonly string[])[];
    readonly Metrics: readonly { readonly Name: string }[];
  }[];
}

export function metricsOfLine(line: string): string[] {
  const document = parsed(line);
  const embedded = document._aws as EmbeddedMetrics | undefined;
  if (!embedded) return [];
  return embedded.CloudWatchMetrics.flatMap(({ Dimensions: sets, Metrics: metrics }) =>
    sets.flatMap((names) =>
      metrics.map(({ Name: name }) =>
        [name, ...names.toSorted().map((dimension) => `${dimension}=${document[dimension]}`)].join(','),
      ),
    ),
  );
}
