import { once } from 'node:events';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LambdaApi, type LambdaApiActions, startLambdaApi } from '../../local/cloud/lambda-api.ts';
import { type ProductServer, startProductServer } from '../../local/product/server.ts';
import { ProductStore } from '../../local/product/store.ts';
import { connectAccount } from '../../local/provider/connect.ts';
import { type LocalProvider, startProvider } from '../../local/provider/server.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { canary, deepJson, json, runs, seeded, text, timeoutMs } from './settings.ts';

let db: TestDatabase;
let store: ProductStore;
let provider: LocalProvider;
let product: ProductServer;
let lambda: LambdaApi;
let integrationId: string;
const client = {
  clientId: 'product',
  clientSecret: `${canary}-secret`,
  clientAuth: 'client_secret_basic',
  redirectUri: 'http://localhost:3000/oauth/callback',
} as const;

beforeAll(async () => {
  db = await testDatabase();
  store = new ProductStore(db.url);
  await store.createUsers();
  provider = await startProvider({ name: 'acme-calendar', displayName: 'Acme Calendar', client });
  product = await startProductServer(undefined);
  product.open(store, [{ provider, displayName: 'Acme Calendar', client }]);
  const connection = await connectAccount(provider, { account: 'ada@example.com', client });
  const user = await store.addUser('ada@example.com', 'Ada');
  integrationId = await store.connect(user.id, 'acme-calendar', connection);
  const actions: LambdaApiActions = {
    authorize: () => ({ allowed: true }) as ReturnType<LambdaApiActions['authorize']>,
    functionIdOf: (name) => (name === 'scanner' ? 'Scanner' : undefined),
    functionNames: () => ['scanner'],
    invoke: async (_, payload) =>
      ({ ok: true, payload, requestId: 'r', durationMs: 1 }) as Awaited<
        ReturnType<LambdaApiActions['invoke']>
      >,
    send: () => undefined,
    kill: () => [],
    setEmailFault: () => undefined,
    cutDatabaseConnections: () => undefined,
    eventSourcesOf: () => [],
    rule: () => undefined,
  };
  lambda = await startLambdaApi(() => actions);
});
afterAll(async () => {
  await Promise.all([product?.stop(), provider?.stop(), lambda?.stop()]);
  await store?.end();
  await db?.end();
});

/** One request as it is written, which a client that respects URLs would not send. */
async function request(
  origin: string,
  method: string,
  target: string,
  body: string,
): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname);
  // Whoever answers before it has read everything resets the connection, and may take the answer with it.
  socket.on('error', () => undefined);
  socket.setTimeout(10_000, () => socket.destroy());
  socket.setEncoding('utf8');
  const closed = once(socket, 'close');
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  const length = Buffer.byteLength(body);
  socket.write(
    `${method} ${target} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: close\r\ncontent-length: ${length}\r\n\r\n${body}`,
  );
  const startedAtMs = performance.now();
  await closed;
  if (answer === '' && performance.now() - startedAtMs > 9_000)
    throw new Error(`no answer to ${method} ${target}`);
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0), text: answer };
}

const part = fc.oneof(
  fc.stringMatching(/^[\x21-\x7e]{0,20}$/),
  text.map((value) => encodeURIComponent(value.toWellFormed().slice(0, 100))),
  fc.constantFrom('%', '%zz', '%00', '..', '//', '%2e%2e%2f', '-'.repeat(36), 'f'.repeat(36), '?', '&', '='),
);
const targetOf = (paths: readonly string[], names: readonly string[]) =>
  fc
    .tuple(
      fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...paths) },
        part.map((value) => `/${value}`),
      ),
      fc.array(fc.tuple(fc.oneof(fc.constantFrom(...names), part), part), { maxLength: 3 }),
    )
    .map(([path, query]) => `${path}?${query.map(([name, value]) => `${name}=${value}`).join('&')}`);
const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH');
const body = (fields: fc.Arbitrary<unknown>) =>
  fc.oneof(
    text,
    deepJson,
    json.map((value) => JSON.stringify(value) ?? ''),
    {
      weight: 4,
      arbitrary: fields.map((value) => JSON.stringify(value) ?? ''),
    },
  );

describe(`what is sent to the pages and switches of the local system ${seeded}`, () => {
  it(
    'at a provider is done or refused with a field, and faults stay what they are',
    async () => {
      const fault = fc.record(
        {
          id: fc.oneof(fc.constantFrom('a', 'b'), json),
          account: fc.oneof(fc.constant('ada@example.com'), json),
          times: fc.oneof(fc.nat(3), json),
          delayMs: fc.oneof(fc.constant(1), json),
          answer: fc.oneof(
            fc.record(
              { status: fc.oneof(fc.constant(503), json), headers: json, body: json },
              { requiredKeys: [] },
            ),
            json,
          ),
          reset: fc.oneof(fc.constant(true), json),
          hang: json,
          afterProcessing: json,
        },
        { requiredKeys: [] },
      );
      const paths = [
        '/faults',
        '/faults/a',
        '/client-secret',
        '/access-token-lifetime',
        '/revoke',
        '/calls',
        '',
      ];
      await fc.assert(
        fc.asyncProperty(
          method,
          targetOf(
            paths.map((each) => `/_switches${each}`),
            ['account', 'since'],
          ),
          body(
            fc.oneof(
              fault,
              fc.array(fault, { maxLength: 3 }),
              fc.record({ clientSecret: json }),
              fc.record({ seconds: json }),
              fc.record({ account: json }),
            ),
          ),
          async (verb, target, content) => {
            fc.pre(target.startsWith('/_switches'));
            const { status, text: answer } = await request(provider.origin, verb, target, content);
            expect(status, answer).toBeLessThan(500);
            if (status === 400) expect(answer).toMatch(/invalid_input|Bad Request/);
            expect(answer).not.toContain(client.clientSecret);
          },
        ),
        runs(150),
      );
      expect((await request(provider.origin, 'GET', '/_switches', '')).status).toBe(200);
    },
    timeoutMs,
  );

  it(
    'at the cloud is done or refused',
    () =>
      fc.assert(
        fc.asyncProperty(
          method,
          targetOf(
            [
              '/_switches',
              '/_switches/email',
              '/_switches/database/cut',
              '/_switches/functions/scanner/kill',
              '/_switches/functions/other/kill',
              '/2015-03-31/functions/scanner/invocations',
              '/2015-03-31/event-source-mappings',
            ],
            ['FunctionName'],
          ),
          body(fc.record({ hang: json, delayMs: json, status: json, body: json }, { requiredKeys: [] })),
          async (verb, target, content) => {
            const { status, text: answer } = await request(lambda.endpoint, verb, target, content);
            // Its functions answer what they are asked, and no answer can be nested so deep.
            if (!answer.includes('Maximum call stack size exceeded')) {
              expect(status, `${verb} ${target} ${answer}`).toBeLessThan(500);
            }
          },
        ),
        runs(150),
      ),
    timeoutMs,
  );

  it(
    'at the product shows a page, and connects nothing',
    async () => {
      const before = await db.integration(integrationId);
      await fc.assert(
        fc.asyncProperty(
          method,
          targetOf(
            ['/', '/integrations', '/reconnect', '/oauth/callback'],
            ['reconnect', 'integration', 'state', 'code', 'error'],
          ),
          async (verb, target) => {
            const { status, text: answer } = await request(product.origin, verb, target, '');
            expect(status, `${verb} ${target} ${answer}`).toBeLessThan(500);
            expect(answer).not.toContain(canary);
          },
        ),
        runs(150),
      );
      expect(await db.integration(integrationId)).toEqual(before);
    },
    timeoutMs,
  );
});
