import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decidePurpose, type GrantAtHand } from '../../../lambdas/domain/lapse.ts';

const grants = fc.record<GrantAtHand>({
  tokenColumn: fc.constantFrom('refresh_token', 'access_token'),
  renewal: fc.constantFrom('refresh_token', 'access_token', 'none', null),
  accessTokensEnd: fc.boolean(),
  expiresInSeconds: fc.option(fc.oneof(fc.double(), fc.constantFrom(0, -0, 1, -1)), { nil: null }),
});
const always = (check: (grant: GrantAtHand, decision: string) => boolean) =>
  fc.assert(
    fc.property(grants, (grant) => check(grant, decidePurpose(grant))),
    { numRuns: 2_000 },
  );

const bare: GrantAtHand = {
  tokenColumn: 'access_token',
  renewal: 'refresh_token',
  accessTokensEnd: true,
  expiresInSeconds: 60,
};

describe('a row without a refresh token', () => {
  it.each([
    ['refresh_token', true, 60, 'warn'],
    ['refresh_token', true, 0, 'end'],
    ['refresh_token', false, -60, 'end'],
    ['refresh_token', true, null, 'keep'],
    ['access_token', true, 60, 'renew'],
    ['access_token', false, -60, 'renew'],
    ['access_token', true, null, 'renew'],
    ['none', true, 60, 'warn'],
    ['none', true, -60, 'end'],
    ['none', true, null, 'keep'],
    ['none', false, 60, 'keep'],
    ['none', false, -60, 'keep'],
    ['none', false, null, 'keep'],
    [null, true, 60, 'warn'],
    [null, true, -60, 'end'],
    [null, true, null, 'keep'],
  ] as const)(
    'where renewal is %s, access tokens end: %s, in %s s: %s',
    (renewal, accessTokensEnd, expiresInSeconds, decision) => {
      expect(decidePurpose({ ...bare, renewal, accessTokensEnd, expiresInSeconds })).toBe(decision);
    },
  );
});

describe('a row with a refresh token', () => {
  it.each([
    ['refresh_token', 'renew'],
    ['access_token', 'renew'],
    [null, 'renew'],
    ['none', 'keep'],
  ] as const)('where renewal is %s: %s', (renewal, decision) => {
    for (const expiresInSeconds of [60, -60, null]) {
      const grant = { ...bare, tokenColumn: 'refresh_token', renewal, expiresInSeconds } as const;
      expect(decidePurpose(grant)).toBe(decision);
    }
  });
});

describe('any row', () => {
  it('is never told of an end while there is something to renew it with', () => {
    always(
      (grant, decision) =>
        !(
          (grant.tokenColumn === 'refresh_token' || grant.renewal === 'access_token') &&
          ['warn', 'end'].includes(decision)
        ),
    );
  });

  it('is never called for where nothing is renewed', () => {
    always((grant, decision) => !(grant.renewal === 'none' && decision === 'renew'));
  });

  it('ends only when its end is known and has come, and is warned only before', () => {
    always((grant, decision) => {
      if (decision === 'end') return grant.expiresInSeconds !== null && !(grant.expiresInSeconds > 0);
      return decision !== 'warn' || (grant.expiresInSeconds !== null && grant.expiresInSeconds > 0);
    });
  });
});
