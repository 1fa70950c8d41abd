import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { history } from '../../../lambdas/operator/history.ts';
import { keys } from '../../../lambdas/operator/keys.ts';
import { status } from '../../../lambdas/operator/status.ts';
import { verify } from '../../../lambdas/operator/verify.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimEmail } from '../../../lambdas/postgres/claim-email.ts';
import { claimOne } from '../../../lambdas/postgres/claim-one.ts';
import { countDue } from '../../../lambdas/postgres/count-due.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { findClaimable } from '../../../lambdas/postgres/find-claimable.ts';
import { finishEvent } from '../../../lambdas/postgres/finish-event.ts';
import { listDue } from '../../../lambdas/postgres/list-due.ts';
import { loadEvent } from '../../../lambdas/postgres/load-event.ts';
import { recordEmail } from '../../../lambdas/postgres/record-email.ts';
import { recordFailures } from '../../../lambdas/postgres/record-failures.ts';
import { relayEvents } from '../../../lambdas/postgres/relay-events.ts';
import { releaseClaims } from '../../../lambdas/postgres/release-claims.ts';
import { releaseEmail } from '../../../lambdas/postgres/release-email.ts';
import { reopenClaims } from '../../../lambdas/postgres/reopen-claims.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import { writeNotification } from '../../../lambdas/postgres/write-notification.ts';
import { SecretSealer } from '../../../lambdas/secret-sealer.ts';
import { ProviderClients } from '../../../lambdas/secrets/provider-clients.ts';
import { SecretReader } from '../../../lambdas/secrets/secret-reader.ts';
import { startSecrets } from '../../support/aws.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { silentLogger } from '../../support/silent-logger.ts';

let db: TestDatabase;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
beforeAll(async () => {
  db = await testDatabase();
  secrets = await startSecrets({ 'token-key': { current: 'ab'.repeat(32) } });
});
afterAll(async () => {
  await secrets.stop();
  await db.end();
});

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

  expect(await findClaimable(database, row.id)).toMatchObject({ id: row.id });
  const one = await claimOne(database, { id: row.id, holdSeconds: 270 });
  await releaseClaims(database, [one!]);
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
  expect(await relayEvents(database, { holdSeconds: 1, limit: 5 })).toMatchObject([{ id: eventId }]);
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
  ).toEqual([{ id: row.id, verdict: 'applied' }]);

  // What the operator asks.
  await status(database, { refreshWindowSeconds: 600 });
  await history(database, row.id);
  await keys(database);
  const reader = new SecretReader();
  const { checks } = await verify({
    database: { query: database.query, transport: 'tls' },
    sealer: new SecretSealer(reader, 'token-key'),
    providers: new ProviderClients(reader, 'providers/'),
    migrations: async () => [],
    settings: { scanIntervalSeconds: 300, senderEmail: 'us@example.com', queryTimeoutMs: 5_000 },
    logger: silentLogger(),
    remainingMs: () => 60_000,
  });
  const unasked = checks.filter(({ state }) => state === 'not_checked').map(({ code }) => code);
  // Only the record of scans may be missing.
  expect(unasked.filter((code) => code !== 'last_scan')).toEqual([]);

  // What a transaction-mode pooler cannot carry from one statement to the next (PgBouncer, "features").
  for (const statement of statements) {
    expect(statement).not.toMatch(
      /\b(SET\s+(SESSION|LOCAL)?\s*\w+\s*(=|TO)|LISTEN|PREPARE|DECLARE|TEMP(ORARY)?\s+TABLE|pg_(try_)?advisory_lock)\b/,
    );
    expect(statement.trim()).not.toMatch(/;\s*\S/);
  }
});
