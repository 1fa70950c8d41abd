import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../../lambdas/domain/outcome.ts';
import { findInCatalogue } from '../../../lambdas/providers/catalogue.ts';
import { type ProviderDescription, parseDefinition } from '../../../lambdas/providers/definition.ts';
import { leavesDoubt } from '../../../lambdas/providers/doubt.ts';
import { type Answer, verdict } from '../../../lambdas/providers/verdict.ts';

function definitionOf(description: Partial<ProviderDescription>) {
  const parsed = parseDefinition({
    displayName: 'Acme',
    tokenEndpoint: 'https://acme.example/token',
    rotation: 'always',
    ...description,
  });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  return parsed.value;
}

const acme = definitionOf({});
const answer = (status: number, body: unknown = '', headers: Record<string, string> = {}): Answer => ({
  kind: 'response',
  status,
  headers: new Headers(headers),
  body: body === null || typeof body === 'string' ? body : JSON.stringify(body),
});
const silence = (reason: 'timeout' | 'network_error', mayHaveArrived: boolean): Answer => ({
  kind: 'no_response',
  reason,
  mayHaveArrived,
});
const isDoubtful = (outcome: Outcome) => outcome.kind === 'transient' && outcome.doubtful;
const judged = (given: Answer, definition = acme) => isDoubtful(verdict(definition, given));

describe('a call is in doubt', () => {
  it.each(['timeout', 'network_error'] as const)(
    'without an answer (%s) unless nothing has left us',
    (reason) => {
      expect(judged(silence(reason, true))).toBe(true);
      expect(judged(silence(reason, false))).toBe(false);
    },
  );

  it.each([
    ['cut off, as it was too large', null],
    ['no JSON', '<html>Welcome</html>'],
    ['empty', ''],
    ['without tokens', { token_type: 'Bearer' }],
    ['with a token that is none', { access_token: 7 }],
  ])('when the answer says success and is %s', (_, body) => {
    expect(verdict(acme, answer(200, body))).toMatchObject({ code: 'malformed_response', doubtful: true });
  });

  it.each([500, 502, 504, 506, 520, 522, 524, 599])('when the server fails (%i)', (status) => {
    expect(judged(answer(status))).toBe(true);
    expect(judged(answer(status, { error: 'invalid_grant' }))).toBe(true);
  });

  it.each([200, 400, 500])('when it says that it failed in the midst of it, with %i', (status) => {
    expect(judged(answer(status, { error: 'server_error' }))).toBe(true);
    expect(judged(answer(status, { error: 'internal_error' }))).toBe(true);
  });
});

describe('a call is in no doubt', () => {
  it.each([501, 503, 505, 511, 521, 523, 525, 526, 529])('when nobody handled it (%i)', (status) => {
    expect(judged(answer(status))).toBe(false);
    expect(judged(answer(status, '<html>down</html>', { 'retry-after': '5' }))).toBe(false);
  });

  it.each([401, 403, 408, 409, 418, 425, 429])('when it was refused (%i)', (status) => {
    expect(verdict(acme, answer(status))).toMatchObject({ kind: 'transient', doubtful: false });
  });

  it.each([200, 400, 500])('when a limit turned it away, with %i', (status) => {
    expect(judged(answer(status, { error: 'rate_limited' }))).toBe(status === 500);
    const limited = definitionOf({
      errorRules: [{ fields: { error: 'ratelimited' }, meaning: 'transient', code: 'rate_limited' }],
    });
    expect(judged(answer(status, { error: 'ratelimited' }), limited)).toBe(false);
  });

  it('when success says that it is a refusal', () => {
    const flagged = definitionOf({ success: { field: 'ok', value: true } });
    for (const body of [{ ok: false }, { ok: false, error: 'nobody_knows' }, { error: 'nobody_knows' }]) {
      expect(verdict(flagged, answer(200, body))).toMatchObject({ code: 'unknown_answer', doubtful: false });
    }
  });

  it('when there are tokens, or a word against the grant or our client', () => {
    expect(judged(answer(200, { access_token: 'x', token_type: 'Bearer' }))).toBe(false);
    expect(judged(answer(400, { error: 'invalid_grant' }))).toBe(false);
    expect(judged(answer(401, { error: 'invalid_client' }))).toBe(false);
  });
});

it.each(['always', 'sometimes', 'unknown', 'never'] as const)(
  'of a provider that rotates %s there is one only where a token may be spent',
  (rotation) => {
    for (const given of [silence('timeout', true), answer(200, null), answer(502)]) {
      expect(leavesDoubt({ rotation }, given, 'malformed_response')).toBe(rotation !== 'never');
      expect(judged(given, definitionOf({ rotation }))).toBe(rotation !== 'never');
    }
  },
);

it('of Slack its own words decide, as it says everything with 200', () => {
  const slack = definitionOf(findInCatalogue('slack')!.description);
  for (const [error, doubtful] of [
    ['fatal_error', true],
    ['internal_error', true],
    ['request_timeout', false],
    ['service_unavailable', false],
    ['ratelimited', false],
  ] as const) {
    expect(verdict(slack, answer(200, { ok: false, error }))).toMatchObject({ kind: 'transient', doubtful });
  }
});
