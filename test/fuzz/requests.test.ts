import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { MigrationRequestInvalid, parseMigrationRequest } from '../../lambdas/migrator/request.ts';
import { OperatorRequestInvalid, parseOperatorRequest } from '../../lambdas/operator/request.ts';
import { parseScanRequest, ScanRequestInvalid } from '../../lambdas/scanner/request.ts';
import { type Handler, invocationContext } from '../support/stages.ts';
import { type Functions, startFunctions } from './functions.ts';
import { Output } from './output.ts';
import { canary, json, longRuns, runs, seeded, text, timeoutMs } from './settings.ts';

const almost = (fields: Record<string, fc.Arbitrary<unknown>>) =>
  fc.oneof(json, {
    weight: 4,
    arbitrary: fc.record(
      Object.fromEntries(
        Object.entries(fields).map(([name, good]) => [
          name,
          fc.oneof({ weight: 4, arbitrary: good }, json, fc.constantFrom(canary, [canary], { x: canary })),
        ]),
      ),
      { requiredKeys: [] },
    ),
  });

const id = fc.uuid();
const name = fc.constantFrom('acme', 'google', 'a b', '..', '__proto__', 'x'.repeat(101));
const nothing = fc.constantFrom(undefined, null, {}, '', [], 0, false);

const scanRequest = fc.oneof(
  nothing,
  almost({
    provider: name,
    limit: fc.oneof(fc.integer(), fc.constantFrom(1, 2, 1_000_000, 0.5, -0)),
    integration: id,
    dryRun: fc.boolean(),
    verbose: fc.boolean(),
    source: fc.constantFrom('aws.events', 'aws.sqs'),
  }),
  almost({ provider: name, limit: fc.nat(3), dryRun: fc.boolean(), verbose: fc.boolean() }),
);
const migrationRequest = fc.oneof(
  nothing,
  almost({
    direction: fc.constantFrom('status', 'Status', 'sideways'),
    count: fc.integer(),
    RequestType: fc.constant('Create'),
  }),
);
const operatorRequest = fc.oneof(
  nothing,
  almost({
    ask: fc.constantFrom(
      'status',
      'history',
      'verify',
      'keys',
      'find_integration',
      'store_grant',
      'check_provider',
      'open_circuit',
      'close_circuit',
      'constructor',
    ),
    integrationId: id,
    userId: fc.option(id),
    provider: name,
    variables: fc.dictionary(text, text, { maxKeys: 3 }),
    accessToken: fc.constantFrom(`eyJ${canary}..a.b.c`, canary),
    refreshToken: fc.constantFrom(`eyJ${canary}..a.b.c`, canary),
    expiresInSeconds: fc.double(),
    refreshTokenExpiresInSeconds: fc.option(fc.double()),
    scopes: fc.option(fc.array(text, { maxLength: 3 })),
  }),
  // Whole, but for what stands in the tokens.
  fc.record({
    ask: fc.constant('store_grant'),
    integrationId: id,
    userId: fc.option(id),
    provider: fc.constant('acme'),
    accessToken: fc.constant(`eyJ${canary}..a.b.c`),
    refreshToken: fc.constant(`eyJ${canary}..a.b.c`),
    expiresInSeconds: fc.double({ min: 1e-300, max: 315_360_000, noNaN: true }),
    refreshTokenExpiresInSeconds: fc.constant(null),
    scopes: fc.constantFrom(null, [], ['a', 'b c']),
  }),
);

/** Runs a reader on an event. Returns what it throws, `null` for nothing. */
function refusalOf(read: (event: unknown) => unknown, event: unknown): Error | null {
  try {
    read(event);
    return null;
  } catch (error) {
    return error as Error;
  }
}

describe(`requests to the functions ${seeded}`, () => {
  it.each([
    ['a scan', parseScanRequest, ScanRequestInvalid, scanRequest],
    ['a migration', parseMigrationRequest, MigrationRequestInvalid, migrationRequest],
    ['an operator', parseOperatorRequest, OperatorRequestInvalid, operatorRequest],
  ])('of %s are read or refused in words that repeat none of their values', (_, read, Refusal, request) => {
    fc.assert(
      fc.property(request as fc.Arbitrary<unknown>, (event) => {
        const refusal = refusalOf(read, event);
        if (refusal === null) return;
        expect(refusal).toBeInstanceOf(Refusal);
        expect(refusal).toHaveProperty('code', expect.stringMatching(/^[a-z_]+$/));
        expect(refusal.message).not.toContain(canary);
      }),
      runs(1_000),
    );
  });

  describe('through the functions', () => {
    let functions: Functions;
    let output: Output;
    const handlers: Partial<Record<'scanner' | 'operator' | 'migrator', Handler>> = {};

    beforeAll(async () => {
      functions = await startFunctions();
      functions.secrets.put('providers/acme', {
        clientId: 'us',
        clientSecret: `${canary}-secret`,
        // Nobody listens there.
        provider: { displayName: 'Acme', tokenEndpoint: 'http://127.0.0.1:9/token' },
      });
      for (const stage of ['scanner', 'operator', 'migrator'] as const) {
        handlers[stage] = await functions.load(stage);
      }
    });
    beforeEach(() => {
      output = new Output();
    });
    afterAll(async () => {
      vi.restoreAllMocks();
      vi.unstubAllEnvs();
      await functions?.stop();
    });

    const rowsNow = () =>
      functions.db.sql<{ whole: string }>('SELECT i::text AS whole FROM integrations i ORDER BY id');

    it.each([
      ['scanner', parseScanRequest, scanRequest],
      ['operator', parseOperatorRequest, operatorRequest],
      ['migrator', parseMigrationRequest, migrationRequest],
    ] as const)(
      'the %s does what is well asked, and changes nothing for what is not',
      async (stage, read, requests) => {
        await functions.db.clear();
        const token = `${canary}-${randomUUID()}`;
        for (let i = 0; i < 3; i += 1) await functions.db.insertIntegration({ access_token: token });
        await fc.assert(
          fc.asyncProperty(requests as fc.Arbitrary<unknown>, async (event) => {
            output.forget();
            const before = await rowsNow();
            const refusal = refusalOf(read, event);
            // Going up does nothing here, as everything is in force; going down is not what this is about.
            const asked = handlers[stage]!(event, invocationContext());
            if (refusal === null) {
              expect(JSON.stringify(await asked)).not.toContain(canary);
            } else {
              const thrown = (await asked.then(
                () => null,
                (error: Error) => error,
              )) as Error & { code?: string };
              expect(thrown.code).toBe('invocation_failed');
              expect(`${thrown.stack}${JSON.stringify(thrown.cause)}`).not.toContain(canary);
              expect(await rowsNow()).toEqual(before);
            }
            expect(output.all).not.toContain(canary);
          }),
          longRuns(25),
        );
      },
      timeoutMs,
    );
  });
});
