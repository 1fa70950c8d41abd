import { describe, expect, it } from 'vitest';
import { type FaultKind, faultKinds, specOf } from '../../../local/chaos/plan.ts';
import { runChaos } from '../../../local/chaos/run.ts';

/** What a run of a quarter of a minute has no room for. */
const tooLong: readonly FaultKind[] = ['db-outage'];

describe('the system in a short storm', () => {
  it('keeps its promises', { timeout: 300_000 }, async (context) => {
    const report = await runChaos({
      seed: 20_251_123,
      durationMs: 15_000,
      integrations: 120,
      kinds: faultKinds.filter((kind) => !tooLong.includes(kind)),
      density: 1,
      without: null,
      logFile: null,
      onProgress: () => undefined,
      signal: context.signal,
    });
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({
      ok: true,
      duplicateCalls: 0,
      notificationsMissing: 0,
      notificationsDuplicate: 0,
      emailsMissing: 0,
      emailsDuplicate: 0,
      messagesLeft: 0,
      leaks: 0,
    });
    expect(report.lost).toBe(report.lostUnavoidable);
    // It was a storm, and the system was at work in it.
    expect(report.refreshed).toBeGreaterThanOrEqual(120);
    expect(report.dbRestarts).toBeGreaterThanOrEqual(1);
    expect(report.kills).toBeGreaterThanOrEqual(1);
    const fired = new Set(Object.keys(report.faults).filter((kind) => !report.neverFired.includes(kind)));
    const groups = new Set([...fired].map((kind) => specOf(kind as FaultKind).group));
    for (const group of ['kill', 'database', 'queue', 'provider', 'users'] as const)
      expect(groups).toContain(group);
  });
});
