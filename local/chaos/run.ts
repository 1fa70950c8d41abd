import { createReadStream } from 'node:fs';
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { TokenSealer } from '../../lambdas/sealing/token-sealer.ts';
import { maxReceiveCount } from '../../lib/dead-letter-queue.ts';
import { settingsSchema } from '../../lib/settings.ts';
import { timingOf } from '../../lib/timing.ts';
import type { CloudEvent } from '../cloud/events.ts';
import { connectAccount } from '../provider/connect.ts';
import { type ProviderClient, startProvider } from '../provider/server.ts';
import { type LocalSystem, type SystemOptions, startSystem } from '../system.ts';
import { type Protection, readChanges, readCircuits, startAudit, switchOff } from './audit.ts';
import { Crowd } from './crowd.ts';
import { ChaosDatabase } from './database.ts';
import type { Evidence, FinalRow, LogWord } from './evidence.ts';
import { Faults, isSealedResultQueue } from './faults.ts';
import { judge } from './judge.ts';
import { Ledger } from './ledger.ts';
import { type FaultKind, planFaults } from './plan.ts';
import { startPostgresGate } from './postgres-gate.ts';
import { Processes } from './processes.ts';
import { ChaosProvider, type ChaosProviderOptions, canary } from './provider.ts';
import { QueueFaults, type Send } from './queue-faults.ts';
import { type ChaosReport, reportOf } from './report.ts';
import { settle } from './settle.ts';

export interface ChaosOptions {
  readonly seed: number;
  /** How long things go wrong; the start and the settling come on top. */
  readonly durationMs: number;
  readonly integrations: number;
  readonly kinds: readonly FaultKind[];
  /** How many times as many faults as usual. */
  readonly density: number;
  /** Comes five times as often as the others. */
  readonly emphasis?: FaultKind | null;
  /** Is switched off. */
  readonly without: Protection | null;
  /** Gets a copy of what the functions have written; `null`: nobody wants it. */
  readonly logFile: string | null;
  readonly onProgress: (step: string) => void;
  readonly signal: AbortSignal;
}

/** What makes a run fast, and leaves every rule as it is; everything else is the default. */
const settings = {
  scanIntervalMinutes: 1,
  refreshWindowSeconds: 61,
  callTimeoutSeconds: 4,
  retryDelaySeconds: 2,
} as const;
const scanEveryMs = 1_000;
const scansAtOnce = 2;
const timing = timingOf(settingsSchema.parse(settings));
/** Nobody who knew of the begin of an outage lives, and nothing that was held is held any more. */
const longOutageMs = (timing.attemptHold + 6) * 1_000;
/** Longer than what follows a killed call: the hold, and an outage in between. */
const graceMs = 180_000;
/** Calls per second that two busy cores carry beside everything else. */
const sustainedCallsPerSecond = 60;
/** One may begin when another has just ended, and a message may have come some times before. */
const outagesInARow = 3;
/** A busy machine takes seconds to start Postgres again. */
const leastReturnMs = 12_000;
const secondsOfADay = 86_400;
const mostProtocolAccounts = 24;
const strictShare = 0.3;

/** Runs the local system, breaks everything around it, lets it settle, and holds it to its promises. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const startedAtMs = Date.now();
  const resources = new AsyncDisposableStack();
  try {
    return await run(options, resources, startedAtMs);
  } finally {
    await resources.disposeAsync();
  }
}

async function run(
  options: ChaosOptions,
  resources: AsyncDisposableStack,
  startedAtMs: number,
): Promise<ChaosReport> {
  const { signal, onProgress, seed, durationMs } = options;
  const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-chaos-'));
  // As root, PostgreSQL runs under another account, which has to get through.
  await chmod(directory, 0o755);
  resources.defer(() => rm(directory, { recursive: true, force: true }));
  const plan = planFaults(options);
  const longestMs = Math.max(
    ...plan.map(({ kind, lastsMs }) => (kind === 'db-outage' ? longOutageMs : lastsMs)),
  );
  // Received again and again, a message must outlast an outage and the hold of an email, as it does by its visibility timeout.
  const returnsAfterMs = Math.max(leastReturnMs, (longestMs * outagesInARow) / (maxReceiveCount - 1));
  const eventsReturnAfterMs = Math.max(returnsAfterMs, (timing.emailHold + 2) * 1000);
  const processes = new Processes();
  const ledger = new Ledger();
  const faults = new Faults(seed);
  const windows = new Windows();
  const words: LogWord[] = [];
  const stored = new Map<string, number>();
  const queued = new Map<string, number>();
  const unsettledEmails = new Map<string, number>();
  /** What is written down of an email twice, as the first answer was lost, settles it once. */
  const emailsUnderWay = new Set<string>();
  let passedMs = 0;
  let settling = false;

  onProgress('starting Postgres, the providers and the system');
  const database = await ChaosDatabase.start(path.join(directory, 'postgres'));
  resources.defer(() => database.stop());
  const gate = await startPostgresGate({
    targetPort: database.port,
    processes,
    interfere: (statement) => faults.ofStatement(statement),
    onAnswered({ kind, ids, process }, committed) {
      if (!committed) return;
      if (kind === 'start') processes.asksToStart(process, ids);
      const nowMs = Date.now();
      // A scan stores what the queue of sealed results has had, which may be older than the latest call.
      if (kind === 'store' && process?.functionId !== system?.functionId('scanner')) {
        for (const id of ids) {
          stored.set(id, nowMs);
          windows.durable(id, nowMs);
        }
      }
      const [event] = ids;
      if (event === undefined) return;
      const unsettled = unsettledEmails.get(event) ?? 0;
      if (kind === 'claim-email') {
        unsettledEmails.set(event, unsettled + 1);
        emailsUnderWay.add(event);
      }
      if ((kind === 'record-email' || kind === 'release-email') && emailsUnderWay.delete(event))
        unsettledEmails.set(event, Math.max(0, unsettled - 1));
    },
  });
  resources.defer(() => gate.stop());

  const rhythmSeconds = Math.max(8, options.integrations / sustainedCallsPerSecond);
  const tokenSeconds = () =>
    settling ? secondsOfADay : Math.round(settings.refreshWindowSeconds + rhythmSeconds);
  // Some of its tokens are short-lived, and their next refresh is scheduled; the others are found by scans.
  let strictTokens = 0;
  const strictTokenSeconds = () => {
    strictTokens += 1;
    if (settling) return secondsOfADay;
    return strictTokens % 2 === 0
      ? Math.min(tokenSeconds(), timing.shortLifetime - 20)
      : Math.max(tokenSeconds(), timing.shortLifetime + 5);
  };
  const shared: Omit<ChaosProviderOptions, 'name' | 'displayName' | 'graceMs'> = {
    ledger,
    processes,
    nowMs: () => Date.now() + passedMs,
    accessTokenSeconds: tokenSeconds,
    fault: (call) => faults.ofCall(call),
    kill: (call, kind) => faults.killCaller(call, kind),
    onAnswered(call) {
      if (call.answer === 'refreshed' && call.grant)
        windows.answered(call.grant.integrationId, call.answeredAtMs as number);
    },
  };
  const strict = new ChaosProvider({
    ...shared,
    name: 'strict-crm',
    displayName: 'Strict CRM',
    graceMs: 0,
    accessTokenSeconds: strictTokenSeconds,
  });
  const lenient = new ChaosProvider({
    ...shared,
    name: 'lenient-drive',
    displayName: 'Lenient Drive',
    graceMs,
  });
  const client: ProviderClient = {
    clientId: 'acme-flows-at-certified-mail',
    clientSecret: `${canary}secret-of-certified-mail`,
    clientAuth: 'client_secret_post',
    redirectUri: 'http://127.0.0.1/callback',
  };
  const certifiedServer = await startProvider({
    name: 'certified-mail',
    displayName: 'Certified Mail',
    client,
  });
  resources.defer(() => certifiedServer.stop());
  const certified = new ChaosProvider({
    ...shared,
    name: 'certified-mail',
    displayName: 'Certified Mail',
    graceMs: 0,
    upstream: { ...client, tokenEndpoint: certifiedServer.tokenEndpoint },
  });
  const providers = [strict, lenient, certified];
  for (const provider of providers) {
    await provider.start();
    resources.defer(() => provider.stop());
  }

  let system: LocalSystem | null = null;
  const queues = new QueueFaults({
    fault: (send) => faults.ofSend(send),
    onSent(send) {
      if (!system || !isSealedResultQueue(queueIdOf(system, send))) return;
      const nowMs = Date.now();
      for (const id of idsIn(send)) {
        queued.set(id, nowMs);
        windows.durable(id, nowMs);
      }
    },
    returnsAfterMs: (queueId) =>
      queueId === system?.queueIds.threshold ? eventsReturnAfterMs : returnsAfterMs,
    nowMs: () => Date.now() + passedMs,
  });
  resources.defer(() => queues.stop());
  const onEvent = (event: CloudEvent) => {
    processes.take(event);
    queues.take(event);
    const word = wordOf(event);
    if (word) words.push(word);
  };
  const systemOptions: SystemOptions & { readonly clockOffsetMs: () => number } = {
    directory: path.join(directory, 'system'),
    databaseUrl: database.url,
    pooledUrl: database.url.replace(`:${database.port}/`, `:${gate.port}/`),
    persistent: false,
    providers: [],
    clients: Object.fromEntries(providers.map((each) => [each.name, each.secret()])),
    scanIntervalMs: null,
    settings,
    queueDisturbance: queues,
    onEvent,
    onProgress,
    clockOffsetMs: () => faults.clockOffsetMs(),
  };
  system = await startSystem(systemOptions);
  resources.defer(async () => system?.stop());
  queues.connect(system.cloud.endpoints.sqs);
  await startAudit(database, { shortLifetimeSeconds: timing.shortLifetime });
  if (options.without) await switchOff(database, options.without);

  const crowd = new Crowd(database, tokenSeconds);
  const due = { firstSeconds: settings.refreshWindowSeconds, spreadSeconds: rhythmSeconds };
  const protocolAccounts = Math.min(mostProtocolAccounts, Math.ceil(options.integrations / 25));
  onProgress(`connecting ${options.integrations} accounts`);
  const certifiedTokens: string[] = [];
  for (let number = 0; number < protocolAccounts; number += 1) {
    signal.throwIfAborted();
    const connection = await connectAccount(certifiedServer, { account: `account-${number}`, client });
    ledger.secrets.add(connection.accessToken);
    certifiedTokens.push(connection.refreshToken);
  }
  await crowd.connect(certified, certifiedTokens, due);
  const volume = options.integrations - protocolAccounts;
  await crowd.connect(strict, Math.round(volume * strictShare), due);
  await crowd.connect(lenient, volume - Math.round(volume * strictShare), due);

  faults.open({
    database,
    gate,
    processes,
    system,
    crowd,
    providerNames: providers.map(({ name }) => name),
    longOutageMs,
    refusesSealedResults: options.without === 'sealed-results',
  });
  const scanner = system.functionId('scanner');
  const scanning = new Set<Promise<unknown>>();
  const scan = setInterval(() => {
    if (scanning.size >= scansAtOnce) return;
    const invocation = system.cloud.invoke(scanner, {}).finally(() => scanning.delete(invocation));
    scanning.add(invocation);
  }, scanEveryMs);
  resources.defer(() => clearInterval(scan));
  const brokenAtMs = Date.now();
  const progress = setInterval(() => {
    const seconds = Math.round((Date.now() - brokenAtMs) / 1000);
    onProgress(
      `${seconds} s: ${ledger.calls.length} calls, ${processes.kills.length} kills, ${database.restarts} restarts of Postgres, ${[...faults.fired.values()].reduce((sum, count) => sum + count, 0)} faults`,
    );
  }, 5_000);
  resources.defer(() => clearInterval(progress));

  await faults.play(plan, signal);
  await sleep(Math.max(0, durationMs - (Date.now() - brokenAtMs)), undefined, { signal });
  onProgress('the faults are over: settling');
  clearInterval(scan);
  clearInterval(progress);
  await faults.end();
  settling = true;
  queues.settle();
  await Promise.all(scanning);
  const settlingAtMs = Date.now();
  let deadLettersReplayed = 0;
  const unsettled = await settle({
    database,
    system,
    processes,
    queues,
    signal,
    onProgress,
    onPassed(seconds) {
      passedMs += seconds * 1000;
    },
    onReplayed(count) {
      deadLettersReplayed += count;
    },
  });
  const settledAtMs = Date.now();

  onProgress('judging');
  if (options.logFile !== null) await copyFile(system.logFile, options.logFile);
  const tokenKey = system.cloud.getSecret('evergrant/local/token-key') ?? '';
  const rows = await readRows(database, await TokenSealer.fromSecret(tokenKey));
  // What follows are calls of our own.
  const calls = [...ledger.calls];
  const usable = new Map<string, boolean>();
  const tried = crowd.members.flatMap((member) => {
    const row = rows.get(member.id);
    return member.state === 'connected' && row?.status === 'connected' ? [{ member, row }] : [];
  });
  await inTurns(tried, 32, async ({ member, row }) => {
    usable.set(member.id, row.refreshToken !== null && (await member.provider.tries(row.refreshToken)));
  });
  const evidence: Evidence = {
    members: crowd.members,
    rows,
    changes: await readChanges(database),
    circuits: await readCircuits(database),
    calls,
    token: (text) => ledger.token(text),
    usable,
    notifications: await database.sql(
      `SELECT metadata ->> 'integration_id' AS "integrationId", type FROM notifications`,
    ),
    events: await database.sql(
      `SELECT id, integration_id AS "integrationId", handled_at IS NOT NULL AS handled FROM evergrant.threshold_events`,
    ),
    emails: await readEmails(system),
    unsettledEmails,
    disturbances: faults.disturbances,
    stored,
    queued,
    words,
    messagesLeft: await Promise.all(
      Object.entries(system.cloud.queues).map(async ([queue, { url }]) => ({
        queue,
        count: (await queues.count(url)).all,
      })),
    ),
    leaks: [...queues.leaks, ...(await leaksIn(system.logFile, ledger.secrets))],
    callTimeoutMs: settings.callTimeoutSeconds * 1000,
  };
  return reportOf({
    deadLettersReplayed,
    options,
    plan,
    evidence,
    verdict: judge(evidence),
    unsettled,
    ledger,
    kills: processes.kills,
    dbRestarts: database.restarts,
    fired: faults.fired,
    windowsMs: windows.measured,
    elapsed: {
      startMs: brokenAtMs - startedAtMs,
      faultsMs: settlingAtMs - brokenAtMs,
      settlingMs: settledAtMs - settlingAtMs,
      judgingMs: Date.now() - settledAtMs,
    },
  });
}

/** How long new tokens are nowhere but in a process: from the provider's answer until Postgres or a queue has them. */
class Windows {
  readonly measured: number[] = [];
  readonly #answered = new Map<string, number>();

  answered(integrationId: string, atMs: number): void {
    this.#answered.set(integrationId, atMs);
  }

  durable(integrationId: string, atMs: number): void {
    const answeredAtMs = this.#answered.get(integrationId);
    if (answeredAtMs === undefined) return;
    this.#answered.delete(integrationId);
    this.measured.push(atMs - answeredAtMs);
  }
}

function queueIdOf({ cloud: { queues } }: LocalSystem, { queueUrl }: Send): string {
  return Object.keys(queues).find((id) => queues[id]?.url === queueUrl) ?? '';
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Integrations that messages name, in plain sight or in the header of a JWE. */
function idsIn({ entries }: Send): Set<string> {
  const ids = new Set<string>();
  for (const { MessageBody: body = '' } of entries) {
    const headers = [...body.matchAll(/eyJ[\w-]+/g)].map(([text]) =>
      Buffer.from(text, 'base64url').toString(),
    );
    for (const text of [body, ...headers]) for (const [id] of text.matchAll(uuid)) ids.add(id);
  }
  return ids;
}

/** What a line of a function's log says that the judgement may use. */
function wordOf(event: CloudEvent): LogWord | null {
  if (event.type !== 'function.log') return null;
  const word = (['result lost', 'timeout', 'network_error'] as const).find((each) =>
    event.line.includes(`"${each}"`),
  );
  if (word === undefined) return null;
  try {
    const { integrationId } = JSON.parse(event.line) as { integrationId?: unknown };
    return typeof integrationId === 'string' ? { atMs: Date.now(), integrationId, word } : null;
  } catch {
    return null;
  }
}

async function readRows(database: ChaosDatabase, sealer: TokenSealer): Promise<Map<string, FinalRow>> {
  const rows = await database.sql<FinalRow & { stored: string | null }>(
    `SELECT id, status, coalesce(consecutive_failures, 0) AS permanent,
       coalesce(consecutive_transient_failures, 0) AS transient, disconnect_reason AS reason, refresh_token AS stored
     FROM integrations`,
  );
  const opened = new Map<string, FinalRow>();
  for (const { stored, ...row } of rows) {
    const token =
      stored === null ? null : await sealer.open(stored, { integrationId: row.id, column: 'refresh_token' });
    opened.set(row.id, { ...row, refreshToken: token?.ok ? token.token : null });
  }
  return opened;
}

/** Addresses are made of the integrations' ids. */
async function readEmails(system: LocalSystem): Promise<Map<string, number>> {
  const emails = new Map<string, number>();
  for (const { destination } of await system.cloud.listEmails()) {
    const [id = ''] = (destination.to[0] ?? '').match(uuid) ?? [];
    emails.set(id, (emails.get(id) ?? 0) + 1);
  }
  return emails;
}

/** Lines with a token in them, by their number. The tokens of the fast provider have a mark; others are looked up. */
async function leaksIn(file: string, secrets: ReadonlySet<string>): Promise<string[]> {
  const leaks: string[] = [];
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    number += 1;
    const found =
      line.includes(canary) || [...line.matchAll(/[\w-]{40,}/g)].some(([text]) => secrets.has(text));
    if (found) leaks.push(`line ${number} of the functions' log`);
  }
  return leaks;
}

async function inTurns<Work>(works: readonly Work[], atOnce: number, act: (work: Work) => Promise<void>) {
  const queue = works.values();
  const worker = async () => {
    for (const work of queue) await act(work);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, works.length) }, worker));
}
