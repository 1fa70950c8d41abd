import { expect, it } from 'vitest';
import type { PermissionUsage } from '../../../local/cloud/iam/authorizer.ts';
import { leastPrivilege } from '../../../local/demo/endings.ts';
import { type Check, checkNames, Recorder } from '../../../local/demo/recorder.ts';

const identity = 'arn:aws:ses:us-east-1:000000000000:identity';
const use = (holder: string, action: string, resource: string, callCount: number) => ({
  holder,
  policy: 'Policy',
  action,
  resource,
  callCount,
});
const asItShouldBe: PermissionUsage = {
  allowed: [
    use('NotifierFunctionAF3D', 'ses:SendEmail', `${identity}/acme.example`, 3),
    use('ScannerFunction7895', 'sqs:SendMessage', 'arn:queue', 2),
  ],
  denied: [],
};

/** The check after all others held, or after one failed. */
async function judge(usage: PermissionUsage, othersHold = true): Promise<Check> {
  const recorder = new Recorder(() => undefined);
  for (const name of checkNames.filter((each) => each !== 'least-privilege')) {
    const outcome = recorder.check(name, async ({ require }) => require(othersHold, 'no'));
    await outcome.catch(() => undefined);
  }
  await leastPrivilege(usage, recorder).catch(() => undefined);
  return recorder.results().find(({ name }) => name === 'least-privilege')!;
}

const failure = ({ evidence }: Check) => evidence.find((line) => line.startsWith('FAILED'));

it('holds where every permission was needed and no call denied', async () => {
  const { ok, evidence } = await judge(asItShouldBe);
  expect({ ok, evidence }).toEqual({
    ok: true,
    evidence: [
      'NotifierFunctionAF3D: 1 permissions, all needed by its 3 calls',
      'ScannerFunction7895: 1 permissions, all needed by its 2 calls',
    ],
  });
});

it('names what is missing and what is surplus', async () => {
  const { allowed } = asItShouldBe;
  const check = await judge({
    allowed: [...allowed, use('ScannerFunction7895', 'sqs:GetQueueUrl', 'arn:queue', 0)],
    denied: [
      {
        callerId: 'Refresher',
        action: 'sqs:SendMessage',
        resource: 'arn:other',
        message: 'no',
        callCount: 4,
      },
    ],
  });
  expect(check.ok).toBe(false);
  expect(check.evidence).toContain('denied 4 times: no');
  expect(failure(check)).toBe(
    'FAILED: missing: Refresher sqs:SendMessage arn:other; surplus: ScannerFunction7895 sqs:GetQueueUrl arn:queue',
  );
});

it('does not call surplus what a failed check may not have come to', async () => {
  const { allowed } = asItShouldBe;
  const unused = use('ScannerFunction7895', 'sqs:GetQueueUrl', 'arn:queue', 0);
  const check = await judge({ allowed: [...allowed, unused], denied: [] }, false);
  expect(failure(check)).toContain('not reached, or surplus: ScannerFunction7895');
});
