import type { Measure } from './measure.ts';
import { refreshThroughput } from './refresh-throughput.ts';

/** In the order in which they are taken. */
export const measures: readonly Measure[] = [refreshThroughput];
