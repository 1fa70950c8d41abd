import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { refresherEnv } from '../../lambdas/contract.ts';
import { claimDue } from '../../lambdas/postgres/claim-due.ts';
import { failedOf, type Handler, invocationContext, sqsEvent } from '../support/stages.ts';
import { granted, startTokenEndpoint, type TokenEndpoint } from '../support/token-endpoint.ts';
import { type Functions, startFunctions } from './functions.ts';
import { Output } from './output.ts';
import { canary, deepJson, json, runs, seeded, text, timeoutMs } from './settings.ts';

let functions: Functions;
let endpoint: TokenEndpoint;
let refresh: Handler;
let notify: Handler;
let output: Output;

beforeAll(async () => {
  functions = await startFunctions();
  endpoint = await startTokenEndpoint(({ parameters }) => {
    const used = parameters.get('refresh_token');
    return granted({ access_token: `access-of-${used}`, refresh_token: `next-of-${used}` });
  });
  functions.secrets.put('providers/acme', {
    clientId: 'us',
    clientSecret: `${canary}-secret`,
    provider: { displayName: 'Acme Calendar', tokenEndpoint: endpoint.url },
  });
  refresh = await functions.load('refresher', { [refresherEnv.tokensAtRest]: 'plain' });
  notify = await functions.load('notifier');
});
beforeEach(() => {
  output = new Output();
});
afterAll(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await endpoint?.stop();
  await functions?.stop();
});

/** A body on one of the queues, of which the id is called `name`. */
const bodyOf = (name: 'integrationId' | 'eventId'): fc.Arbitrary<string> => {
  const id = fc.oneof(
    fc.uuid(),
    fc.constantFrom(
      randomUUID().toUpperCase(),
      `{${randomUUID()}}`,
      randomUUID().replaceAll('-', ''),
      `${randomUUID()} `,
      `${randomUUID()}\0`,
    ),
    json,
  );
  const almost = fc.record(
    {
      version: fc.oneof(fc.constant(1), fc.constantFrom('1', 0, 2, 1.5, null, [1], true), json),
      [name]: id,
      integrationId: id,
      eventId: id,
      provider: json,
      more: fc.constant(canary),
    },
    { requiredKeys: [] },
  );
  return fc.oneof(
    text,
    json.map((value) => JSON.stringify(value) ?? ''),
    deepJson,
    { weight: 4, arbitrary: almost.map((value) => JSON.stringify(value)) },
    fc
      .tuple(almost, fc.nat(200))
      .map(([value, length]) => JSON.stringify({ ...value, [name]: canary }).slice(0, length)),
    fc.constantFrom(`"${canary}"`, canary, `{"version":1,"${name}":"${canary}"}`, `{"version":1e400}`),
  );
};

/** What a body asks for, read by its description: `null`: it is malformed. */
function idIn(body: string, name: 'integrationId' | 'eventId'): string | null {
  try {
    const { version, [name]: id } = JSON.parse(body);
    const isGuid = typeof id === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id);
    return version === 1 && isGuid ? id : null;
  } catch {
    return null;
  }
}

/** Good messages somewhere among these. */
const among = (bodies: readonly string[], good: readonly string[], places: readonly number[]): string[] => {
  const mixed = [...bodies];
  for (const [index, each] of good.entries()) {
    mixed.splice((places[index] ?? 0) % (mixed.length + 1), 0, each);
  }
  return mixed;
};

const places = fc.tuple(fc.nat(), fc.nat(), fc.nat());

describe(`messages that nobody should have sent ${seeded}`, () => {
  it(
    'to the refresher come back alone: their neighbours are refreshed',
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(bodyOf('integrationId'), { minLength: 1, maxLength: 20 }),
          places,
          async (bodies, at) => {
            output.forget();
            await functions.db.clear();
            const rows = await Promise.all(
              [1, 2, 3].map(() =>
                functions.db.insertIntegration({ refresh_token: `${canary}-${randomUUID()}` }),
              ),
            );
            await claimDue(functions.db.database, {
              collectedAt: 'infinity',
              windowSeconds: 600,
              holdSeconds: 270,
              provider: null,
              after: null,
              limit: 99,
            });
            const good = rows.map(({ id, provider }) =>
              JSON.stringify({ version: 1, integrationId: id, provider }),
            );
            const sent = among(bodies, good, at);
            const response = await refresh(sqsEvent(...sent), invocationContext());
            expect(failedOf(response).toSorted()).toEqual(
              sent
                .flatMap((body, index) => (idIn(body, 'integrationId') === null ? [`message-${index}`] : []))
                .toSorted(),
            );
            for (const { id, refresh_token: used } of rows) {
              expect(await functions.db.integration(id)).toMatchObject({
                access_token: `access-of-${used}`,
                refresh_token: `next-of-${used}`,
                consecutive_failures: 0,
              });
            }
            expect(output.all).not.toContain(canary);
          },
        ),
        runs(25),
      ),
    timeoutMs,
  );

  it(
    'to the notifier come back alone: the users of their neighbours are told',
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(bodyOf('eventId'), { minLength: 1, maxLength: 20 }),
          places,
          async (bodies, at) => {
            output.forget();
            await functions.db.clear();
            const events = await Promise.all(
              [1, 2, 3].map(() =>
                functions.db.insertEvent({
                  notification_type: 'integration_disconnected',
                  email_kind: 'disconnected',
                }),
              ),
            );
            const good = events.map(({ id }) => JSON.stringify({ version: 1, eventId: id }));
            const sent = among(bodies, good, at);
            const response = await notify(sqsEvent(...sent), invocationContext());
            const known = new Set(events.map(({ id }) => id));
            // An event that is not there may still be on its way.
            expect(failedOf(response).toSorted()).toEqual(
              sent
                .flatMap((body, index) => {
                  const id = idIn(body, 'eventId');
                  return id === null || !known.has(id) ? [`message-${index}`] : [];
                })
                .toSorted(),
            );
            const told = await functions.db.sql<{ event_id: string }>('SELECT event_id FROM notifications');
            expect(told.map(({ event_id }) => event_id).toSorted()).toEqual([...known].toSorted());
            for (const { id } of events) expect((await functions.db.event(id)).handled_at).not.toBeNull();
            expect(output.all).not.toContain(canary);
          },
        ),
        runs(25),
      ),
    timeoutMs,
  );
});
