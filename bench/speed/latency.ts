import { refreshBatchSize, refresherMemoryMb } from '../../lib/timing.ts';
import { median } from '../cost/fit.ts';
import type { CronLoopOrder } from './cron-loop-process.ts';
import { type Measure, ratioOf, sideBySide } from './measure.ts';
import { startPeer } from './peer.ts';
import { refreshAll } from './refresh-throughput.ts';
import { providerNames } from './rig.ts';

/** How long the provider takes to answer. */
const callMs = 150;

export const refreshLatency: Measure = {
  name: 'latency',
  key: 'refreshVsCronLoop',
  what: `refreshes per second of one refresher, provider answering in ${callMs} ms, against one integration after another`,
  unit: '×',
  goal: { atLeast: 100 },
  async run({ quick, rig: started, onProgress }) {
    const rig = await started();
    const batches = quick ? 2 : 10;
    const ids = await rig.connect(batches * refreshBatchSize);
    const sample = ids.slice(0, quick ? 8 : 60);
    await rig.delay(Object.fromEntries(providerNames.map((name) => [name, callMs])));
    const cronLoop = startPeer(
      'cron-loop-process.ts',
      {
        databaseUrl: rig.databaseUrl,
        tokenKeySecret: rig.tokenKeySecret,
        tokenEndpoint: rig.tokenEndpoint(providerNames[0]),
        ids: sample,
      } satisfies CronLoopOrder,
      refresherMemoryMb,
    );
    try {
      onProgress('warming up');
      await refreshAll(rig, ids);
      if (!quick) await cronLoop.run();
      const { ours, reference } = await sideBySide(
        quick ? 2 : 7,
        () => refreshAll(rig, ids),
        () => cronLoop.run(),
      );
      const perSecond = (count: number, runs: readonly { durationMs: number }[]) =>
        runs.map(({ durationMs }) => (count / durationMs) * 1000);
      const [oursPerSecond, cronLoopPerSecond] = [
        perSecond(ids.length, ours),
        perSecond(sample.length, reference),
      ];
      return {
        ...ratioOf(oursPerSecond, cronLoopPerSecond),
        facts: {
          refreshesPerSecond: oursPerSecond.map(Math.round),
          cronLoopPerSecond: cronLoopPerSecond.map((figure) => Number(figure.toFixed(2))),
          callMs,
          batchMs: Math.round(median(ours.map(({ durationMs }) => durationMs / batches))),
          batchCpuMs: Math.round(median(ours.map(({ cpuMs }) => cpuMs / batches))),
          cronLoopMsPerRefresh: Math.round(
            median(reference.map(({ durationMs }) => durationMs / sample.length)),
          ),
        },
      };
    } finally {
      cronLoop.stop();
    }
  },
};
