import { describe, expect, it } from 'vitest';
import { type FaultKind, faultKinds, planFaults, specOf } from '../../../local/chaos/plan.ts';

const options = { seed: 7, durationMs: 600_000, kinds: faultKinds, density: 1 };

describe('a plan of faults', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(planFaults(options)).toEqual(planFaults({ ...options }));
    expect(planFaults({ ...options, seed: 8 })).not.toEqual(planFaults(options));
  });

  it('has each kind, in a run of ten minutes at least 100 kills and ten restarts of Postgres', () => {
    const plan = planFaults(options);
    expect(new Set(plan.map(({ kind }) => kind))).toEqual(new Set(faultKinds));
    expect(plan.filter(({ kind }) => specOf(kind).group === 'kill').length).toBeGreaterThanOrEqual(100);
    const restarts: readonly FaultKind[] = ['db-stop', 'db-kill', 'db-outage'];
    expect(plan.filter(({ kind }) => restarts.includes(kind)).length).toBeGreaterThanOrEqual(10);
  });

  it('comes in its order, within the run, and leaves room for what follows', () => {
    const moments = planFaults(options).map(({ atMs }) => atMs);
    expect(moments).toEqual(moments.toSorted((a, b) => a - b));
    expect(Math.min(...moments)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...moments)).toBeLessThan(options.durationMs * 0.95);
  });

  it('does not change for one kind because another is left out', () => {
    const of = (kinds: readonly FaultKind[]) =>
      planFaults({ ...options, kinds }).filter(({ kind }) => kind === 'db-stop');
    expect(of(['db-stop'])).toEqual(of(faultKinds));
  });

  it('has every kind once in the shortest run, and none that fills it', () => {
    const plan = planFaults({ ...options, durationMs: 12_000 });
    expect(new Set(plan.map(({ kind }) => kind))).toEqual(new Set(faultKinds));
    expect(Math.max(...plan.map(({ lastsMs }) => lastsMs))).toBeLessThanOrEqual(1_000);
  });
});
