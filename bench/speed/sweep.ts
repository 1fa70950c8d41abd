import { refresherEnv } from '../../lambdas/contract.ts';
import { refreshBatchSize, refresherMemoryMb } from '../../lib/timing.ts';
import { figureOf, type Measure } from './measure.ts';
import { peakMb } from './memory.ts';
import { endProcesses } from './processes.ts';
import { refreshAll } from './refresh-throughput.ts';
import { providerNames, type Rig, refreshEvent } from './rig.ts';

const callMs = 150;

/** Settings of one refresher. */
interface Variant {
  readonly size: number;
  readonly inFlight: number;
  readonly memoryMb: number;
}

/** Of the template. */
const chosen: Variant = {
  size: refreshBatchSize,
  inFlight: refreshBatchSize,
  memoryMb: refresherMemoryMb,
};

/** Each group varies one setting; what is the same as `chosen` is taken in each group anew. */
const groups: readonly { readonly name: string; readonly variants: readonly Variant[] }[] = [
  {
    name: 'batch',
    variants: [1, 10, 50, 100, 150, 200, 300, 400].map((size) => ({ ...chosen, size, inFlight: size })),
  },
  {
    name: 'calls at once',
    variants: [50, 100, 200, 400].map((inFlight) => ({ ...chosen, size: 400, inFlight })),
  },
  {
    name: 'memory',
    variants: [256, 320, 512, 1_024, 1_769].map((memoryMb) => ({ ...chosen, memoryMb })),
  },
];

const quickSizes: readonly number[] = [100, refreshBatchSize];

interface Swept {
  readonly perSecond: number;
  readonly batchMs: number;
  readonly cpuMsPerRefresh: number;
  readonly peakMb: number;
}

export const settingsSweep: Measure = {
  name: 'sweep',
  key: 'settingsVsBest',
  what: `refreshes per second of one refresher in batches of each size, with so many calls at once and so much memory, the provider answering in ${callMs} ms: the chosen settings against the best`,
  unit: '×',
  goal: null,
  async run({ quick, rig: started, onProgress }) {
    const rig = await started();
    const all = groups
      .flatMap(({ name, variants }) => variants.map((variant) => ({ name, variant })))
      .filter(({ name, variant: { size } }) => !quick || (name === 'batch' && quickSizes.includes(size)));
    const ids = await rig.connect(Math.max(...all.map(({ variant: { size } }) => size)));
    const taken: { readonly name: string; readonly variant: Variant; readonly swept: Swept }[] = [];
    try {
      for (const { name, variant } of all) {
        onProgress(`${name}: ${labelOf(variant)}`);
        taken.push({ name, variant, swept: await sweep(rig, ids, variant, quick) });
      }
    } finally {
      await apply(rig, chosen);
      await rig.delay({});
    }
    const batches = taken.filter(({ name }) => name === 'batch');
    const ours = batches.find(({ variant: { size } }) => size === chosen.size);
    return {
      value: (ours?.swept.perSecond ?? Number.NaN) / Math.max(...batches.map(({ swept }) => swept.perSecond)),
      spread: null,
      facts: Object.fromEntries(
        taken.map(({ name, variant, swept }) => [
          `${name}: ${labelOf(variant)}`,
          `${Math.round(swept.perSecond)} a second, ${Math.round(swept.batchMs)} ms a batch, ${swept.cpuMsPerRefresh.toFixed(2)} ms of CPU a refresh, ${Math.round(swept.peakMb)} MB`,
        ]),
      ),
    };
  },
};

function labelOf({ size, inFlight, memoryMb }: Variant): string {
  return `${size} messages, ${inFlight} calls at once, ${memoryMb} MB`;
}

/** The next refresher has these settings. */
async function apply(rig: Rig, { inFlight, memoryMb }: Variant): Promise<void> {
  const { cloud, functionId } = rig.system;
  cloud.configure(functionId('refresher'), {
    memoryMb,
    environment: { [refresherEnv.maxInFlight]: String(inFlight) },
  });
  await endProcesses(rig, 'refresher');
}

async function sweep(rig: Rig, all: readonly string[], variant: Variant, quick: boolean): Promise<Swept> {
  await apply(rig, variant);
  // Each process has compiled its code, and its young heap has grown, after some thousands of refreshes.
  await rig.delay({});
  for (let refreshed = 0; refreshed < (quick ? 1 : 3_000); refreshed += all.length)
    await refreshAll(rig, all);
  await rig.delay(Object.fromEntries(providerNames.map((name) => [name, callMs])));
  const ids = all.slice(0, variant.size);
  const durations: number[] = [];
  const cpu: number[] = [];
  for (let repetition = 0; repetition < (quick ? 2 : 11); repetition += 1) {
    await rig.claimAll();
    const { durationMs, cpuMs } = await rig.invoke('refresher', refreshEvent(rig, ids));
    durations.push(durationMs);
    cpu.push(cpuMs / ids.length);
  }
  const { value: batchMs } = figureOf(durations);
  return {
    batchMs,
    perSecond: (ids.length / batchMs) * 1000,
    cpuMsPerRefresh: figureOf(cpu).value,
    peakMb: peakMb(rig),
  };
}
