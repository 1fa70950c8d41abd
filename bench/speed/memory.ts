import { readFileSync } from 'node:fs';
import type { Measure } from './measure.ts';
import { endProcesses, refresherPid } from './processes.ts';
import { refreshAll } from './refresh-throughput.ts';
import type { Rig } from './rig.ts';

export const refresherMemory: Measure = {
  name: 'memory',
  key: 'peakMb',
  what: 'memory of a refresher at its peak over ten rounds of refreshes, as the kernel counts it (VmHWM)',
  unit: 'MB',
  goal: { atMost: 160 },
  async run({ quick, rig: started, onProgress }) {
    const rig = await started();
    const ids = await rig.connect(quick ? 400 : 10_000);
    await rig.delay({});
    await endProcesses(rig, 'refresher');
    const rssMbByTenth: number[] = [];
    for (let tenth = 1; tenth <= 10; tenth += 1) {
      onProgress(`refreshes ${(tenth - 1) * ids.length + 1} to ${tenth * ids.length}`);
      await refreshAll(rig, ids);
      rssMbByTenth.push(Math.round(memoryMb(refresherPid(rig), 'VmRSS')));
    }
    return {
      value: peakMb(rig),
      spread: null,
      facts: {
        refreshes: 10 * ids.length,
        rssMbByTenth,
        growthMbAfterWarmUp: (rssMbByTenth.at(-1) ?? 0) - (rssMbByTenth[0] ?? 0),
      },
    };
  },
};

/** Of the refresher that lives now, since it started. */
export function peakMb(rig: Rig): number {
  return memoryMb(refresherPid(rig), 'VmHWM');
}

/** Of a process, from what Linux says of it: the resident set now, or its peak. Megabytes of 1024² bytes. */
function memoryMb(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (found === null) throw new Error(`process ${pid} has no ${field}`);
  return Number(found[1]) / 1024;
}
