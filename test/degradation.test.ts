import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { VerifyReport } from '../lambdas/operator/reports.ts';
import { TokenSealer } from '../lambdas/sealing/token-sealer.ts';
import type { CloudEvent } from '../local/cloud/events.ts';
import type { InvocationResult } from '../local/cloud/invocation.ts';
import { CrowdedProvider } from '../local/demo/day.ts';
import { type LocalSystem, startSystem } from '../local/system.ts';
import { type TestDatabase, testDatabase } from './support/database.ts';
import { startProxy, type TcpProxy, through } from './support/proxy.ts';

/**
 * The system with one of its parts away: what goes on, what waits, which alarm tells, and that nothing is lost when the
 * part is back. The table of it is `docs/degradation.md`. Time passes by moving what is written down into the past.
 */
let db: TestDatabase;
let proxy: TcpProxy;
let system: LocalSystem;
let directory = '';
let events: CloudEvent[] = [];
const role = `functions_${randomUUID().replaceAll('-', '')}`;
const clock = { nowMs: 0 };
const alpha = new CrowdedProvider('alpha', 'Alpha Calendar');
const beta = new CrowdedProvider('beta', 'Beta Mail');
const scanSeconds = 300;

beforeAll(async () => {
  db = await testDatabase({ empty: true });
  await db.sql(`CREATE ROLE ${role} LOGIN IN ROLE pg_read_all_data, pg_write_all_data`);
  proxy = await startProxy(Number(new URL(db.url).port));
  const asFunctions = new URL(through(proxy, db.url));
  asFunctions.username = role;
  await Promise.all([alpha.start(), beta.start()]);
  directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-degraded-'));
  system = await startSystem({
    directory,
    databaseUrl: db.url,
    pooledUrl: asFunctions.href,
    persistent: false,
    providers: [],
    clients: { alpha: alpha.secret(), beta: beta.secret() },
    // Scans are made by hand.
    scanIntervalMs: null,
    alarmClock: () => clock.nowMs,
    onEvent: (event) => events.push(event),
  });
}, 120_000);
afterAll(async () => {
  await system?.stop();
  await Promise.all([alpha.server.stop(), beta.server.stop()]);
  await proxy?.stop();
  await db?.end();
  if (directory) await rm(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  await db.clear();
  // What the case before has left of alarms and of fallen circuits is over.
  for (let periods = 0; periods < 6 && alarming().length > 0; periods += 1) await nextScan();
  expect(alarming()).toEqual([]);
  events = [];
});
afterEach(async () => {
  system.cloud.setEmailFault(null);
  system.cloud.setSecretsFault(null);
  system.cloud.setQueueFault(system.queueIds.refresh, null);
  system.cloud.setQueueFault(system.queueIds.threshold, null);
  await idle();
});

const within = { timeout: 20_000, interval: 50 };

/** Nothing is under way: what is held for a moment must not come free under somebody's hands. */
async function idle(): Promise<void> {
  await expect.poll(running, within).toBe(0);
}

function running(): number {
  const open = new Set<string>();
  for (const event of events) {
    if (event.type === 'function.started') open.add(event.requestId);
    if (event.type === 'function.ended') open.delete(event.requestId);
  }
  return open.size;
}

/** Lets time pass: all moments that are stored move into the past, and the alarms' clock forward. */
async function pass(seconds: number): Promise<void> {
  await idle();
  const tables = await db.sql<{ name: string; moved: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name,
            string_agg(format('%1$I = %1$I - make_interval(secs => $1)', a.attname), ', ') AS moved
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relkind = 'r' AND a.atttypid = 'timestamptz'::regtype AND NOT a.attisdropped
       AND (n.nspname = 'evergrant' OR c.oid IN ('integrations'::regclass, 'notifications'::regclass))
     GROUP BY 1`,
  );
  for (const { name, moved } of tables) await db.sql(`UPDATE ${name} SET ${moved}`, [seconds]);
  clock.nowMs += seconds * 1_000;
  system.cloud.alarms.evaluate();
}

const invoke = (stage: string, event: Parameters<LocalSystem['cloud']['invoke']>[1] = {}) =>
  system.cloud.invoke(system.functionId(stage), event);
const scan = () => invoke('scanner');

async function nextScan(): Promise<InvocationResult> {
  await pass(scanSeconds);
  return scan();
}

const reportOf = (result: InvocationResult) => {
  expect(result).toMatchObject({ ok: true });
  return result.ok ? (result.payload as Record<string, number>) : {};
};

function alarming(): string[] {
  system.cloud.alarms.evaluate();
  return [...system.cloud.alarms.states()]
    .filter(([, state]) => state === 'ALARM')
    .map(([name]) => name.replace('evergrant-local: ', ''))
    .toSorted();
}

/** An alarm that has gone off ends by itself once its cause is mended. */
async function alarmsEnd(): Promise<void> {
  for (let periods = 0; periods < 6 && alarming().length > 0; periods += 1) reportOf(await nextScan());
  expect(alarming()).toEqual([]);
}

interface Person {
  readonly id: string;
  readonly userId: string;
  readonly email: string;
}

/** Connects accounts whose access tokens have five minutes left. `dead`: users have taken their grants back. */
async function connect(
  provider: CrowdedProvider,
  count: number,
  { failures = 0, dead = false, seal = async (_id: string, token: string) => token } = {},
): Promise<Person[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const email = `${randomUUID()}@acme-flows.example`;
      const token = provider.server.mint(email);
      if (dead) provider.server.revoke(token);
      const user = await system.store.addUser(email, 'Ada');
      const id = randomUUID();
      await db.insertIntegration({
        id,
        user_id: user.id,
        provider: provider.name,
        refresh_token: await seal(id, token),
        consecutive_failures: failures,
        expiresIn: 300,
      });
      return { id, userId: user.id, email };
    }),
  );
}

/** Their grants are alive, and their tokens were refreshed. */
async function areRefreshed(people: readonly Person[]): Promise<void> {
  const stale = async () =>
    (
      await db.sql(
        `SELECT id FROM integrations
         WHERE id = ANY($1) AND NOT (status = 'connected' AND expires_at > now() + interval '30 minutes'
           AND consecutive_failures = 0 AND consecutive_transient_failures = 0)`,
        [people.map(({ id }) => id)],
      )
    ).length;
  await expect.poll(stale, within).toBe(0);
  await idle();
  // A token that was spent and lost would come again.
  for (const { server } of [alpha, beta]) expect(server.calls.filter(({ reuse }) => reuse)).toEqual([]);
}

async function areUntouched(people: readonly Person[], callsBefore: number): Promise<void> {
  await idle();
  expect(calls()).toBe(callsBefore);
  const rows = await db.sql(
    `SELECT id FROM integrations WHERE id = ANY($1) AND status = 'connected'
       AND consecutive_failures = 0 AND consecutive_transient_failures = 0 AND last_refresh_success IS NULL`,
    [people.map(({ id }) => id)],
  );
  expect(rows).toHaveLength(people.length);
  expect(await db.sql('SELECT FROM evergrant.threshold_events')).toEqual([]);
}

const calls = () => alpha.server.calls.length + beta.server.calls.length;

const toldInApp = async ({ userId }: Person) =>
  (
    await db.sql<{ type: string }>('SELECT type FROM notifications WHERE user_id = $1 ORDER BY created_at', [
      userId,
    ])
  ).map(({ type }) => type);
const emailsTo = async ({ email }: Person) =>
  (await system.cloud.listEmails()).filter(({ destination }) => destination.to.includes(email)).length;
const waitingEvents = async () =>
  (await db.sql('SELECT FROM evergrant.threshold_events WHERE handled_at IS NULL')).length;

/** An event as Lambda makes it of messages. */
const recordsOf = (...bodies: object[]) => ({
  Records: bodies.map((body, index) => ({
    messageId: `message-${index}`,
    receiptHandle: `handle-${index}`,
    body: JSON.stringify(body),
  })),
});

/** Ends all processes of a function: its next invocation knows nothing. */
async function coldStart(...stages: string[]): Promise<void> {
  await idle();
  for (const stage of stages) system.cloud.kill(system.functionId(stage));
}

const secretName = (name: string) => `evergrant/local/${name}`;

/** Gives a secret another value while work is done, and the functions that read it before another process. */
async function withSecret(
  name: string,
  value: string,
  stages: string[],
  work: () => Promise<void>,
): Promise<void> {
  const good = system.cloud.getSecret(secretName(name)) as string;
  system.cloud.putSecret(secretName(name), value);
  await coldStart(...stages);
  try {
    await work();
  } finally {
    system.cloud.putSecret(secretName(name), good);
  }
}

describe('SES away', () => {
  it('keeps emails, and only them: they go out once when it is back', async () => {
    const [gone] = await connect(alpha, 1, { failures: 2, dead: true });
    const [warned] = await connect(alpha, 1, { failures: 1, dead: true });
    const told = [
      [gone!, 'integration_disconnected'],
      [warned!, 'integration_warning'],
    ] as const;
    const healthy = await connect(beta, 3);
    // Nobody answers; then it fails; then it wants less.
    system.cloud.setEmailFault({ hang: true });
    expect(reportOf(await scan())).toMatchObject({ enqueued: 5 });
    await areRefreshed(healthy);
    // Who is warned disconnects the account; what is told of it before is the matter here.
    await db.sql(`UPDATE integrations SET status = 'disconnected' WHERE id = $1`, [warned!.id]);
    for (const [person, type] of told) await expect.poll(() => toldInApp(person), within).toEqual([type]);
    for (const fault of [
      { status: 500, body: { message: 'internal' } },
      { status: 429, body: { __type: 'TooManyRequestsException', message: 'slow down' } },
    ]) {
      await idle();
      system.cloud.setEmailFault(fault);
      const before = system.cloud.emailCallCount();
      expect(reportOf(await nextScan())).toMatchObject({ eventsRelayed: 2 });
      await expect.poll(() => system.cloud.emailCallCount(), within).toBe(before + 2);
    }
    await pass(scanSeconds);
    expect(alarming()).toEqual(['emails failing']);
    system.cloud.setEmailFault(null);
    reportOf(await nextScan());
    await expect.poll(waitingEvents, within).toBe(0);
    await alarmsEnd();
    for (const [person, type] of told) {
      expect(await emailsTo(person)).toBe(1);
      expect(await toldInApp(person)).toEqual([type]);
    }
  }, 60_000);
});

describe('the threshold event queue away', () => {
  it('keeps events in the outbox, and nothing else: they are told once when it is back', async () => {
    const told = await connect(alpha, 3, { failures: 2, dead: true });
    const healthy = await connect(beta, 3);
    system.cloud.setQueueFault(system.queueIds.threshold, { status: 503 });
    expect(reportOf(await scan())).toMatchObject({ enqueued: 6 });
    await areRefreshed(healthy);
    await expect.poll(waitingEvents, within).toBe(3);
    for (let scans = 0; scans < 5; scans += 1) {
      const later = await connect(beta, 1);
      expect(reportOf(await nextScan())).toMatchObject({ eventsRelayed: 0 });
      await areRefreshed(later);
    }
    await pass(scanSeconds);
    expect(alarming()).toEqual(['users not told']);
    system.cloud.setQueueFault(system.queueIds.threshold, null);
    // However often the queue has refused them, they go with the next scan.
    expect(reportOf(await nextScan())).toMatchObject({ eventsRelayed: 3 });
    await expect.poll(waitingEvents, within).toBe(0);
    await alarmsEnd();
    for (const person of told) {
      expect(await toldInApp(person)).toEqual(['integration_disconnected']);
      expect(await emailsTo(person)).toBe(1);
    }
  }, 60_000);
});

describe('the refresh queue away', () => {
  it('leaves all rows to the next scan, and tells that they are left', async () => {
    const [due, told] = [await connect(alpha, 4), await connect(beta, 1, { failures: 2, dead: true })];
    const [eventOf] = await connect(beta, 1);
    await db.insertEvent({ user_id: eventOf!.userId, integration_id: eventOf!.id });
    const before = calls();
    system.cloud.setQueueFault(system.queueIds.refresh, { status: 503 });
    for (let scans = 0; scans < 3; scans += 1) {
      expect(reportOf(await (scans === 0 ? scan() : nextScan()))).toMatchObject({ enqueued: 0, released: 6 });
    }
    // The threshold event queue is another one: who was to be told has been told.
    await expect.poll(() => toldInApp(eventOf!), within).toEqual(['integration_warning']);
    await pass(scanSeconds);
    expect(calls()).toBe(before);
    expect(alarming()).toEqual(['scanner behind']);
    system.cloud.setQueueFault(system.queueIds.refresh, null);
    expect(reportOf(await scan())).toMatchObject({ enqueued: 6, released: 0 });
    await areRefreshed([...due, eventOf!]);
    await expect.poll(() => toldInApp(told[0]!), within).toEqual(['integration_disconnected']);
    await alarmsEnd();
  });
});

describe('Secrets Manager away', () => {
  it('is no matter to functions that have read their secrets, and keeps cold ones from starting anything', async () => {
    const known = await connect(alpha, 1);
    reportOf(await scan());
    await areRefreshed(known);
    system.cloud.setSecretsFault({ status: 500 });
    const more = await connect(alpha, 2);
    expect(reportOf(await nextScan())).toMatchObject({ enqueued: 2 });
    await areRefreshed(more);

    const due = await connect(alpha, 3);
    const before = calls();
    await coldStart('scanner', 'refresher');
    const asked = recordsOf({ version: 1, integrationId: due[0]!.id });
    expect(await invoke('refresher', asked)).toMatchObject({ ok: false });
    expect(await scan()).toMatchObject({ ok: false });
    await areUntouched(due, before);

    system.cloud.setSecretsFault(null);
    expect(reportOf(await nextScan())).toMatchObject({ enqueued: 3 });
    await areRefreshed(due);
  });
});

describe('a secret that is wrong', () => {
  it('the token key: no call is made whose answer could not be sealed', async () => {
    const due = await connect(alpha, 3);
    const before = calls();
    await withSecret('token-key', '{"current": "canary"}', ['refresher'], async () => {
      expect(reportOf(await scan())).toMatchObject({ enqueued: 3 });
      const failed = () =>
        events.flatMap((event) =>
          event.type === 'batch.ended' && event.error !== null ? [event.error] : [],
        );
      await expect.poll(() => failed().join(), within).toContain('64 hex digits');
      expect(failed().join()).not.toContain('canary');
      await areUntouched(due, before);
    });
    // The messages would come again as well; the next scan is sooner.
    expect(reportOf(await nextScan())).toMatchObject({ enqueued: 3 });
    await areRefreshed(due);
  });

  it('the database: cold functions wait for it, and take the mended one at once', async () => {
    const due = await connect(alpha, 3);
    reportOf(await scan());
    await areRefreshed(due);
    const later = await connect(alpha, 2);
    const before = calls();
    await withSecret('database', '{"url": "mysql://canary"}', ['scanner', 'notifier'], async () => {
      expect(await scan()).toMatchObject({ ok: false, errorMessage: expect.stringContaining('postgres://') });
      expect(await invoke('notifier', recordsOf({ version: 1, eventId: randomUUID() }))).toMatchObject({
        ok: true,
        payload: { batchItemFailures: [{ itemIdentifier: 'message-0' }] },
      });
      await areUntouched(later, before);
    });
    await expect.poll(async () => (await nextScan()).ok, within).toBe(true);
    await areRefreshed(later);
  });

  it('one provider’s: the others go on, and nobody of it is told', async () => {
    const [ofAlpha, ofBeta] = [await connect(alpha, 3), await connect(beta, 3)];
    const value = '{"clientId": "us", "clientSecret": "canary", "provider": 7}';
    await withSecret('providers/alpha', value, ['refresher'], async () => {
      expect(reportOf(await scan())).toMatchObject({ enqueued: 6 });
      await areRefreshed(ofBeta);
      await pass(scanSeconds);
      expect(alarming()).toEqual(['operator fault']);
      expect(await waitingEvents()).toBe(0);
      const rows = await Promise.all(ofAlpha.map(({ id }) => db.integration(id)));
      for (const row of rows) {
        expect(row).toMatchObject({
          status: 'connected',
          consecutive_failures: 0,
          consecutive_transient_failures: 0,
        });
      }
      expect(logged()).not.toContain('canary');
    });
    await pass(scanSeconds);
    reportOf(await nextScan());
    await areRefreshed(ofAlpha);
    await alarmsEnd();
  });

  it('one provider’s is missing: the others go on', async () => {
    const nobody = new CrowdedProvider('nobody', 'Nobody');
    const [unknown, ofBeta] = [await connect(nobody, 2), await connect(beta, 3)];
    expect(reportOf(await scan())).toMatchObject({ enqueued: 5 });
    await areRefreshed(ofBeta);
    await pass(scanSeconds);
    expect(alarming()).toEqual(['operator fault']);
    for (const { id } of unknown) {
      expect(await db.integration(id)).toMatchObject({ status: 'connected', consecutive_failures: 0 });
    }
    // What is put there takes effect with the next attempt.
    system.cloud.putSecret(secretName('providers/nobody'), alpha.secret());
    await db.sql(`UPDATE integrations SET refresh_token = $2 WHERE id = $1`, [
      unknown[0]!.id,
      alpha.server.mint(unknown[0]!.email),
    ]);
    await db.sql('DELETE FROM integrations WHERE id = $1', [unknown[1]!.id]);
    await pass(scanSeconds);
    reportOf(await nextScan());
    await areRefreshed(unknown.slice(0, 1));
    await alarmsEnd();
  });
});

describe('a key that is unknown', () => {
  it('hurts the rows that it sealed, until it is put back', async () => {
    const key = randomBytes(32).toString('hex');
    const foreign = await TokenSealer.fromSecret(JSON.stringify({ current: key }));
    const sealed = await connect(alpha, 2, {
      seal: (integrationId, token) => foreign.seal(token, { integrationId, column: 'refresh_token' }),
    });
    const others = await connect(alpha, 3);
    expect(reportOf(await scan())).toMatchObject({ enqueued: 5 });
    await areRefreshed(others);
    await pass(scanSeconds);
    expect(alarming()).toEqual(['operator fault']);
    for (const { id } of sealed) {
      expect(await db.integration(id)).toMatchObject({ status: 'connected', consecutive_failures: 0 });
    }
    const { current, previous } = JSON.parse(system.cloud.getSecret(secretName('token-key')) as string);
    system.cloud.putSecret(secretName('token-key'), { current, previous: [...previous, key] });
    await pass(scanSeconds);
    reportOf(await nextScan());
    await areRefreshed(sealed);
    await alarmsEnd();
  });
});

describe('Postgres away', () => {
  interface Away {
    readonly begin: () => Promise<unknown>;
    readonly end: () => Promise<unknown>;
    readonly said: RegExp;
  }
  /** Sessions of the functions end; what they open anew is let in, or not. */
  const newSessions = () => {
    proxy.cut();
    proxy.restore();
  };
  const ways: Readonly<Record<string, Away>> = {
    'which is stopped': {
      begin: async () => proxy.cut(),
      end: async () => proxy.restore(),
      said: /not reachable/,
    },
    'which may only be read from': {
      begin: async () => {
        await db.sql(`ALTER ROLE ${role} SET default_transaction_read_only = on`);
        newSessions();
      },
      end: () => db.sql(`ALTER ROLE ${role} RESET default_transaction_read_only`),
      said: /25006/,
    },
    'which has no connection left': {
      begin: async () => {
        await db.sql(`ALTER ROLE ${role} CONNECTION LIMIT 0`);
        newSessions();
      },
      end: () => db.sql(`ALTER ROLE ${role} CONNECTION LIMIT -1`),
      said: /too many connections/,
    },
    'which refuses the login': {
      begin: async () => {
        await db.sql(`ALTER ROLE ${role} NOLOGIN`);
        newSessions();
      },
      end: () => db.sql(`ALTER ROLE ${role} LOGIN`),
      said: /not permitted to log in/,
    },
  };

  it.each(Object.keys(ways))(
    '%s: everything waits, one alarm tells, and all of it is done afterwards',
    async (name) => {
      const { begin, end, said } = ways[name]!;
      const due = await connect(alpha, 4);
      const [warned] = await connect(beta, 1);
      const event = await db.insertEvent({ user_id: warned!.userId, integration_id: warned!.id });
      const before = calls();
      await begin();
      try {
        for (let scans = 0; scans < 2; scans += 1) {
          expect(await (scans === 0 ? scan() : nextScan())).toMatchObject({ ok: false });
        }
        expect(await invoke('refresher', recordsOf({ version: 1, integrationId: due[0]!.id }))).toMatchObject(
          { ok: false },
        );
        expect(await invoke('notifier', recordsOf({ version: 1, eventId: event.id }))).toMatchObject({
          ok: true,
          payload: { batchItemFailures: [{ itemIdentifier: 'message-0' }] },
        });
        expect(await checksOf('database_reachable', 'server_writable')).toContain('failed');
        expect(logged()).toMatch(said);
        await pass(scanSeconds);
        expect(alarming()).toEqual(['database unreachable']);
        expect(calls()).toBe(before);
      } finally {
        await end();
      }
      reportOf(await nextScan());
      await areRefreshed([...due, warned!]);
      await expect.poll(() => toldInApp(warned!), within).toEqual(['integration_warning']);
      await alarmsEnd();
      expect(await toldInApp(warned!)).toEqual(['integration_warning']);
    },
  );
});

describe('migrations half applied', () => {
  const applied = async () => {
    const report = reportOf(await invoke('migrator', { direction: 'status' }));
    return (report as unknown as { applied: unknown[] }).applied.length;
  };

  it('functions that are newer than the schema call nobody, and nothing is lost when it is as new', async () => {
    const due = await connect(alpha, 3);
    const [warned] = await connect(beta, 1);
    const event = await db.insertEvent({ user_id: warned!.userId, integration_id: warned!.id });
    // As a scan leaves them that ended just before: whoever starts an attempt finds it open.
    await db.sql('UPDATE integrations SET refresh_claim = refresh_claim + 1, refresh_claim_open = true');
    const last = await applied();
    const before = calls();
    await coldStart('refresher');
    for (let version = last - 1; version > 0; version -= 1) {
      expect(await invoke('migrator', { direction: 'down', count: 1 })).toMatchObject({ ok: true });
      const asked = recordsOf(...due.map(({ id }) => ({ version: 1, integrationId: id })));
      expect(await invoke('refresher', asked)).toMatchObject({ ok: false });
      expect(await scan()).toMatchObject({ ok: false, errorMessage: expect.stringMatching(/: 42/) });
      // It is done with an event where it can be, and says of the others that they have to come again.
      expect(await invoke('notifier', recordsOf({ version: 1, eventId: event.id }))).toMatchObject({
        ok: true,
      });
    }
    expect(await checksOf('schema_version')).toEqual(['failed']);
    expect(await applied()).toBe(1);
    expect(calls()).toBe(before);

    expect(await invoke('migrator', {})).toMatchObject({ ok: true });
    expect(await applied()).toBe(last);
    await system.store.pointView();
    reportOf(await nextScan());
    await areRefreshed([...due, warned!]);
    await expect.poll(() => toldInApp(warned!), within).toEqual(['integration_warning']);
    await alarmsEnd();
  });

  it('a column that only the commit of a result needs is missed before there is one', async () => {
    const due = await connect(alpha, 3);
    await coldStart('refresher');
    await db.sql('ALTER TABLE integrations RENAME COLUMN last_failure_at TO put_aside');
    const before = calls();
    expect(reportOf(await scan())).toMatchObject({ enqueued: 3 });
    const failed = () =>
      events.some(({ type, ...event }) => type === 'batch.ended' && 'error' in event && event.error !== null);
    await expect.poll(failed, within).toBe(true);
    expect(calls()).toBe(before);
    await db.sql('ALTER TABLE integrations RENAME COLUMN put_aside TO last_failure_at');
    expect(reportOf(await nextScan())).toMatchObject({ enqueued: 3 });
    await areRefreshed(due);
  });
});

async function checksOf(...codes: string[]): Promise<string[]> {
  const result = await invoke('operator', { ask: 'verify' });
  const { checks } = reportOf(result) as unknown as VerifyReport;
  return checks.filter(({ code }) => codes.includes(code)).map(({ state }) => state);
}

function logged(): string {
  return events.flatMap((event) => (event.type === 'function.log' ? [event.line] : [])).join('\n');
}
