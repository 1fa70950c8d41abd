import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeRequestTime } from '../../../../local/cloud/iam/request-time.ts';

const nowMs = Date.UTC(2026, 0, 31, 23, 58, 0);

describe('when a request was signed', () => {
  it('is refused in the words of AWS where the clocks are more than five minutes apart', () => {
    expect(judgeRequestTime({ 'x-amz-date': '20260131T234759Z' }, nowMs)).toEqual({
      code: 'InvalidSignatureException',
      message:
        'Signature expired: 20260131T234759Z is now earlier than 20260131T235300Z (20260131T235800Z - 5 min.)',
    });
    expect(judgeRequestTime({ 'x-amz-date': '20260201T000801Z' }, nowMs)).toEqual({
      code: 'InvalidSignatureException',
      message:
        'Signature not yet current: 20260201T000801Z is still later than 20260201T000300Z (20260131T235800Z + 5 min.)',
    });
  });

  it('is fine within five minutes either way, and beyond it never', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1_200, max: 1_200 }), (seconds) => {
        const signedAt = new Date(nowMs + seconds * 1_000).toISOString().replaceAll(/[-:]|\.000/g, '');
        const denial = judgeRequestTime({ 'x-amz-date': signedAt }, nowMs);
        expect(denial === null).toBe(Math.abs(seconds) <= 300);
      }),
    );
  });

  it.each([undefined, '', 'yesterday'])('is not judged of a request that is not signed (%s)', (signedAt) => {
    expect(judgeRequestTime({ 'x-amz-date': signedAt }, nowMs)).toBeNull();
  });
});
