import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import type { Context, SQSEvent } from 'aws-lambda';
import { startFauxqs } from 'fauxqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { databaseEnv, functionEnv, metricNames } from '../lambdas/contract.ts';
import { claimDue } from '../lambdas/postgres/claim-due.ts';
import { sealResult } from '../lambdas/sealed-result.ts';
import { TokenSealer } from '../lambdas/sealing/token-sealer.ts';
import { Queue } from '../lambdas/sqs/queue.ts';
import { EvergrantStack } from '../lib/evergrant-stack.ts';
import { parseSettings } from '../lib/settings.ts';
import { type Email, startEmail } from '../local/cloud/email.ts';
import { startSecrets } from './support/aws.ts';
import { type IntegrationOverrides, type TestDatabase, testDatabase } from './support/database.ts';
import { emittedMetrics, shownMetrics, watchedMetrics, widgetsOf } from './support/metrics.ts';
import { endless } from './support/results.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from './support/token-endpoint.ts';

/**
 * The functions run with the environment of the synthesized template against real parts, and meet everything that
 * they measure; what they write is compared with what the alarms watch and the dashboard shows.
 */
type Stage = 'scanner' | 'refresher' | 'notifier';
type Handler = (event: unknown, context: Context) => Promise<unknown>;

const stackName = 'evergrant-prod';
const tokenKey = randomBytes(32).toString('hex');
let template: Template;
let db: TestDatabase;
let sqs: Awaited<ReturnType<typeof startFauxqs>>;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
let email: Email;
let endpoint: TokenEndpoint;
let output: string[] = [];

beforeAll(async () => {
  const settings = parseSettings({
    senderEmail: 'product@mail.example.com',
    appBaseUrl: 'https://app.example.com',
  });
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  template = Template.fromStack(new EvergrantStack(app, 'Evergrant', { stackName, settings }));
  [db, sqs, secrets, email] = await Promise.all([
    testDatabase(),
    startFauxqs({ port: 0, logger: false }),
    startSecrets({}),
    startEmail({ onEvent: () => {} }),
  ]);
  secrets.put('TOKEN_KEY_SECRET_ID', { current: tokenKey });
  process.env.AWS_ENDPOINT_URL_SQS = `http://127.0.0.1:${sqs.port}`;
  process.env.AWS_ENDPOINT_URL_SESV2 = email.endpoint;
  for (const queue of ['REFRESH_QUEUE_URL', 'THRESHOLD_QUEUE_URL']) sqs.createQueue(queue);
});
beforeEach(async () => {
  await db.clear();
  secrets.put(databaseEnv.source, { url: db.url });
  endpoint = await startTokenEndpoint(() => granted({ refresh_token: `new-${randomUUID()}` }));
  secrets.put('evergrant/prod/providers/acme', {
    clientId: 'us',
    clientSecret: 'secret',
    provider: { displayName: 'Acme', tokenEndpoint: endpoint.url },
  });
  output = [];
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      output.push(String(chunk));
      return true;
    });
  }
});
afterEach(async () => {
  email.setFault(null);
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await endpoint.stop();
});
afterAll(async () => {
  await Promise.all([sqs.stop(), secrets.stop(), email.stop(), db.end()]);
});

/** Loads a function as Lambda does. What the template refers to is called by the variable's name here. */
async function load(stage: Stage): Promise<Handler> {
  const found = Object.values(template.findResources('AWS::Lambda::Function')).find(({ Properties }) =>
    JSON.stringify(Properties.FunctionName ?? '').includes(`${stackName}-${stage}`),
  );
  const variables = Object.entries<unknown>(found?.Properties.Environment.Variables);
  expect(variables.length).toBeGreaterThan(3);
  for (const [name, value] of variables) {
    const reference = name.endsWith('_URL') ? `http://127.0.0.1:${sqs.port}/000000000000/${name}` : name;
    vi.stubEnv(name, typeof value === 'string' && !name.endsWith('_SECRET_ID') ? value : reference);
  }
  vi.resetModules();
  const module = (await import(`../lambdas/${stage}/handler.ts`)) as { handler: Handler };
  return module.handler;
}

const context = () =>
  ({
    awsRequestId: 'request-1',
    getRemainingTimeInMillis: () => Number(process.env[functionEnv.timeoutSeconds]) * 1000,
  }) as Context;

const sqsEvent = (...bodies: object[]) =>
  ({
    Records: bodies.map((body, index) => ({
      messageId: `message-${index}`,
      receiptHandle: `handle-${index}`,
      body: JSON.stringify(body),
    })),
  }) as unknown as SQSEvent;

/** Due integrations, claimed as the scanner does. */
async function claimed(...overrides: IntegrationOverrides[]): Promise<string[]> {
  const ids: string[] = [];
  for (const override of overrides) ids.push((await db.insertIntegration(override)).id);
  await claimDue(db.database, {
    collectedAt: 'infinity',
    windowSeconds: 600,
    holdSeconds: 1,
    provider: null,
    after: null,
    limit: 100,
  });
  return ids;
}
const refresh = async (ids: readonly string[]) =>
  (await load('refresher'))(
    sqsEvent(...ids.map((integrationId) => ({ version: 1, integrationId }))),
    context(),
  );
const notify = async (...eventIds: string[]) =>
  (await load('notifier'))(sqsEvent(...eventIds.map((eventId) => ({ version: 1, eventId }))), context());
const scan = async () => (await load('scanner'))({}, context());

/** What was written since the last call: logs and embedded metrics. */
function written() {
  return output.splice(0).flatMap((chunk) => chunk.split('\n').filter((line) => line.startsWith('{')));
}

/** Values of a metric that were written, with their dimensions. */
function valuesOf(lines: readonly string[], name: string): Record<string, unknown>[] {
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => '_aws' in line && name in line)
    .map(({ _aws, ...line }) =>
      Object.fromEntries(Object.entries(line).filter(([field]) => field === name || /^[a-z]/.test(field))),
    );
}

describe('every metric', () => {
  it('is written with the dimensions that alarms and dashboard name, and none is written for nobody', async () => {
    // Refreshed, failed in each class, void, premature, lost.
    const dead = 'refresh-dead';
    endpoint.answer = async ({ parameters }) => {
      const token = parameters.get('refresh_token');
      if (token === 'permanent') return refused('invalid_grant');
      if (token === 'transient') return { status: 503 };
      if (token === 'operator') return refused('invalid_client', 401);
      if (token === 'void') {
        await db.sql(`UPDATE integrations SET refresh_token = 'of the user' WHERE refresh_token = 'void'`);
      }
      return granted({ refresh_token: `new-${randomUUID()}` });
    };
    await refresh(
      await claimed(
        ...['good', 'permanent', 'transient', 'operator', 'void'].map((refresh_token) => ({ refresh_token })),
        { refresh_token: dead, disconnected_grant: createHash('sha256').update(dead).digest() },
      ),
    );
    const now = performance.now.bind(performance);
    endpoint.answer = () => {
      // One second is left of the refresher's forty.
      vi.spyOn(performance, 'now').mockImplementation(() => now() + 39_000);
      return granted();
    };
    const [locked] = await claimed({});
    await db.inTransaction(async (product) => {
      // The start finds the row free, and the commit finds it taken by the product.
      const answer = endpoint.answer;
      endpoint.answer = async (call, response) => {
        await product.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [locked]);
        return answer(call, response);
      };
      await refresh([locked!]);
    });
    vi.mocked(performance.now).mockRestore();

    // A success that Postgres does not take, and one that waits sealed; a token that is short-lived.
    sqs.createQueue('SEALED_RESULT_QUEUE_URL');
    endpoint.answer = () => granted({ expires_in: 120 });
    const [taken] = await claimed({});
    await db.inTransaction(async (product) => {
      endpoint.answer = async () => {
        await product.query(`UPDATE integrations SET metadata = '{}' WHERE id = $1`, [taken]);
        setTimeout(() => void product.query('ROLLBACK'), 1_500);
        return granted({ expires_in: 120 });
      };
      await refresh([taken!]);
    });
    const waiting = await db.insertIntegration({ refresh_token: 'sealed away' });
    const tokenKeys = await TokenSealer.fromSecret(JSON.stringify({ current: tokenKey }));
    await new Queue(`http://127.0.0.1:${sqs.port}/000000000000/SEALED_RESULT_QUEUE_URL`).send([
      {
        groupId: 'acme',
        body: await sealResult(
          tokenKeys,
          {
            id: waiting.id,
            usedToken: 'sealed away',
            claim: '0',
            accessToken: 'a',
            refreshToken: 'r',
            expiresInSeconds: 3_600,
            refreshTokenExpiresInSeconds: null,
            scope: null,
            ...endless,
          },
          'acme',
          Date.now() / 1000,
        ),
      },
    ]);

    // A provider that is down, one that refuses many, and one whose limit leaves no room.
    const crowd = (count: number, provider: string) =>
      claimed(
        ...Array.from({ length: count }, () => ({ provider, refresh_token: `${provider}-${randomUUID()}` })),
      );
    for (const provider of ['down', 'refusing', 'limited']) {
      secrets.put(`evergrant/prod/providers/${provider}`, {
        clientId: 'us',
        clientSecret: 'secret',
        provider: {
          displayName: provider,
          tokenEndpoint: endpoint.url,
          ...(provider === 'limited' && { callsPerSecond: 0.01 }),
        },
      });
    }
    endpoint.answer = ({ parameters }) => {
      const [provider] = (parameters.get('refresh_token') ?? '').split('-');
      if (provider === 'down') return { status: 503 };
      return provider === 'refusing' ? refused('invalid_grant') : granted();
    };
    await refresh(await crowd(12, 'down'));
    await refresh(await crowd(25, 'refusing'));
    await refresh(await crowd(2, 'limited'));

    // Answers that are lost: one is asked for again, and one has cost the grant.
    secrets.put('evergrant/prod/providers/forgiving', {
      clientId: 'us',
      clientSecret: 'secret',
      provider: { displayName: 'Forgiving', tokenEndpoint: endpoint.url, reuseGraceSeconds: 60 },
    });
    const seen = new Set<string>();
    endpoint.answer = ({ parameters }) => {
      const token = parameters.get('refresh_token') ?? '';
      if (!seen.has(token)) {
        seen.add(token);
        return { status: 502 };
      }
      return token === 'spent' ? refused('invalid_grant') : granted();
    };
    await refresh(
      await claimed(
        { provider: 'forgiving', refresh_token: 'living' },
        { provider: 'forgiving', refresh_token: 'spent' },
      ),
    );

    // Told in the app in each way, by email, not at all, and not taken by SES.
    const told = async (notification_type: string | null, email_kind: string | null) =>
      (await db.insertEvent({ notification_type, email_kind, connected_since: new Date(0) })).id;
    await notify(
      await told('integration_warning', null),
      await told('integration_rate_limit', null),
      await told('integration_disconnected', 'disconnected'),
    );
    await db.sql(
      `CREATE OR REPLACE VIEW evergrant.users AS
       SELECT user_id AS id, 'ada@example.com'::text AS email, 'Ada'::text AS name FROM evergrant.threshold_events`,
    );
    await notify(await told(null, 'reconnect'));
    email.setFault({ status: 429, body: { __type: 'TooManyRequestsException', message: 'slow down' } });
    await notify(await told(null, 'reconnect'));

    // A scan that finds a provider with enough integrations to have a rate, and one without its database.
    await db.sql(
      `INSERT INTO evergrant.refresh_outcomes (counted_at, provider, refreshed, disconnected) VALUES (now(), 'acme', 100, 0)`,
    );
    await scan();
    secrets.put(databaseEnv.source, { url: 'postgres://nobody@127.0.0.1:1/nothing?sslmode=disable' });
    await expect(scan()).rejects.toThrow('DatabaseUnavailable');

    const emitted = emittedMetrics(written());
    const used = new Set([...watchedMetrics(template), ...shownMetrics(widgetsOf(template))]);
    expect([...used].filter((metric) => !emitted.has(metric))).toEqual([]);
    expect([...emitted].filter((metric) => !used.has(metric))).toEqual([]);
    const names = new Set([...emitted].map((metric) => metric.split(' ')[0]));
    expect(Object.values(metricNames).filter((name) => !names.has(name))).toEqual([]);
  });
});

describe('a scan', () => {
  it('measures what it finds, and is written down', async () => {
    for (let n = 0; n < 3; n += 1) await db.insertIntegration({ expiresIn: 4_000 });
    await db.insertIntegration({ expiresIn: -90 });
    await db.sql(
      `INSERT INTO evergrant.refresh_outcomes (counted_at, provider, refreshed, disconnected) VALUES (now(), 'acme', 60, 20), (now(), 'small', 0, 3)`,
    );
    await scan();
    const lines = written();
    expect(valuesOf(lines, metricNames.connected)).toMatchObject([{ [metricNames.connected]: 4 }]);
    expect(valuesOf(lines, metricNames.expiredConnected)).toMatchObject([
      { [metricNames.expiredConnected]: 1 },
    ]);
    expect(valuesOf(lines, metricNames.lowestSuccessRate)).toMatchObject([
      { [metricNames.lowestSuccessRate]: 75 },
    ]);
    expect(valuesOf(lines, metricNames.successRate)).toMatchObject([
      { [metricNames.successRate]: 75, provider: 'acme' },
    ]);
    expect(lines.map((line) => JSON.parse(line)).find(({ message }) => message === 'measured')).toMatchObject(
      {
        connected: 4,
        expired: 1,
        lowestSuccessRate: { provider: 'acme', percent: 75, refreshed: 60, disconnected: 20, failing: 0 },
      },
    );
    const [record] = await db.sql<{ oldest_expired_seconds: number }>('SELECT * FROM evergrant.scans');
    expect(record).toMatchObject({ claimed: 1, enqueued: 1, released: 0, left_due: 0, events_relayed: 0 });
    // By the moment of the claim, and a scan collects before it claims.
    expect(record?.oldest_expired_seconds).toBeGreaterThanOrEqual(90);
    expect(record?.oldest_expired_seconds).toBeLessThan(120);
  });

  it('goes well without its measures and without its record, and says what is missing', async () => {
    await db.insertIntegration();
    await db.sql('ALTER TABLE evergrant.scans RENAME TO scans_away');
    await db.sql('ALTER TABLE evergrant.refresh_outcomes RENAME TO outcomes_away');
    try {
      expect(await scan()).toMatchObject({ claimed: 1, enqueued: 1 });
    } finally {
      await db.sql('ALTER TABLE evergrant.scans_away RENAME TO scans');
      await db.sql('ALTER TABLE evergrant.outcomes_away RENAME TO refresh_outcomes');
    }
    const lines = written().map((line) => JSON.parse(line));
    expect(lines.filter(({ message }) => message === 'scan goes on without')).toMatchObject([
      { what: 'measure', cause: { sqlstate: '42P01' } },
      { what: 'record of the scan', cause: { sqlstate: '42P01' } },
    ]);
    expect(lines.some((line) => metricNames.claimed in line)).toBe(true);
  });
});

describe('a batch', () => {
  it('writes down what became of each provider’s integrations', async () => {
    endpoint.answer = ({ parameters }) =>
      parameters.get('refresh_token') === 'bad' ? refused('invalid_grant') : granted();
    await refresh(
      await claimed({}, {}, { refresh_token: 'bad', consecutive_failures: 2 }, { refresh_token: 'bad' }),
    );
    expect(await db.sql('SELECT provider, refreshed, disconnected FROM evergrant.refresh_outcomes')).toEqual([
      { provider: 'acme', refreshed: 2, disconnected: 1 },
    ]);
  });

  it('adds nothing where nothing was decided, and is done well where nothing can be written', async () => {
    endpoint.answer = () => ({ status: 503 });
    await refresh(await claimed({}));
    expect(await db.sql('SELECT FROM evergrant.refresh_outcomes')).toEqual([]);
    endpoint.answer = () => granted();
    await db.sql('ALTER TABLE evergrant.refresh_outcomes RENAME TO outcomes_away');
    try {
      expect(await refresh(await claimed({}))).toEqual({ batchItemFailures: [] });
    } finally {
      await db.sql('ALTER TABLE evergrant.outcomes_away RENAME TO refresh_outcomes');
    }
  });
});

describe('a disconnection', () => {
  it('is measured from the failures to the notification, once however often it is delivered', async () => {
    endpoint.answer = () => refused('access_denied');
    const { id } = await db.insertIntegration({ created_at: new Date(Date.now() - 10 * 86_400_000) });
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await db.sql('UPDATE integrations SET refresh_held_until = NULL');
      await claimDue(db.database, {
        collectedAt: 'infinity',
        windowSeconds: 600,
        holdSeconds: 1,
        provider: null,
        after: null,
        limit: 9,
      });
      await refresh([id]);
      for (const event of await db.eventsOf(id)) await notify(event.id, event.id);
    }
    const lines = written();
    expect(valuesOf(lines, metricNames.disconnections)).toMatchObject([
      { [metricNames.disconnections]: 1, provider: 'acme' },
    ]);
    expect(valuesOf(lines, metricNames.disconnectionsWarned)).toMatchObject([
      { [metricNames.disconnectionsWarned]: 1, provider: 'acme' },
    ]);
    expect(valuesOf(lines, metricNames.connectedDays)).toMatchObject([
      { [metricNames.connectedDays]: expect.closeTo(10, 2) },
    ]);

    // An operator sets the row connected again, and the provider takes the same grant.
    endpoint.answer = () => granted();
    await db.sql(`UPDATE integrations SET status = 'connected'`);
    await claimDue(db.database, {
      collectedAt: 'infinity',
      windowSeconds: 600,
      holdSeconds: 1,
      provider: null,
      after: null,
      limit: 9,
    });
    await refresh([id]);
    const premature = valuesOf(written(), metricNames.prematureDisconnections);
    expect(premature.map((line) => line[metricNames.prematureDisconnections])).toEqual([1, 1]);
    expect(new Set(premature.map(({ provider }) => provider))).toEqual(new Set([undefined, 'acme']));
  });
});
