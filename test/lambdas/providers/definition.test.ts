import { describe, expect, it } from 'vitest';
import { parseDefinition, problemOfEndpoint, problemOfScope } from '../../../lambdas/providers/definition.ts';

describe('an option that stands for a field', () => {
  it('is judged as the field is', () => {
    expect(problemOfEndpoint('https://acme.example/authorize', '--endpoint')).toBeNull();
    expect(problemOfEndpoint('http://acme.example/authorize', '--endpoint')).toBe(
      '--endpoint: must start with https:// (plain http is accepted for loopback addresses only)',
    );
    expect(problemOfScope('https://acme.example/auth/a:b', '--scope')).toBeNull();
    for (const scope of ['', 'a b', 'a"', 'a\\b', 'é', 'a\n']) {
      expect(problemOfScope(scope, '--scope')).toMatch(/^--scope: must be one scope/);
    }
  });
});

describe('a rule about an error', () => {
  const withRule = (rule: unknown) =>
    parseDefinition({
      displayName: 'Acme',
      tokenEndpoint: 'https://acme.example/token',
      errorRules: [rule],
    });

  it.each<[string, unknown]>([
    ['one value', { fields: { error: 'gone' }, meaning: 'permanent' }],
    ['one of several', { fields: { error_codes: [50173, 700082] }, meaning: 'invalid_refresh_token' }],
    ['a part of a text', { fields: { 'errors.0.detail': { contains: 'gone' } }, meaning: 'permanent' }],
    ['a status alone, for what passes', { status: 409, fields: {}, meaning: 'transient' }],
    ['a status alone, for what we did wrong', { status: 402, fields: {}, meaning: 'operator' }],
  ])('may look at %s', (_, rule) => {
    expect(withRule(rule)).toMatchObject({ ok: true });
  });

  it.each<[string, unknown]>([
    ['errorRules.0.fields.error', { fields: { error: [] }, meaning: 'permanent' }],
    ['errorRules.0.fields.error', { fields: { error: { contains: '' } }, meaning: 'permanent' }],
    ['errorRules.0.fields.error', { fields: { error: { starts: 'gone' } }, meaning: 'permanent' }],
    ['errorRules.0.meaning', { fields: { error: 'gone' }, meaning: 'dead' }],
    ['errorRules.0.code', { fields: { error: 'gone' }, meaning: 'permanent', code: 'Gone' }],
    ['errorRules.0', { status: 404, fields: {}, meaning: 'permanent' }],
    ['errorRules.0', { status: 401, fields: {}, meaning: 'invalid_refresh_token' }],
    ['errorRules.0', { status: 200, fields: {}, meaning: 'transient' }],
    ['errorRules.0', { fields: {}, meaning: 'operator' }],
  ])('with a fault in %s says so', (field, rule) => {
    const parsed = withRule(rule);
    expect(parsed.ok ? null : parsed.problems.join()).toContain(`provider.${field}`);
  });
});
