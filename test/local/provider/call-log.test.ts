import { expect, test } from 'vitest';
import { CallLog, type CallOutcome } from '../../../local/provider/call-log.ts';

const outcome: CallOutcome = {
  account: 'ada@example.com',
  status: 200,
  error: null,
  reuse: true,
  refreshTokenFingerprint: null,
  rotatedTo: null,
  faulted: null,
  clientId: null,
};

test('only the last calls are kept, the totals count all', () => {
  const log = new CallLog(3);
  for (let count = 0; count < 5; count += 1) log.complete(log.begin('grant'), outcome);
  const { calls, totals } = log.select();
  expect(calls.map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
  expect(totals).toEqual({ calls: 3, reuse: 3, overlapped: 0 });
  expect(log.select({ since: 4 }).calls.map(({ sequence }) => sequence)).toEqual([5]);
  expect(log.select({ since: 99 }).calls).toEqual([]);
  expect(log.totals()).toEqual({ calls: 5, reuse: 5, overlapped: 0 });
});

test('calls overlap while both are in flight for one grant', () => {
  const log = new CallLog();
  const first = log.begin('grant');
  const other = log.begin('another grant');
  const second = log.begin('grant');
  log.end(first);
  log.end(second);
  const third = log.begin('grant');
  const unknown = [log.begin(null), log.begin(null)];
  expect([first, other, second, third, ...unknown].map(({ overlapped }) => overlapped)).toEqual([
    true,
    false,
    true,
    false,
    false,
    false,
  ]);
});
