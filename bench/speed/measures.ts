import { claimAgeing } from './ageing.ts';
import { refreshCost } from './cost.ts';
import { endToEnd } from './end-to-end.ts';
import { scanGrowth, scanIdle } from './filled-table.ts';
import { importTime } from './import-time.ts';
import { refreshLatency } from './latency.ts';
import type { Measure } from './measure.ts';
import { refresherMemory } from './memory.ts';
import { refreshThroughput } from './refresh-throughput.ts';
import { scanThroughput } from './scan.ts';
import { mostConnections, statementsPerRefresh } from './statements.ts';
import { settingsSweep } from './sweep.ts';
import { slowProviderTail } from './tail.ts';

/** In the order in which they are taken. */
export const measures: readonly Measure[] = [
  refreshThroughput,
  refreshLatency,
  statementsPerRefresh,
  mostConnections,
  refresherMemory,
  slowProviderTail,
  scanThroughput,
  scanGrowth,
  scanIdle,
  claimAgeing,
  settingsSweep,
  importTime,
  refreshCost,
  // The last, as the queues feed their functions from then on.
  endToEnd,
];
