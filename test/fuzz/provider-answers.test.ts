import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { refresherEnv } from '../../lambdas/contract.ts';
import { claimDue } from '../../lambdas/postgres/claim-due.ts';
import { catalogue, findInCatalogue } from '../../lambdas/providers/catalogue.ts';
import { type ProviderDefinition, parseDefinition } from '../../lambdas/providers/definition.ts';
import { retryAfterSeconds } from '../../lambdas/providers/retry-after.ts';
import { verdict } from '../../lambdas/providers/verdict.ts';
import { failedOf, type Handler, invocationContext, sqsEvent } from '../support/stages.ts';
import { startTokenEndpoint, type TokenEndpoint } from '../support/token-endpoint.ts';
import { type Functions, startFunctions } from './functions.ts';
import { Output } from './output.ts';
import { canary, deepJson, json, longRuns, runs, seeded, text, timeoutMs } from './settings.ts';

const year = 365 * 86_400;

function defined(description: object): ProviderDefinition {
  const parsed = parseDefinition(description);
  if (!parsed.ok) throw new Error(parsed.problems.join());
  return parsed.value;
}
const acme = defined({
  displayName: 'Acme',
  tokenEndpoint: 'https://acme.example/token',
  keptFields: ['instance_url', 'user.id', '__proto__', 'constructor.name'],
});
const definitions = [
  acme,
  ...Object.keys(catalogue).map((name) => defined(findInCatalogue(name)!.description)),
];

const lifetime = fc.oneof(
  json,
  fc.double(),
  fc.constantFrom(
    0,
    -1,
    3600,
    '3600',
    ' 3600 ',
    '3600s',
    1e12,
    1.8e9,
    '1800000000',
    1e308,
    '1e5',
    null,
    true,
    [3600],
  ),
  fc.constantFrom('2030-01-01T00:00:00Z', '2030-01-01', '9999-12-31T23:59:59+99:99', 'Infinity', 'NaN'),
);
/** Fields that somebody reads, with anything in them. */
const oddFields = fc.record(
  {
    refresh_token: fc.oneof(json, fc.constantFrom(canary, '', 'ü', 'a\0b', { token: canary }, [canary])),
    token_type: fc.oneof(fc.constantFrom('Bearer', 'bearer', 'BEARER', '', null, 7), json),
    expires_in: lifetime,
    expires_at: lifetime,
    expires: lifetime,
    access_token_expiration: lifetime,
    refresh_token_expires_in: lifetime,
    refresh_expires_in: lifetime,
    x_refresh_token_expires_in: lifetime,
    x_refresh_token_hard_expires_in: lifetime,
    refresh_token_expires_at: lifetime,
    issued_at: lifetime,
    created_at: lifetime,
    scope: fc.oneof(json, fc.constantFrom('a b', 'a,b', ' ', ['a', 7], '\0', 'ü')),
    scopes: json,
    error: fc.constantFrom(null, '', 0, false, [], {}, { code: 190 }),
    id_token: json,
    instance_url: fc.oneof(json, fc.constantFrom(canary, 'x'.repeat(5_000), '\0', '\ud800')),
    user: json,
    constructor: json,
  },
  { requiredKeys: [] },
);
const proven = ['dpop', 'mac', 'pop'];
const visible = /^[\x20-\x7e]+$/;

const headerValue = fc.oneof(
  fc.stringMatching(/^[\x20-\x7e]{0,40}$/),
  lifetime.map((value) => (JSON.stringify(value) ?? '').replaceAll(/[^\x20-\x7e]/g, '')),
  fc.constantFrom(
    'Wed, 21 Oct 2030 07:28:00 GMT',
    'Wed, 21 Oct 99999 07:28:00 GMT',
    '-5',
    '1e9',
    '0x10',
    '9'.repeat(400),
  ),
);
const headers = fc.dictionary(
  fc.constantFrom(
    'date',
    'retry-after',
    'content-type',
    'ratelimit',
    'ratelimit-reset',
    'ratelimit-remaining',
    'x-ratelimit-reset',
    'x-ratelimit-remaining',
    'x-rate-limit-reset',
    'x-ratelimit-reset-after',
    'location',
    'www-authenticate',
  ),
  headerValue,
  { maxKeys: 5 },
);

/** Bodies as bytes: what a provider, a gateway in front of it, or somebody with a plan might send. */
const body: fc.Arbitrary<Buffer> = fc
  .oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    json.map((value) => JSON.stringify(value) ?? ''),
    deepJson,
    { weight: 4, arbitrary: oddFields.map((fields) => JSON.stringify(fields)) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(oddFields, fc.constantFrom(canary, '', 'ü', null, 7, [canary]))
        .map(([fields, access_token]) => JSON.stringify({ ...fields, access_token })),
    },
    fc
      .tuple(fc.constantFrom('invalid_grant', 'invalid_client', 'odd', canary), text)
      .map(([error, more]) => JSON.stringify({ error, error_description: more, more: canary })),
    text.map((error) => JSON.stringify({ error })),
    text.map((value) => `\u{feff}{"access_token":"${canary}","x":${JSON.stringify(value)}}`),
    fc.constantFrom(
      '',
      `<!doctype html><h1>${canary}</h1>`,
      `error=invalid_grant&error_description=${canary}`,
      `access_token=${canary}&expires_in=60`,
      `{"access_token":"${canary}","access_token":7}`,
      `{"access_token":"${canary}"`,
      `{"__proto__":{"access_token":"${canary}"}}`,
      `{"error":"invalid_grant"}`,
      'null',
    ),
    fc.tuple(oddFields, fc.nat(60)).map(([fields, at]) => {
      // A byte that begins no character, somewhere.
      const bytes = Buffer.from(JSON.stringify(fields));
      bytes[at % Math.max(1, bytes.length)] = 0xff;
      return bytes;
    }),
  )
  .map((value) => Buffer.from(value));

const status = fc.oneof(
  fc.constantFrom(200, 200, 200, 201, 204, 302, 400, 400, 401, 403, 404, 408, 425, 429, 500, 503),
  fc.integer({ min: 200, max: 599 }),
);

describe(`answers of any kind ${seeded}`, () => {
  it('give an outcome that can be stored, of every provider, and none but a refusal in words ends a grant', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...definitions),
        status,
        headers,
        fc.option(body),
        (definition, code, given, bytes) => {
          const said = bytes?.toString('utf8') ?? null;
          const outcome = verdict(definition, {
            kind: 'response',
            status: code,
            headers: new Headers(given),
            body: said,
          });
          if (outcome.kind === 'refreshed') {
            const { accessToken, refreshToken, expiresInSeconds, refreshTokenExpiresInSeconds, kept } =
              outcome.tokens;
            expect(code).toBeGreaterThanOrEqual(200);
            expect(code).toBeLessThan(300);
            for (const token of [accessToken, refreshToken ?? 'x', ...(outcome.tokens.scopes ?? [])]) {
              expect(token).toMatch(visible);
            }
            expect(expiresInSeconds).toBeGreaterThanOrEqual(1);
            expect(expiresInSeconds).toBeLessThanOrEqual(year);
            if (refreshTokenExpiresInSeconds !== null) {
              expect(refreshTokenExpiresInSeconds).toBeGreaterThanOrEqual(1);
              expect(refreshTokenExpiresInSeconds).toBeLessThanOrEqual(10 * year);
            }
            for (const value of Object.values(kept))
              expect(value.isWellFormed() && !value.includes('\0')).toBe(true);
            expect(JSON.stringify(outcome.tokens.remarks)).not.toContain(canary);
            return;
          }
          expect(JSON.stringify(outcome)).not.toContain(canary);
          if (code === 408 || code === 425 || code === 429 || code >= 500)
            expect(outcome.kind).toBe('transient');
          if (outcome.kind === 'transient' && outcome.retryAfterSeconds !== null) {
            expect(Number.isInteger(outcome.retryAfterSeconds)).toBe(true);
            expect(outcome.retryAfterSeconds).toBeGreaterThanOrEqual(0);
            expect(outcome.retryAfterSeconds).toBeLessThanOrEqual(3_600);
          }
          if (outcome.kind === 'permanent') expect(said?.trim()).not.toBe('');
          if (outcome.kind === 'permanent' && outcome.invalidRefreshToken && definition === acme) {
            expect(said).toMatch(/invalid_grant/);
          }
        },
      ),
      runs(1_500),
    );
  });

  it('lose no good access token for what stands beside it', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[\x20-\x7e]{1,60}$/),
        oddFields,
        headers,
        fc.constantFrom(200, 201, 299),
        fc.constantFrom('', '\u{feff}', ' \n'),
        (accessToken, fields, given, code, before) => {
          fc.pre(
            !(typeof fields.token_type === 'string' && proven.includes(fields.token_type.toLowerCase())),
          );
          const outcome = verdict(acme, {
            kind: 'response',
            status: code,
            headers: new Headers(given),
            body: before + JSON.stringify({ ...fields, access_token: accessToken }),
          });
          expect(outcome).toMatchObject({ kind: 'refreshed', tokens: { accessToken } });
          const isToken = typeof fields.refresh_token === 'string' && visible.test(fields.refresh_token);
          expect(outcome).toHaveProperty('tokens.refreshToken', isToken ? fields.refresh_token : null);
        },
      ),
      runs(1_000),
    );
  });

  it('make nobody wait for longer than an hour, or for a time that is no number', () => {
    fc.assert(
      fc.property(headers, json, fc.boolean(), (given, said, limited) => {
        const body =
          typeof said === 'object' && !Array.isArray(said) ? (said as Record<string, unknown> | null) : null;
        const wait = retryAfterSeconds(new Headers(given), body, limited);
        if (wait === null) return;
        expect(Number.isInteger(wait) && wait >= 0 && wait <= 3_600).toBe(true);
      }),
      runs(1_000),
    );
  });

  describe('through the refresher', () => {
    let functions: Functions;
    let endpoint: TokenEndpoint;
    let refresh: Handler;
    let output: Output;
    const answers = new Map<string, (response: ServerResponse) => unknown>();
    const places = Array.from({ length: 12 }, (_, index) => `acme${index}`);

    beforeAll(async () => {
      functions = await startFunctions();
      endpoint = await startTokenEndpoint(async ({ parameters }, response) => {
        // What is sent after the client has left is nobody's concern.
        response.on('error', () => undefined);
        await answers.get(parameters.get('refresh_token') ?? '')?.(response);
        return undefined;
      });
      // One each, so that what some answer is no outage to the others.
      for (const provider of places) {
        functions.secrets.put(`providers/${provider}`, {
          clientId: 'us',
          clientSecret: `${canary}-secret`,
          provider: { displayName: 'Acme', tokenEndpoint: endpoint.url, keptFields: ['instance_url'] },
        });
      }
      refresh = await functions.load('refresher', {
        [refresherEnv.tokensAtRest]: 'plain',
        [refresherEnv.callTimeoutMs]: '600',
      });
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

    /** How an answer comes over the wire. */
    const manner = fc.constantFrom(
      'whole',
      'whole',
      'whole',
      'in pieces',
      'cut short',
      'too long',
      'never ends',
      'says it is gzip',
      'wrong length',
      'no HTTP',
    );

    async function answer(
      response: ServerResponse,
      {
        code,
        given,
        bytes,
        how,
      }: { code: number; given: Record<string, string>; bytes: Buffer; how: string },
    ): Promise<void> {
      const headers = { 'content-type': 'application/json', ...given };
      switch (how) {
        case 'no HTTP':
          response.socket?.end(bytes);
          return;
        case 'cut short':
          response.writeHead(code, { ...headers, 'content-length': bytes.length + 50 });
          response.write(bytes, () => response.destroy());
          return;
        case 'wrong length':
          response.socket?.end(`HTTP/1.1 ${code} OK\r\ncontent-length: 3\r\n\r\n${bytes.toString('latin1')}`);
          return;
        case 'never ends':
          response.writeHead(code, headers);
          response.write(bytes);
          return;
        case 'too long':
          response.writeHead(code, headers);
          response.end(Buffer.concat([bytes, Buffer.alloc(400_000, ' ')]));
          return;
        case 'says it is gzip':
          response.writeHead(code, { ...headers, 'content-encoding': 'gzip' });
          response.end(bytes);
          return;
        case 'in pieces':
          response.writeHead(code, headers);
          for (let at = 0; at < bytes.length; at += 50) {
            response.write(bytes.subarray(at, at + 50));
            if (at < 200) await sleep(1);
          }
          response.end();
          return;
        default:
          response.writeHead(code, headers);
          response.end(bytes);
      }
    }

    it(
      'store what was answered, or leave the grant as it was, and keep no other from being refreshed',
      () =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.record({ code: status, given: headers, bytes: body, how: manner }), {
              minLength: 1,
              maxLength: places.length - 2,
            }),
            async (odd) => {
              output.forget();
              answers.clear();
              await functions.db.clear();
              const good = (used: string) => ({
                code: 200,
                given: {},
                bytes: Buffer.from(JSON.stringify({ access_token: `a-${used}`, refresh_token: `r-${used}` })),
                how: 'whole' as const,
              });
              const rows: { id: string; used: string; sent: (typeof odd)[number]; isGood: boolean }[] = [];
              for (const [index, given] of [null, ...odd, null].entries()) {
                const used = `${canary}-${randomUUID()}`;
                const sent = given ?? good(used);
                answers.set(used, (response) => answer(response, sent));
                const { id } = await functions.db.insertIntegration({
                  provider: places[index],
                  access_token: `old-${canary}`,
                  refresh_token: used,
                });
                rows.push({ id, used, sent, isGood: given === null });
              }
              await claimDue(functions.db.database, {
                collectedAt: 'infinity',
                windowSeconds: 600,
                holdSeconds: 270,
                provider: null,
                after: null,
                limit: 99,
              });
              const messages = rows.map(({ id }) => ({ version: 1, integrationId: id }));
              expect(failedOf(await refresh(sqsEvent(...messages), invocationContext()))).toEqual([]);

              for (const { id, used, sent, isGood } of rows) {
                const row = await functions.db.integration(id);
                expect(row).toMatchObject({ status: 'connected', refresh_claim_open: false });
                if (isGood) {
                  expect(row).toMatchObject({ access_token: `a-${used}`, refresh_token: `r-${used}` });
                } else if (row.last_refresh_success !== null) {
                  const said = JSON.parse(
                    sent.bytes
                      .toString('utf8')
                      .slice(0, 400_000)
                      .replace(/^\ufeff/, '') || '{}',
                  );
                  expect(row.access_token).toBe(said.access_token);
                  const next = said.refresh_token;
                  const isToken = typeof next === 'string' && visible.test(next);
                  expect(row.refresh_token).toBe(isToken ? next : used);
                  expect(row.expires_at!.getTime()).toBeGreaterThan(Date.now() - 60_000);
                } else {
                  expect(row).toMatchObject({ access_token: `old-${canary}`, refresh_token: used });
                  // Nothing is told of a grant but for a refusal of it.
                  const events = await functions.db.eventsOf(id);
                  if (events.length > 0) expect(sent.bytes.toString()).toContain('invalid_grant');
                  if (row.consecutive_failures !== 0) expect(sent.bytes.toString()).toContain('error');
                }
              }
              expect(output.all).not.toContain('result lost');
              expect(output.all).not.toContain(canary);
            },
          ),
          longRuns(8),
        ),
      timeoutMs,
    );
  });
});
