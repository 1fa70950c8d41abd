import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { figuresOf } from '../../bench/cost/figures.ts';
import { readMeasured } from '../../bench/cost/measured.ts';
import { renderPage } from '../../bench/cost/render.ts';
import { accountedTypes, readStackFacts } from '../../bench/cost/stack-facts.ts';
import { parseSettings } from '../../lib/settings.ts';
import { timingOf } from '../../lib/timing.ts';

const root = path.join(import.meta.dirname, '..', '..');

/** Each synthesizes the stack a few times, beside whatever else the machine does. */
const timeout = 120_000;

describe('docs/cost.md', { timeout }, () => {
  it('is what `npm run cost` writes from the figures at hand', async () => {
    const page = await readFile(path.join(root, 'docs', 'cost.md'), 'utf8');
    expect(page, 'run `npm run cost`').toBe(renderPage(await figuresOf(await readMeasured())));
  });

  it('says of every size that it keeps up, or with how many refreshers', async () => {
    const page = await readFile(path.join(root, 'docs', 'cost.md'), 'utf8');
    const row = page.split('\n').find((line) => line.startsWith('| does it keep up |'));
    expect(row).toMatch(/^\| does it keep up( \| (yes|from `maxConcurrency=\d+`)){3} \|$/);
  });
});

describe('what is read of the stack', { timeout }, () => {
  it('follows the settings', async () => {
    const facts = await readStackFacts({
      scanIntervalMinutes: 10,
      refreshWindowSeconds: 1200,
      maxConcurrency: 7,
      logRetentionDays: 7,
      callTimeoutSeconds: 20,
    });
    expect(facts).toMatchObject({
      scanIntervalMinutes: 10,
      refreshWindowMinutes: 20,
      maxConcurrency: 7,
      logRetentionDays: 7,
    });
    expect(facts.timeoutSeconds.refresher).toBe(
      timingOf(parseSettings({ callTimeoutSeconds: 20 })).refresherTimeout,
    );
  });

  it('has every resource of the stack: each type has a line in the estimate, or costs nothing', async () => {
    const { resourceTypes } = await readStackFacts();
    expect(resourceTypes.filter((type) => !accountedTypes.test(type))).toEqual([]);
  });
});

describe('the command', { timeout }, () => {
  const run = async (...options: string[]) => {
    try {
      const ended = await promisify(execFile)(process.execPath, [
        path.join(root, 'bench', 'cost.ts'),
        ...options,
      ]);
      return { code: 0, ...ended };
    } catch (error) {
      return error as { code: number; stdout: string; stderr: string };
    }
  };

  it('gives the figures as one JSON document', async () => {
    const { code, stdout } = await run('--json');
    const figures = JSON.parse(stdout) as {
      costPerMillionUsd: number;
      estimates: { existing: { totalUsd: number; refreshesPerMonth: number }[] };
    };
    expect(code).toBe(0);
    const { totalUsd, refreshesPerMonth } = figures.estimates.existing.at(-1)!;
    expect(figures.costPerMillionUsd).toBeCloseTo(totalUsd / (refreshesPerMonth / 1e6), 9);
  });

  it('explains itself, and what it does not understand', async () => {
    const help = await run('--help');
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining('npm run cost -- --measure') });
    expect(await run('--measured')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("'--measured'"),
    });
    expect(await run('--integrations', '500')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--measure'),
    });
    expect(await run('--measure', '--integrations', '12')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('from 300'),
    });
  });
});
