import { describe, expect, it } from 'vitest';
import { problemOfEndpoint, problemOfScope } from '../../../lambdas/providers/definition.ts';

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
