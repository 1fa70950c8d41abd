import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultPolicy, thresholdSteps } from '../../../lambdas/domain/policy.ts';
import { migrate } from '../../../lambdas/migrator/migrate.ts';
import { history } from '../../../lambdas/operator/history.ts';
import { keys } from '../../../lambdas/operator/keys.ts';
import { status } from '../../../lambdas/operator/status.ts';
import { verify } from '../../../lambdas/operator/verify.ts';
import { beginCollecting } from '../../../lambdas/postgres/begin-collecting.ts';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimEmail } from '../../../lambdas/postgres/claim-email.ts';
import { claimLapsing } from '../../../lambdas/postgres/claim-lapsing.ts';
import { claimOne } from '../../../lambdas/postgres/claim-one.ts';
import { claimProbes } from '../../../lambdas/postgres/claim-probes.ts';
import { closeCircuit } from '../../../lambdas/postgres/close-circuit.ts';
import { countDue } from '../../../lambdas/postgres/count-due.ts';
import { countLapsing } from '../../../lambdas/postgres/count-lapsing.ts';
import { type Database, PostgresConnection } from '../../../lambdas/postgres/database.ts';
import { endCollecting } from '../../../lambdas/postgres/end-collecting.ts';
import { findClaimable } from '../../../lambdas/postgres/find-claimable.ts';
import { findIntegration } from '../../../lambdas/postgres/find-integration.ts';
import { findRecipient } from '../../../lambdas/postgres/find-recipient.ts';
import { finishEvent } from '../../../lambdas/postgres/finish-event.ts';
import { giveUpClaims } from '../../../lambdas/postgres/give-up-claims.ts';
import { holdForReplay } from '../../../lambdas/postgres/hold-for-replay.ts';
import { insertIntegration } from '../../../lambdas/postgres/insert-integration.ts';
import { letThrough } from '../../../lambdas/postgres/let-through.ts';
import { listDue } from '../../../lambdas/postgres/list-due.ts';
import { loadEvent } from '../../../lambdas/postgres/load-event.ts';
import { measureProviders } from '../../../lambdas/postgres/measure-providers.ts';
import { measureTokens } from '../../../lambdas/postgres/measure-tokens.ts';
import { measureWaitingEvents } from '../../../lambdas/postgres/measure-waiting-events.ts';
import { openCircuit } from '../../../lambdas/postgres/open-circuit.ts';
import { putBackEvents } from '../../../lambdas/postgres/put-back-events.ts';
import { readProviderStates } from '../../../lambdas/postgres/read-provider-states.ts';
import { recordEmail } from '../../../lambdas/postgres/record-email.ts';
import { recordFailures } from '../../../lambdas/postgres/record-failures.ts';
import { recordLapses } from '../../../lambdas/postgres/record-lapses.ts';
import { recordLimit } from '../../../lambdas/postgres/record-limit.ts';
import { recordOutcomes } from '../../../lambdas/postgres/record-outcomes.ts';
import { recordScan } from '../../../lambdas/postgres/record-scan.ts';
import { relayEvents } from '../../../lambdas/postgres/relay-events.ts';
import { releaseClaims } from '../../../lambdas/postgres/release-claims.ts';
import { releaseEmail } from '../../../lambdas/postgres/release-email.ts';
import { reopenClaims } from '../../../lambdas/postgres/reopen-claims.ts';
import { replaceGrant } from '../../../lambdas/postgres/replace-grant.ts';
import { reserveCalls } from '../../../lambdas/postgres/reserve-calls.ts';
import { settleProbes } from '../../../lambdas/postgres/settle-probes.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import { watchProviders } from '../../../lambdas/postgres/watch-providers.ts';
import { writeNotification } from '../../../lambdas/postgres/write-notification.ts';
import { SecretSealer } from '../../../lambdas/secret-sealer.ts';
import { ProviderClients } from '../../../lambdas/secrets/provider-clients.ts';
import { SecretReader } from '../../../lambdas/secrets/secret-reader.ts';
import { startSecrets } from '../../support/aws.ts';
import { type IntegrationRow, type TestDatabase, testDatabase } from '../../support/database.ts';
import { guardSettings } from '../../support/guard-settings.ts';
import { orWhyNot, type PgBouncer, pgBouncerProgram, startPgBouncer } from '../../support/pgbouncer.ts';
import { certain, endless, lapsePolicy } from '../../support/results.ts';
import { silentLogger } from '../../support/silent-logger.ts';

const folder = path.join(import.meta.dirname, '..', '..', '..', 'lambdas', 'postgres');
const migrations = path.join(folder, '..', '..', 'migrations');
const brownfield = path.join(import.meta.dirname, '..', '..', 'migrations', 'brownfield.sql');

let secrets: Awaited<ReturnType<typeof startSecrets>>;
beforeAll(async () => {
  secrets = await startSecrets({ 'token-key': { current: 'ab'.repeat(32) } });
});
afterAll(() => secrets.stop());

/**
 * Takes an integration the whole way, with every statement of lambdas/postgres; others may do the same with theirs at
 * the same time. Returns the events that it relayed, its own or theirs.
 */
async function wholeWay(
  database: Database,
  row: IntegrationRow,
): Promise<{ eventId: string; relayed: string[] }> {
  const wanted = { windowSeconds: 600, provider: row.provider, limit: 10 };
  const claim = () =>
    claimDue(database, { collectedAt: 'infinity', ...wanted, holdSeconds: 270, after: null });
  const start = () => startAttempts(database, { ids: [row.id], holdSeconds: 45 });

  expect(await findClaimable(database, row.id)).toMatchObject({ id: row.id });
  const one = await claimOne(database, { collectedAt: 'infinity', id: row.id, holdSeconds: 270 });
  await releaseClaims(database, [one!]);
  expect(await countDue(database, wanted)).toBe(1);
  expect(await listDue(database, wanted)).toHaveLength(1);
  const lapsing = { ...wanted, leadSeconds: 600, excludedProviders: [] };
  expect(await countLapsing(database, lapsing)).toBe(0);
  expect(await claimLapsing(database, { collectedAt: 'infinity', ...lapsing, holdSeconds: 270 })).toEqual([]);
  await releaseClaims(database, await claim());
  await claim();
  await reopenClaims(database, await start());
  const [attempt] = await start();
  const [recorded] = await recordFailures(
    database,
    [
      {
        id: row.id,
        usedToken: attempt!.token,
        claim: attempt!.claim,
        failureClass: 'permanent',
        invalidRefreshToken: true,
        code: 'invalid_grant',
        providerName: 'Acme',
        retryDelaySeconds: 0,
        ...certain,
      },
    ],
    { steps: thresholdSteps(defaultPolicy), eventRelayHoldSeconds: 0, waitingHoldSeconds: 150 },
  );
  const lapse = { id: row.id, usedToken: attempt!.token, claim: attempt!.claim, providerName: 'Acme' };
  expect(await recordLapses(database, [{ ...lapse, decision: 'end' }], lapsePolicy)).toMatchObject([
    { verdict: 'superseded' },
  ]);
  const eventId = recorded!.event_id!;
  const relayed = (await relayEvents(database, { holdSeconds: 1, limit: 100 })).map(({ id }) => id);
  // None of those that somebody else may be relaying.
  await putBackEvents(database, []);
  expect((await measureWaitingEvents(database)).oldestSeconds).toBeGreaterThan(0);
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
  await findRecipient(database, row.user_id!);
  const until = await claimEmail(database, eventId, 35);
  await releaseEmail(database, eventId, until!);
  expect(await claimEmail(database, eventId, 35)).not.toBeNull();
  await recordEmail(database, eventId, { sent: true, outcome: 'x' });
  await finishEvent(database, eventId);
  await claim();
  const [again] = await start();
  expect(
    await storeRefreshed(
      database,
      [
        {
          id: row.id,
          usedToken: again!.token,
          claim: again!.claim,
          accessToken: 'a',
          refreshToken: 'r',
          expiresInSeconds: 60,
          refreshTokenExpiresInSeconds: null,
          scope: null,
          ...endless,
        },
      ],
      lapsePolicy,
    ),
  ).toEqual([
    { id: row.id, verdict: 'applied', premature_disconnection: false, event_id: null, scheduled_claim: null },
  ]);
  const turn = await beginCollecting(database, 60);
  await holdForReplay(database, { id: row.id, claim: '0', grant: '', seconds: 60 });
  // Somebody else's whole way may have the turn.
  await endCollecting(database, turn?.until ?? '-infinity');
  expect(await measureTokens(database, { expiredUpTo: 10, countUpTo: 10 })).toMatchObject({
    connected: expect.any(Number),
  });
  const guards = { ...guardSettings, circuitCooldownSeconds: 0, disconnectionHoldSeconds: 60 };
  const own = `${row.provider}-${row.id}`;
  const many = Array.from({ length: 10 }, () => ({
    integrationId: randomUUID(),
    provider: own,
    failureClass: 'transient' as const,
    code: 'timeout',
  }));
  const answers = [{ provider: own, refreshed: 0, pending: 0, retryAfterSeconds: 0 }];
  expect(await watchProviders(database, many, answers, guards)).toMatchObject([{ opened: true }]);
  expect(
    await claimProbes(database, {
      collectedAt: 'infinity',
      provider: own,
      windowSeconds: 600,
      holdSeconds: 9,
      probes: 3,
      cooldownSeconds: 1,
    }),
  ).toEqual([]);
  await letThrough(database, row.id);
  const settled = [{ provider: own, integrationIds: [row.id], answered: true, retryAfterSeconds: 0 }];
  expect(await settleProbes(database, settled, guards)).toMatchObject([{ provider: own }]);
  expect(await openCircuit(database, { provider: own })).toMatchObject({ after: { circuit_open: true } });
  expect(await closeCircuit(database, { provider: own, trustedSeconds: 60 })).toMatchObject({
    before: { circuit_cause: 'by_hand' },
    after: { circuit_open: false },
  });
  const calls = { provider: own, callsPerSecond: 100, calls: 2, withinSeconds: 5 };
  expect(await reserveCalls(database, calls)).toMatchObject({ granted: 2 });
  await recordLimit(database, calls);
  expect(await readProviderStates(database)).toContainEqual(
    expect.objectContaining({ provider: own, calls_per_second: 100 }),
  );
  await giveUpClaims(database, [again!]);
  await recordOutcomes(database, [{ provider: 'acme', refreshed: 1, disconnected: 0 }]);
  expect(
    await measureProviders(database, { windowSeconds: 600, refreshWindowSeconds: 600, dueUpTo: 10 }),
  ).toContainEqual(expect.objectContaining({ provider: 'acme', refreshed: expect.any(Number) }));
  await recordScan(database, {
    durationMs: 1,
    claimed: 1,
    enqueued: 1,
    released: 0,
    left: 0,
    eventsRelayed: 0,
    oldestExpiredSeconds: 0,
  });

  const connected = {
    id: randomUUID(),
    userId: row.user_id!,
    provider: `${row.provider}-connected`,
    accessToken: 'a',
    refreshToken: 'r',
    expiresInSeconds: 3_600,
    refreshTokenExpiresInSeconds: null,
    scopes: ['read'],
  };
  expect(await insertIntegration(database, connected)).toBeInstanceOf(Date);
  expect(await findIntegration(database, connected.id)).toMatchObject({
    replaceable: true,
    scopes: ['read'],
  });
  expect(await replaceGrant(database, connected, 45)).toMatchObject({ verdict: 'applied' });
  return { eventId, relayed };
}

/** Everything that the operator asks. */
async function askEverything(database: Database, integrationId: string): Promise<void> {
  await status(database, { refreshWindowSeconds: 600, attemptHoldSeconds: 45 });
  await history(database, integrationId, { attemptHoldSeconds: 45 });
  await keys(database);
  const reader = new SecretReader();
  const { checks } = await verify({
    database: { query: database.query.bind(database), transport: 'tls' },
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
}

describe('the whole way of an integration', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase();
  });
  afterAll(() => db.end());

  it('needs no session: each statement on a connection of its own', async () => {
    const statements = new Set<string>();
    const database: Database = {
      async query<Row>(statement: string, parameters: readonly unknown[]) {
        statements.add(statement);
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
    const { eventId, relayed } = await wholeWay(database, row);
    await askEverything(database, row.id);
    expect(relayed).toEqual([eventId]);

    // What a transaction-mode pooler cannot carry from one statement to the next (PgBouncer, "features").
    for (const statement of statements) {
      expect(statement).not.toMatch(
        /\b(SET\s+(SESSION|LOCAL)?\s*\w+\s*(=|TO)|LISTEN|PREPARE|DECLARE|TEMP(ORARY)?\s+TABLE|pg_(try_)?advisory_lock)\b/,
      );
      expect(statement.trim()).not.toMatch(/;\s*\S/);
    }
    // The way above has every statement that there is.
    const names = (await readdir(folder)).filter((name) => name.endsWith('.ts'));
    const left = [];
    for (const name of names) {
      const text = await readFile(path.join(folder, name), 'utf8');
      // Up to where another text is put in.
      const head = /^const statement = `([^`$]+)/m.exec(text)?.[1];
      if (head && ![...statements].some((statement) => statement.startsWith(head))) left.push(name);
    }
    expect(left).toEqual([]);
    expect(statements.size).toBeGreaterThan(10);
  });
});

describe.skipIf(pgBouncerProgram === null)(`PgBouncer in transaction mode${orWhyNot}`, () => {
  const poolSize = 2;
  let db: TestDatabase;
  let pooler: PgBouncer;
  let url: string;
  const connections: PostgresConnection[] = [];
  beforeAll(async () => {
    db = await testDatabase({ empty: true });
    await db.sql(await readFile(brownfield, 'utf8'));
    await migrate({ url: db.url }, migrations, { direction: 'up', count: null }, silentLogger());
    pooler = await startPgBouncer({
      serverPort: Number(new URL(db.url).port),
      mode: 'transaction',
      poolSize,
    });
    url = pooler.through(db.url);
  });
  afterAll(async () => {
    await Promise.all(connections.map((connection) => connection.end()));
    await pooler?.stop();
    await db?.end();
  });

  function connection(): PostgresConnection {
    const opened = new PostgresConnection({ url });
    connections.push(opened);
    return opened;
  }

  async function client(config: pg.ClientConfig = {}): Promise<pg.Client> {
    const opened = new pg.Client({ connectionString: url, ...config });
    opened.on('error', () => {});
    await opened.connect();
    return opened;
  }

  it('takes every statement, from many clients in turns over few sessions', async () => {
    const users = await db.sql<{ id: string }>('SELECT id FROM users');
    const rows = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        db.insertIntegration({
          user_id: users[index % users.length]!.id,
          provider: `pooled-${index}`,
          consecutive_failures: 1,
        }),
      ),
    );
    const sessionsOf: Set<number>[] = [];
    const ways = await Promise.all(
      rows.map(async (row) => {
        const opened = connection();
        const sessions = new Set<number>();
        sessionsOf.push(sessions);
        const database: Database = {
          async query<Row>(statement: string, parameters: readonly unknown[]) {
            const [session] = await opened.query<{ pid: number }>('SELECT pg_backend_pid() AS pid', []);
            sessions.add(session!.pid);
            return opened.query<Row>(statement, parameters);
          },
        };
        return wholeWay(database, row);
      }),
    );

    const stored = await Promise.all(rows.map(({ id }) => db.integration(id)));
    expect(
      stored.map(({ refresh_token, consecutive_failures }) => [refresh_token, consecutive_failures]),
    ).toEqual(rows.map(() => ['r', 0]));
    const eventIds = ways.map(({ eventId }) => eventId);
    expect(ways.flatMap(({ relayed }) => relayed)).toEqual(expect.arrayContaining(eventIds));
    const notified = await db.sql<{ event_id: string }>(
      'SELECT event_id FROM notifications WHERE event_id IS NOT NULL',
    );
    expect(notified.map(({ event_id }) => event_id).toSorted()).toEqual(eventIds.toSorted());
    // The clients did share: each used every session that there is.
    const sessions = new Set(sessionsOf.flatMap((pids) => [...pids]));
    expect(sessions.size).toBe(poolSize);
    expect(sessionsOf.filter(({ size }) => size === poolSize).length).toBeGreaterThan(6);
    expect(new Set(await pooler.serverPids())).toEqual(sessions);
  });

  it('does not keep what a session would: this test would notice', async () => {
    const [one, other] = [await client(), await client()];
    const lock = 'SELECT pg_try_advisory_lock(1) AS locked, pg_backend_pid() AS pid';
    const { rows } = await one.query(lock);
    await one.end();
    // Whoever held it is gone, and the lock is not: it stays with a session of the pooler.
    const holders = () =>
      db.sql<{ pid: number }>(
        `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND granted`,
      );
    expect(await holders()).toEqual([{ pid: rows[0].pid }]);
    await db.sql('SELECT pg_terminate_backend($1)', [rows[0].pid]);
    await expect.poll(holders).toEqual([]);
    await other.end();
  });

  it('takes our start-up packet, and would refuse one with settings in it', async () => {
    expect(await connection().query('SELECT 1 AS value', [])).toEqual([{ value: 1 }]);
    for (const setting of [
      { statement_timeout: 5_000 },
      { lock_timeout: 5_000 },
      { options: '-c geqo=off' },
    ]) {
      await expect(client(setting)).rejects.toMatchObject({
        code: '08P01',
        message: `unsupported startup parameter: ${Object.keys(setting)[0]}`,
      });
    }
  });

  it('replaces the sessions that the server ended, and our connection stays', async () => {
    const opened = connection();
    await opened.query('SELECT 1', []);
    const pids = await pooler.serverPids();
    expect(pids.length).toBeGreaterThan(0);
    await db.sql('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [pids]);
    await expect.poll(() => opened.query('SELECT 1 AS value', []).catch(() => [])).toEqual([{ value: 1 }]);
    expect(await pooler.serverPids()).not.toEqual(expect.arrayContaining(pids));
  });
});
