import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { databaseEnv, refresherEnv } from '../../lambdas/contract.ts';
import { claimDue } from '../../lambdas/postgres/claim-due.ts';
import { parseProviderClient } from '../../lambdas/providers/client.ts';
import { problemsOfClient } from '../../lambdas/providers/client-problems.ts';
import { buildTokenRequest } from '../../lambdas/providers/request.ts';
import { parseTokenKeys } from '../../lambdas/sealing/token-keys.ts';
import { readDatabaseSecret, SecretReader } from '../../lambdas/secrets/secret-reader.ts';
import { failedOf, invocationContext, sqsEvent } from '../support/stages.ts';
import { granted, startTokenEndpoint, type TokenEndpoint } from '../support/token-endpoint.ts';
import { type Functions, startFunctions } from './functions.ts';
import { Output } from './output.ts';
import { canary, deepJson, json, longRuns, runs, seeded, text, timeoutMs } from './settings.ts';

let functions: Functions;
let output: Output;
beforeAll(async () => {
  functions = await startFunctions();
});
beforeEach(() => {
  output = new Output();
});
afterAll(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await functions?.stop();
});

/** A document that is almost a secret, or none at all. Secrets Manager takes no empty ones. */
const secretOf = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<string> =>
  fc
    .oneof(
      text,
      json.map((value) => JSON.stringify(value) ?? ''),
      deepJson,
      fc.constantFrom(canary, `"${canary}"`, `["${canary}"]`, `{"${canary}`, 'null', '{}'),
      {
        weight: 6,
        arbitrary: fc
          .record(
            Object.fromEntries(
              Object.entries(fields).map(([name, good]) => [
                name,
                fc.oneof(
                  { weight: 3, arbitrary: good },
                  json,
                  text.map((value) => canary + value),
                ),
              ]),
            ),
            { requiredKeys: [] },
          )
          .map((value) => JSON.stringify(value)),
      },
    )
    .map((secret) => (secret === '' ? ' ' : secret));

/** A password as generators make them, with what a URL does not take in it. */
const password = fc
  .array(fc.constantFrom(canary, ...'aB9@:/?#[]%&=+ "\\$!'), { maxLength: 9 })
  .map((letters) => letters.join(''));
/** What RDS writes, with the parts that a person might have changed. */
const rdsSecret = fc
  .record({
    host: fc.constantFrom('127.0.0.1', 'localhost', '', 'a/b', `${canary}@127.0.0.1`),
    port: fc.constantFrom(9, '9', -1, 99_999, null, {}),
    username: text.map((value) => canary + value),
    password: fc.oneof(
      password,
      text.map((value) => canary + value),
    ),
    dbname: text,
  })
  .map((value) => JSON.stringify(value));
const databaseFields = secretOf({
  url: fc.oneof(
    password.map((word) => `postgres://us:${word}@127.0.0.1:9/db`),
    password.map((word) => `postgres://${word}`),
    fc.constantFrom('postgres://us:pw@127.0.0.1:9/db?sslmode=disable', `mysql://${canary}@127.0.0.1/db`),
  ),
  directUrl: password.map((word) => `postgres://us:${word}@127.0.0.1:9/db?sslmode=disable`),
  ca: fc.constantFrom('-----BEGIN CERTIFICATE-----\nnonsense', canary),
  host: fc.constantFrom('127.0.0.1', '', 'a/b', '127.0.0.1:9'),
  port: fc.constantFrom(9, '9', -1, 99_999, null, {}),
  username: text,
  password,
  dbname: text,
});
const databaseSecret = fc.oneof({ weight: 3, arbitrary: databaseFields }, rdsSecret);
const tokenKeySecret = secretOf({
  current: fc.constantFrom('a'.repeat(64), 'A1'.repeat(32), canary.repeat(11), 'g'.repeat(64)),
  previous: fc.oneof(fc.constant([]), fc.array(fc.constantFrom('b'.repeat(64), 'b'.repeat(63), canary))),
});
const variable = fc.record(
  {
    from: fc.constantFrom('client', 'integration'),
    pattern: fc.constantFrom('[a-z]+', '.*', '(', '(a+)+$', '[a-z', '\\'),
    description: fc.constant('the shop'),
    default: text,
  },
  { requiredKeys: ['from', 'pattern', 'description'] },
);
const providerSecret = secretOf({
  clientId: text.map((value) => canary + value),
  clientSecret: text.map((value) => canary + value),
  privateKey: fc.constantFrom(`-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----`, canary),
  keyId: text,
  variables: fc.dictionary(
    fc.constantFrom('shop', 'region', '__proto__', 'constructor'),
    text.map((value) => canary + value),
  ),
  extends: fc.constantFrom('google', 'shopify', 'nobody', '__proto__', 'constructor'),
  provider: fc.record(
    {
      displayName: fc.oneof(fc.constant('Acme'), json),
      tokenEndpoint: fc.oneof(
        fc.constantFrom(
          'http://127.0.0.1:9/token',
          'http://127.0.0.1:9/{shop}',
          'http://{shop}.localhost:9/token',
          'https://us:pw@127.0.0.1/token',
          'file:///etc/passwd',
          'https://',
        ),
        json,
      ),
      clientAuthentication: fc.oneof(
        fc.constantFrom(
          'client_secret_post',
          'client_secret_basic',
          'private_key_jwt',
          'none',
          'anonymous',
          'client_secret_as_user',
        ),
        json,
      ),
      tokenPlacement: fc.oneof(fc.constantFrom('parameter', 'bearer'), json),
      requestFormat: fc.oneof(fc.constantFrom('form', 'json', 'query'), json),
      renewal: fc.oneof(fc.constantFrom('refresh_token', 'access_token', 'none'), json),
      headers: fc.oneof(fc.dictionary(text, text, { maxKeys: 2 }), json),
      extraParameters: fc.oneof(fc.dictionary(text, text, { maxKeys: 2 }), json),
      variables: fc.oneof(fc.dictionary(fc.constantFrom('shop', 'region', '__proto__'), variable), json),
      errorMeanings: fc.oneof(fc.dictionary(text, fc.constantFrom('transient', 'operator')), json),
      errorRules: json,
      keptFields: fc.oneof(fc.array(text, { maxLength: 2 }), json),
      accessTokenLifetimeSeconds: fc.oneof(fc.double(), json),
      callsPerSecond: fc.oneof(fc.constantFrom(1e-9, 1e9, 0, -1), json),
      tokensAt: fc.oneof(text, json),
      success: json,
      grantType: json,
      refreshTokenLifetime: json,
    },
    { requiredKeys: [] },
  ),
});

describe(`secrets of any content ${seeded}`, () => {
  it(
    'of the database are read or refused by a code and a field, without their value',
    async () => {
      await fc.assert(
        fc.asyncProperty(databaseSecret, async (secret) => {
          functions.secrets.put('fuzzed', secret);
          const thrown = await readDatabaseSecret(new SecretReader(), 'fuzzed').then(
            () => null,
            (error: Error) => error,
          );
          if (thrown === null) return;
          expect(thrown).toHaveProperty('code', 'secret_unusable');
          expect(thrown.message).toContain('fuzzed');
          expect(thrown.message).not.toContain(canary);
        }),
        runs(300),
      );
    },
    timeoutMs,
  );

  it('of the token keys are read or refused by a code, without their value', async () => {
    await fc.assert(
      fc.asyncProperty(tokenKeySecret, async (secret) => {
        const thrown = await parseTokenKeys(secret).then(
          () => null,
          (error: Error) => error,
        );
        if (thrown === null) return;
        expect(thrown).toHaveProperty('code', 'token_key_malformed');
        expect(thrown.message).not.toContain(canary);
      }),
      runs(1_000),
    );
  });

  it('of a provider make a client or problems with their fields, and a client makes a request or says why not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('acme', 'google', 'shopify', '__proto__', 'constructor'),
        providerSecret,
        fc.option(
          fc.dictionary(
            fc.constantFrom('shop', 'region', '__proto__'),
            text.map((value) => canary + value),
          ),
        ),
        async (name, secret, variables) => {
          const parsed = parseProviderClient(name, secret);
          if (!parsed.ok) {
            expect(parsed.problems.length).toBeGreaterThan(0);
            for (const problem of parsed.problems)
              expect(problem).toMatch(/^.+?: .|^the secret is not JSON$/s);
            expect(parsed.problems.join()).not.toContain(canary);
            return;
          }
          for (const { problem } of problemsOfClient(parsed.value)) expect(problem).not.toContain(canary);
          const built = await buildTokenRequest(
            parsed.value,
            { token: canary, variables },
            { nowSeconds: Date.now() / 1000 },
          );
          if (built.ok) {
            expect(URL.canParse(built.request.url)).toBe(true);
            // What fetch would refuse would be no answer of the provider.
            expect(() => new Headers(built.request.headers)).not.toThrow();
          } else expect(built.fix).not.toContain(canary);
        },
      ),
      runs(800),
    );
  });

  describe('through the functions', () => {
    let endpoint: TokenEndpoint;
    beforeAll(async () => {
      endpoint = await startTokenEndpoint(() => granted({ refresh_token: `next-${canary}` }));
      functions.secrets.put('providers/acme', {
        clientId: 'us',
        clientSecret: `${canary}-secret`,
        provider: { displayName: 'Acme Calendar', tokenEndpoint: endpoint.url },
      });
    });
    afterAll(() => endpoint?.stop());

    const claim = () =>
      claimDue(functions.db.database, {
        collectedAt: 'infinity',
        windowSeconds: 600,
        holdSeconds: 270,
        provider: null,
        after: null,
        limit: 99,
      });

    it(
      'a provider whose secret is broken keeps no other from being refreshed',
      async () => {
        const refresh = await functions.load('refresher', { [refresherEnv.tokensAtRest]: 'plain' });
        let run = 0;
        await fc.assert(
          fc.asyncProperty(fc.array(providerSecret, { minLength: 1, maxLength: 5 }), async (secrets) => {
            output.forget();
            await functions.db.clear();
            run += 1;
            const odd = secrets.map((secret, index) => {
              functions.secrets.put(`providers/odd-${run}-${index}`, secret);
              return `odd-${run}-${index}`;
            });
            const rows = await Promise.all(
              ['acme', ...odd, 'acme'].map((provider) =>
                functions.db.insertIntegration({ provider, refresh_token: `${canary}-${randomUUID()}` }),
              ),
            );
            await claim();
            const messages = rows.map(({ id }) => ({ version: 1, integrationId: id }));
            expect(failedOf(await refresh(sqsEvent(...messages), invocationContext()))).toEqual([]);
            for (const row of rows) {
              const now = await functions.db.integration(row.id);
              expect(now).toMatchObject({
                status: 'connected',
                consecutive_failures: 0,
                refresh_claim_open: false,
              });
              if (row.provider === 'acme') expect(now.refresh_token).toBe(`next-${canary}`);
            }
            expect(output.all).not.toContain('result lost');
            expect(output.all).not.toContain(canary);
          }),
          longRuns(8),
        );
      },
      timeoutMs,
    );

    it(
      'a broken secret of the database or of the token keys starts nothing and tells nothing',
      async () => {
        let run = 0;
        const row = await functions.db.insertIntegration({ refresh_token: `${canary}-${randomUUID()}` });
        await claim();
        const before = await functions.db.integration(row.id);
        const event = sqsEvent({ version: 1, integrationId: row.id });
        await fc.assert(
          fc.asyncProperty(databaseSecret, tokenKeySecret, async (database, tokenKey) => {
            output.forget();
            run += 1;
            functions.secrets.put(`database-${run}`, database);
            functions.secrets.put(`token-key-${run}`, tokenKey);
            for (const changes of [
              { [databaseEnv.source]: `database-${run}` },
              { [refresherEnv.tokenKeySecretId]: `token-key-${run}` },
            ]) {
              // A key that could be one would do its work.
              const isKey = await parseTokenKeys(tokenKey).then(
                () => true,
                () => false,
              );
              if (isKey && refresherEnv.tokenKeySecretId in changes) continue;
              const refresh = await functions.load('refresher', changes);
              const thrown = await refresh(event, invocationContext()).then(
                () => null,
                (error: Error) => error,
              );
              expect(thrown).toHaveProperty('code', 'invocation_failed');
              expect(thrown?.message).toMatch(/secret_unusable|database_unavailable|token_key_malformed/);
              expect(`${thrown?.stack}${output.all}`).not.toContain(canary);
              expect(await functions.db.integration(row.id)).toEqual(before);
            }
            const operate = await functions.load('operator', { [databaseEnv.source]: `database-${run}` });
            expect(JSON.stringify(await operate({ ask: 'verify' }, invocationContext()))).not.toContain(
              canary,
            );
            expect(output.all).not.toContain(canary);
          }),
          longRuns(8),
        );
      },
      timeoutMs,
    );
  });
});
