import { randomBytes, randomUUID } from 'node:crypto';
import { startFauxqs } from 'fauxqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  databaseEnv,
  functionEnv,
  metricNames,
  notifierEnv,
  operatorEnv,
  refresherEnv,
  scannerEnv,
} from '../../lambdas/contract.ts';
import type { VerifyReport } from '../../lambdas/operator/reports.ts';
import { claimDue } from '../../lambdas/postgres/claim-due.ts';
import { type Email, startEmail } from '../../local/cloud/email.ts';
import { createSqsCaller } from '../../local/cloud/sqs-client.ts';
import { startSecrets } from '../support/aws.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { startProxy, through } from '../support/proxy.ts';
import {
  failedOf,
  invocationContext,
  loadStage,
  type Stage,
  sqsEvent,
  stageEnvironments,
} from '../support/stages.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from '../support/token-endpoint.ts';

let db: TestDatabase;
let sqs: Awaited<ReturnType<typeof startFauxqs>>;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
let email: Email;
let endpoint: TokenEndpoint;
let output: string[] = [];

beforeAll(async () => {
  [db, sqs, secrets, email] = await Promise.all([
    testDatabase(),
    startFauxqs({ port: 0, logger: false }),
    startSecrets({}),
    startEmail({ onEvent: () => {} }),
  ]);
  secrets.put('database', { url: db.url });
  secrets.put('token-key', { current: randomBytes(32).toString('hex') });
  process.env.AWS_ENDPOINT_URL_SQS = `http://127.0.0.1:${sqs.port}`;
  process.env.AWS_ENDPOINT_URL_SESV2 = email.endpoint;
});
beforeEach(async () => {
  await db.clear();
  for (const queue of ['refresh', 'threshold', 'sealed']) sqs.createQueue(queue);
  sqs.purgeAll();
  for (const queue of ['refresh', 'threshold', 'sealed']) sqs.createQueue(queue);
  endpoint = await startTokenEndpoint(() => granted({ refresh_token: 'new' }));
  secrets.put('providers/acme', {
    clientId: 'us',
    clientSecret: 'canary-client-secret',
    provider: { displayName: 'Acme Calendar', tokenEndpoint: endpoint.url },
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

const queueUrl = (name: string) => `http://127.0.0.1:${sqs.port}/000000000000/${name}`;

const environments = () => stageEnvironments(queueUrl);

const load = (stage: Stage, changes: Record<string, string | undefined> = {}) =>
  loadStage(stage, environments(), changes);

/** A function of which no more than this is left, at most, when it is entered. */
const short = { [functionEnv.timeoutSeconds]: '1' };

const context = invocationContext;

const bodiesOn = (queue: string) =>
  (sqs.inspectQueue(queue)?.messages.ready ?? []).map(
    ({ body }) => JSON.parse(body) as Record<string, unknown>,
  );

/** The values of a metric without a dimension, as the functions printed them. */
const measured = (name: string): number[] =>
  output
    .join('')
    .split('\n')
    .filter((line) => line.includes('"_aws"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => name in line && !('provider' in line))
    .flatMap((line) => line[name] as number | number[]);

const refreshMessage = (integrationId: string, provider = 'acme') => ({
  version: 1,
  integrationId,
  provider,
});
const malformed = [
  '',
  'canary-body',
  'null',
  '[]',
  '{}',
  '{"version":1}',
  '{"version":1,"integrationId":"canary","eventId":"canary"}',
  `{"version":2,"integrationId":"${randomUUID()}","eventId":"${randomUUID()}"}`,
  '\u0000',
];

it('the notifier sends no email whose button would lead nowhere', async () => {
  await expect(load('notifier', { [notifierEnv.appBaseUrl]: undefined })).rejects.toThrow(
    notifierEnv.appBaseUrl,
  );
});

describe.each<Stage>(['scanner', 'refresher', 'notifier', 'migrator', 'operator'])(
  'the environment of the %s',
  (stage) => {
    const optional: string[] = [
      notifierEnv.senderEmail,
      notifierEnv.configurationSet,
      notifierEnv.appBaseUrl,
      operatorEnv.senderEmail,
    ];

    it('as it should be loads', async () => {
      expect(await load(stage)).toBeTypeOf('function');
    });

    it('without anything fails at once, naming all that is missing', async () => {
      const names = Object.keys(environments()[stage]);
      const missing = Object.fromEntries(names.map((name) => [name, undefined]));
      const error = (await load(stage, missing).catch((thrown: Error) => thrown)) as Error;
      for (const name of names) {
        if (!optional.includes(name)) expect(error.message).toContain(name);
      }
    });

    it('with anything malformed fails at once, naming all of it and repeating none', async () => {
      const names = Object.keys(environments()[stage]);
      const malformedValues = Object.fromEntries(names.map((name) => [name, '']));
      const error = (await load(stage, malformedValues).catch((thrown: Error) => thrown)) as Error;
      for (const name of names) expect(error.message).toContain(name);
      const text = (await load(stage, Object.fromEntries(names.map((name) => [name, 'canary value']))).catch(
        (thrown: Error) => thrown,
      )) as Error;
      if (text instanceof Error) expect(text.message).not.toContain('canary');
    });
  },
);

describe('numbers and words of the environment', () => {
  it.each<[Stage, string, string]>([
    ['scanner', scannerEnv.refreshWindowSeconds, '0'],
    ['scanner', scannerEnv.refreshWindowSeconds, '-1'],
    ['scanner', scannerEnv.claimHoldSeconds, '1.5'],
    ['scanner', scannerEnv.claimHoldSeconds, '1e3'],
    ['scanner', scannerEnv.refreshQueueUrl, 'queue'],
    ['refresher', refresherEnv.callTimeoutMs, 'ten'],
    ['refresher', refresherEnv.maxInFlight, '0'],
    ['refresher', refresherEnv.disconnectOnInvalidRefreshToken, 'yes'],
    ['refresher', refresherEnv.tokensAtRest, 'encrypted'],
    ['refresher', refresherEnv.thresholdQueueUrl, ''],
    ['notifier', notifierEnv.appBaseUrl, 'javascript:alert(1)'],
    ['notifier', notifierEnv.emailHoldSeconds, ' 35'],
    ['operator', operatorEnv.scanIntervalSeconds, '5m'],
    ['operator', operatorEnv.refreshWindowSeconds, '0'],
  ])('of the %s: %s may not be "%s"', async (stage, name, value) => {
    await expect(load(stage, { [name]: value })).rejects.toThrow(name);
  });

  it('that contradict each other are named', async () => {
    await expect(load('refresher', { [refresherEnv.warningThreshold]: '3' })).rejects.toThrow(
      'warningThreshold',
    );
  });
});

describe('the scanner', () => {
  const scheduled = { version: '0', source: 'aws.events', 'detail-type': 'Scheduled Event', detail: {} };

  it('by schedule claims what is due and asks for each once', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 25; i += 1) ids.push((await db.insertIntegration()).id);
    await db.insertIntegration({ expiresIn: 3600 });
    const scan = await load('scanner');
    expect(await scan(scheduled, context())).toEqual({
      dryRun: false,
      claimed: 25,
      enqueued: 25,
      released: 0,
      left: 0,
      eventsRelayed: 0,
    });
    const messages = bodiesOn('refresh');
    expect(messages.map(({ integrationId }) => integrationId).toSorted()).toEqual(ids.toSorted());
    expect(Object.keys(messages[0]!)).toEqual(['version', 'integrationId', 'provider']);
    expect(await scan(scheduled, context())).toMatchObject({ claimed: 0 });
  });

  it.each([[undefined], [null], [{}]])('by hand takes %j for everything that is due', async (event) => {
    await db.insertIntegration();
    expect(await (await load('scanner'))(event, context())).toMatchObject({ claimed: 1, enqueued: 1 });
  });

  it('by hand keeps to a provider and a limit, and says what is left', async () => {
    for (let i = 0; i < 4; i += 1) await db.insertIntegration();
    const other = await db.insertIntegration({ provider: 'other', expiresIn: 30 });
    const scan = await load('scanner');
    expect(await scan({ provider: 'other', verbose: true }, context())).toMatchObject({
      claimed: 1,
      left: 0,
      integrations: [{ id: other.id, provider: 'other', expiresAt: other.expires_at!.toISOString() }],
    });
    expect(await scan({ limit: 3 }, context())).toMatchObject({ claimed: 3, left: 1 });
  });

  it('in a dry run shows what it would claim and changes nothing', async () => {
    for (let i = 0; i < 3; i += 1) await db.insertIntegration({ expiresIn: 10 + i });
    await db.insertEvent();
    const before = await db.sql('SELECT * FROM integrations, evergrant.threshold_events ORDER BY expires_at');
    const scan = await load('scanner');
    const report = await scan({ dryRun: true, verbose: true, limit: 2 }, context());
    expect(report).toMatchObject({ dryRun: true, claimed: 2, enqueued: 0, left: 1, eventsRelayed: 0 });
    expect(report).toHaveProperty('integrations.length', 2);
    expect(
      await db.sql('SELECT * FROM integrations, evergrant.threshold_events ORDER BY expires_at'),
    ).toEqual(before);
    expect(bodiesOn('refresh')).toEqual([]);
    expect(bodiesOn('threshold')).toEqual([]);
  });

  it('by hand takes one integration by its id, due or not, and nothing else', async () => {
    await db.insertIntegration();
    await db.insertEvent();
    const wanted = await db.insertIntegration({ expiresIn: 86_400 });
    const scan = await load('scanner');
    const one = { integration: wanted.id, verbose: true };
    const listed = {
      integrations: [
        {
          id: wanted.id,
          provider: 'acme',
          expiresAt: wanted.expires_at!.toISOString(),
          expiresInSeconds: expect.any(Number),
        },
      ],
    };
    const counts = { enqueued: 0, released: 0, left: 0, eventsRelayed: 0 };
    expect(await scan({ ...one, dryRun: true }, context())).toEqual({
      dryRun: true,
      claimed: 1,
      ...counts,
      ...listed,
    });
    expect(await db.integration(wanted.id)).toEqual(wanted);
    expect(await scan(one, context())).toEqual({
      dryRun: false,
      claimed: 1,
      ...counts,
      enqueued: 1,
      ...listed,
    });
    expect(bodiesOn('refresh')).toEqual([refreshMessage(wanted.id)]);
    expect(bodiesOn('threshold')).toEqual([]);
    // Held now: a second request leaves it alone.
    expect(await scan(one, context())).toEqual({ dryRun: false, claimed: 0, ...counts, integrations: [] });
    expect(await scan({ ...one, dryRun: true, verbose: false }, context())).toEqual({
      dryRun: true,
      claimed: 0,
      ...counts,
    });
    // The alarm for scans that have fallen silent counts this metric.
    expect(output.join('')).not.toContain(metricNames.claimed);
    await scan({}, context());
    expect(output.join('')).toContain(metricNames.claimed);
  });

  it('by hand gives up the claim of one integration whose message nobody took', async () => {
    const { id } = await db.insertIntegration({ expiresIn: 86_400 });
    const lost = await load('scanner', { [scannerEnv.refreshQueueUrl]: queueUrl('nowhere') });
    expect(await lost({ integration: id }, context())).toMatchObject({
      claimed: 1,
      enqueued: 0,
      released: 1,
    });
    expect(await (await load('scanner'))({ integration: id }, context())).toMatchObject({ enqueued: 1 });
  });

  it.each<[string, object]>([
    ['integration', { integration: 'all' }],
    ['integration', { integration: 7 }],
    ['integration', { integration: '' }],
    ['integration', { integration: '00000000-0000-0000-0000-000000000000', provider: 'acme' }],
    ['integration', { integration: '00000000-0000-0000-0000-000000000000', limit: 1 }],
    ['limit', { limit: 0 }],
    ['limit', { limit: 1.5 }],
    ['limit', { limit: '10' }],
    ['limit', { limit: 1_000_001 }],
    ['provider', { provider: '' }],
    ['provider', { provider: 7 }],
    ['provider', { provider: 'a b' }],
    ['dryRun', { dryRun: 'yes' }],
    ['verbose', { verbose: 1 }],
    ['dryrun', { dryrun: true }],
    ['the event', [1]],
  ])('refuses a wrong %s: %j, and claims nothing', async (field, event) => {
    const row = await db.insertIntegration();
    const scan = await load('scanner');
    await expect(scan(event, context())).rejects.toThrow(field);
    expect(await db.integration(row.id)).toEqual(row);
  });

  it('names every wrong field at once', async () => {
    const scan = await load('scanner');
    const error = (await scan({ limit: 0, dryRun: 1, provider: '' }, context()).catch(
      (thrown: Error) => thrown,
    )) as Error;
    for (const field of ['limit', 'dryRun', 'provider']) expect(error.message).toContain(field);
  });

  it('gives up the claims whose messages nobody took, for the next scan', async () => {
    const row = await db.insertIntegration();
    const lost = await load('scanner', { [scannerEnv.refreshQueueUrl]: queueUrl('nowhere') });
    expect(await lost({}, context())).toMatchObject({ claimed: 1, enqueued: 0, released: 1 });
    expect(await (await load('scanner'))({}, context())).toMatchObject({ claimed: 1, enqueued: 1 });
    expect(bodiesOn('refresh')).toEqual([refreshMessage(row.id)]);
  });

  it.each(['two words', 'Füller & Söhne', '\u{1f980}\uffff', 'line\nbreak'])(
    'sends the message whatever the provider is called: %j',
    async (provider) => {
      const { id } = await db.insertIntegration({ provider });
      expect(await (await load('scanner'))({}, context())).toMatchObject({ enqueued: 1 });
      expect(bodiesOn('refresh')).toEqual([refreshMessage(id, provider)]);
    },
  );

  it('sends the messages beside one whose provider has a name too long for SQS, and that one as well', async () => {
    for (let i = 0; i < 3; i += 1) await db.insertIntegration();
    const { id } = await db.insertIntegration({ provider: 'z'.repeat(1_100_000) });
    expect(await (await load('scanner'))({}, context())).toMatchObject({ enqueued: 4, released: 0 });
    expect(bodiesOn('refresh')).toContainEqual(refreshMessage(id, 'z'.repeat(128)));
  });

  it('asks also for an integration of no provider, whose attempt is an operator’s fault', async () => {
    await db.sql('ALTER TABLE integrations ALTER provider DROP NOT NULL');
    try {
      const { id } = await db.insertIntegration({ provider: null as unknown as string });
      const beside = await db.insertIntegration();
      expect(await (await load('scanner'))({}, context())).toMatchObject({ enqueued: 2, released: 0 });
      const refresh = await load('refresher');
      expect(failedOf(await refresh(sqsEvent(...bodiesOn('refresh')), context()))).toEqual([]);
      expect((await db.integration(beside.id)).last_refresh_success).not.toBeNull();
      expect(await db.integration(id)).toMatchObject({ status: 'connected', consecutive_failures: 0 });
      expect(output.join('')).toContain('provider_name_invalid');
    } finally {
      await db.clear();
      await db.sql('ALTER TABLE integrations ALTER provider SET NOT NULL');
    }
  });

  it('shows an expiry of a year that no calendar here has as none', async () => {
    const { id } = await db.insertIntegration();
    await db.sql(`UPDATE integrations SET expires_at = '294276-12-31 UTC'`);
    const scan = await load('scanner');
    const shown = { integrations: [{ id, expiresAt: null, expiresInSeconds: expect.any(Number) }] };
    expect(await scan({ integration: id, dryRun: true, verbose: true }, context())).toMatchObject(shown);
    expect(await scan({ integration: id, verbose: true }, context())).toMatchObject({
      enqueued: 1,
      ...shown,
    });
  });

  it('stops before its deadline and says what is left', async () => {
    for (let i = 0; i < 3; i += 1) await db.insertIntegration();
    const scan = await load('scanner', short);
    expect(await scan({}, context(1_000))).toMatchObject({ claimed: 0, left: 3 });
  });

  it('whose queue takes nothing gives up at the first chunk, and says that all is left', async () => {
    await db.sql(
      `INSERT INTO integrations (user_id, provider, access_token, refresh_token, expires_at)
       SELECT gen_random_uuid(), 'acme', 'a', 'r' || n, now() FROM generate_series(1, 3500) AS n`,
    );
    const lost = await load('scanner', { [scannerEnv.refreshQueueUrl]: queueUrl('nowhere') });
    const report = (await lost({}, context(240_000))) as { claimed: number };
    // While the first chunk is being sent, the second is claimed.
    expect(report.claimed).toBeLessThanOrEqual(2_000);
    expect(report).toMatchObject({ enqueued: 0, released: report.claimed, left: 3_500 });
    expect(measured(metricNames.leftDue)).toEqual([3_500]);
    expect(await (await load('scanner'))({}, context(240_000))).toMatchObject({ enqueued: 3_500, left: 0 });
    expect(measured(metricNames.leftDue)).toEqual([3_500, 0]);
  });

  it('says of the few that its queue did not take that they are left', async () => {
    await db.insertIntegration();
    const lost = await load('scanner', { [scannerEnv.refreshQueueUrl]: queueUrl('nowhere') });
    expect(await lost({}, context())).toMatchObject({ released: 1 });
    expect(measured(metricNames.leftDue)).toEqual([1]);
  });

  it('publishes at the next scan what the threshold event queue did not take, and claims all the same', async () => {
    const { id } = await db.insertEvent();
    await db.insertIntegration();
    const lost = await load('scanner', { [scannerEnv.thresholdQueueUrl]: queueUrl('nowhere') });
    expect(await lost({}, context())).toMatchObject({ enqueued: 1, eventsRelayed: 0 });
    expect(await (await load('scanner'))({}, context())).toMatchObject({ eventsRelayed: 1 });
    expect(bodiesOn('threshold')).toEqual([{ version: 1, eventId: id, provider: 'acme' }]);
  });

  it('waits no longer for a threshold event queue that hangs than it can do without', async () => {
    await db.insertEvent();
    await db.insertIntegration();
    const proxy = await startProxy(sqs.port);
    const scan = await load('scanner', {
      [scannerEnv.thresholdQueueUrl]: `http://127.0.0.1:${proxy.port}/000000000000/threshold`,
    });
    proxy.hang();
    const endsAtMs = performance.now() + 20_000;
    const remainingMs = () => endsAtMs - performance.now();
    const report = scan({}, { ...context(), getRemainingTimeInMillis: remainingMs });
    expect(await report).toMatchObject({ enqueued: 1, eventsRelayed: 0 });
    await proxy.stop();
    expect(await (await load('scanner'))({}, context())).toMatchObject({ eventsRelayed: 1 });
  });

  it('relays events that nobody has handled', async () => {
    const { id } = await db.insertEvent();
    const scan = await load('scanner');
    expect(await scan({}, context())).toMatchObject({ eventsRelayed: 1 });
    expect(bodiesOn('threshold')).toEqual([{ version: 1, eventId: id, provider: 'acme' }]);
    expect(await scan({}, context())).toMatchObject({ eventsRelayed: 0 });
  });
});

describe('the refresher', () => {
  async function claimed(overrides = {}) {
    const row = await db.insertIntegration(overrides);
    await claimDue(db.database, {
      collectedAt: 'infinity',
      windowSeconds: 600,
      holdSeconds: 270,
      provider: null,
      after: null,
      limit: 99,
    });
    return row;
  }

  it('refreshes what good messages ask for, and hands back only the malformed', async () => {
    const rows = [await claimed(), await claimed()];
    const refresh = await load('refresher');
    const response = await refresh(
      sqsEvent(refreshMessage(rows[0]!.id), ...malformed, refreshMessage(rows[1]!.id)),
      context(),
    );
    expect(failedOf(response)).toEqual(malformed.map((_, index) => `message-${index + 1}`));
    for (const { id } of rows) expect((await db.integration(id)).last_refresh_success).not.toBeNull();
    expect(output.join('')).not.toContain('canary');
  });

  it.each([[undefined], [null], [7], [''], [{}]])(
    'does not mind a provider that is no name: %j',
    async (provider) => {
      const { id } = await claimed();
      const refresh = await load('refresher');
      const message = { version: 1, integrationId: id, provider };
      expect(failedOf(await refresh(sqsEvent(message), context()))).toEqual([]);
      expect(endpoint.calls).toHaveLength(1);
    },
  );

  it('makes one call for duplicates, and takes them all as done', async () => {
    const { id } = await claimed();
    const refresh = await load('refresher');
    const message = refreshMessage(id);
    expect(failedOf(await refresh(sqsEvent(message, message, message), context()))).toEqual([]);
    expect(failedOf(await refresh(sqsEvent(message), context()))).toEqual([]);
    expect(endpoint.calls).toHaveLength(1);
  });

  it('starts a scheduled claim for the message that names it, beside other messages for the row', async () => {
    const { id } = await claimed({ refresh_claim_open: false });
    await db.sql(`UPDATE integrations SET refresh_claim = 7, refresh_claim_open = false`);
    const refresh = await load('refresher');
    const named = (claim: string) => ({ ...refreshMessage(id), claim });
    expect(failedOf(await refresh(sqsEvent(refreshMessage(id), named('6')), context()))).toEqual([]);
    expect(endpoint.calls).toHaveLength(0);
    await refresh(sqsEvent(refreshMessage(id), named('6'), named('7')), context());
    await refresh(sqsEvent(named('7')), context());
    expect(endpoint.calls).toHaveLength(1);
    const odd = [7, '', 'x', '-1', '1'.repeat(40), null].map((claim) => ({ ...refreshMessage(id), claim }));
    expect(failedOf(await refresh(sqsEvent(...odd), context()))).toHaveLength(odd.length);
  });

  it('has nothing to do for an integration that is gone', async () => {
    const refresh = await load('refresher');
    expect(failedOf(await refresh(sqsEvent(refreshMessage(randomUUID())), context()))).toEqual([]);
  });

  it('hands back what it has no time for, each duplicate as well', async () => {
    const { id } = await claimed();
    const refresh = await load('refresher', short);
    const messages = sqsEvent(refreshMessage(id), refreshMessage(id.toUpperCase()));
    expect(failedOf(await refresh(messages, context(100)))).toEqual(['message-0', 'message-1']);
    expect(endpoint.calls).toEqual([]);
    expect(failedOf(await (await load('refresher'))(messages, context()))).toEqual([]);
    expect(endpoint.calls).toHaveLength(1);
  });

  it('hands back what it ran out of time for, however the id is written', async () => {
    const { id } = await claimed();
    const refresh = await load('refresher');
    // The provider's secret is asked for between the start of the attempt and the call.
    const { ProviderClients } = await import('../../lambdas/secrets/provider-clients.ts');
    const get = ProviderClients.prototype.get;
    const now = performance.now.bind(performance);
    vi.spyOn(ProviderClients.prototype, 'get').mockImplementation(function (
      this: typeof ProviderClients.prototype,
      name,
    ) {
      vi.spyOn(performance, 'now').mockImplementation(() => now() + 59_000);
      return get.call(this, name);
    });
    const late = refresh(sqsEvent(refreshMessage(id.toUpperCase())), context());
    expect(failedOf(await late)).toEqual(['message-0']);
    vi.mocked(ProviderClients.prototype.get).mockRestore();
    vi.mocked(performance.now).mockRestore();
    expect((await db.integration(id)).last_refresh_attempt).not.toBeNull();
    expect(failedOf(await refresh(sqsEvent(refreshMessage(id)), context()))).toEqual([]);
    expect(endpoint.calls).toHaveLength(1);
  });

  it('publishes what came of a failure, and takes the failure as done', async () => {
    endpoint.answer = () => refused('invalid_grant');
    const { id } = await claimed();
    const refresh = await load('refresher');
    expect(failedOf(await refresh(sqsEvent(refreshMessage(id)), context()))).toEqual([]);
    const [event] = await db.eventsOf(id);
    expect(bodiesOn('threshold')).toEqual([{ version: 1, eventId: event!.id, provider: 'acme' }]);
  });

  it('leaves events that it cannot publish to the relay', async () => {
    endpoint.answer = () => refused('invalid_grant');
    const { id } = await claimed();
    const refresh = await load('refresher', { [refresherEnv.thresholdQueueUrl]: queueUrl('nowhere') });
    expect(failedOf(await refresh(sqsEvent(refreshMessage(id)), context()))).toEqual([]);
    await db.sql('UPDATE evergrant.threshold_events SET relay_after = now()');
    expect(await (await load('scanner'))({}, context())).toMatchObject({ eventsRelayed: 1 });
  });

  it('answers in time, and with its metrics, while a queue hangs that it publishes to', async () => {
    endpoint.answer = () => refused('invalid_grant');
    const { id } = await claimed();
    const proxy = await startProxy(sqs.port);
    const hanging = `http://127.0.0.1:${proxy.port}/000000000000/threshold`;
    const refresh = await load('refresher', {
      [refresherEnv.thresholdQueueUrl]: hanging,
      [refresherEnv.callTimeoutMs]: '1000',
      [functionEnv.timeoutSeconds]: '9',
    });
    proxy.hang();
    const endsAtMs = performance.now() + 9_000;
    const remainingMs = () => endsAtMs - performance.now();
    const work = refresh(sqsEvent(refreshMessage(id)), {
      ...context(),
      getRemainingTimeInMillis: remainingMs,
    });
    expect(failedOf(await work)).toEqual([]);
    expect(remainingMs()).toBeGreaterThan(0);
    expect(output.join('')).toContain('events left to the relay');
    expect(output.join('')).toContain(metricNames.failed);
    await proxy.stop();
    await db.sql('UPDATE evergrant.threshold_events SET relay_after = now()');
    expect(await (await load('scanner'))({}, context())).toMatchObject({ eventsRelayed: 1 });
  });

  it.each([
    ['is missing', 'no-such-secret', /token key secret|no-such-secret/],
    ['is malformed', 'bad-token-key', /64 hex digits/],
  ])('starts nothing when the token key %s, so that no grant is lost', async (_, secretId, message) => {
    secrets.put('bad-token-key', 'canary-key');
    const row = await claimed();
    const before = await db.integration(row.id);
    const refresh = await load('refresher', { [refresherEnv.tokenKeySecretId]: secretId });
    await expect(refresh(sqsEvent(refreshMessage(row.id)), context())).rejects.toThrow(message);
    expect(endpoint.calls).toEqual([]);
    expect(await db.integration(row.id)).toEqual(before);
    expect(output.join('')).not.toContain('canary');
  });

  it('fails without a word of the URL when the database is away', async () => {
    const gone = new URL(db.url);
    gone.port = '1';
    gone.password = 'canary-password';
    secrets.put('gone', { url: gone.href });
    const refresh = await load('refresher', { [databaseEnv.source]: 'gone' });
    const error = (await refresh(sqsEvent(refreshMessage(randomUUID())), context()).catch(
      (thrown: Error) => thrown,
    )) as Error;
    expect(error.message).toMatch(/database_unavailable/);
    expect(`${error.stack}${output.join('')}`).not.toContain('canary');
  });
});

describe('the notifier', () => {
  const eventMessage = (eventId: string) => ({ version: 1, eventId });
  const inboxOf = async (address: string) =>
    (await email.list()).filter(({ destination }) => destination.to.includes(address));

  /** An event about a user whom the operator's view knows. */
  async function eventOf(overrides: Parameters<TestDatabase['insertEvent']>[0] = {}) {
    const event = await db.insertEvent({
      notification_type: 'integration_disconnected',
      email_kind: 'disconnected',
      provider_name: 'Acme Calendar',
      ...overrides,
    });
    const address = `${event.user_id}@example.com`;
    await db.sql('CREATE TABLE IF NOT EXISTS people (id uuid, email text, name text)');
    await db.sql('CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email, name FROM people');
    await db.sql('INSERT INTO people VALUES ($1, $2, $3)', [event.user_id, address, 'Ada']);
    return { ...event, address };
  }

  const notificationsOf = (eventId: string) =>
    db.sql('SELECT * FROM notifications WHERE event_id = $1', [eventId]);

  it('writes the notification and sends the email, once, however often the event comes', async () => {
    const event = await eventOf();
    const notify = await load('notifier');
    const message = sqsEvent(eventMessage(event.id), eventMessage(event.id));
    expect(failedOf(await notify(message, context()))).toEqual([]);
    expect(failedOf(await notify(message, context()))).toEqual([]);
    expect(await notificationsOf(event.id)).toMatchObject([
      { user_id: event.user_id, type: 'integration_disconnected', is_read: false },
    ]);
    const [mail, ...more] = await inboxOf(event.address);
    expect(more).toEqual([]);
    expect(mail).toMatchObject({ from: 'product@example.com' });
    expect(mail!.subject).toContain('Acme Calendar');
    const link = `https://app.example.com/integrations?reconnect=${event.integration_id}`;
    expect(mail!.body.text).toContain(link);
    expect(mail!.body.html).toContain(link);
    expect(await db.event(event.id)).toMatchObject({ email_outcome: expect.any(String) });
    expect((await db.event(event.id)).email_sent_at).not.toBeNull();
  });

  it('writes no email for what is told in the app only', async () => {
    const event = await eventOf({ notification_type: 'integration_warning', email_kind: null });
    const notify = await load('notifier');
    expect(failedOf(await notify(sqsEvent(eventMessage(event.id)), context()))).toEqual([]);
    expect(await notificationsOf(event.id)).toHaveLength(1);
    expect(await inboxOf(event.address)).toEqual([]);
  });

  it('writes no notification for what is told by email only', async () => {
    const event = await eventOf({ notification_type: null, email_kind: 'reconnect' });
    const notify = await load('notifier');
    expect(failedOf(await notify(sqsEvent(eventMessage(event.id)), context()))).toEqual([]);
    expect(await notificationsOf(event.id)).toEqual([]);
    expect(await inboxOf(event.address)).toHaveLength(1);
  });

  it('handles the good ones and hands back only the malformed', async () => {
    const event = await eventOf();
    const notify = await load('notifier');
    const response = await notify(sqsEvent(...malformed, eventMessage(event.id)), context());
    expect(failedOf(response)).toEqual(malformed.map((_, index) => `message-${index}`));
    expect(await notificationsOf(event.id)).toHaveLength(1);
    expect(output.join('')).not.toContain('canary');
  });

  it('tries again what SES did not take, without a second notification', async () => {
    const event = await eventOf();
    const notify = await load('notifier');
    email.setFault({ status: 429, body: { __type: 'TooManyRequestsException', message: 'slow down' } });
    const message = sqsEvent(eventMessage(event.id));
    expect(failedOf(await notify(message, context()))).toEqual(['message-0']);
    email.setFault(null);
    expect(failedOf(await notify(message, context()))).toEqual([]);
    expect(await inboxOf(event.address)).toHaveLength(1);
    expect(await notificationsOf(event.id)).toHaveLength(1);
  });

  it('lets nobody else send while an email is in doubt, and sends it when the hold is over', async () => {
    const event = await eventOf();
    const notify = await load('notifier');
    const message = sqsEvent(eventMessage(event.id));
    email.setFault({ status: 500, body: { message: 'oops' } });
    expect(failedOf(await notify(message, context()))).toEqual(['message-0']);
    email.setFault(null);
    expect(failedOf(await notify(message, context()))).toEqual(['message-0']);
    expect(await inboxOf(event.address)).toEqual([]);
    await db.sql(`UPDATE evergrant.threshold_events SET email_held_until = now() - interval '1 s'`);
    expect(failedOf(await notify(message, context()))).toEqual([]);
    expect(await inboxOf(event.address)).toHaveLength(1);
  });

  it('sends one email when several have the event at once, and they all hear of it', async () => {
    const event = await eventOf();
    const notifiers = [await load('notifier'), await load('notifier'), await load('notifier')];
    email.setFault({ delayMs: 1_000 });
    const message = sqsEvent(eventMessage(event.id));
    const responses = await Promise.all(notifiers.map((notify) => notify(message, context())));
    // Who came too late looks again later: the one who sends might die.
    expect(responses.map(failedOf).filter((failed) => failed.length === 0)).toHaveLength(1);
    email.setFault(null);
    for (const notify of notifiers) expect(failedOf(await notify(message, context()))).toEqual([]);
    expect(await inboxOf(event.address)).toHaveLength(1);
    expect(await notificationsOf(event.id)).toHaveLength(1);
  });

  it('writes down that an email is out also when Postgres is away at that moment', async () => {
    const event = await eventOf();
    const proxy = await startProxy(Number(new URL(db.url).port));
    secrets.put('behind-proxy', { url: through(proxy, db.url) });
    const notify = await load('notifier', { [databaseEnv.source]: 'behind-proxy' });
    const before = email.callCount();
    email.setFault({ delayMs: 2_000 });
    const notified = notify(sqsEvent(eventMessage(event.id)), context());
    await expect.poll(() => email.callCount(), { timeout: 10_000, interval: 20 }).toBe(before + 1);
    proxy.cut();
    const refused = proxy.connections;
    await expect.poll(() => proxy.connections, { timeout: 10_000 }).toBeGreaterThan(refused + 1);
    proxy.restore();
    expect(failedOf(await notified)).toEqual([]);
    expect((await db.event(event.id)).email_sent_at).not.toBeNull();
    email.setFault(null);
    expect(failedOf(await notify(sqsEvent(eventMessage(event.id)), context()))).toEqual([]);
    expect(await inboxOf(event.address)).toHaveLength(1);
    await proxy.stop();
  });

  it('does not write a notification again that the product has removed', async () => {
    const event = await eventOf();
    const notify = await load('notifier');
    expect(failedOf(await notify(sqsEvent(eventMessage(event.id)), context()))).toEqual([]);
    await db.sql('DELETE FROM notifications WHERE event_id = $1', [event.id]);
    expect(failedOf(await notify(sqsEvent(eventMessage(event.id)), context()))).toEqual([]);
    expect(await notificationsOf(event.id)).toEqual([]);
  });

  it('gives up an email that SES will never take', async () => {
    const event = await eventOf();
    const notify = await load('notifier');
    email.setFault({ status: 400, body: { __type: 'MessageRejected', message: 'no' } });
    expect(failedOf(await notify(sqsEvent(eventMessage(event.id)), context()))).toEqual([]);
    expect(await db.event(event.id)).toMatchObject({ email_outcome: 'MessageRejected', email_sent_at: null });
  });

  it('tells in the app only, where there is no sender or no address', async () => {
    const event = await eventOf();
    const without = await load('notifier', { [notifierEnv.senderEmail]: undefined });
    expect(failedOf(await without(sqsEvent(eventMessage(event.id)), context()))).toEqual([]);
    const unknown = await db.insertEvent({ email_kind: 'reconnect' });
    const notify = await load('notifier');
    expect(failedOf(await notify(sqsEvent(eventMessage(unknown.id)), context()))).toEqual([]);
    expect(await inboxOf(event.address)).toEqual([]);
    for (const { id } of [event, unknown]) {
      expect(await notificationsOf(id)).toHaveLength(1);
      expect((await db.event(id)).handled_at).not.toBeNull();
    }
  });

  it('is done with a user whom the product has removed', async () => {
    await db.sql('CREATE TABLE IF NOT EXISTS accounts (id uuid PRIMARY KEY)');
    await db.sql('ALTER TABLE notifications ADD CONSTRAINT owner FOREIGN KEY (user_id) REFERENCES accounts');
    const event = await eventOf();
    const notify = await load('notifier');
    expect(failedOf(await notify(sqsEvent(eventMessage(event.id)), context()))).toEqual([]);
    expect((await db.event(event.id)).handled_at).not.toBeNull();
    expect(await inboxOf(event.address)).toEqual([]);
    await db.sql('ALTER TABLE notifications DROP CONSTRAINT owner');
  });

  it('hands back an event that is not there, and one that it has no time for', async () => {
    const event = await eventOf();
    const notify = await load('notifier');
    expect(failedOf(await notify(sqsEvent(eventMessage(randomUUID())), context()))).toEqual(['message-0']);
    const late = await load('notifier', short);
    expect(failedOf(await late(sqsEvent(eventMessage(event.id)), context(100)))).toEqual(['message-0']);
    expect(await notificationsOf(event.id)).toEqual([]);
  });

  it('makes an event visible again at once that it had no time for', async () => {
    const call = createSqsCaller(`http://127.0.0.1:${sqs.port}`);
    const QueueUrl = queueUrl('threshold');
    const receive = () =>
      call<{ Messages?: { ReceiptHandle: string }[] }>('ReceiveMessage', {
        QueueUrl,
        VisibilityTimeout: 600,
      });
    await call('SendMessage', { QueueUrl, MessageBody: JSON.stringify(eventMessage(randomUUID())) });
    const { Messages: [received] = [] } = await receive();
    expect((await receive()).Messages ?? []).toEqual([]);
    const message = sqsEvent(eventMessage(randomUUID()));
    message.Records[0]!.receiptHandle = received!.ReceiptHandle;
    const late = await load('notifier', { [functionEnv.timeoutSeconds]: '10' });
    expect(failedOf(await late(message, context(10_000)))).toEqual(['message-0']);
    expect((await receive()).Messages).toHaveLength(1);
  });
});

describe('a grant that ends by itself', () => {
  const days = (count: number) => new Date(Date.now() + count * 86_400_000);
  const addressOf = (userId: string) => `${userId}@example.com`;

  async function connected(overrides: Parameters<TestDatabase['insertIntegration']>[0]) {
    const row = await db.insertIntegration({ created_at: days(-60), ...overrides });
    await db.sql('CREATE TABLE IF NOT EXISTS people (id uuid, email text, name text)');
    await db.sql('CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email, name FROM people');
    await db.sql('INSERT INTO people VALUES ($1, $2, $3)', [row.user_id, addressOf(row.user_id!), 'Ada']);
    return row;
  }

  /** A scan, and everything that comes of it; each message arrives twice at once, and once more later. */
  async function round() {
    sqs.purgeAll();
    for (const queue of ['refresh', 'threshold', 'sealed']) sqs.createQueue(queue);
    await (await load('scanner'))({}, context());
    const asked = bodiesOn('refresh');
    const refresh = await load('refresher');
    expect(failedOf(await refresh(sqsEvent(...asked, ...asked), context()))).toEqual([]);
    expect(failedOf(await refresh(sqsEvent(...asked), context()))).toEqual([]);
    const events = bodiesOn('threshold');
    const notify = await load('notifier');
    for (let i = 0; i < 2; i += 1) {
      expect(failedOf(await notify(sqsEvent(...events, ...events), context()))).toEqual([]);
    }
    return asked.length;
  }

  const toldInApp = (userId: string | null) =>
    db.sql<{ type: string; title: string; message: string; metadata: Record<string, unknown> }>(
      'SELECT type, title, message, metadata FROM notifications WHERE user_id = $1 ORDER BY created_at',
      [userId],
    );
  const inboxOf = async (userId: string) =>
    (await email.list()).filter(({ destination }) => destination.to.includes(addressOf(userId)));

  it('without a refresh token is told of once before, and disconnected once', async () => {
    const row = await connected({ refresh_token: null, expiresIn: 3 * 86_400 });
    for (let i = 0; i < 3; i += 1) expect(await round()).toBe(i === 0 ? 1 : 0);
    expect(await db.integration(row.id)).toMatchObject({
      status: 'connected',
      access_token: row.access_token,
    });
    const [warning, ...more] = await toldInApp(row.user_id);
    expect(more).toEqual([]);
    expect(warning).toMatchObject({
      type: 'integration_warning',
      metadata: { code: 'access_token_ends', lapses_at: row.expires_at!.toISOString() },
    });
    expect(warning!.title).toMatch(/^Acme Calendar needs you to sign in again by \d+ \w+$/);
    expect(await inboxOf(row.user_id!)).toEqual([]);

    await db.sql(
      `UPDATE integrations SET expires_at = t.at, lapse_warned_for = t.at FROM (SELECT now() AS at) AS t`,
    );
    for (let i = 0; i < 3; i += 1) expect(await round()).toBe(i === 0 ? 1 : 0);
    expect(await db.integration(row.id)).toMatchObject({
      status: 'needs_reauthorization',
      disconnect_reason: 'access_token_ended',
      consecutive_failures: 0,
    });
    expect((await toldInApp(row.user_id)).map(({ type }) => type)).toEqual([
      'integration_warning',
      'integration_disconnected',
    ]);
    const [mail, ...others] = await inboxOf(row.user_id!);
    expect(others).toEqual([]);
    expect(mail!.subject).toBe('Your Acme Calendar connection to Acme Flows has ended');
    expect(endpoint.calls).toEqual([]);
  });

  it('without a refresh token is left alone while our secret cannot be read', async () => {
    secrets.put('providers/acme', 'not a client');
    const row = await connected({ refresh_token: null, expiresIn: -60 });
    expect(await round()).toBe(1);
    expect(await db.integration(row.id)).toMatchObject({ status: 'connected', consecutive_failures: 0 });
    expect(await toldInApp(row.user_id)).toEqual([]);
  });

  it('and that an access token renews is renewed in time', async () => {
    secrets.put('providers/acme', {
      clientId: 'us',
      clientSecret: 'x',
      provider: {
        displayName: 'Acme Calendar',
        tokenEndpoint: endpoint.url,
        renewal: 'access_token',
        tokenParameter: 'access_token',
      },
    });
    endpoint.answer = () => granted({ expires_in: 60 * 86_400 });
    const row = await connected({ refresh_token: null, expiresIn: 5 * 86_400 });
    for (let i = 0; i < 2; i += 1) expect(await round()).toBe(i === 0 ? 1 : 0);
    expect(endpoint.calls.map(({ parameters }) => parameters.get('access_token'))).toEqual(['access-1']);
    const after = await db.integration(row.id);
    expect(after).toMatchObject({ status: 'connected', refresh_token: null });
    expect(after.expires_at!.getTime()).toBeGreaterThan(days(59).getTime());
    expect(await toldInApp(row.user_id)).toEqual([]);
  });

  it('and that refreshing extends is refreshed before, whatever the access token', async () => {
    endpoint.answer = () => granted({ refresh_token: 'new', refresh_token_expires_in: 90 * 86_400 });
    const row = await connected({ expiresIn: 30 * 86_400, refresh_token_expires_at: days(0.5) });
    for (let i = 0; i < 2; i += 1) expect(await round()).toBe(i === 0 ? 1 : 0);
    const after = await db.integration(row.id);
    expect(after.refresh_token_expires_at!.getTime()).toBeGreaterThan(days(89).getTime());
    expect(await toldInApp(row.user_id)).toEqual([]);
  });

  it('and that only the user extends is told of once, with the refresh that comes before', async () => {
    secrets.put('providers/acme', {
      clientId: 'us',
      clientSecret: 'x',
      provider: {
        displayName: 'Acme Calendar',
        tokenEndpoint: endpoint.url,
        refreshTokenLifetime: { seconds: 64 * 86_400, from: 'authorization' },
        keptFields: ['instance_url'],
      },
    });
    endpoint.answer = () => granted({ instance_url: 'https://eu1.acme.example' });
    const row = await connected({ expiresIn: 60, metadata: { mine: 1 } });
    for (let i = 0; i < 2; i += 1) {
      expect(await round()).toBe(1);
      await db.sql(`UPDATE integrations SET expires_at = now() + interval '1 minute'`);
    }
    const after = await db.integration(row.id);
    expect(after.metadata).toEqual({ mine: 1, instance_url: 'https://eu1.acme.example' });
    expect(after.refresh_token_expires_at!.getTime()).toBeCloseTo(days(4).getTime(), -5);
    expect(await toldInApp(row.user_id)).toMatchObject([
      { type: 'integration_warning', metadata: { code: 'refresh_token_ends' } },
    ]);
    expect(await inboxOf(row.user_id!)).toEqual([]);
  });

  it('stays connected where nothing ends, and rests', async () => {
    const row = await connected({ provider: 'stripe', refresh_token: null, expiresIn: -60 });
    for (let i = 0; i < 2; i += 1) expect(await round()).toBe(i === 0 ? 1 : 0);
    expect(await db.integration(row.id)).toMatchObject({ status: 'connected' });
    expect(await toldInApp(row.user_id)).toEqual([]);
  });

  it('before the installation is nobody’s news', async () => {
    const row = await connected({ refresh_token: null, expiresIn: -86_400 });
    expect(await round()).toBe(1);
    expect(await db.integration(row.id)).toMatchObject({ status: 'needs_reauthorization' });
    expect(await toldInApp(row.user_id)).toEqual([]);
  });

  it('is counted by a dry run', async () => {
    await connected({ refresh_token: null, expiresIn: 86_400 });
    await connected({ refresh_token_expires_at: days(0.5), expiresIn: 86_400 });
    await connected({ expiresIn: 60 });
    const scan = await load('scanner');
    expect(await scan({ dryRun: true }, context())).toMatchObject({ claimed: 3, left: 0 });
    expect(await scan({ dryRun: true, limit: 2 }, context())).toMatchObject({ claimed: 2, left: 0 });
    expect(await scan({ limit: 2, verbose: true }, context())).toMatchObject({ claimed: 2, enqueued: 2 });
    expect(await scan({}, context())).toMatchObject({ claimed: 1, enqueued: 1 });
  });
});

describe('the migrator', () => {
  it('answers with what is in force', async () => {
    const migrator = await load('migrator');
    expect(await migrator({ direction: 'status' }, context())).toMatchObject({ ran: [], pending: [] });
    // What a deployment's trigger sends says nothing.
    expect(await migrator({ RequestType: 'Create' }, context())).toMatchObject({ direction: 'up', ran: [] });
  });

  it.each([
    ['direction', { direction: 'sideways' }],
    ['count', { count: 0 }],
    ['count', { count: 'all' }],
  ])('refuses a wrong %s', async (field, event) => {
    await expect((await load('migrator'))(event, context())).rejects.toThrow(field);
  });
});

describe('the operator function', () => {
  /** Connections to the database, other than those of the test. */
  const sessions = async (): Promise<number> => {
    const [row] = await db.sql<{ count: number }>(
      'SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database()',
    );
    return row!.count;
  };

  it('answers with the status, the history, the keys and the checklist', async () => {
    const row = await db.insertIntegration({ consecutive_failures: 1 });
    await db.insertEvent({ integration_id: row.id });
    const operator = await load('operator');
    const before = await sessions();
    expect(await operator({ ask: 'status' }, context())).toMatchObject({
      providers: [{ provider: 'acme', connected: 1, due: 1, failingPermanent: 1 }],
      failing: [{ id: row.id }],
      eventsWaiting: { count: 1 },
    });
    expect(await operator({ ask: 'history', integrationId: row.id }, context())).toMatchObject({
      integrationId: row.id,
      entries: [{ what: 'connected' }, { what: 'warned' }],
    });
    expect(await operator({ ask: 'keys' }, context())).toEqual({ keys: [], plain: 2 });
    const { checks } = (await operator({ ask: 'verify' }, context())) as VerifyReport;
    const states = Object.fromEntries(checks.map(({ code, state }) => [code, state]));
    expect(states).toMatchObject({
      database_reachable: 'ok',
      schema_version: 'ok',
      columns: 'ok',
      statements: 'ok',
      provider_secrets: 'ok',
    });
    // It leaves no connection behind.
    await expect.poll(sessions).toBeLessThanOrEqual(before);
  });

  it('tells no token and no secret, in its answers and in its log', async () => {
    const { id } = await db.insertIntegration({
      access_token: 'canary-access',
      refresh_token: 'canary-refresh',
    });
    const operator = await load('operator');
    const asked = [
      { ask: 'status' },
      { ask: 'history', integrationId: id },
      { ask: 'keys' },
      { ask: 'verify' },
    ];
    for (const event of asked) {
      expect(JSON.stringify(await operator(event, context()))).not.toContain('canary');
    }
    expect(output.join('')).not.toContain('canary');
  });

  it('takes a mended secret at once', async () => {
    await db.insertIntegration({ provider: 'mended' });
    const operator = await load('operator');
    const ask = async () => {
      const { checks } = (await operator({ ask: 'verify' }, context())) as VerifyReport;
      return checks.find(({ code }) => code === 'provider_secrets')!.state;
    };
    expect(await ask()).toBe('failed');
    secrets.put('providers/mended', {
      clientId: 'us',
      clientSecret: 'secret',
      provider: { displayName: 'Mended', tokenEndpoint: endpoint.url },
    });
    expect(await ask()).toBe('ok');
  });

  it('fails without a word of the URL when the database is away, but for the checklist, which says why', async () => {
    const gone = new URL(db.url);
    gone.port = '1';
    gone.password = 'canary-password';
    secrets.put('gone', { url: gone.href });
    const operator = await load('operator', { [databaseEnv.source]: 'gone' });
    const error = (await operator({ ask: 'status' }, context()).catch((thrown: Error) => thrown)) as Error;
    expect(error.message).toMatch(/database_unavailable/);
    const report = (await operator({ ask: 'verify' }, context())) as VerifyReport;
    expect(report.checks[0]).toMatchObject({ code: 'database_reachable', state: 'failed' });
    expect(`${error.stack}${JSON.stringify(report)}${output.join('')}`).not.toContain('canary');
  });

  it.each<[string, unknown]>([
    ['ask', {}],
    ['ask', { ask: 'everything' }],
    ['the event', null],
    ['the event', [1]],
    ['integrationId', { ask: 'history' }],
    ['integrationId', { ask: 'history', integrationId: '7' }],
    ['provider', { ask: 'status', provider: 'acme' }],
  ])('refuses a wrong %s: %j', async (field, event) => {
    await expect((await load('operator'))(event, context())).rejects.toThrow(field);
  });
});
