import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { faultKinds } from '../../../local/chaos/plan.ts';

const root = path.join(import.meta.dirname, '..', '..', '..');

function chaos(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['local/chaos.ts', ...args], { cwd: root }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

describe('npm run chaos', () => {
  it('teaches every kind of fault', async () => {
    const { code, stdout } = await chaos('--help');
    expect(code).toBe(0);
    for (const kind of faultKinds) expect(stdout).toContain(`  ${kind} `);
  });

  it('prints the same plan for the same seed', async () => {
    const first = await chaos('--plan', '--seed', '42', '--minutes', '1');
    expect(first.stdout).toMatch(/^ +\d+\.\d s {2}[a-z0-9-]+/);
    expect((await chaos('--plan', '--seed', '42', '--minutes', '1')).stdout).toBe(first.stdout);
    expect((await chaos('--plan', '--seed', '43', '--minutes', '1')).stdout).not.toBe(first.stdout);
  });

  it('takes groups and kinds, and leaves out what has a dash', async () => {
    const { stdout } = await chaos('--plan', '--faults', 'kill,db-stop,-kill-scanner');
    expect(stdout).toContain('kill-refresher');
    expect(stdout).toContain('db-stop');
    expect(stdout).not.toMatch(/kill-scanner|db-kill|sqs-/);
  });

  it('has what is needed to miss a protection', async () => {
    const { stdout } = await chaos('--plan', '--faults', 'users', '--without', 'outbox');
    expect(stdout).toContain('kill-before-publish');
  });

  it.each([
    [['--without', 'luck'], /--without must be one of sealed-results, fencing, outbox, not "luck"/],
    [['--faults', 'weather'], /there is no "weather"/],
    [['--minutes', 'two'], /--minutes must be a number/],
    [['--integrations', '3'], /--integrations must be a whole number from 50/],
    [['--seed', '-1'], /--seed/],
    [['--sed', '1'], /--sed/],
  ])('refuses %j', async (args, message) => {
    const { code, stdout, stderr } = await chaos(...args);
    expect(stderr).toMatch(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});
