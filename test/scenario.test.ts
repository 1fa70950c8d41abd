import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { type Check, checkNames } from '../local/demo/recorder.ts';

const demo = path.join(import.meta.dirname, '..', 'local', 'demo.ts');

/** What a command printed and how it ended. */
async function run(...options: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, [demo, ...options])) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

// The scenario takes a minute: failing integrations wait for their next attempts, and beside them hours pass in jumps.
test('the acceptance scenario holds on a fresh local system', { timeout: 300_000 }, async () => {
  const { code, stdout, stderr } = await run('--json');
  const { checks, ok } = JSON.parse(stdout || 'null') as { checks: Check[]; ok: boolean };
  expect(
    checks.filter((check) => !check.ok),
    stderr,
  ).toEqual([]);
  expect(checks.map(({ name }) => name)).toEqual(checkNames);
  expect(checks.every(({ evidence }) => evidence.length > 0)).toBe(true);
  expect({ ok, code }).toEqual({ ok: true, code: 0 });
});

test('the demo explains itself, and what it does not understand', async () => {
  const help = await run('--help');
  expect(help.code).toBe(0);
  expect(help.stdout).toContain('npm run --silent demo -- --json');
  const wrong = await run('--jason');
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain("'--jason'");
});
