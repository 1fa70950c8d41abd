import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type ClaimedIntegration, claimDue } from '../../lambdas/postgres/claim-due.ts';
import { type Database, PostgresConnection } from '../../lambdas/postgres/database.ts';
import { figureOf, type Measure, type MeasureContext, type Outcome } from './measure.ts';
import { endProcesses } from './processes.ts';
import { providerNames, type Rig } from './rig.ts';

const chunkSize = 1_000;
/** Of the template. */
const windowSeconds = 600;

interface Taken {
  readonly growth: Outcome;
  readonly idle: Outcome;
}

/** The two measures share the table, as filling it takes most of their time. */
let taken: Promise<Taken> | undefined;

export const scanGrowth: Measure = {
  name: 'scan-growth',
  key: 'scanGrowth',
  what: 'time in Postgres to claim the same due rows, in the largest table against the smallest',
  unit: '×',
  goal: { atMost: 1.3 },
  run: async (context) => (await takeOnce(context)).growth,
};

export const scanIdle: Measure = {
  name: 'scan-idle',
  key: 'scanIdleMs',
  what: 'time in Postgres of a scan that finds nothing due, in the largest table',
  unit: 'ms',
  goal: { atMost: 5 },
  run: async (context) => (await takeOnce(context)).idle,
};

function takeOnce(context: MeasureContext): Promise<Taken> {
  taken ??= take(context);
  return taken;
}

async function take({ quick, rig: started, onProgress }: MeasureContext): Promise<Taken> {
  const sizes = quick ? [10_000, 30_000, 100_000] : [100_000, 1_000_000, 10_000_000];
  const due = quick ? 1_000 : 10_000;
  const rig = await started();
  await rig.connect(0);
  try {
    const claimMs: number[][] = [];
    let rows = 0;
    for (const size of sizes) {
      onProgress(`filling the table up to ${size.toLocaleString('en-US')} rows`);
      if (rows === 0) await fill(rig, due, `now() - random() * interval '1 minute'`);
      rows = Math.max(rows, due);
      for (; rows < size; rows += Math.min(filledAtOnce, size - rows)) {
        const ahead = `now() + interval '30 minutes' + random() * interval '23 hours'`;
        await fill(rig, Math.min(filledAtOnce, size - rows), ahead);
      }
      await rig.sql('VACUUM (ANALYZE) integrations');
      // The larger the table, the longer the checkpoint of its rows would otherwise write beside the claims.
      await rig.sql('CHECKPOINT');
      const runs: number[] = [];
      for (let repetition = 0; repetition <= (quick ? 2 : 7); repetition += 1) {
        await rig.sql(
          `UPDATE integrations SET refresh_held_until = NULL, refresh_claim_open = false WHERE expires_at <= now()`,
        );
        const ms = await claimAllDue(rig, due);
        if (repetition > 0) runs.push(ms);
      }
      claimMs.push(runs);
    }
    const medians = claimMs.map((runs) => figureOf(runs).value);
    const [first = [], last = []] = [claimMs[0], claimMs.at(-1)];
    const growth = {
      ...figureOf(last.map((ms, index) => ms / (first[index] ?? Number.NaN))),
      facts: Object.fromEntries(
        sizes.map((size, index) => [
          `rows${size.toLocaleString('en-US')}`,
          `${medians[index]?.toFixed(1)} ms for ${due.toLocaleString('en-US')} claims`,
        ]),
      ),
    };
    return {
      growth,
      idle: await measureIdle(
        rig,
        rows,
        quick ? { repetitions: 1, scansOfProcess: 2 } : { repetitions: 5, scansOfProcess: 10 },
        onProgress,
      ),
    };
  } finally {
    // What follows must meet neither a vacuum of all these rows nor their checkpoint.
    await rig.connect(0);
    await rig.sql('CHECKPOINT');
  }
}

/** Rows of one statement. */
export const filledAtOnce = 250_000;

/** Tokens as long as sealed ones are; nobody opens them here. */
export async function fill(rig: Rig, count: number, expiresAt: string): Promise<void> {
  await rig.sql(
    `INSERT INTO integrations (user_id, provider, access_token, refresh_token, expires_at, last_refresh_success)
     SELECT gen_random_uuid(), ($2::text[])[1 + n % 4], md5(n::text) || repeat('a', 560), md5(n::text) || repeat('r', 400),
            ${expiresAt}, now() - interval '10 minutes'
     FROM generate_series(1, $1) AS n`,
    [count, providerNames],
  );
}

/** By a connection of its own, which has told its statistics when it ends: those of idle scans come after. */
async function claimAllDue(rig: Rig, due: number): Promise<number> {
  const database = new PostgresConnection({ url: rig.databaseUrl });
  try {
    // The first statement of a connection waits for it, and reads the catalogs.
    await claimChunk(database, null, 0);
    let after: Date | null = null;
    let claimed = 0;
    let ms = 0;
    for (;;) {
      const beganAtMs = performance.now();
      const chunk = await claimChunk(database, after, chunkSize);
      ms += performance.now() - beganAtMs;
      claimed += chunk.length;
      after = chunk.at(-1)?.expires_at ?? after;
      if (chunk.length < chunkSize) break;
    }
    if (claimed !== due) throw new Error(`${claimed} rows were claimed instead of ${due}`);
    return ms;
  } finally {
    await database.end();
  }
}

function claimChunk(database: Database, after: Date | null, limit: number): Promise<ClaimedIntegration[]> {
  return claimDue(database, {
    windowSeconds,
    holdSeconds: 270,
    provider: null,
    after,
    limit,
    collectedAt: null,
  });
}

/** By what Postgres itself counts: the time that its sessions were executing, and which scans they made. */
async function measureIdle(
  rig: Rig,
  rows: number,
  { repetitions, scansOfProcess }: { readonly repetitions: number; readonly scansOfProcess: number },
  onProgress: (step: string) => void,
): Promise<Outcome> {
  onProgress(
    `${repetitions * (1 + scansOfProcess)} scans with nothing due among ${rows.toLocaleString('en-US')} rows`,
  );
  await rig.sql(`UPDATE integrations SET expires_at = now() + interval '1 day' WHERE expires_at <= now()`);
  await rig.sql('VACUUM (ANALYZE) integrations');
  // From another database, so that its own time is not counted.
  const address = new URL(rig.databaseUrl);
  address.pathname = '/postgres';
  const observer = new pg.Client({ connectionString: address.href });
  await observer.connect();
  const activeMs = async () => {
    await observer.query('SELECT pg_stat_clear_snapshot()');
    const { rows: found } = await observer.query<{ active_time: number }>(
      `SELECT active_time FROM pg_stat_database WHERE datname = 'evergrant'`,
    );
    return found[0]?.active_time ?? Number.NaN;
  };
  const scansOfTable = async () =>
    (
      await rig.sql<{ name: string; scans: number }>(
        `SELECT 'sequential' AS name, seq_scan::int AS scans FROM pg_stat_user_tables WHERE relid = 'integrations'::regclass
         UNION ALL
         SELECT indexrelname, idx_scan::int FROM pg_stat_user_indexes WHERE relid = 'integrations'::regclass`,
      )
    ).map(({ name, scans: count }) => [name, count] as const);
  try {
    // Sessions report what they have done when they end, or some seconds later.
    const report = async () => {
      await endProcesses(rig, 'scanner');
      const flush = () => rig.sql('SELECT pg_stat_force_next_flush()');
      await Promise.all([flush(), flush()]);
      await sleep(500);
    };
    await report();
    const before = new Map(await scansOfTable());
    const each: number[] = [];
    let walls = 0;
    /** Of a new process and so many scans: its first one reads the catalogs as well, so a few of them are an upper bound. */
    const activeMsOf = async (scans: number): Promise<number> => {
      const beganMs = await activeMs();
      for (let scan = 0; scan < scans; scan += 1) walls += (await rig.invoke('scanner', {})).durationMs;
      await report();
      return (await activeMs()) - beganMs;
    };
    const firsts: number[] = [];
    for (let repetition = 0; repetition < repetitions; repetition += 1) {
      firsts.push(await activeMsOf(1));
      each.push((await activeMsOf(scansOfProcess)) / scansOfProcess);
    }
    const scans = repetitions * (1 + scansOfProcess);
    const used = (await scansOfTable()).map(
      ([name, count]) => [name, count - (before.get(name) ?? 0)] as const,
    );
    const sequential = used.find(([name]) => name === 'sequential')?.[1] ?? 0;
    if (sequential > 0) throw new Error(`${scans} idle scans read the whole table ${sequential} times`);
    return {
      ...figureOf(each),
      facts: {
        rows,
        firstScanOfProcessMs: Number(figureOf(firsts).value.toFixed(1)),
        meanScanMs: Math.round(walls / scans),
        sequentialScans: sequential,
        ...Object.fromEntries(
          used.filter(([, count]) => count > 0).map(([name, count]) => [`scansOf ${name}`, count / scans]),
        ),
      },
    };
  } finally {
    await observer.end();
  }
}
