import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideTurn, type Turn } from '../../../lambdas/domain/lapse.ts';

const turns = fc.record<Turn>({
  tokenColumn: fc.constantFrom('refresh_token', 'access_token'),
  renewal: fc.constantFrom('refresh_token', 'access_token', 'none', null),
  accessTokensEnd: fc.boolean(),
  expiresInSeconds: fc.option(fc.oneof(fc.double(), fc.constantFrom(0, -0, 1, -1)), { nil: null }),
});
const always = (check: (turn: Turn, decision: string) => boolean) =>
  fc.assert(
    fc.property(turns, (turn) => check(turn, decideTurn(turn))),
    { numRuns: 2_000 },
  );

const bare: Turn = {
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
      expect(decideTurn({ ...bare, renewal, accessTokensEnd, expiresInSeconds })).toBe(decision);
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
      const turn = { ...bare, tokenColumn: 'refresh_token', renewal, expiresInSeconds } as const;
      expect(decideTurn(turn)).toBe(decision);
    }
  });
});

describe('any row', () => {
  it('is never told of an end while there is something to renew it with', () => {
    always(
      (turn, decision) =>
        !(
          (turn.tokenColumn === 'refresh_token' || turn.renewal === 'access_token') &&
          ['warn', 'end'].includes(decision)
        ),
    );
  });

  it('is never called for where nothing is renewed', () => {
    always((turn, decision) => !(turn.renewal === 'none' && decision === 'renew'));
  });

  it('ends only when its end is known and has come, and is warned only before', () => {
    always((turn, decision) => {
      if (decision === 'end') return turn.expiresInSeconds !== null && !(turn.expiresInSeconds > 0);
      return decision !== 'warn' || (turn.expiresInSeconds !== null && turn.expiresInSeconds > 0);
    });
  });
});
