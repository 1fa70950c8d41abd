import { refreshBatchSize, refresherMemoryMb } from '../../lib/timing.ts';
import type { FloorOrder } from './floor-process.ts';
import { type Measure, ratioOf, sideBySide } from './measure.ts';
import { startPeer } from './peer.ts';
import { type Rig, refreshEvent } from './rig.ts';

export const refreshThroughput: Measure = {
  name: 'refresh',
  key: 'refreshVsFloor',
  what: 'refreshes per second of CPU, provider answering at once, against the floor',
  unit: '×',
  goal: { atLeast: 0.6 },
  async run({ quick, rig: started, onProgress }) {
    const rig = await started();
    const count = quick ? 1_000 : 10_000;
    const ids = await rig.connect(count);
    await rig.delay({});
    const order: FloorOrder = {
      databaseUrl: rig.databaseUrl,
      tokenKeySecret: rig.tokenKeySecret,
      tokenEndpoint: rig.tokenEndpoint('alpha'),
      batchSize: refreshBatchSize,
      ids,
    };
    const floor = startPeer('floor-process.ts', order, refresherMemoryMb);
    try {
      onProgress('warming up');
      await floor.run();
      await refreshAll(rig, ids);
      const { ours, reference } = await sideBySide(
        quick ? 3 : 7,
        () => refreshAll(rig, ids),
        () => floor.run(),
      );
      const perCpuSecond = (runs: readonly { cpuMs: number }[]) =>
        runs.map(({ cpuMs }) => (count / cpuMs) * 1000);
      const perSecond = (runs: readonly { durationMs: number }[]) =>
        runs.map(({ durationMs }) => (count / durationMs) * 1000);
      return {
        ...ratioOf(perCpuSecond(ours), perCpuSecond(reference)),
        facts: {
          refreshesPerCpuSecond: perCpuSecond(ours).map(Math.round),
          floorPerCpuSecond: perCpuSecond(reference).map(Math.round),
          refreshesPerSecond: perSecond(ours).map(Math.round),
          floorPerSecond: perSecond(reference).map(Math.round),
        },
      };
    } finally {
      floor.stop();
    }
  },
};

/** All of them in full batches, one after another. */
export async function refreshAll(
  rig: Rig,
  ids: readonly string[],
): Promise<{ cpuMs: number; durationMs: number }> {
  await rig.claimAll();
  const total = { cpuMs: 0, durationMs: 0 };
  for (let from = 0; from < ids.length; from += refreshBatchSize) {
    const { cpuMs, durationMs } = await rig.invoke(
      'refresher',
      refreshEvent(rig, ids.slice(from, from + refreshBatchSize)),
    );
    total.cpuMs += cpuMs;
    total.durationMs += durationMs;
  }
  return total;
}
