import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addressesOf, Client, eventually } from '../../local/demo/client.ts';
import { addPerson } from '../../local/demo/world.ts';
import { type LocalSystem, startSystem } from '../../local/system.ts';

/** Seconds, in proportion to the shortest scan interval, a minute: refreshed every eight, with eleven to spare. */
const lifetime = 20;
const integrations = 3;
const lifetimes = 12;

let directory: string;
let system: LocalSystem;
let client: Client;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'evergrant-short-'));
  system = await startSystem({
    directory,
    persistent: false,
    providers: [
      {
        name: 'soylent-chat',
        displayName: 'Soylent Chat',
        clientAuth: 'client_secret_basic',
        accessTokenLifetimeSeconds: lifetime,
      },
    ],
    // Nobody scans but when asked: what is refreshed, delayed messages have asked for.
    scanIntervalMs: null,
    settings: { scanIntervalMinutes: 1 },
  });
  client = new Client(addressesOf(system));
}, 120_000);
afterAll(async () => {
  await client?.end();
  await system?.stop();
  if (directory) await rm(directory, { recursive: true, force: true });
});

interface Row {
  readonly id: string;
  readonly expires_at: Date;
  readonly last_refresh_success: Date | null;
}

/** Expiry and success of each row as they came to be, by the database's clock. */
class Refreshes {
  readonly #seen = new Map<string, Row[]>();

  async look(): Promise<void> {
    const rows = await client.sql<Row>('SELECT id, expires_at, last_refresh_success FROM integrations');
    for (const row of rows) {
      if (row.last_refresh_success === null) continue;
      const seen = this.#seen.get(row.id) ?? [];
      if (seen.at(-1)?.last_refresh_success?.getTime() !== row.last_refresh_success.getTime()) seen.push(row);
      this.#seen.set(row.id, seen);
    }
  }

  /** Seconds that each token had left when the next one was stored; negative: nobody had a good one. */
  left(): number[] {
    return [...this.#seen.values()].flatMap((seen) =>
      seen
        .slice(1)
        .map(
          (row, index) =>
            ((seen[index]?.expires_at.getTime() ?? 0) - (row.last_refresh_success?.getTime() ?? 0)) / 1000,
        ),
    );
  }

  /** From the first refresh to the latest end, in lifetimes of all integrations together. */
  get lifetimes(): number {
    const spans = [...this.#seen.values()].map(
      (seen) => (seen.at(-1)?.expires_at.getTime() ?? 0) - (seen[0]?.last_refresh_success?.getTime() ?? 0),
    );
    return spans.reduce((sum, ms) => sum + ms / 1000 / lifetime, 0);
  }
}

/** Rows in whose schedule nothing is under way, and nothing comes within three seconds. */
async function idle(): Promise<boolean> {
  const [row] = await client.sql<{ idle: boolean }>(
    `SELECT bool_and(refresh_started_at IS NULL AND last_refresh_success < now() - interval '1 second'
       AND refresh_held_until > now() + interval '8 seconds') AS idle FROM integrations`,
  );
  return row?.idle ?? false;
}

function killAll(): number {
  return Object.values(system.cloud.functions).flatMap(({ name }) => system.cloud.kill(name)).length;
}

const calls = () => client.calls(system.providers[0]!.provider.origin);
const scan = () => client.invoke<{ claimed: number }>(client.addresses.functionNames.scanner, {});

test('tokens that live shorter than the scan interval never expire, whoever dies', {
  timeout: 300_000,
}, async () => {
  for (let number = 1; number <= integrations; number += 1)
    await addPerson(system.store, system.providers[0]!, `person-${number}`, new Set());
  expect(await scan()).toMatchObject({ claimed: integrations });
  const refreshes = new Refreshes();
  let kills = 0;
  await eventually(
    'a dozen lifetimes with deaths in between',
    async () => {
      await refreshes.look();
      if (kills < 3 && (await idle()) && killAll() > 0) kills += 1;
      return refreshes.lifetimes >= lifetimes && kills >= 3 ? true : null;
    },
    240_000,
  );
  const left = refreshes.left();
  expect(Math.min(...left)).toBeGreaterThan(0);
  expect(left.length).toBeGreaterThanOrEqual(lifetimes);
  expect((await calls()).filter((call) => call.status !== 200 || call.reuse || call.overlapped)).toEqual([]);
});

test('a lost message is made up for by a scan, after which messages go on', {
  timeout: 120_000,
}, async () => {
  const { refresh } = system.queueIds;
  const url = system.cloud.queues[refresh]?.url;
  const refreshes = new Refreshes();
  // All of them wait for messages, which get lost.
  await eventually('messages that wait', async () => ((await idle()) ? true : null), 60_000);
  await fetch(system.cloud.endpoints.sqs, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.PurgeQueue' },
    body: JSON.stringify({ QueueUrl: url }),
  });
  await refreshes.look();
  const before = (await calls()).length;
  let claimed = 0;
  await eventually(
    'scans that claim them',
    async () => {
      claimed += (await scan()).claimed;
      await refreshes.look();
      return claimed >= integrations ? true : null;
    },
    60_000,
  );
  expect(claimed).toBe(integrations);
  // And the next ones come by themselves again.
  await eventually(
    'two refreshes more of each',
    async () => {
      await refreshes.look();
      return refreshes.left().length >= 2 * integrations ? true : null;
    },
    60_000,
  );
  expect((await calls()).length).toBeGreaterThanOrEqual(before + 2 * integrations);
  expect(Math.min(...refreshes.left())).toBeGreaterThan(0);
});
