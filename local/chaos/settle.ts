import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { clientConfig } from '../../lambdas/postgres/database.ts';
import { momentColumns, passingOf } from '../moments.ts';
import type { LocalSystem } from '../system.ts';
import type { ChaosDatabase } from './database.ts';
import type { Processes } from './processes.ts';
import type { QueueFaults } from './queue-faults.ts';

export interface SettleParts {
  readonly database: ChaosDatabase;
  readonly system: LocalSystem;
  readonly processes: Processes;
  readonly queues: QueueFaults;
  /** So many seconds have passed, for everybody whose time is not the database's. */
  readonly onPassed: (seconds: number) => void;
  /** So many dead letters were replayed. */
  readonly onReplayed: (count: number) => void;
  readonly onProgress: (step: string) => void;
  readonly signal: AbortSignal;
}

/** What still waits for something. */
interface Waiting {
  /** Connected, and not refreshed since the faults have ended. */
  readonly stale: number;
  readonly events: number;
  readonly circuits: number;
  /** Providers whose disconnections are held. */
  readonly held: string[];
  /** Seconds until all of the first are due; `null`: there are none. */
  readonly staleInSeconds: number | null;
  /** Seconds until the first of the others moves; `null`: none will. */
  readonly othersInSeconds: number | null;
}

/** Tokens that were given since then live for a day. */
const waitingStatement = `
WITH rows AS (
  SELECT greatest(refresh_held_until, expires_at - interval '60 seconds') AS next
  FROM integrations
  WHERE status = 'connected' AND expires_at < now() + interval '12 hours'
), events AS (
  SELECT greatest(relay_after, email_held_until) AS next FROM evergrant.threshold_events WHERE handled_at IS NULL
), circuits AS (
  SELECT circuit_probe_at AS next FROM evergrant.provider_states WHERE circuit_open
)
SELECT (SELECT count(*)::int FROM rows) AS stale, (SELECT count(*)::int FROM events) AS events,
  (SELECT count(*)::int FROM circuits) AS circuits,
  ARRAY(SELECT provider FROM evergrant.provider_states WHERE disconnections_held_until > now()) AS held,
  (SELECT extract(epoch FROM max(greatest(next, now())) - now())::float8 FROM rows WHERE isfinite(next))
    AS "staleInSeconds",
  (SELECT extract(epoch FROM min(greatest(next, now())) - now())::float8
   FROM (SELECT next FROM events UNION ALL SELECT next FROM circuits) AS others
   WHERE isfinite(next)) AS "othersInSeconds"`;

/**
 * Lets the system come to rest after the last fault, scan by scan. In between time passes at once, until what is connected
 * is due, then to the next moment that anything waits for, and only while nobody is at work. Returns what never came to rest.
 */
export async function settle(parts: SettleParts): Promise<string[]> {
  const { system, database, signal } = parts;
  const scanner = system.functionId('scanner');
  for (let round = 1; round <= mostRounds; round += 1) {
    signal.throwIfAborted();
    parts.queues.returnDue();
    await replayDeadLetters(parts);
    const scan = await system.cloud.invoke(scanner, {});
    if (!scan.ok) parts.onProgress(`a scan failed while settling: ${scan.errorMessage}`);
    const left = await quiet(parts);
    if (left !== null) return [left];
    const [waiting] = await database.sql<Waiting & pg.QueryResultRow>(waitingStatement);
    if (!waiting) throw new Error('Postgres did not say what waits');
    const { stale, events, circuits, held } = waiting;
    const messages = parts.queues.returnDue();
    const sealed = await parts.queues.count(sealedResults(system).url);
    if (stale + events + circuits + messages.waiting + sealed.all === 0 && held.length === 0) {
      // What has used up its receives while things broke may become a dead letter when it comes back now.
      if ((await countDeadLetters(parts)) === 0) return [];
      continue;
    }
    parts.onProgress(
      `settling, round ${round}: ${stale} to refresh, ${events} events, ${circuits} open circuits, ${messages.waiting} messages to come back, ${sealed.all} sealed results`,
    );
    // Whoever collects them for the last time has had his turn by then.
    const turnInSeconds = sealed.all > 0 ? turnSeconds : null;
    const nextInSeconds =
      waiting.staleInSeconds ??
      soonest(turnInSeconds, soonest(waiting.othersInSeconds, messages.nextInSeconds));
    // As an operator does who has looked into it.
    for (const provider of held)
      await system.cloud.invoke(system.functionId('operator'), { ask: 'close_circuit', provider });
    if (nextInSeconds === null && held.length === 0)
      return [`${events} events that nothing will move any more`];
    await pass(parts, Math.min(longestStepSeconds, (nextInSeconds ?? 0) + atOnceSeconds));
  }
  return [`something after ${mostRounds} scans`];
}

function deadLetterQueues(system: LocalSystem) {
  return Object.entries(system.cloud.queues).filter(([, { deadLetterOf }]) => deadLetterOf !== undefined);
}

/** As an operator does once the causes are mended. */
async function replayDeadLetters({ system, queues, onReplayed, onProgress }: SettleParts): Promise<void> {
  for (const [id, { url }] of deadLetterQueues(system)) {
    const replayed = await queues.redrive(url);
    onReplayed(replayed);
    if (replayed > 0) onProgress(`replaying ${replayed} messages of ${id}`);
  }
}

async function countDeadLetters({ system, queues }: SettleParts): Promise<number> {
  const counts = await Promise.all(deadLetterQueues(system).map(([, { url }]) => queues.count(url)));
  return counts.reduce((sum, { all }) => sum + all, 0);
}

function soonest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

const mostRounds = 120;
/** What falls due shortly after is taken along. */
const atOnceSeconds = 2;
const longestStepSeconds = 3_600;
const quietTimeoutMs = 180_000;
/** Longer than a scan that died keeps others from collecting sealed results. */
const turnSeconds = 180;

/** Fed to no function: scans receive from it. */
function sealedResults(system: LocalSystem) {
  return queueOf(system, system.queueIds.sealedResults);
}

function queueOf(system: LocalSystem, id: string) {
  const queue = system.cloud.queues[id];
  if (!queue) throw new Error(`there is no queue ${id}`);
  return queue;
}

/**
 * Waits until every message is done with, waits for its return or is a dead letter, and no process works. Sealed results
 * wait for scans; but what one had in hands when it died comes back by its visibility time-out, which no clock of ours moves.
 */
async function quiet({ system, queues, processes, signal }: SettleParts): Promise<string | null> {
  const beganAtMs = performance.now();
  const deadlineMs = beganAtMs + quietTimeoutMs;
  const sealed = sealedResults(system);
  const living = Object.entries(system.cloud.queues).filter(
    ([id, { deadLetterOf }]) => deadLetterOf === undefined && id !== system.queueIds.sealedResults,
  );
  for (let times = 0; times < 2; ) {
    signal.throwIfAborted();
    const counts = await Promise.all(living.map(([, { url }]) => queues.count(url)));
    // The queue goes on counting as received what is visible again, until somebody receives.
    const inHand =
      performance.now() - beganAtMs > sealed.visibilityTimeoutMs
        ? 0
        : (await queues.count(sealed.url)).received;
    // What waits for its return is received and nobody's.
    const waiting = counts.reduce((sum, { all }) => sum + all, inHand) - queues.returnDue().waiting;
    const busy = processes.busy().length;
    times = waiting === 0 && busy === 0 ? times + 1 : 0;
    if (performance.now() > deadlineMs)
      return `${waiting} messages and ${busy} processes after ${quietTimeoutMs / 1000} s`;
    if (times < 2) await sleep(100);
  }
  return null;
}

/** In one transaction that triggers do not see: nothing has happened but that time has passed. */
async function pass({ database, onPassed }: SettleParts, seconds: number): Promise<void> {
  const client = new pg.Client(clientConfig({ url: database.url }));
  await client.connect();
  try {
    const { rows } = await client.query<{ table: string; columns: string[] }>(momentColumns);
    await client.query('BEGIN');
    await client.query('SET LOCAL session_replication_role = replica');
    for (const each of rows) await client.query(passingOf(each), [seconds]);
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
  onPassed(seconds);
}
