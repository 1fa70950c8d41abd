import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimEmail } from '../../../lambdas/postgres/claim-email.ts';
import { countDue } from '../../../lambdas/postgres/count-due.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { finishEvent } from '../../../lambdas/postgres/finish-event.ts';
import { listDue } from '../../../lambdas/postgres/list-due.ts';
import { loadEvent } from '../../../lambdas/postgres/load-event.ts';
import { measureProviders } from '../../../lambdas/postgres/measure-providers.ts';
import { measureTokens } from '../../../lambdas/postgres/measure-tokens.ts';
import { recordEmail } from '../../../lambdas/postgres/record-email.ts';
import { recordFailures } from '../../../lambdas/postgres/record-failures.ts';
import { recordOutcomes } from '../../../lambdas/postgres/record-outcomes.ts';
import { recordScan } from '../../../lambdas/postgres/record-scan.ts';
import { relayEvents } from '../../../lambdas/postgres/relay-events.ts';
import { releaseClaims } from '../../../lambdas/postgres/release-claims.ts';
import { releaseEmail } from '../../../lambdas/postgres/release-email.ts';
import { reopenClaims } from '../../../lambdas/postgres/reopen-claims.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import { writeNotification } from '../../../lambdas/postgres/write-notification.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.end());

it('the whole way of an integration needs no session: each statement on a connection of its own', async () => {
  const statements: string[] = [];
  const database: Database = {
    async query<Row>(statement: string, parameters: readonly unknown[]) {
      statements.push(statement);
      const client = new pg.Client({ connectionString: db.url });
      await client.connect();
      try {
        return (await client.query(statement, [...parameters])).rows as Row[];
      } finally {
        await client.end();
      }
    },
  };
  const row = await db.insertIntegration({ consecutive_failures: 1 });
  const wanted = { windowSeconds: 600, provider: null, limit: 10 };
  const claim = () => claimDue(database, { ...wanted, holdSeconds: 270, after: null });
  const start = () => startAttempts(database, { ids: [row.id], holdSeconds: 45 });

  expect(await countDue(database, wanted)).toBe(1);
  expect(await listDue(database, wanted)).toHaveLength(1);
  await releaseClaims(database, await claim());
  await claim();
  await reopenClaims(database, await start());
  const [attempt] = await start();
  const [recorded] = await recordFailures(
    database,
    [
      {
        id: row.id,
        usedRefreshToken: attempt!.refresh_token,
        claim: attempt!.claim,
        failureClass: 'permanent',
        invalidRefreshToken: true,
        code: 'invalid_grant',
        providerName: 'Acme',
        retryDelaySeconds: 0,
      },
    ],
    { steps: thresholdSteps(defaultPolicy), eventRelayHoldSeconds: 0 },
  );
  const eventId = recorded!.event_id!;
  expect(await relayEvents(database, { holdSeconds: 1, limit: 5 })).toEqual([eventId]);
  expect(await loadEvent(database, eventId)).toMatchObject({ notification_type: 'integration_warning' });
  const notification = {
    eventId,
    userId: row.user_id!,
    type: 'integration_warning',
    title: 't',
    message: 'm',
    actionUrl: 'u',
    actionLabel: 'l',
    metadata: {},
  };
  expect(await writeNotification(database, notification)).toBe(true);
  expect(await claimEmail(database, eventId, 35)).toBe(true);
  await releaseEmail(database, eventId);
  expect(await claimEmail(database, eventId, 35)).toBe(true);
  await recordEmail(database, eventId, { sent: true, outcome: 'x' });
  await finishEvent(database, eventId);
  await claim();
  const [again] = await start();
  expect(
    await storeRefreshed(database, [
      {
        id: row.id,
        usedRefreshToken: again!.refresh_token,
        claim: again!.claim,
        accessToken: 'a',
        refreshToken: 'r',
        expiresInSeconds: 60,
        refreshTokenExpiresInSeconds: null,
        scope: null,
      },
    ]),
  ).toEqual([{ id: row.id, verdict: 'applied', premature_disconnection: false }]);
  expect(await measureTokens(database, { expiredUpTo: 10, countUpTo: 10 })).toEqual({
    connected: 1,
    expired: 0,
  });
  await recordOutcomes(database, [{ provider: 'acme', refreshed: 1, disconnected: 0 }]);
  expect(
    await measureProviders(database, { windowSeconds: 600, refreshWindowSeconds: 600, dueUpTo: 10 }),
  ).toMatchObject([{ provider: 'acme', refreshed: 1 }]);
  await recordScan(database, {
    durationMs: 1,
    claimed: 1,
    enqueued: 1,
    released: 0,
    left: 0,
    eventsRelayed: 0,
    oldestExpiredSeconds: 0,
  });

  // What a transaction-mode pooler cannot carry from one statement to the next (PgBouncer, "features").
  for (const statement of statements) {
    expect(statement).not.toMatch(
      /\b(SET\s+(SESSION|LOCAL)?\s*\w+\s*(=|TO)|LISTEN|PREPARE|DECLARE|TEMP(ORARY)?\s+TABLE|pg_(try_)?advisory_lock)\b/,
    );
    expect(statement.trim()).not.toMatch(/;\s*\S/);
  }
});
