import { randomUUID } from 'node:crypto';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { QueueDepth } from '../../cli/queue-depths.ts';
import type { Problem } from '../../cli/status/health.ts';
import type { Check, HistoryReport, StatusReport } from '../../lambdas/operator/reports.ts';
import { sealResult } from '../../lambdas/sealed-result.ts';
import { parseTokenKeys } from '../../lambdas/sealing/token-keys.ts';
import { TokenSealer } from '../../lambdas/sealing/token-sealer.ts';
import { browseTo } from '../../local/provider/connect.ts';
import {
  type CliSystem,
  type Ended,
  end,
  evergrant,
  evergrantJson,
  launch,
  startCliSystem,
} from './harness.ts';

// Each test runs several processes, one after the other.
vi.setConfig({ testTimeout: 120_000 });

let cli: CliSystem;
beforeAll(async () => {
  cli = await startCliSystem();
}, 180_000);
afterAll(() => cli?.stop());

beforeEach(async () => {
  provider().faults.clear();
  await cli.database.clear();
  expect(await cli.system.cloud.invoke(cli.system.functionId('scanner'), {})).toMatchObject({ ok: true });
});

const provider = () => cli.system.providers[0]!.provider;
const run = (...args: readonly string[]) => evergrant([...args, ...cli.options]);
const runJson = <Document>(...args: readonly string[]) => evergrantJson<Document>([...args, ...cli.options]);

type Failure = { readonly error: { readonly code: string; readonly message: string } };
type Status = StatusReport & { well: boolean; problems: Problem[]; queues: QueueDepth[] };

/** Connects an account in the product, and refreshes it, so that its tokens are sealed. */
async function refreshed(account: string): Promise<string> {
  const id = await cli.connect(account);
  expect((await run('refresh', id)).code).toBe(0);
  return id;
}

type QueueId = keyof CliSystem['system']['queueIds'];

/** Puts a message where SQS puts those that failed too often. */
const addDeadLetter = (body: string, group: string) => send('refreshDeadLetters', body, group);

async function send(queue: QueueId, body: string, group: string): Promise<void> {
  const { cloud, queueIds } = cli.system;
  const sqs = new SQSClient({
    endpoint: cloud.endpoints.sqs,
    region: 'us-east-1',
    credentials: { accessKeyId: 'LOCAL', secretAccessKey: 'local' },
  });
  const { url } = cloud.queues[queueIds[queue]]!;
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body, MessageGroupId: group }));
  sqs.destroy();
}

describe('status', () => {
  test('says that all is well', async () => {
    const empty = await run('status');
    expect(empty.code).toBe(0);
    expect(empty.stdout).toMatch(
      /^All is well: no integration is connected yet; the last scan was (just now|\d+ s ago)\.\n/,
    );

    await refreshed('ada@acme-flows.example');
    const { code, stdout } = await run('status');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^All is well: 1 connected integration, and its token has not expired; the last scan was \d+ s ago\.\n/,
    );
    expect(stdout).toMatch(/\nacme-calendar +1 +0 +0 +0 +0 +0 +0 +(now|\d+ s ago)\n/);

    const { document } = await runJson<Status>('status');
    expect(document).toMatchObject({
      well: true,
      problems: [],
      failingCount: 0,
      eventsWaiting: { count: 0 },
    });
    expect(document.providers).toMatchObject([{ provider: 'acme-calendar', connected: 1, expired: 0 }]);
    expect(document.queues).toEqual([
      { queue: 'refresh', visible: 0, inFlight: 0, deadLetters: 0 },
      { queue: 'threshold', visible: 0, inFlight: 0, deadLetters: 0 },
      { queue: 'sealed', visible: 0, inFlight: 0, deadLetters: 0 },
    ]);
  });

  test('finds a connected integration with an expired token', async () => {
    const id = await cli.connect('grace@acme-flows.example');
    await cli.database.sql(`UPDATE integrations SET expires_at = now() - interval '1 minute' WHERE id = $1`, [
      id,
    ]);
    const { code, document } = await runJson<Status>('status');
    expect({ code, well: document.well }).toEqual({ code: 3, well: false });
    expect(document.problems).toEqual([
      { code: 'expired_while_connected', message: '1 connected integration has an expired token' },
    ]);
  });
});

describe('refresh and history', () => {
  test('a refresh that succeeds', async () => {
    const id = await cli.connect('lovelace@acme-flows.example');
    const before = await runJson<HistoryReport>('history', id);
    expect(before.document.integration).toMatchObject({ refreshToken: 'plain', lastRefreshSuccess: null });

    const { code, stdout } = await run('refresh', id);
    const row = await cli.database.integration(id);
    const expires = row.expires_at
      ?.toISOString()
      .replace('T', ' ')
      .replace(/\.\d+Z/, 'Z');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `Refreshed. Its token now expires at ${expires}.\n`,
    });
    expect(provider().faults.calls({ account: 'lovelace@acme-flows.example' }).calls).toHaveLength(1);

    const history = await run('history', id);
    expect(history.code).toBe(0);
    expect(history.stdout).toMatch(new RegExp(`^Integration ${id}\n`));
    expect(history.stdout).toContain(`Token expires      ${expires}\n`);
    expect(history.stdout).toMatch(/\nRefresh token +sealed with key [\w-]{43}\n/);
    expect(history.stdout).toMatch(/Z +refreshed +The latest refresh that succeeded\.\n/);
    for (const token of [row.access_token, row.refresh_token]) expect(history.stdout).not.toContain(token);
  });

  test('a provider that is out of order', async () => {
    const id = await refreshed('ada@acme-flows.example');
    provider().faults.add({ answer: { status: 503 } });
    const { code, stdout } = await run('refresh', id);
    expect(code).toBe(3);
    expect(stdout).toMatch(
      /^It failed for a passing reason, 1 in a row\. The next attempt comes after [\d-]+ [\d:]+Z\. The refresher's log has the code\.\n$/,
    );

    const { document } = await runJson<HistoryReport>('history', id);
    expect(document.integration).toMatchObject({
      status: 'connected',
      consecutiveFailures: 0,
      consecutiveTransientFailures: 1,
    });
    expect(document.entries.map(({ what }) => what)).toEqual([
      'connected',
      'refreshed',
      'attempted',
      'failed',
    ]);
    const { stdout: text } = await run('history', id);
    expect(text).toMatch(/\nFailures in a row +0 refused, 1 passing\n/);
    expect(text).toMatch(
      /Z +failed +The latest refresh that failed\. In a row: 0 permanent, 1 transient\.\n/,
    );

    const again = await runJson<Failure>('refresh', id);
    expect(again).toMatchObject({ code: 1, document: { error: { code: 'held' } } });
    expect(again.document.error.message).toMatch(
      /^It is held until .*: an attempt is under way, or has just/,
    );
  });

  test('a grant that the user has revoked', async () => {
    const id = await refreshed('ada@acme-flows.example');
    provider().faults.revokeAccount('ada@acme-flows.example');
    await cli.database.sql('UPDATE integrations SET consecutive_failures = 2 WHERE id = $1', [id]);
    const { code, document } = await runJson<{ outcome: string; message: string }>('refresh', id);
    expect({ code, outcome: document.outcome }).toEqual({ code: 3, outcome: 'disconnected' });

    const { document: history } = await runJson<HistoryReport>('history', id);
    expect(history.integration).toMatchObject({ status: 'needs_reauthorization' });
    expect(history.entries.map(({ what }) => what)).toContain('disconnected');
    const again = await run('refresh', id);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('Only its user can connect it again.');
  });

  test.each(['refresh', 'history'])('%s of an unknown integration', async (command) => {
    const id = randomUUID();
    const { code, document } = await runJson<Failure>(command, id);
    expect({ code, document }).toEqual({
      code: 1,
      document: { error: { code: 'integration_not_found', message: `There is no integration ${id}.` } },
    });
  });
});

describe('providers', () => {
  const secretId = 'evergrant/local/providers/acme-calendar';
  interface Checked {
    readonly well: boolean;
    readonly credentials: string;
    readonly checks: readonly Check[];
  }

  test('a client secret that was changed at the provider is found out, and put right', async () => {
    const { cloud } = cli.system;
    const right = JSON.parse(cloud.getSecret(secretId) ?? '');
    const id = await refreshed('ada@acme-flows.example');
    const before = await cli.database.integration(id);
    cloud.putSecret(secretId, { ...right, clientSecret: 'canary-wrong' });
    try {
      const refused = await runJson<Checked>('provider', 'check', 'acme-calendar');
      expect(refused).toMatchObject({ code: 3, document: { well: false, credentials: 'refused' } });
      expect(JSON.stringify(refused)).not.toContain('canary');

      const input = JSON.stringify({ clientSecret: right.clientSecret });
      const set = await end(launch(['provider', 'set', 'acme-calendar', '--yes', ...cli.options], {}, input));
      expect({ code: set.code, stdout: set.stdout.split('\n')[0] }).toEqual({
        code: 0,
        stdout: `Stored in the secret ${secretId}: clientSecret changed.`,
      });
      expect(set.stdout + set.stderr).not.toContain(right.clientSecret);
      expect(JSON.parse(cloud.getSecret(secretId) ?? '')).toEqual(right);
      const accepted = await runJson<Checked>('provider', 'check', 'acme-calendar');
      expect(accepted).toMatchObject({ code: 0, document: { well: true, credentials: 'accepted' } });
    } finally {
      cloud.putSecret(secretId, right);
    }
    // Nobody's grant took part.
    expect(await cli.database.integration(id)).toEqual(before);
  });

  test('a circuit by hand: shown, let through by hand, closed', async () => {
    const id = await refreshed('ada@acme-flows.example');
    expect((await run('provider', 'open', 'acme-calendar', '--yes')).code).toBe(0);
    const status = await run('status');
    expect(status.code).toBe(3);
    expect(status.stdout).toMatch(
      /^One thing is not well: acme-calendar has not been called for \d+ s, as an operator/,
    );
    expect((await run('history', id)).stdout).toMatch(
      /\nCircuit +open since .* \(by hand\): acme-calendar is not called/,
    );

    provider().faults.add({ answer: { status: 503 } });
    const failed = await runJson<{ outcome: string; message: string }>('refresh', id);
    expect(failed).toMatchObject({ code: 3, document: { outcome: 'not_counted' } });
    expect(await cli.database.integration(id)).toMatchObject({ consecutive_transient_failures: 0 });
    provider().faults.clear();

    const closed = await run('provider', 'close', 'acme-calendar', '--yes');
    expect(closed.stdout).toContain('acme-calendar is called again');
    expect((await run('status')).code).toBe(0);
    const list = await run('provider', 'list');
    expect(list.code).toBe(0);
    expect(list.stdout).toMatch(/\nacme-calendar +Acme Calendar +own secret, custom +basic +unknown +1\n/);
  });
});

describe('keys', () => {
  type Keys = { well: boolean; keys: { keyId: string; role: string; tokens: number }[]; plain: number };
  const currentKeyId = async () =>
    (await parseTokenKeys(cli.system.cloud.getSecret('evergrant/local/token-key') ?? '')).current.id;
  const forget = (keyId: string) => runJson<Failure>('key', 'forget', keyId, '--yes');

  test('an old key goes when it seals nothing, and no sooner', async () => {
    const old = await currentKeyId();
    const id = await refreshed('ada@acme-flows.example');
    const inPlain = await cli.connect('grace@acme-flows.example');
    const first = await runJson<Keys>('key', 'status');
    expect(first).toMatchObject({
      code: 0,
      document: { well: true, keys: [{ keyId: old, role: 'current', tokens: 2 }], plain: 2 },
    });

    expect((await run('key', 'rotate', '--yes')).code).toBe(0);
    const current = await currentKeyId();
    const inUse = await forget(old);
    expect(inUse).toMatchObject({ code: 1, document: { error: { code: 'key_in_use' } } });
    expect(inUse.document.error.message).toMatch(/^It still seals 2 tokens, /);

    // Environments that have read the old secret keep it for minutes; a new one reads it anew.
    cli.system.cloud.kill(cli.system.functionId('refresher'));
    for (const each of [id, inPlain]) expect((await run('refresh', each)).code).toBe(0);
    const { code, stdout } = await run('key', 'status');
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`\n${current} +current +4\n${old} +previous +0\n`));
    expect(stdout).toMatch(
      new RegExp(
        `\nA previous key seals nothing any more, and can go in \\d+ min: evergrant key forget ${old}\n$`,
      ),
    );

    const recent = await forget(old);
    expect(recent).toMatchObject({ code: 1, document: { error: { code: 'key_recently_current' } } });
    expect(recent.document.error.message).toMatch(/^The keys changed \d+ s ago, .* Try again in \d+ min\.$/);

    // Once another key was the last, nobody seals with this one any more.
    expect((await run('key', 'rotate', '--yes')).code).toBe(0);
    const gone = await run('key', 'forget', old, '--yes');
    expect({ code: gone.code, stdout: gone.stdout }).toEqual({
      code: 0,
      stdout: 'Removed. 1 previous key left.\n',
    });
    const last = await runJson<Keys>('key', 'status');
    expect(last.document).toEqual({
      well: true,
      keys: [
        { keyId: await currentKeyId(), role: 'current', tokens: 0 },
        { keyId: current, role: 'previous', tokens: 4 },
      ],
      plain: 0,
    });
  });

  test('a key that is missing is an alarm', async () => {
    await refreshed('ada@acme-flows.example');
    const { cloud } = cli.system;
    const secret = cloud.getSecret('evergrant/local/token-key') ?? '';
    cloud.putSecret('evergrant/local/token-key', { current: '7'.repeat(64), previous: [] });
    try {
      const { code, stdout } = await run('key', 'status');
      expect(code).toBe(3);
      expect(stdout).toMatch(/\n[\w-]{43} +not in the secret +2\n/);
      expect(stdout).toContain('Nobody can open 2 tokens: put the missing key back');
    } finally {
      cloud.putSecret('evergrant/local/token-key', secret);
    }
  });
});

test('dead letters: seen by status, listed, replayed by provider, the malformed one discarded', async () => {
  const id = await refreshed('ada@acme-flows.example');
  await addDeadLetter(
    JSON.stringify({ version: 1, integrationId: id, provider: 'acme-calendar' }),
    'acme-calendar',
  );
  await addDeadLetter('{"version": 1, "integrationId": "canary"}', 'acme-calendar');
  await addDeadLetter(
    JSON.stringify({ version: 1, integrationId: randomUUID(), provider: 'globex' }),
    'globex',
  );

  const status = await run('status');
  expect(status.code).toBe(3);
  expect(status.stdout).toMatch(/^One thing is not well: 3 dead letters wait\.\n/);
  expect(status.stdout).toContain('evergrant dlq list shows the dead letters.');

  const list = await run('dlq', 'list', '--queue', 'refresh');
  expect(list.code).toBe(0);
  expect(list.stdout).toMatch(/^refresh: 3 dead letters, the oldest was sent /);
  expect(list.stdout).toMatch(/\n {2}1 {2}acme-calendar {2}malformed: /);
  expect(list.stdout).toMatch(/\n {2}1 {2}globex {2}oldest /);
  expect(list.stdout).not.toContain('canary');

  const replay = await run('dlq', 'replay', '--queue', 'refresh', '--provider', 'acme-calendar');
  expect(replay.code).toBe(0);
  expect(replay.stdout).toMatch(
    /^1 dead letter of 3 seen replayed to the refresh queue\.\n1 malformed stay, as they would come straight back/,
  );
  // The refresher has nothing to do for it: no scan has opened a claim.
  const left = async () => (await runJson<Status>('status')).document.queues[0];
  await expect
    .poll(left, { timeout: 20_000 })
    .toEqual({ queue: 'refresh', visible: 0, inFlight: 0, deadLetters: 2 });
  expect((await cli.database.integration(id)).consecutive_transient_failures).toBe(0);

  const discard = await run('dlq', 'discard', '--queue', 'refresh', '--malformed', '--yes');
  expect(discard.code).toBe(0);
  expect((await run('dlq', 'replay', '--queue', 'refresh')).code).toBe(0);
  await expect
    .poll(left, { timeout: 20_000 })
    .toEqual({ queue: 'refresh', visible: 0, inFlight: 0, deadLetters: 0 });
});

describe('a sealed result that no key opens', () => {
  const lostKey = 'cd'.repeat(32);

  /** As if a refresher had died with it; it was sealed with a key that has left the secret since. */
  async function sealWithLostKey(id: string): Promise<void> {
    const [row] = await cli.database.sql<{ refresh_token: string; refresh_claim: string }>(
      `UPDATE integrations SET refresh_started_at = now(), refresh_held_until = now() WHERE id = $1
       RETURNING refresh_token, refresh_claim`,
      [id],
    );
    const result = {
      id,
      usedToken: row!.refresh_token,
      claim: row!.refresh_claim,
      accessToken: 'canary-access-token',
      refreshToken: 'canary-refresh-token',
      expiresInSeconds: 3_600,
      refreshTokenExpiresInSeconds: null,
      authorizationLifetimeSeconds: null,
      scope: null,
      kept: {},
      providerName: 'Acme Calendar',
    };
    const sealer = await TokenSealer.fromSecret(JSON.stringify({ current: lostKey }));
    const message = await sealResult(sealer, result, 'acme-calendar', Date.now() / 1000);
    await send('sealedResults', JSON.stringify(message), 'acme-calendar');
  }

  const rowOf = async (id: string) => {
    const [row] = await cli.database.sql<{
      access_token: string;
      held_days: number | null;
      open_end: boolean;
    }>(
      `SELECT access_token, extract(epoch FROM refresh_held_until - now())::float8 / 86400 AS held_days,
              refresh_started_at IS NOT NULL AS open_end
       FROM integrations WHERE id = $1`,
      [id],
    );
    return row!;
  };

  test('is a dead letter that holds its row, until the key is back and it is replayed', async () => {
    const id = await refreshed('ada@acme-flows.example');
    await sealWithLostKey(id);
    expect((await run('scan')).code).toBe(0);

    const status = await run('status');
    expect(status.code).toBe(3);
    expect(status.stdout).toMatch(
      /^One thing is not well: 1 sealed result cannot be stored, and its integration is held until a replay \(evergrant dlq list --queue sealed\)\.\n/,
    );
    expect((await rowOf(id)).held_days).toBeCloseTo(14, 1);
    const show = await run('dlq', 'show', '--queue', 'sealed');
    expect(show.stdout).toMatch(new RegExp(`integration ${id}\n  body .*"sealed":"«\\d+ characters»"`));

    const { cloud } = cli.system;
    const secret = cloud.getSecret('evergrant/local/token-key') ?? '';
    const { current } = JSON.parse(secret) as { current: string };
    cloud.putSecret('evergrant/local/token-key', { current, previous: [lostKey] });
    const { currentKeyId } = await TokenSealer.fromSecret(JSON.stringify({ current: lostKey }));
    try {
      // No row is sealed with it, and it is needed all the same.
      const forget = await run('key', 'forget', currentKeyId, '--yes');
      expect(forget.code).toBe(1);
      expect(forget.stderr).toContain('1 sealed result may need it to be opened.');
      const replay = await run('dlq', 'replay', '--queue', 'sealed');
      expect({ code: replay.code, stderr: replay.stderr }).toMatchObject({ code: 0 });
      expect((await run('scan')).code).toBe(0);
      expect(await rowOf(id)).toEqual({
        access_token: 'canary-access-token',
        held_days: null,
        open_end: false,
      });
    } finally {
      cloud.putSecret('evergrant/local/token-key', secret);
    }
    expect((await run('status')).code).toBe(0);
  });

  test('is void when its user has reconnected, and a replay lets the row go on', async () => {
    const id = await refreshed('grace@acme-flows.example');
    await sealWithLostKey(id);
    expect((await run('scan')).code).toBe(0);
    await cli.database.sql(
      `UPDATE integrations SET access_token = 'fresh-access-token', refresh_token = 'fresh-refresh-token' WHERE id = $1`,
      [id],
    );
    const { cloud } = cli.system;
    const secret = cloud.getSecret('evergrant/local/token-key') ?? '';
    const { current } = JSON.parse(secret) as { current: string };
    cloud.putSecret('evergrant/local/token-key', { current, previous: [lostKey] });
    try {
      expect((await run('dlq', 'replay', '--queue', 'sealed')).code).toBe(0);
      expect((await run('scan')).code).toBe(0);
    } finally {
      cloud.putSecret('evergrant/local/token-key', secret);
    }
    expect(await rowOf(id)).toEqual({ access_token: 'fresh-access-token', held_days: null, open_end: false });
  });
});

test('verify finds the local system well', async () => {
  await refreshed('ada@acme-flows.example');
  const { code, document } = await runJson<{ well: boolean; checks: Check[] }>('verify');
  expect(document.checks.filter(({ state }) => state !== 'ok')).toEqual([]);
  expect({ code, well: document.well }).toEqual({ code: 0, well: true });
});

describe('connect and reconnect', () => {
  /** Starts a command that connects, and does in the browser what it asks for. */
  async function browse(account: string, ...args: readonly string[]): Promise<Ended & { page: string }> {
    const child = launch([...args, '--port', '0', ...cli.options]);
    const ended = end(child);
    const address = await new Promise<URL>((resolve, reject) => {
      let printed = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        printed += chunk;
        const found = /^https?:\/\/\S+[?&]response_type=\S+$/m.exec(printed)?.[0];
        if (found !== undefined && printed.includes(`${found}\n`)) resolve(new URL(found));
      });
      ended.then(({ stderr }) => reject(new Error(`it ended before it printed an address: ${stderr}`)));
    });
    const callback = await browseTo(address.searchParams.get('redirect_uri') ?? '', address, account);
    const page = await (await fetch(callback)).text();
    return { ...(await ended), page };
  }

  test('an account becomes an integration, is refreshed, is revoked, and comes back', async () => {
    const account = 'ada@acme-flows.example';
    const user = await cli.system.store.addUser(account, 'Ada');
    const connected = await browse(account, 'connect', 'acme-calendar', '--user', user.id);
    expect(connected.code).toBe(0);
    expect(connected.page).toContain('<h1>Connected</h1>');
    const [, id = ''] = /^Acme Calendar is connected\.\nIntegration (\S+); its token expires at /.exec(
      connected.stdout,
    )!;
    expect(await cli.database.integration(id)).toMatchObject({ user_id: user.id, status: 'connected' });

    const status = await run('status');
    expect(status.code).toBe(0);
    expect(status.stdout).toMatch(/\nacme-calendar +1 +0 +0 +0 +0 +0 +0 +never\n/);
    expect((await run('refresh', id)).stdout).toMatch(/^Refreshed\. /);

    provider().faults.revokeAccount(account);
    await cli.database.sql('UPDATE integrations SET consecutive_failures = 2 WHERE id = $1', [id]);
    expect((await run('refresh', id)).code).toBe(3);
    expect((await run('status')).stdout).toMatch(/\nacme-calendar +0 +0 +0 +0 +0 +0 +1 +/);

    const reconnected = await browse(account, 'reconnect', id);
    expect(reconnected.code).toBe(0);
    expect(reconnected.stdout).toContain(`Integration ${id}; `);
    const { document } = await runJson<HistoryReport>('history', id);
    expect(document.integration).toMatchObject({
      status: 'connected',
      disconnectReason: null,
      consecutiveFailures: 0,
      refreshToken: 'sealed',
    });
    expect((await run('refresh', id)).code).toBe(0);
  });

  test('reconnect of an unknown integration sends nobody anywhere', async () => {
    const { code, document } = await runJson<Failure>('reconnect', randomUUID());
    expect(code).toBe(1);
    expect(document.error.code).toBe('integration_not_found');
  });
});
