import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { readTokenKeys, replaceTokenKeys } from '../../cli/key/token-key-secret.ts';
import { openLocalTarget } from '../../cli/local-target.ts';
import type { MigrationReport } from '../../lambdas/migrator/migrate.ts';
import type { Check } from '../../lambdas/operator/reports.ts';
import type { ScanReport } from '../../lambdas/scanner/scan.ts';
import { parseTokenKeys, tokenKey } from '../../lambdas/sealing/token-keys.ts';
import {
  type CliSystem,
  evergrant,
  evergrantJson,
  stackAnswer,
  startAnswers,
  startCliSystem,
} from './harness.ts';

// Each test runs several processes, one after the other.
vi.setConfig({ testTimeout: 120_000 });

let cli: CliSystem;
beforeAll(async () => {
  cli = await startCliSystem();
}, 180_000);
afterAll(() => cli?.stop());

const tokenKeySecret = 'evergrant/local/token-key';
const keysOf = () => parseTokenKeys(cli.system.cloud.getSecret(tokenKeySecret) ?? '');

describe('scan', () => {
  beforeEach(() => cli.database.clear());

  test('with nothing due says so', async () => {
    const { code, stdout } = await evergrant(['scan', ...cli.options]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Nothing is due.\n' });
  });

  test('shows what is due, claims the most urgent, and leaves the rest', async () => {
    const urgent = await cli.database.insertIntegration({ provider: 'globex', expiresIn: -7_200 });
    const later = await cli.database.insertIntegration({ provider: 'globex', expiresIn: 300 });
    await cli.database.insertIntegration({ provider: 'initech', expiresIn: 300 });

    const dry = await evergrant(['scan', '--dry-run', '--verbose', '--provider', 'globex', ...cli.options]);
    expect(dry.code).toBe(0);
    expect(dry.stdout).toMatch(
      /^Would claim 2 integrations; that is all that is due\. Nothing was changed\.\n\n/,
    );
    expect(dry.stdout).toContain(`${urgent.id}  globex    expired 2 h ago\n`);
    expect(dry.stdout).toMatch(new RegExp(`${later.id} {2}globex {4}expires in (5 min|2\\d\\d s)\n`));
    expect((await cli.database.integration(urgent.id)).refresh_claim_open).toBe(false);

    const { code, document } = await evergrantJson<ScanReport>([
      'scan',
      '--provider',
      'globex',
      '--limit',
      '1',
      '--verbose',
      ...cli.options,
    ]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ dryRun: false, claimed: 1, enqueued: 1, released: 0, left: 1 });
    expect(document.integrations?.map(({ id }) => id)).toEqual([urgent.id]);

    const rest = await evergrant(['scan', ...cli.options]);
    expect(rest.stdout).toBe('Claimed 2 integrations and asked the refreshers for 2; nothing is left.\n');
  });

  test('what would steer the terminal is not printed', async () => {
    await cli.database.insertIntegration({ provider: 'evil\u001b[2J\u009bname', expiresIn: 60 });
    const { id } = await cli.database.insertIntegration({
      provider: 'evil\u202egnp\u2028\nAll is well: 7 connected',
      expiresIn: 60,
    });
    await cli.database.sql(
      "UPDATE integrations SET disconnect_reason = E'\\x1b]0;evil\\x07\\nStatus fine' WHERE id = $1",
      [id],
    );
    for (const command of [['scan', '--dry-run', '--verbose'], ['status'], ['history', id]]) {
      const { stdout } = await evergrant([...command, ...cli.options]);
      expect(stdout, command[0]).toMatch(/evil(\[2Jname|gnp All is well)/);
      expect(stdout, command[0]).not.toMatch(/^All is well: 7/m);
      const steering = [...stdout].filter(
        (character) => /[\p{C}\u2028]/u.test(character) && character !== '\n',
      );
      expect(steering, command[0]).toEqual([]);
    }
  });

  test('the message of a function that fails comes through, with its code', async () => {
    await cli.database.sql('ALTER TABLE integrations RENAME COLUMN expires_at TO expires_elsewhere');
    try {
      const { code, document } = await evergrantJson<{ error: { code: string; message: string } }>([
        'scan',
        ...cli.options,
      ]);
      expect(code).toBe(1);
      expect(document.error.code).toBe('function_failed');
      expect(document.error.message).toMatch(/^The scanner function failed: DatabaseError: 42703/);
    } finally {
      await cli.database.sql('ALTER TABLE integrations RENAME COLUMN expires_elsewhere TO expires_at');
    }
  });
});

describe('migrate', () => {
  test('status, down and up, through the function', async () => {
    const status = await evergrant(['migrate', 'status', ...cli.options]);
    expect(status.code).toBe(0);
    expect(status.stdout).toMatch(/^✓ 0001_product_tables\n/);
    expect(status.stdout).toMatch(/\nAll \d+ migrations are in force\.\n$/);
    const { document } = await evergrantJson<MigrationReport>(['migrate', 'status', ...cli.options]);
    const latest = document.applied.at(-1) ?? '';

    const unasked = await evergrant(['migrate', 'down', ...cli.options]);
    expect(unasked.code).toBe(2);
    expect(unasked.stderr).toContain(`"Take back ${latest} in the local system?" Add --yes`);

    const down = await evergrantJson<MigrationReport>(['migrate', 'down', '--yes', ...cli.options]);
    expect(down.code).toBe(0);
    expect(down.document).toMatchObject({ direction: 'down', ran: [latest], pending: [latest] });

    const pending = await evergrant(['migrate', 'status', ...cli.options]);
    expect(pending.stdout).toContain(`· ${latest}  not in force\n\n1 migration not in force`);

    const up = await evergrant(['migrate', 'up', ...cli.options]);
    expect(up.code).toBe(0);
    expect(up.stdout).toMatch(new RegExp(`^✓ ${latest}\n\n1 migration run; \\d+ in force, 0 not\\.\n$`));
    const again = await evergrant(['migrate', 'up', ...cli.options]);
    expect(again.stdout).toMatch(/^Nothing to do: \d+ in force, 0 not\.\n$/);
  });

  test('a migration that fails says what the database said', async () => {
    const { document: before } = await evergrantJson<MigrationReport>(['migrate', 'status', ...cli.options]);
    const count = before.applied.length - before.applied.indexOf('0005_threshold_events');
    await evergrant(['migrate', 'down', '--count', String(count), '--yes', ...cli.options]);
    await cli.database.sql('CREATE TABLE evergrant.threshold_events ()');

    const { code, document } = await evergrantJson<{ error: { code: string; message: string } }>([
      'migrate',
      'up',
      ...cli.options,
    ]);
    expect({ code, error: document.error.code }).toEqual({ code: 1, error: 'migration_failed' });
    expect(document.error.message).toMatch(
      /^The migrator function failed: Migration 0005_threshold_events up failed: .*"threshold_events" already exists \(42P07\)/,
    );

    await cli.database.sql('DROP TABLE evergrant.threshold_events');
    const mended = await evergrantJson<MigrationReport>(['migrate', 'up', ...cli.options]);
    expect(mended.document).toMatchObject({ applied: before.applied, pending: [] });
  });
});

describe('key rotate', () => {
  test('puts a new key in force, keeps the old one, and prints neither', async () => {
    const before = await keysOf();
    const unasked = await evergrant(['key', 'rotate', ...cli.options]);
    expect(unasked.code).toBe(2);
    expect(await keysOf()).toEqual(before);

    const { code, stdout, stderr } = await evergrant(['key', 'rotate', '--yes', ...cli.options]);
    expect(code).toBe(0);
    const after = await keysOf();
    expect(after.current.id).not.toBe(before.current.id);
    expect(after.previous).toEqual([before.current]);
    expect(stdout).toContain(`The current key is now  ${after.current.id}\n`);
    expect(stdout).toContain(`evergrant key forget ${before.current.id}\n`);
    const secret = cli.system.cloud.getSecret(tokenKeySecret) ?? '';
    for (const hex of secret.match(/[0-9a-f]{64}/g) ?? []) expect(stdout + stderr).not.toContain(hex);
    // What was sealed with it must open after the next start as well.
    expect(await readFile(path.join(cli.directory, 'token-key.json'), 'utf8')).toBe(secret);
  });

  test('twice keeps every key, the latest first', async () => {
    const before = await keysOf();
    const { code, document } = await evergrantJson<{ current: string; previous: string[] }>([
      'key',
      'rotate',
      '--yes',
      ...cli.options,
    ]);
    expect(code).toBe(0);
    const after = await keysOf();
    expect(after.previous).toEqual([before.current, ...before.previous]);
    expect(document).toEqual({ current: after.current.id, previous: after.previous.map(({ id }) => id) });
  });

  test('gives way to whoever changed the secret between its read and its write', async () => {
    const target = await openLocalTarget(cli.directory);
    const read = await readTokenKeys(target);
    const theirs = {
      current: await tokenKey(new Uint8Array(32).fill(7)),
      previous: [read.keys.current, ...read.keys.previous],
    };
    await replaceTokenKeys(target, read, theirs);
    const mine = { current: await tokenKey(new Uint8Array(32).fill(8)), previous: [read.keys.current] };
    await expect(replaceTokenKeys(target, read, mine)).rejects.toMatchObject({
      name: 'CliError',
      code: 'token_key_changed',
    });
    expect(await keysOf()).toEqual(theirs);
  });

  test('a secret that is unusable is named, and nothing of it printed', async () => {
    const secret = cli.system.cloud.getSecret(tokenKeySecret) ?? '';
    cli.system.cloud.putSecret(tokenKeySecret, '{"current": "canary-of-the-key"}');
    const { code, stdout, stderr } = await evergrant(['key', 'rotate', '--yes', ...cli.options]);
    cli.system.cloud.putSecret(tokenKeySecret, secret);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`Mend the secret ${tokenKeySecret}.`);
    expect(stderr).not.toContain('canary');
  });
});

describe('key forget', () => {
  test.each([
    ['the current key', async () => (await keysOf()).current.id, 'key_in_force'],
    ['a key that is none', async () => 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs', 'key_not_found'],
  ])('refuses %s', async (_, keyId, expected) => {
    const before = await keysOf();
    const { code, document } = await evergrantJson<{ error: { code: string } }>([
      'key',
      'forget',
      '--yes',
      await keyId(),
      ...cli.options,
    ]);
    expect({ code, error: document.error.code }).toEqual({ code: 1, error: expected });
    expect(await keysOf()).toEqual(before);
  });
});

describe('verify', () => {
  /** What is looked at from here; the others are the operator function's. */
  const own = [
    'schedule_rule',
    'refresher_event_source',
    'notifier_event_source',
    'refresh_queue',
    'threshold_queue',
    'sealed_queue',
    'sender',
    'ses_account',
  ];

  async function checks(args: readonly string[] = cli.options, env: NodeJS.ProcessEnv = {}) {
    const { code, document } = await evergrantJson<{ well: boolean; checks: Check[] }>(
      ['verify', ...args],
      env,
    );
    expect(document.well).toBe(code === 0);
    return {
      code,
      all: document.checks,
      of: (look: string) => document.checks.find((check) => check.code === look),
    };
  }

  test('finds the local system well', async () => {
    const { all } = await checks();
    expect(all.filter(({ code }) => own.includes(code)).map(({ code, state }) => [code, state])).toEqual(
      own.map((code) => [code, 'ok']),
    );
  });

  test('finds dead letters, with what to do', async () => {
    const sqs = new SQSClient({
      endpoint: cli.system.cloud.endpoints.sqs,
      region: 'us-east-1',
      credentials: { accessKeyId: 'LOCAL', secretAccessKey: 'local' },
    });
    const { refreshDeadLetters } = cli.system.queueIds;
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: cli.system.cloud.queues[refreshDeadLetters]?.url,
        MessageBody: 'poison',
      }),
    );
    const { code, of } = await checks();
    expect(code).toBe(3);
    expect(of('refresh_queue')).toMatchObject({
      state: 'failed',
      // What the scans above asked for may still be on its way.
      found: expect.stringMatching(/^\d+ waiting, \d+ in flight, 1 dead letter\.$/),
      fix: expect.stringContaining('evergrant dlq list'),
    });
    const { stdout } = await evergrant(['verify', ...cli.options]);
    expect(stdout).toMatch(/\n✗ The refresh queue has no dead letters: .*1 dead letter\.\n {4}Look at them/);
    expect(stdout).toMatch(/\n\d+ of \d+ checks failed.*\.\n$/);
  });

  test('finds that SES is out of order', async () => {
    cli.system.cloud.setEmailFault({ status: 400, body: { __type: 'AccountSuspendedException' } });
    try {
      const { of } = await checks();
      expect(of('ses_account')).toMatchObject({ state: 'failed' });
      expect(of('sender')).toMatchObject({ state: 'failed' });
    } finally {
      cli.system.cloud.setEmailFault(null);
    }
  });

  test('looks at a deployed stack as well, and says what it was not allowed to look at', async () => {
    // The stack's description is made up, the services behind its outputs are the local ones.
    const { outputs, endpoints } = cli.system.cloud;
    const { SenderEmail: _, ...others } = outputs;
    const cloudFormation = await startAnswers((request, response) => {
      request.resume();
      response
        .writeHead(200, { 'content-type': 'text/xml' })
        .end(stackAnswer('UPDATE_ROLLBACK_COMPLETE', others));
    });
    const denying = await startAnswers((request, response) => {
      request.resume();
      response
        .writeHead(400, { 'content-type': 'application/x-amz-json-1.1' })
        .end(JSON.stringify({ __type: 'AccessDeniedException', message: 'not authorized' }));
    });
    try {
      const { of } = await checks(['--stack', 'evergrant-qa'], {
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'LOCAL',
        AWS_SECRET_ACCESS_KEY: 'local',
        AWS_ENDPOINT_URL_CLOUDFORMATION: cloudFormation.endpoint,
        AWS_ENDPOINT_URL_SQS: endpoints.sqs,
        AWS_ENDPOINT_URL_LAMBDA: endpoints.lambda,
        AWS_ENDPOINT_URL_EVENTBRIDGE: denying.endpoint,
      });
      expect(of('stack_status')).toMatchObject({ state: 'warning' });
      expect(of('schedule_rule')).toMatchObject({
        state: 'not_checked',
        found: 'AWS does not allow you events:DescribeRule.',
      });
      expect(of('refresher_event_source')).toMatchObject({ state: 'ok' });
      expect(of('sender')).toMatchObject({
        state: 'warning',
        found: expect.stringContaining('only the app'),
      });
      expect(of('ses_account')).toBeUndefined();
    } finally {
      await cloudFormation.stop();
      await denying.stop();
    }
  });
});

test('running.json stands there for as long as the system runs', async () => {
  const file = path.join(cli.directory, 'running.json');
  const { outputs, endpoints } = JSON.parse(await readFile(file, 'utf8'));
  expect(outputs).toEqual(cli.system.cloud.outputs);
  expect(endpoints.lambda).toBe(cli.system.cloud.endpoints.lambda);
  await cli.system.stop();
  await expect(access(file)).rejects.toMatchObject({ code: 'ENOENT' });
});
