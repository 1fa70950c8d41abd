import type { Measure, MeasureContext } from './measure.ts';
import { type Failed, lineOf, type Taken } from './render.ts';

/**
 * Takes one measure after the other. One that fails does not keep the others from being taken, and what was taken before
 * an interruption stays. `say` gets a line for each begin and end.
 */
export async function takeAll(
  measures: readonly Measure[],
  context: MeasureContext,
  say: (line: string) => void,
): Promise<{ readonly taken: Taken[]; readonly failed: Failed[] }> {
  const taken: Taken[] = [];
  const failed: Failed[] = [];
  for (const measure of measures) {
    if (context.signal.aborted) break;
    say(`… ${measure.name}: ${measure.what}`);
    const beganAtMs = performance.now();
    try {
      const outcome = await measure.run(context);
      taken.push({ measure, outcome });
      const seconds = Math.round((performance.now() - beganAtMs) / 1000);
      say(`  ${lineOf({ measure, outcome })}; took ${seconds} s`);
    } catch (error) {
      if (context.signal.aborted) break;
      const { message } = error as Error;
      failed.push({ measure, message });
      say(`  ${measure.name} failed: ${message}`);
    }
  }
  return { taken, failed };
}
