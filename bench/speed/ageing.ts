import { claimDue } from '../../lambdas/postgres/claim-due.ts';
import { PostgresConnection } from '../../lambdas/postgres/database.ts';
import { startAttempts } from '../../lambdas/postgres/start-attempts.ts';
import { storeRefreshed } from '../../lambdas/postgres/store-refreshed.ts';
import { refreshBatchSize } from '../../lib/timing.ts';
import { fill, filledAtOnce } from './filled-table.ts';
import { figureOf, type Measure } from './measure.ts';
import type { Rig } from './rig.ts';

const chunkSize = 1_000;
/** Refreshers at once, each with its connection. */
const refreshers = 3;

export const claimAgeing: Measure = {
  name: 'ageing',
  key: 'claimAgeing',
  what: 'time to claim every row of a table after many cycles of refreshing all of it, against the first cycle',
  unit: '×',
  goal: { atMost: 1.5 },
  async run({ quick, rig: started, onProgress }) {
    const rows = quick ? 5_000 : 1_000_000;
    const cycles = quick ? 4 : 20;
    const rig = await started();
    const connections = Array.from(
      { length: refreshers + 1 },
      // As patient as a scan: its first claim reads past what all refreshes since the vacuum have left in the index.
      () => new PostgresConnection({ url: rig.databaseUrl }, { queryTimeoutMs: 200_000 }),
    );
    try {
      await rig.connect(0);
      onProgress(`filling the table with ${rows.toLocaleString('en-US')} rows`);
      for (let filled = 0; filled < rows; filled += filledAtOnce) {
        await fill(rig, Math.min(filledAtOnce, rows - filled), `now() + random() * interval '1 minute'`);
      }
      await rig.sql('VACUUM (ANALYZE) integrations');
      await rig.sql(`SELECT pg_stat_reset_single_table_counters('integrations'::regclass)`);
      const claimMs: number[] = [];
      const sizes: Size[] = [await sizeOf(rig)];
      // The first is before any row has been rewritten: what counts is the table in use.
      for (let cycle = 0; cycle <= cycles; cycle += 1) {
        onProgress(`cycle ${cycle} of ${cycles}`);
        claimMs.push(await runCycle(connections, rows));
        sizes.push(await sizeOf(rig));
      }
      const [, first = Number.NaN, ...later] = claimMs;
      const hot = await rig.sql<{ share: number; vacuums: number }>(
        `SELECT n_tup_hot_upd / greatest(n_tup_upd, 1)::float8 AS share, autovacuum_count::int AS vacuums
         FROM pg_stat_user_tables WHERE relid = 'integrations'::regclass`,
      );
      const [begin, last] = [sizes[1], sizes.at(-1)];
      return {
        value: figureOf(later.slice(-3)).value / first,
        spread: null,
        facts: {
          rows,
          cycles,
          claimMsByCycle: claimMs.map(Math.round),
          tableMb: [begin?.tableMb, last?.tableMb],
          indexMb: [begin?.indexMb, last?.indexMb],
          deadRows: [begin?.dead, last?.dead],
          heapOnlyShare: Number(hot[0]?.share.toFixed(3)),
          autovacuums: hot[0]?.vacuums,
        },
      };
    } finally {
      await Promise.all(connections.map((connection) => connection.end()));
    }
  },
};

/** Claims all, and starts and stores what is claimed meanwhile; what is stored is due again at once. Milliseconds of the claims. */
async function runCycle([scanner, ...others]: readonly PostgresConnection[], rows: number): Promise<number> {
  if (!scanner) throw new Error('there is no connection');
  const waiting: string[] = [];
  let claiming = true;
  let failed = false;
  let claimMs = 0;
  const refresher = async (database: PostgresConnection) => {
    for (;;) {
      const ids = waiting.splice(0, refreshBatchSize);
      if (ids.length > 0 && !failed) await refresh(database, ids);
      else if (!claiming) return;
      else await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const working = Promise.all(others.map(refresher));
  working.catch(() => {
    failed = true;
  });
  let claimed = 0;
  let after: Date | null = null;
  try {
    while (claimed < rows && !failed) {
      const beganAtMs = performance.now();
      const chunk: Awaited<ReturnType<typeof claimDue>> = await claimDue(scanner, {
        windowSeconds: 600,
        holdSeconds: 270,
        provider: null,
        after,
        limit: Math.min(chunkSize, rows - claimed),
        collectedAt: null,
      });
      claimMs += performance.now() - beganAtMs;
      if (chunk.length === 0) throw new Error(`${claimed} of ${rows} rows were claimed`);
      claimed += chunk.length;
      after = chunk.at(-1)?.expires_at ?? after;
      waiting.push(...chunk.map(({ id }) => id));
      // So that a cycle's claims meet its stores, as they do where refreshers keep up.
      while (waiting.length > 4 * chunkSize && !failed)
        await new Promise((resolve) => setTimeout(resolve, 2));
    }
  } finally {
    claiming = false;
    await working;
  }
  return claimMs;
}

async function refresh(database: PostgresConnection, ids: readonly string[]): Promise<void> {
  const attempts = await startAttempts(database, { ids, holdSeconds: 45 });
  const stored = await storeRefreshed(
    database,
    attempts.map(({ id, token, claim }) => ({
      id,
      usedToken: token,
      claim,
      accessToken: `${claim}${'a'.repeat(590)}`,
      refreshToken: `${claim}${'r'.repeat(430)}`,
      // Due again when the cycle is over, and behind everything that this one claims.
      expiresInSeconds: 300,
      refreshTokenExpiresInSeconds: null,
      authorizationLifetimeSeconds: null,
      scope: null,
      kept: {},
      providerName: 'Alpha',
    })),
    { lapseWarningSeconds: 604_800, eventRelayHoldSeconds: 360 },
  );
  const applied = stored.filter(({ verdict }) => verdict === 'applied').length;
  if (applied !== ids.length) throw new Error(`${applied} of ${ids.length} results were stored`);
}

interface Size {
  readonly tableMb: number;
  readonly indexMb: number;
  readonly dead: number;
}

async function sizeOf(rig: Rig): Promise<Size> {
  const [size] = await rig.sql<{ tableMb: number; indexMb: number; dead: number }>(
    `SELECT round(pg_table_size('integrations') / 1e6)::int AS "tableMb", round(pg_indexes_size('integrations') / 1e6)::int AS "indexMb",
       (SELECT n_dead_tup::int FROM pg_stat_user_tables WHERE relid = 'integrations'::regclass) AS dead`,
  );
  if (!size) throw new Error('Postgres did not say how large the table is');
  return size;
}
