import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { startFauxqs } from 'fauxqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { metricNames } from '../lambdas/contract.ts';
import { defaultPolicy, type PolicySettings, thresholdSteps } from '../lambdas/domain/policy.ts';
import {
  circuitLimits,
  longestPatience,
  massRefusalLimits,
  trustedSeconds,
} from '../lambdas/domain/provider-guards.ts';
import { maxRetryAfterSeconds } from '../lambdas/domain/retry-delay.ts';
import { InvocationMetrics } from '../lambdas/observability/metrics.ts';
import { closeCircuit } from '../lambdas/postgres/close-circuit.ts';
import type { Database } from '../lambdas/postgres/database.ts';
import { openCircuit } from '../lambdas/postgres/open-circuit.ts';
import { readProviderStates } from '../lambdas/postgres/read-provider-states.ts';
import { type RefreshParts, refreshBatch } from '../lambdas/refresher/refresh-batch.ts';
import { parseScanRequest } from '../lambdas/scanner/request.ts';
import { type ScanReport, scan as scanWith } from '../lambdas/scanner/scan.ts';
import { TokenSealer } from '../lambdas/sealing/token-sealer.ts';
import { ProviderClients } from '../lambdas/secrets/provider-clients.ts';
import { SecretReader } from '../lambdas/secrets/secret-reader.ts';
import { Queue } from '../lambdas/sqs/queue.ts';
import { deadLetterRetention } from '../lib/dead-letter-queue.ts';
import { parseSettings } from '../lib/settings.ts';
import { refreshBatchSize, timingOf } from '../lib/timing.ts';
import { startSecrets } from './support/aws.ts';
import { type TestDatabase, testDatabase } from './support/database.ts';
import { loaded } from './support/loaded-sealer.ts';
import { silentLogger } from './support/silent-logger.ts';
import {
  granted,
  refused,
  startTokenEndpoint,
  type TokenAnswer,
  type TokenEndpoint,
} from './support/token-endpoint.ts';

/**
 * Scanner and refreshers together, with a provider that is down, refuses many grants, or has a limit. Time passes by
 * moving what is written down into the past; the rest is real: Postgres, SQS, HTTP.
 */
const settings = parseSettings({});
const timing = timingOf(settings);
const scanInterval = settings.scanIntervalMinutes * 60;

let db: TestDatabase;
let sqs: Awaited<ReturnType<typeof startFauxqs>>;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
let endpoint: TokenEndpoint;
let sealer: TokenSealer;
let refreshers: Database[];

beforeAll(async () => {
  [db, sqs, secrets] = await Promise.all([
    testDatabase(),
    startFauxqs({ port: 0, logger: false }),
    startSecrets({}),
  ]);
  process.env.AWS_ENDPOINT_URL_SQS = `http://127.0.0.1:${sqs.port}`;
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: randomBytes(32).toString('hex') }));
  refreshers = Array.from({ length: 4 }, () => db.connection());
});
beforeEach(async () => {
  await db.clear();
  for (const queue of ['refresh', 'threshold', 'sealed']) sqs.createQueue(queue);
  sqs.purgeAll();
  for (const queue of ['refresh', 'threshold', 'sealed']) sqs.createQueue(queue);
  endpoint = await startTokenEndpoint(() => granted());
  for (const provider of ['acme', 'other']) configure(provider);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await endpoint.stop();
});
afterAll(async () => {
  await Promise.all([sqs.stop(), secrets.stop(), db.end()]);
});

function configure(provider: string, definition: object = {}): void {
  secrets.put(`providers/${provider}`, {
    clientId: 'us',
    clientSecret: 'secret',
    provider: { displayName: provider, tokenEndpoint: `${endpoint.url}/${provider}`, ...definition },
  });
}

const queueUrl = (name: string) => `http://127.0.0.1:${sqs.port}/000000000000/${name}`;

/** Integrations whose tokens end evenly over so many seconds; by default all are due. */
async function integrations(count: number, { provider = 'acme', over = 600 } = {}): Promise<void> {
  await db.sql(
    `INSERT INTO integrations (user_id, provider, access_token, refresh_token, expires_at)
     SELECT gen_random_uuid(), $1, 'a', $1 || '-' || n, now() + make_interval(secs => $3::float8 * n / $2)
     FROM generate_series(1, $2::int) AS n`,
    [provider, count, over],
  );
}

async function pass(seconds: number): Promise<void> {
  for (const [table, columns] of [
    [
      'integrations',
      ['expires_at', 'refresh_held_until', 'last_refresh_success', 'last_failure_at', 'last_refresh_attempt'],
    ],
    ['evergrant.recent_failures', ['failed_at']],
    ['evergrant.refresh_outcomes', ['counted_at']],
    [
      'evergrant.provider_states',
      [
        'circuit_opened_at',
        'circuit_probe_at',
        'disconnections_held_since',
        'disconnections_held_until',
        'trusted_until',
        'next_call_at',
      ],
    ],
  ] as const) {
    const moved = columns.map((column) => `${column} = ${column} - make_interval(secs => $1)`).join(', ');
    await db.sql(`UPDATE ${table} SET ${moved}`, [seconds]);
  }
}

interface Scanned extends ScanReport {
  /** What the scan handed on: an id, and by how many seconds its message is delayed. */
  readonly messages: readonly { readonly id: string; readonly delaySeconds: number }[];
  readonly metrics: InvocationMetrics;
}

async function scan(event: object = {}): Promise<Scanned> {
  const metrics = new InvocationMetrics();
  const refreshQueue = new Queue(queueUrl('refresh'));
  const send = vi.spyOn(refreshQueue, 'send');
  const measure = vi.spyOn(metrics, 'measure');
  const seconds = vi.spyOn(metrics, 'seconds');
  const report = await scanWith(
    {
      database: db.database,
      refreshQueue,
      thresholdQueue: new Queue(queueUrl('threshold')),
      sealedResultQueue: new Queue(queueUrl('sealed')),
      sealer: loaded(sealer),
      settings: {
        refreshWindowSeconds: settings.refreshWindowSeconds,
        claimHoldSeconds: timing.claimHold,
        eventRelayHoldSeconds: timing.eventRelayHold,
        lapseWarningSeconds: timing.lapseWarning,
        successWindowSeconds: timing.successWindow,
        circuitCooldownSeconds: timing.circuitCooldown,
        pacedSpreadSeconds: timing.pacedSpread,
        sealedResultVisibilitySeconds: timing.sealedResultVisibility,
        sealedResultRetentionSeconds: deadLetterRetention.toSeconds(),
      },
      logger: silentLogger(),
      metrics,
      remainingMs: () => 60_000,
    },
    parseScanRequest(event),
  );
  measured = [...measure.mock.calls, ...seconds.mock.calls];
  const messages = send.mock.calls.flatMap(([sent]) =>
    sent.map(({ body, delaySeconds }) => ({
      id: (body as { integrationId: string }).integrationId,
      delaySeconds: delaySeconds ?? 0,
    })),
  );
  return { ...report, messages, metrics };
}
/** What the latest scan measured. */
let measured: Parameters<InvocationMetrics['measure']>[] = [];
const measuredOf = (name: string) =>
  measured
    .filter(([written, , dimensions]) => written === name && dimensions === undefined)
    .map(([, value]) => value);

interface Refreshed {
  readonly unfinished: readonly string[];
  readonly logged: readonly {
    readonly level: string;
    readonly message: string;
    readonly fields: Record<string, unknown>;
  }[];
}

/** Batches of messages at several refreshers at once, as SQS would hand them out. */
async function refresh(
  ids: readonly string[],
  {
    policy = defaultPolicy,
    remainingMs = () => 40_000,
    ...changes
  }: { policy?: PolicySettings; remainingMs?: () => number } & Partial<Pick<RefreshParts, 'database'>> = {},
): Promise<Refreshed> {
  const logger = silentLogger();
  const logged: { level: string; message: string; fields: Record<string, unknown> }[] = [];
  for (const level of ['info', 'warn', 'error'] as const) {
    vi.spyOn(logger, level).mockImplementation((...said: unknown[]) => {
      logged.push({ level, message: String(said[0]), fields: said[1] as Record<string, unknown> });
    });
  }
  const unfinished: string[] = [];
  const batches = Array.from({ length: Math.ceil(ids.length / refreshBatchSize) }, (_, index) =>
    ids.slice(index * refreshBatchSize, (index + 1) * refreshBatchSize),
  ).values();
  const providers = new ProviderClients(new SecretReader(), 'providers/');
  const metrics = new InvocationMetrics();
  const worker = async (database: Database): Promise<void> => {
    for (const batch of batches) {
      const result = await refreshBatch(
        {
          database,
          sealer,
          providers,
          sealedResultQueue: new Queue(queueUrl('sealed')),
          refreshQueue: { send: () => Promise.reject(new Error('no token here is short-lived')) },
          settings: {
            attemptHoldSeconds: timing.attemptHold,
            callTimeoutMs: 5_000,
            maxInFlight: refreshBatchSize,
            retryDelaySeconds: timing.retryDelay,
            shortLifetimeSeconds: timing.shortLifetime,
            eventRelayHoldSeconds: timing.eventRelayHold,
            lapseWarningSeconds: timing.lapseWarning,
            tokensAtRest: 'plain',
            steps: thresholdSteps(policy),
            guards: {
              circuit: circuitLimits,
              massRefusal: massRefusalLimits,
              circuitWindowSeconds: timing.circuitWindow,
              circuitCooldownSeconds: timing.circuitCooldown,
              maxRetryAfterSeconds,
              massRefusalWindowSeconds: timing.massRefusalWindow,
              disconnectionHoldSeconds: settings.disconnectionHoldHours * 3_600,
              memorySeconds: timing.failureMemory,
            },
          },
          logger,
          metrics,
          remainingMs,
          ...changes,
        },
        batch,
      );
      unfinished.push(...result.unfinished);
    }
  };
  await Promise.all((changes.database ? [changes.database] : refreshers).map(worker));
  return { unfinished, logged };
}

const idsOf = (scanned: Scanned) => scanned.messages.map(({ id }) => id);
const state = async (provider = 'acme') =>
  (await readProviderStates(db.database)).find((each) => each.provider === provider);
const countOf = async (condition: string): Promise<number> => {
  const [row] = await db.sql<{ count: number }>(
    `SELECT count(*)::int AS count FROM integrations WHERE ${condition}`,
  );
  return row?.count ?? 0;
};
/** Answers each provider's calls in its own way. */
function answers(of: Readonly<Record<string, (token: string) => TokenAnswer>>): void {
  endpoint.answer = ({ path, parameters }) =>
    of[path.split('/').at(-1) ?? '']?.(parameters.get('refresh_token') ?? '') ?? granted();
}
const callsOf = (provider: string) =>
  endpoint.calls.filter(({ path }) => path.endsWith(`/${provider}`)).length;

describe('a provider that is down', () => {
  it('is told from its first failures by those that follow: they count for next to nobody, one by one as they come', async () => {
    await integrations(40);
    let calls = 0;
    endpoint.answer = async () => {
      calls += 1;
      await sleep(calls * 10);
      return { status: 503 };
    };
    await refresh(idsOf(await scan()), { database: refreshers[0]! });
    expect(await state()).toMatchObject({ circuit_open: true });
    // The first that is released is written alone.
    expect(await countOf('consecutive_transient_failures > 0')).toBeLessThanOrEqual(1);
  });

  it('keeps a failure from its row no longer than a second, whatever is pending', async () => {
    await integrations(12);
    let calls = 0;
    const ending = Promise.withResolvers<void>();
    endpoint.answer = async () => {
      calls += 1;
      if (calls === 1) return { status: 503 };
      await ending.promise;
      return granted();
    };
    const batch = refresh(idsOf(await scan()), { database: refreshers[0]! });
    await expect.poll(() => countOf('consecutive_transient_failures = 1'), { timeout: 4_000 }).toBe(1);
    ending.resolve();
    await batch;
  });

  it('costs a few calls and nobody anything, and all is fresh within two scans of its return', async () => {
    await integrations(1_000);
    await integrations(200, { provider: 'other' });
    const healthy = () => granted({ expires_in: 86_400 });
    answers({ acme: () => ({ status: 503 }), other: healthy });
    const opened: unknown[] = [];
    for (let scans = 0; scans < 12; scans += 1) {
      const before = callsOf('acme');
      const scanned = await scan();
      const { logged } = await refresh(idsOf(scanned));
      opened.push(...logged.filter(({ message }) => message === 'circuit opened'));
      const calls = callsOf('acme') - before;
      if (scans === 0) {
        // One batch of each refresher at most: whatever starts later finds the circuit open.
        expect(calls).toBeLessThanOrEqual(refreshers.length * refreshBatchSize);
      } else {
        expect(calls, `scan ${scans}`).toBe(3);
        expect(scanned, `scan ${scans}`).toMatchObject({ claimed: 3, left: 0 });
        expect(measuredOf(metricNames.openCircuits)).toEqual([1]);
        expect(measuredOf(metricNames.lowestSuccessRate).filter((percent) => percent < 75)).toEqual([]);
      }
      await pass(scanInterval);
    }
    expect(opened).toHaveLength(1);
    expect(opened[0]).toMatchObject({
      level: 'error',
      fields: { provider: 'acme', circuitCause: 'outage', code: 'http_503', failing: expect.any(Number) },
    });
    expect(callsOf('other')).toBe(200);
    // Those that failed before the circuit opened have failed once, and nobody has heard of anything.
    expect(await countOf('consecutive_transient_failures > 1 OR consecutive_failures > 0')).toBe(0);
    expect(await countOf('consecutive_transient_failures = 1')).toBeLessThan(
      refreshers.length * refreshBatchSize,
    );
    expect(await db.sql('SELECT FROM evergrant.threshold_events')).toEqual([]);

    answers({});
    const first = await refresh(idsOf(await scan()));
    expect(first.logged.filter(({ message }) => message === 'circuit closed')).toMatchObject([
      { fields: { provider: 'acme', circuitCause: 'outage', openForSeconds: expect.any(Number) } },
    ]);
    await pass(scanInterval);
    const second = await scan();
    expect(measuredOf(metricNames.openCircuits)).toEqual([0]);
    await refresh(idsOf(second));
    expect(await countOf(`provider = 'acme' AND expires_at < now() + interval '10 minutes'`)).toBe(0);
    expect(await countOf('consecutive_transient_failures > 0')).toBe(0);
  }, 60_000);

  it('is left alone for as long as it asks', async () => {
    await integrations(150);
    answers({ acme: () => ({ status: 429, headers: { 'retry-after': '800' } }) });
    await refresh(idsOf(await scan()));
    const callsPerScan: number[] = [];
    for (let scans = 0; scans < 4; scans += 1) {
      await pass(scanInterval);
      const before = callsOf('acme');
      await refresh(idsOf(await scan()));
      callsPerScan.push(callsOf('acme') - before);
    }
    expect(callsPerScan).toEqual([0, 0, 3, 0]);
    // No row has to wait as long as the provider: the circuit does.
    expect(await countOf("refresh_held_until > now() + interval '1 hour'")).toBe(0);
  });

  it('that refuses our client is not asked for every integration, until the secret is right', async () => {
    await integrations(300);
    answers({ acme: () => refused('invalid_client', 401) });
    const { logged } = await refresh(idsOf(await scan()));
    expect(logged.find(({ message }) => message === 'circuit opened')).toMatchObject({
      fields: { circuitCause: 'client_refused', code: 'invalid_client' },
    });
    await pass(scanInterval);
    const before = callsOf('acme');
    await refresh(idsOf(await scan()));
    expect(callsOf('acme') - before).toBe(3);
    // The alarm of an outage is not its alarm.
    expect(measuredOf(metricNames.openCircuits)).toEqual([0]);
    expect(measured).toContainEqual([
      metricNames.circuitOpen,
      1,
      { provider: 'acme', cause: 'client_refused' },
    ]);
    answers({});
    await pass(scanInterval);
    await refresh(idsOf(await scan()));
    expect(await state()).toMatchObject({ circuit_open: false });
  });

  it('is not what one integration shows that fails for ever, nor a handful of them', async () => {
    await integrations(1);
    await integrations(8, { provider: 'other' });
    answers({ acme: () => ({ status: 500 }), other: () => ({ status: 500 }) });
    for (let scans = 0; scans < 8; scans += 1) {
      await refresh(idsOf(await scan()));
      await pass(2 * scanInterval);
    }
    expect(await readProviderStates(db.database)).toEqual([]);
    expect(await countOf('consecutive_transient_failures = 8')).toBe(9);
  });

  it('that refuses a grant is up: probes that are refused close its circuit', async () => {
    await integrations(20);
    answers({ acme: () => ({ status: 500 }) });
    await refresh(idsOf(await scan()));
    expect(await state()).toMatchObject({ circuit_open: true });
    answers({ acme: () => refused('invalid_grant') });
    await pass(scanInterval);
    await refresh(idsOf(await scan()));
    expect(await state()).toMatchObject({ circuit_open: false });
    expect(await countOf('consecutive_failures = 1')).toBe(3);
  });

  it('stays closed to one sick probe of three, and open to two', async () => {
    await integrations(20);
    answers({ acme: () => ({ status: 500 }) });
    await refresh(idsOf(await scan()));
    await pass(scanInterval);
    let asked = 0;
    answers({
      acme: () => {
        asked += 1;
        return asked <= 2 ? { status: 500 } : granted();
      },
    });
    await refresh(idsOf(await scan()), { database: db.database });
    expect(await state()).toMatchObject({ circuit_open: true });
    await pass(scanInterval);
    asked = 1;
    await refresh(idsOf(await scan()), { database: db.database });
    expect(await state()).toMatchObject({ circuit_open: false });
  });

  it('is found to be back though most of its integrations fail before they call it', async () => {
    configure('acme', {
      tokenEndpoint: `${endpoint.url}/{shop}/acme`,
      variables: { shop: { from: 'integration', pattern: '[a-z]+', description: 'the shop' } },
    });
    await integrations(20);
    await db.sql(`UPDATE integrations SET metadata = '{"shop": "acme"}'`);
    answers({ acme: () => ({ status: 500 }) });
    await refresh(idsOf(await scan()));
    expect(await state()).toMatchObject({ circuit_open: true });
    answers({});
    await pass(scanInterval);
    const probes = idsOf(await scan());
    expect(probes).toHaveLength(3);
    await db.sql(`UPDATE integrations SET metadata = NULL WHERE id = ANY($1)`, [probes.slice(1)]);
    await refresh(probes, { database: db.database });
    expect(await state()).toMatchObject({ circuit_open: false });
  });

  it('is probed also where access tokens are exchanged long before they expire', async () => {
    configure('acme', { renewal: 'access_token', tokenParameter: 'access_token' });
    await db.sql(
      `INSERT INTO integrations (user_id, provider, access_token, expires_at, created_at)
       SELECT gen_random_uuid(), 'acme', 'access-' || n, now() + interval '5 days', now() - interval '55 days'
       FROM generate_series(1, 30) AS n`,
    );
    answers({ acme: () => ({ status: 503 }) });
    const callsPerScan: number[] = [];
    for (let scans = 0; scans < 4; scans += 1) {
      const before = callsOf('acme');
      await refresh(idsOf(await scan()));
      callsPerScan.push(callsOf('acme') - before);
      expect(await state()).toMatchObject({ circuit_open: true });
      await pass(scanInterval);
    }
    expect(callsPerScan).toEqual([30, 3, 3, 3]);
    answers({ acme: () => granted({ expires_in: 5_184_000 }) });
    await refresh(idsOf(await scan()));
    expect(await state()).toMatchObject({ circuit_open: false });
    await pass(scanInterval);
    await refresh(idsOf(await scan()));
    expect(await countOf(`expires_at > now() + interval '50 days'`)).toBe(30);
  });

  it('can be asked for one integration by its id, which closes the circuit if it is answered', async () => {
    await integrations(20);
    answers({ acme: () => ({ status: 500 }) });
    await refresh(idsOf(await scan()));
    answers({});
    const { id } = await db.insertIntegration({ refresh_token: 'wanted' });
    await refresh(idsOf(await scan({ integration: id })));
    expect((await db.integration(id)).last_refresh_success).not.toBeNull();
    expect(await state()).toMatchObject({ circuit_open: false });
  });

  it('that an operator closed is called by everybody, and counts for an hour', async () => {
    await integrations(50);
    answers({ acme: () => ({ status: 500 }) });
    await refresh(idsOf(await scan()));
    await closeCircuit(db.database, { provider: 'acme', trustedSeconds });
    await pass(2 * scanInterval);
    const before = callsOf('acme');
    await refresh(idsOf(await scan()));
    expect(callsOf('acme') - before).toBe(50);
    expect(await state()).toMatchObject({ circuit_open: false });
  });

  it('that an operator opened is called by nobody, and what is due waits and is nobody’s debt', async () => {
    await integrations(50, { over: -5_000 });
    await openCircuit(db.database, { provider: 'acme' });
    const scanned = await scan();
    expect(scanned).toMatchObject({ claimed: 0, left: 0 });
    expect(measuredOf(metricNames.openCircuits)).toEqual([0]);
    expect(await scan({ dryRun: true })).toMatchObject({ claimed: 0, left: 0 });
    expect(await db.sql('SELECT oldest_expired_seconds FROM evergrant.scans')).toEqual([
      { oldest_expired_seconds: 0 },
    ]);
    await db.sql(`UPDATE evergrant.provider_states SET circuit_opened_at = now() - interval '25 hours'`);
    await scan();
    expect(measuredOf(metricNames.longestCircuitSeconds).at(-1)).toBeGreaterThanOrEqual(25 * 3600);
    expect(callsOf('acme')).toBe(0);
  });
});

describe('the look at providers', () => {
  it('costs a healthy batch no statement', async () => {
    await integrations(30);
    const statements: string[] = [];
    const database: Database = {
      query(statement, parameters) {
        statements.push(statement);
        return db.database.query(statement, parameters);
      },
    };
    await refresh(idsOf(await scan()), { database });
    expect(await countOf('last_refresh_success IS NOT NULL')).toBe(30);
    expect(
      statements.filter((statement) => /recent_failures|SET circuit|calls_per_second/.test(statement)),
    ).toEqual([]);
  });

  it.each([
    ['fails', () => Promise.reject(new Error('no table'))],
    ['hangs', () => new Promise<never>(() => {})],
  ])(
    'costs no result when it %s',
    async (_, look) => {
      await integrations(20);
      answers({ acme: () => ({ status: 500 }) });
      const database: Database = {
        query: <Row>(statement: string, parameters: readonly unknown[]) =>
          statement.includes('INSERT INTO evergrant.recent_failures')
            ? (look() as Promise<Row[]>)
            : db.database.query<Row>(statement, parameters),
      };
      const { logged } = await refresh(idsOf(await scan()), { database });
      expect(await countOf('consecutive_transient_failures = 1')).toBe(20);
      expect(logged.filter(({ message }) => message === 'providers not watched').length).toBeGreaterThan(0);
      expect(await state()).toBeUndefined();
    },
    30_000,
  );

  it('holds up nobody’s new token for longer than two seconds', async () => {
    await integrations(1);
    await integrations(1, { provider: 'other' });
    endpoint.answer = async ({ path }) => {
      if (path.endsWith('/acme')) return { status: 500 };
      await sleep(200);
      return granted({ refresh_token: 'rotated' });
    };
    const ids = idsOf(await scan());
    await db.inTransaction(async (product) => {
      await product.query('LOCK TABLE evergrant.recent_failures IN ACCESS EXCLUSIVE MODE');
      const started = performance.now();
      const refreshing = refresh(ids, { database: db.database });
      await expect
        .poll(() => countOf(`provider = 'other' AND refresh_token = 'rotated'`), { timeout: 10_000 })
        .toBe(1);
      expect(performance.now() - started).toBeLessThan(3_500);
      const { logged } = await refreshing;
      expect(logged.filter(({ message }) => message === 'providers not watched')).toHaveLength(1);
    });
    expect(await countOf('consecutive_transient_failures = 1')).toBe(1);
  });

  it('leaves the last moments to the results', async () => {
    await integrations(12);
    answers({ acme: () => ({ status: 500 }) });
    let remaining = 40_000;
    endpoint.answer = () => {
      remaining = 4_500;
      return { status: 500 };
    };
    const { logged } = await refresh(idsOf(await scan()), { remainingMs: () => remaining });
    expect(logged.some(({ message }) => message === 'no time left to watch providers')).toBe(true);
    expect(await db.sql('SELECT FROM evergrant.recent_failures')).toEqual([]);
    expect(await countOf('consecutive_transient_failures = 1')).toBeGreaterThan(0);
  });
});

describe('a provider that refuses many grants at once', () => {
  const refusing = () => answers({ acme: () => refused('invalid_grant'), other: () => granted() });

  it('disconnects nobody while the hold lasts, and then whom it still refuses', async () => {
    await integrations(300);
    refusing();
    const logged: Refreshed['logged'][number][] = [];
    for (let scans = 0; scans < 4; scans += 1) {
      logged.push(...(await refresh(idsOf(await scan()))).logged);
      await pass(2 * scanInterval);
    }
    const held = logged.filter(({ message }) => message === 'disconnections held');
    expect(held).toMatchObject([
      { level: 'error', fields: { provider: 'acme', refused: expect.any(Number) } },
    ]);
    expect(measuredOf(metricNames.disconnectionsHeld)).toEqual([1]);
    expect(measured).toContainEqual([metricNames.disconnectionsHeld, 1, { provider: 'acme' }]);
    // Which would be the alarm of a failing provider, beside the one of the hold.
    expect(measuredOf(metricNames.lowestSuccessRate)).toEqual([]);
    expect(await countOf(`status <> 'connected'`)).toBe(0);
    expect(await countOf('consecutive_failures = 4')).toBe(300);
    const mails = await db.sql('SELECT FROM evergrant.threshold_events WHERE email_kind IS NOT NULL');
    // None, but for answers that come over a second apart, as they may on a busy machine.
    expect(mails.length).toBeLessThan(massRefusalLimits.leastFailing);
    expect(
      await db.sql(`SELECT FROM evergrant.threshold_events WHERE notification_type = 'integration_warning'`),
    ).toHaveLength(300);

    await pass(settings.disconnectionHoldHours * 3_600 - 8 * scanInterval - 800);
    for (let scans = 0; scans < 2; scans += 1) {
      await refresh(idsOf(await scan()));
      await pass(2 * scanInterval);
    }
    expect(await countOf(`status <> 'connected'`)).toBe(0);

    // Some were refused wrongly. By now each is tried a twelfth as often.
    await pass(1.5 * longestPatience * timing.retryDelay);
    answers({ acme: (token) => (Number(token.split('-')[1]) <= 100 ? granted() : refused('invalid_grant')) });
    await refresh(idsOf(await scan()));
    expect(await countOf(`status = 'connected' AND consecutive_failures = 0`)).toBe(100);
    expect(await countOf(`status = 'needs_reauthorization'`)).toBe(200);
    expect(await state()).toMatchObject({ disconnections_held: false });
  }, 60_000);

  // Answers may come over a second apart on a busy machine.
  it('disconnects nobody of full batches where each refusal would disconnect at once', {
    retry: 2,
  }, async () => {
    await integrations(300);
    refusing();
    await refresh(idsOf(await scan()), {
      policy: { ...defaultPolicy, disconnectOnInvalidRefreshToken: true },
    });
    expect(await countOf(`status <> 'connected'`)).toBe(0);
  });

  it('disconnects nobody of a full batch though many were refreshed just before', { retry: 2 }, async () => {
    answers({});
    await integrations(450);
    await refresh(idsOf(await scan()));
    await integrations(150);
    refusing();
    await refresh(idsOf(await scan()), {
      policy: { ...defaultPolicy, disconnectOnInvalidRefreshToken: true },
    });
    expect(await countOf(`status <> 'connected'`)).toBe(0);
    expect(await state()).toMatchObject({ disconnections_held: true });
  });

  it('is not what ordinary losses show', async () => {
    await integrations(300);
    await integrations(15, { provider: 'other' });
    answers({
      acme: (token) => (Number(token.split('-')[1]) % 10 === 0 ? refused('invalid_grant') : granted()),
      other: () => refused('invalid_grant'),
    });
    await refresh(idsOf(await scan()));
    expect(await readProviderStates(db.database)).toEqual([]);
  });
});

describe('a provider with a limit', () => {
  const callTimes: number[] = [];
  beforeEach(() => {
    callTimes.length = 0;
    endpoint.answer = () => {
      callTimes.push(performance.now());
      return granted();
    };
  });
  /** The most calls that began within any second. */
  const mostInASecond = () =>
    Math.max(...callTimes.map((from) => callTimes.filter((at) => at >= from && at < from + 1_000).length));

  it('is called in its rhythm by all refreshers together', async () => {
    configure('acme', { callsPerSecond: 20 });
    await integrations(40);
    const ids = idsOf(await scan());
    const halves = [ids.slice(0, 20), ids.slice(20)];
    await Promise.all(halves.map((half, index) => refresh(half, { database: refreshers[index]! })));
    expect(callTimes).toHaveLength(40);
    expect(callTimes.at(-1)! - callTimes[0]!).toBeGreaterThan(1_500);
    // Timers of a busy machine come late, and the next one need not.
    expect(mostInASecond()).toBeLessThanOrEqual(30);
  });

  it('is called in its rhythm whatever names of it the integrations have', async () => {
    configure('google', { callsPerSecond: 20 });
    // Another client of the same provider is no part of it.
    configure('youtube', {});
    for (const provider of ['google', 'gmail', 'google-drive', 'youtube'])
      await integrations(20, { provider });
    const scanned = await scan();
    const ids = idsOf(scanned);
    await Promise.all(
      [0, 1].map((part) =>
        refresh(
          ids.filter((_, index) => index % 2 === part),
          { database: refreshers[part]! },
        ),
      ),
    );
    expect(await countOf('last_refresh_success IS NOT NULL')).toBe(80);
    expect(await countOf(`provider = 'youtube' AND last_refresh_success IS NOT NULL`)).toBe(20);
    // Sixty calls that begin one twentieth of a second apart.
    expect(callTimes.at(-1)! - callTimes[0]!).toBeGreaterThan(2_500);
    // So that the scanner keeps to it as well.
    expect(
      await db.sql('SELECT provider, calls_per_second FROM evergrant.provider_states ORDER BY provider'),
    ).toEqual(['gmail', 'google', 'google-drive'].map((provider) => ({ provider, calls_per_second: 20 })));
    await db.sql(`UPDATE integrations SET expires_at = now(), provider = 'gmail'`);
    await integrations(10_000, { provider: 'gmail' });
    expect((await scan()).claimed).toBe(20 * timing.pacedSpread);
  });

  it('holds up no other', async () => {
    configure('acme', { callsPerSecond: 2 });
    await integrations(5);
    await integrations(5, { provider: 'other' });
    const ids = idsOf(await scan());
    const started = performance.now();
    const refreshing = refresh(ids, { database: db.database });
    await expect.poll(() => countOf(`provider = 'other' AND last_refresh_success IS NOT NULL`)).toBe(5);
    expect(performance.now() - started).toBeLessThan(1_500);
    await refreshing;
    expect(callTimes).toHaveLength(10);
  });

  it('leaves what does not fit into the time to the next scan; the messages are done', async () => {
    configure('acme', { callsPerSecond: 5 });
    await integrations(30);
    const scanned = await scan();
    // Five seconds of a call, seven for its commit, and two for calls to begin.
    const deadline = performance.now() + 14_000;
    const { unfinished, logged } = await refresh(idsOf(scanned), {
      database: db.database,
      remainingMs: () => deadline - performance.now(),
    });
    expect(unfinished).toEqual([]);
    expect(callTimes.length).toBeGreaterThanOrEqual(1);
    expect(callTimes.length).toBeLessThanOrEqual(11);
    expect(logged).toContainEqual(
      expect.objectContaining({
        message: 'put off by the limits of providers',
        fields: { count: 30 - callTimes.length },
      }),
    );
    // The most urgent came first.
    expect(await countOf(`last_refresh_success IS NULL`)).toBe(30 - callTimes.length);
    const [row] = await db.sql<{ ordered: boolean }>(
      `SELECT max(split_part(refresh_token, '-', 2)::int) FILTER (WHERE last_refresh_success IS NOT NULL)
         < min(split_part(refresh_token, '-', 2)::int) FILTER (WHERE last_refresh_success IS NULL) AS ordered FROM integrations`,
    );
    expect(row?.ordered).toBe(true);
    expect((await scan()).claimed).toBe(30 - callTimes.length);
  });

  it('gets from a scan no more than it can take until the next, in messages of its rhythm', async () => {
    configure('acme', { callsPerSecond: 0.5 });
    await integrations(1);
    await refresh(idsOf(await scan()));
    await integrations(300);
    await integrations(50, { provider: 'other' });
    const scanned = await scan();
    expect(scanned).toMatchObject({ claimed: 120 + 50, enqueued: 170, left: 0 });
    const delays = scanned.messages.map(({ delaySeconds }) => delaySeconds).filter((seconds) => seconds > 0);
    expect(delays).toHaveLength(119);
    expect(delays).toEqual(Array.from({ length: 119 }, (_, index) => 2 * (index + 1)));
    // SQS has them as they were meant.
    const [delayed, ready] = [
      sqs.inspectQueue('refresh')?.messages.delayed,
      sqs.inspectQueue('refresh')?.messages.ready,
    ];
    expect(delayed).toHaveLength(119);
    expect(ready).toHaveLength(2 + 50);
  });

  it('does not wait behind those that go on failing: they do not use its limit up', async () => {
    configure('acme', { callsPerSecond: 0.5 });
    await integrations(1);
    await refresh(idsOf(await scan()));
    await integrations(150, { over: -80_000 });
    await db.sql(
      `UPDATE integrations
       SET consecutive_transient_failures = 90, last_failure_at = now() - interval '7 min',
           last_refresh_attempt = now() - interval '7 min'
       WHERE expires_at < now() - interval '1 min'`,
    );
    const { id } = await db.insertIntegration();
    const scanned = await scan();
    expect(scanned.claimed).toBe(120);
    expect(idsOf(scanned)).toContain(id);
  });

  it('is forgotten a day after nobody kept to the limit any more', async () => {
    configure('acme', { callsPerSecond: 0.5 });
    await integrations(1);
    await refresh(idsOf(await scan()));
    await pass(90_000);
    await integrations(300);
    expect((await scan()).claimed).toBe(301);
  });
});

it('says in no line what a token is', async () => {
  await integrations(40);
  await db.sql(`UPDATE integrations SET refresh_token = 'canary-' || id`);
  answers({ acme: () => refused('invalid_grant') });
  const first = await refresh(idsOf(await scan()));
  await db.insertIntegration({ id: randomUUID() });
  answers({ acme: () => ({ status: 500, body: 'canary' }) });
  await pass(2 * scanInterval);
  const second = await refresh(idsOf(await scan()));
  const lines = [...first.logged, ...second.logged];
  expect(lines.map(({ message }) => message)).toEqual(
    expect.arrayContaining(['disconnections held', 'circuit opened']),
  );
  expect(JSON.stringify(lines)).not.toContain('canary');
});
