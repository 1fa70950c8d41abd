import { figureOf, type Measure } from './measure.ts';
import { type Rig, refreshEvent } from './rig.ts';

const batchSizes = [1, 10, 25, 50, 100, 200, 400] as const;
/** Of the template: `lib/refresher.ts`. */
const chosen = 100;
const callMs = 150;

interface Swept {
  readonly size: number;
  readonly perSecond: number;
  readonly cpuMsPerRefresh: number;
  readonly batchMs: number;
}

export const batchSizeSweep: Measure = {
  name: 'sweep',
  key: 'batchSizeVsBest',
  what: `refreshes per second in batches of ${chosen}, the provider answering in ${callMs} ms, against the best size`,
  unit: '×',
  goal: null,
  async run({ quick, rig: started, onProgress }) {
    const rig = await started();
    const most = batchSizes.at(-1) ?? chosen;
    const ids = await rig.connect(most);
    await rig.delay({ alpha: callMs, beta: callMs, gamma: callMs, delta: callMs });
    const swept: Swept[] = [];
    for (const size of batchSizes) {
      onProgress(`batches of ${size}`);
      swept.push(await sweep(rig, ids.slice(0, size), quick ? 2 : 9));
    }
    await rig.delay({});
    const best = Math.max(...swept.map(({ perSecond }) => perSecond));
    const ours = swept.find(({ size }) => size === chosen);
    return {
      value: (ours?.perSecond ?? Number.NaN) / best,
      spread: null,
      facts: Object.fromEntries(
        swept.map(({ size, perSecond, cpuMsPerRefresh, batchMs }) => [
          `batchesOf${size}`,
          `${Math.round(perSecond)} a second, ${Math.round(batchMs)} ms a batch, ${cpuMsPerRefresh.toFixed(2)} ms of CPU a refresh`,
        ]),
      ),
    };
  },
};

async function sweep(rig: Rig, ids: readonly string[], repetitions: number): Promise<Swept> {
  const durations: number[] = [];
  const cpu: number[] = [];
  for (let repetition = 0; repetition <= repetitions; repetition += 1) {
    await rig.claimAll();
    const { durationMs, cpuMs } = await rig.invoke('refresher', refreshEvent(rig, ids));
    // The first opens connections.
    if (repetition === 0) continue;
    durations.push(durationMs);
    cpu.push(cpuMs / ids.length);
  }
  const { value: batchMs } = figureOf(durations);
  return {
    size: ids.length,
    batchMs,
    perSecond: (ids.length / batchMs) * 1000,
    cpuMsPerRefresh: figureOf(cpu).value,
  };
}
