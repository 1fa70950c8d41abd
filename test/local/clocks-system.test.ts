import { generateKeyPairSync } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { errors, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check } from '../../lambdas/operator/reports.ts';
import type { CloudEvent } from '../../local/cloud/events.ts';
import { type LocalSystem, startSystem } from '../../local/system.ts';
import { temporaryDirectory } from '../cli/harness.ts';
import { type IntegrationOverrides, type TestDatabase, testDatabase } from '../support/database.ts';
import {
  granted,
  refused,
  startTokenEndpoint,
  type TokenAnswer,
  type TokenEndpoint,
} from '../support/token-endpoint.ts';

/** A provider that takes nothing but assertions of this minute, and says what time it is, as providers do. */
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const toleranceSeconds = 60;
const lifetimeSeconds = 3_600;

let db: TestDatabase;
let endpoint: TokenEndpoint;
let system: LocalSystem;
let directory = '';
let offsetMinutes = 10;
/** Integrations' refresh tokens that the provider has something else for than tokens. */
const ailing = new Map<string, TokenAnswer>();
const refusedAssertions: string[] = [];
const events: CloudEvent[] = [];

beforeAll(async () => {
  [db, directory, endpoint] = await Promise.all([
    testDatabase({ empty: true }),
    temporaryDirectory(),
    startTokenEndpoint(async ({ parameters }) => {
      try {
        const { payload } = await jwtVerify(parameters.get('client_assertion') ?? '', publicKey, {
          audience: endpoint.url,
          issuer: 'us',
          clockTolerance: toleranceSeconds,
          maxTokenAge: 60,
        });
        expect(payload.exp).toBeTypeOf('number');
      } catch (error) {
        refusedAssertions.push(error instanceof errors.JOSEError ? error.code : String(error));
        return refused('invalid_client', 401);
      }
      const token = parameters.get('refresh_token') ?? '';
      return ailing.get(token) ?? granted({ refresh_token: `${token}+`, expires_in: lifetimeSeconds });
    }),
  ]);
  system = await startSystem({
    directory,
    databaseUrl: db.url,
    persistent: false,
    // Scans are made by hand.
    scanIntervalMs: null,
    // Passwords are IAM tokens then, which are good for some minutes of the right time.
    settings: { database: 'aurora' },
    clockOffsetMs: () => offsetMinutes * 60_000,
    providers: [],
    clients: {
      signed: {
        clientId: 'us',
        privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        provider: {
          displayName: 'Signed Calendar',
          tokenEndpoint: endpoint.url,
          clientAuthentication: 'private_key_jwt',
        },
      },
    },
    onEvent: (event) => events.push(event),
  });
}, 120_000);
afterAll(async () => {
  await system?.stop();
  await endpoint?.stop();
  await db?.end();
  if (directory) await rm(directory, { recursive: true, force: true });
});

async function ask<Report>(stage: string, event: Record<string, string> = {}): Promise<Report> {
  const result = await system.cloud.invoke(system.functionId(stage), event);
  if (!result.ok) throw new Error(`${stage}: ${result.errorType}: ${result.errorMessage}`);
  return result.payload as Report;
}

/** What functions logged since `from` at the level of a warning or worse. */
function complaintsSince(from: number): string[] {
  return events
    .slice(from)
    .flatMap((event) => (event.type === 'function.log' ? [event.line] : []))
    .filter((line) => /"level":"(WARN|ERROR|CRITICAL)"|Error:/.test(line));
}

const within = { timeout: 40_000, interval: 100 };

describe.each([10, -10])('by clocks that are wrong by %d minutes', (minutes) => {
  beforeAll(async () => {
    offsetMinutes = minutes;
    for (const stage of ['scanner', 'refresher', 'notifier', 'operator']) {
      system.cloud.kill(system.functionId(stage));
    }
    refusedAssertions.length = 0;
    ailing.clear();
    for (const table of ['recent_failures', 'refresh_outcomes', 'provider_states', 'scans']) {
      await db.sql(`DELETE FROM evergrant.${table}`);
    }
    await db.sql('DELETE FROM integrations');
  });

  /** An integration of a user who has an address. */
  async function integration(name: string, overrides: IntegrationOverrides = {}) {
    const user = await system.store.addUser(`${name}${minutes}@acme-flows.example`, name);
    const row = await db.insertIntegration({
      provider: 'signed',
      user_id: user.id,
      refresh_token: `${name}${minutes}`,
      ...overrides,
    });
    return { ...row, user };
  }

  test('refreshes, ends of grants, notifications and emails are as by right ones', {
    timeout: 60_000,
  }, async () => {
    await db.sql(`UPDATE evergrant.installation SET installed_at = now() - interval '1 day'`);
    // Each would be taken for another one by a clock that is ten minutes ahead or behind.
    const due = await integration('due', { expiresIn: 60 });
    const fresh = await integration('fresh', { expiresIn: 15 * 60 });
    const ended = await integration('ended', { expiresIn: -30, refresh_token: null });
    const lasting = await integration('lasting', { expiresIn: 300, refresh_token: null });
    const dead = await integration('dead', { expiresIn: 60, consecutive_failures: 2 });
    ailing.set(`dead${minutes}`, refused('invalid_grant'));
    const seen = events.length;
    expect(await ask('scanner')).toMatchObject({ claimed: 3, enqueued: 3 });

    await expect.poll(async () => (await db.integration(due.id)).last_refresh_success, within).not.toBeNull();
    await expect.poll(async () => (await db.integration(dead.id)).status, within).not.toBe('connected');
    await expect.poll(async () => (await db.integration(ended.id)).status, within).not.toBe('connected');
    expect(await db.integration(due.id)).toMatchObject({
      status: 'connected',
      consecutive_failures: 0,
      refresh_claim_open: false,
      refresh_held_until: null,
    });
    const [{ left } = { left: 0 }] = await db.sql<{ left: number }>(
      'SELECT extract(epoch FROM expires_at - now())::float8 AS left FROM integrations WHERE id = $1',
      [due.id],
    );
    expect(left).toBeGreaterThan(lifetimeSeconds - 60);
    expect(left).toBeLessThanOrEqual(lifetimeSeconds + 1);
    expect(refusedAssertions).toEqual([]);
    for (const { id } of [fresh, lasting]) {
      expect(await db.integration(id)).toMatchObject({ status: 'connected', last_refresh_attempt: null });
    }

    const users = [due, fresh, ended, lasting, dead].map(({ user }) => user.id);
    const told = async () =>
      (await db.sql('SELECT user_id, type FROM notifications WHERE user_id = ANY($1)', [users])).map(
        ({ user_id, type }) => `${user_id} ${type}`,
      );
    const both = [dead, ended];
    await expect
      .poll(async () => (await told()).toSorted(), within)
      .toEqual(both.map(({ user }) => `${user.id} integration_disconnected`).toSorted());
    const emails = async () =>
      (await system.cloud.listEmails())
        .flatMap(({ destination }) => destination.to)
        .filter((to) => to.includes(String(minutes)))
        .toSorted();
    await expect.poll(emails, within).toEqual(both.map(({ user }) => user.email).toSorted());
    await expect
      .poll(() => db.sql('SELECT id FROM evergrant.threshold_events WHERE handled_at IS NULL'), within)
      .toEqual([]);
    // SES refused the first request of each notifier for its time, and the same invocation sent it again.
    const answers = events
      .slice(seen)
      .flatMap((event) => (event.type === 'email.called' ? [event.status] : []));
    expect(answers[0]).toBe(403);
    expect(answers.filter((status) => status === 200)).toHaveLength(2);
    expect(complaintsSince(seen).filter((line) => !line.includes('"refresh failed"'))).toEqual([]);
  });

  test('a circuit opens, is probed and closes as by right ones', { timeout: 60_000 }, async () => {
    const crowd: string[] = [];
    for (let index = 0; index < 12; index += 1) {
      const { id } = await integration(`crowd${index}-`, { expiresIn: 60 });
      ailing.set(`crowd${index}-${minutes}`, { status: 503 });
      crowd.push(id);
    }
    expect(await ask('scanner')).toMatchObject({ enqueued: crowd.length });
    const open = async () =>
      (
        await db.sql('SELECT circuit_open FROM evergrant.provider_states WHERE provider = $1', ['signed'])
      ).map(({ circuit_open }) => circuit_open);
    await expect.poll(open, within).toEqual([true]);
    const release = () =>
      db.sql('UPDATE integrations SET refresh_held_until = NULL WHERE id = ANY($1)', [crowd]);
    const idle = () =>
      db.sql('SELECT id FROM integrations WHERE id = ANY($1) AND refresh_claim_open', [crowd]);
    await expect.poll(idle, within).toEqual([]);
    await release();
    expect(await ask('scanner')).toMatchObject({ enqueued: 0 });
    ailing.clear();
    await db.sql('UPDATE evergrant.provider_states SET circuit_probe_at = now()');
    expect(await ask('scanner')).toMatchObject({ enqueued: 3 });
    await expect.poll(open, within).toEqual([false]);
    await release();
    expect(await ask('scanner')).toMatchObject({ enqueued: crowd.length - 3 });
    await expect
      .poll(
        () =>
          db.sql('SELECT id FROM integrations WHERE last_refresh_success IS NULL AND id = ANY($1)', [crowd]),
        within,
      )
      .toEqual([]);
    expect(refusedAssertions).toEqual([]);
  });

  test('the checklist says how wrong they are, and the credentials are tried by the right one', async () => {
    const { checks } = await ask<{ checks: Check[] }>('operator', { ask: 'verify' });
    const { found, state } = checks.find(({ code }) => code === 'clock')!;
    expect(state).not.toBe('ok');
    const [, seconds] = /differ by ([0-9.]+) s/.exec(found)!;
    expect(Math.abs(Number(seconds) - 600)).toBeLessThan(60);
    const tried = await system.cloud.invoke(system.functionId('operator'), {
      ask: 'check_provider',
      provider: 'signed',
      variables: {},
    });
    expect(tried).toMatchObject({
      ok: true,
      payload: { credentials: 'unknown', attempt: { httpStatus: 200 } },
    });
    expect(refusedAssertions).toEqual([]);
  });
});
