import { afterAll, beforeAll, expect, it } from 'vitest';
import { InvocationMetrics } from '../../../lambdas/observability/metrics.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { parseScanRequest } from '../../../lambdas/scanner/request.ts';
import { scan } from '../../../lambdas/scanner/scan.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';
import { Queue } from '../../../lambdas/sqs/queue.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { loaded } from '../../support/loaded-sealer.ts';
import { silentLogger } from '../../support/silent-logger.ts';

let db: TestDatabase;
let sealer: TokenSealer;
beforeAll(async () => {
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: 'ab'.repeat(32) }));
  db = await testDatabase();
});
afterAll(() => db.end());

it('a claim may take longer than other statements: a crowd that waits for its provider is read on the way', async () => {
  const { id } = await db.insertIntegration();
  const database: Database = {
    query: (statement, parameters, options) =>
      db.database.query(
        statement
          .replace('WITH due AS (', 'WITH slow AS MATERIALIZED (SELECT pg_sleep(5.5)), due AS (')
          .replace('FROM claimed\nORDER BY expires_at', 'FROM claimed, slow\nORDER BY expires_at'),
        parameters,
        options,
      ),
  };
  const report = await scanWith(database, () => 60_000);
  expect(report).toMatchObject({ claimed: 1 });
  expect(await db.integration(id)).toMatchObject({ refresh_claim_open: false, refresh_claim: '1' });
});

it('a record that Postgres does not take is given up before the function is ended', async () => {
  const database: Database = {
    query: <Row>(statement: string, parameters: readonly unknown[]) =>
      statement.includes('INSERT INTO evergrant.scans')
        ? new Promise<Row[]>(() => {})
        : db.database.query<Row>(statement, parameters),
  };
  await db.clear();
  const endsAtMs = performance.now() + 8_000;
  const remainingMs = () => endsAtMs - performance.now();
  const report = await scanWith(database, remainingMs);
  expect(report).toMatchObject({ dryRun: false, claimed: 0 });
  expect(remainingMs()).toBeGreaterThan(4_000);
});

/** Nobody takes the messages, and the claims are given up. */
function scanWith(database: Database, remainingMs: () => number) {
  const queue = new Queue('http://127.0.0.1:1/queue');
  return scan(
    {
      database,
      refreshQueue: queue,
      thresholdQueue: queue,
      sealedResultQueue: queue,
      sealer: loaded(sealer),
      settings: {
        refreshWindowSeconds: 600,
        claimHoldSeconds: 270,
        lapseWarningSeconds: 604_800,
        eventRelayHoldSeconds: 240,
        successWindowSeconds: 1_800,
        circuitCooldownSeconds: 150,
        pacedSpreadSeconds: 240,
        sealedResultVisibilitySeconds: 60,
        sealedResultRetentionSeconds: 1_209_600,
      },
      logger: silentLogger(),
      metrics: new InvocationMetrics(),
      remainingMs,
    },
    parseScanRequest({}),
  );
}
