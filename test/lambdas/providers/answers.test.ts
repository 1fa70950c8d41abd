import { describe, expect, it } from 'vitest';
import { isFailureCode } from '../../../lambdas/domain/failure-codes.ts';
import type { Outcome } from '../../../lambdas/domain/outcome.ts';
import { catalogue, findInCatalogue } from '../../../lambdas/providers/catalogue.ts';
import { type ProviderDefinition, parseDefinition } from '../../../lambdas/providers/definition.ts';
import { verdict } from '../../../lambdas/providers/verdict.ts';
import { type AnswerKind, answers, type KnownAnswer } from './answers.ts';

function definitionOf(name: string): ProviderDefinition {
  const parsed = parseDefinition(findInCatalogue(name)?.description);
  if (!parsed.ok) throw new Error(`${name}: ${parsed.problems.join()}`);
  return parsed.value;
}

function judged(definition: ProviderDefinition, { status, headers, body }: KnownAnswer): Outcome {
  return verdict(definition, { kind: 'response', status, headers: new Headers(headers), body });
}

const renewing = Object.keys(catalogue).filter((name) => catalogue[name]?.renewal !== 'none');
const needed: readonly AnswerKind[] = ['success', 'dead_grant', 'rate_limit', 'operator_fault', 'transient'];

describe('the table of answers', () => {
  it('has every provider that renews anything, and no other', () => {
    expect(Object.keys(answers).toSorted()).toEqual(renewing.toSorted());
  });

  it.each(renewing)(
    'has of %s a success, a dead grant, a rate limit, an operator’s fault and a passing one',
    (name) => {
      const kinds = new Set(answers[name]?.map(({ kind }) => kind));
      expect(needed.filter((kind) => !kinds.has(kind))).toEqual([]);
    },
  );

  it('says of each answer where it stands', () => {
    const sources = Object.values(answers).flatMap((known) => known.map(({ source }) => source));
    expect(sources.filter((source) => !/^(doc|gh|iss|2nd|shape): ?\S/.test(source))).toEqual([]);
  });
});

describe.each(Object.entries(answers))('%s', (name, known) => {
  const definition = definitionOf(name);

  it.each(
    known.map((answer) => [`${answer.kind} (${answer.status} ${answer.body.slice(0, 60)})`, answer] as const),
  )('%s', (_, answer) => {
    const outcome = judged(definition, answer);
    expect(outcome, answer.source).toMatchObject(answer.expected);
    if (outcome.kind === 'refreshed') return;
    // A code without a sentence of its own is a status, or a mistake.
    if (!/^http_\d{3}$/.test(outcome.code)) expect(isFailureCode(outcome.code), outcome.code).toBe(true);
  });

  it('has an answer that each of its rules decides', () => {
    const numbered = definition.errorRules.map((rule, index) => ({ ...rule, code: `rule_${index}` }));
    const codes = new Set(
      known
        .map((answer) => judged({ ...definition, errorRules: numbered }, answer))
        .flatMap((outcome) => ('code' in outcome ? [outcome.code] : [])),
    );
    expect(definition.errorRules.filter((_, index) => !codes.has(`rule_${index}`))).toEqual([]);
  });

  it('brings a new refresh token where its definition says that each refresh does', () => {
    const brought = known
      .filter(({ kind }) => kind === 'success')
      .map((answer) => judged(definition, answer))
      .map((outcome) => outcome.kind === 'refreshed' && outcome.tokens.refreshToken !== null);
    if (definition.rotation === 'always') expect(brought.every((each) => each)).toBe(true);
    if (definition.renewal === 'access_token') expect(brought.some((each) => each)).toBe(false);
  });
});

describe('an answer that passes by itself', () => {
  const definitions = renewing.map((name) => [name, definitionOf(name)] as const);
  const bodies = [
    '',
    '<html>',
    JSON.stringify({ error: 'invalid_grant' }),
    ...Object.values(answers).flatMap((known) =>
      known.filter(({ kind }) => kind === 'dead_grant').map(({ body }) => body),
    ),
  ];

  it.each(definitions)('of %s ends no grant, whatever its body says', (_, definition) => {
    for (const status of [408, 425, 429, 500, 502, 503, 504, 522]) {
      for (const body of bodies) {
        const outcome = verdict(definition, { kind: 'response', status, headers: new Headers(), body });
        expect(outcome.kind, `${status} ${body}`).toBe('transient');
      }
    }
  });

  it.each(definitions)('of %s: silence ends no grant, and no page does', (_, definition) => {
    for (const reason of ['timeout', 'network_error'] as const) {
      expect(verdict(definition, { kind: 'no_response', reason, mayHaveArrived: true }).kind).toBe(
        'transient',
      );
    }
    for (const status of [200, 301, 400, 401, 403, 404, 409, 423, 477]) {
      for (const body of ['', '<html>', 'null', '[]', '{}', '"invalid_grant"', null]) {
        const outcome = verdict(definition, { kind: 'response', status, headers: new Headers(), body });
        expect(outcome.kind, `${status} ${body}`).not.toBe('permanent');
        expect(outcome.kind, `${status} ${body}`).not.toBe('refreshed');
      }
    }
  });
});

describe('an operator’s fault', () => {
  it('of any provider says what to do', () => {
    for (const [name, known] of Object.entries(answers)) {
      for (const answer of known.filter(({ kind }) => kind === 'operator_fault')) {
        const outcome = judged(definitionOf(name), answer);
        expect(outcome.kind === 'operator' && outcome.fix, `${name} ${answer.body}`).toMatch(/\w.*\.$/);
      }
    }
  });
});
