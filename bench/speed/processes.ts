import { setTimeout as sleep } from 'node:timers/promises';
import type { Rig } from './rig.ts';

/** Ends a function's processes: the next invocation starts a new one, which reads its secrets and connects anew. */
export async function endProcesses(
  { system: { cloud, functionId } }: Rig,
  stage: 'scanner' | 'refresher',
): Promise<void> {
  const id = functionId(stage);
  cloud.kill(id);
  while (cloud.pids(id).length > 0) await sleep(10);
}

/** The one process that refreshes, while nobody invokes two at once. */
export function refresherPid({ system: { cloud, functionId } }: Rig): number {
  const [pid, ...others] = cloud.pids(functionId('refresher'));
  if (pid === undefined || others.length > 0) throw new Error(`there are ${others.length + 1} refreshers`);
  return pid;
}
