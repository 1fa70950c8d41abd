import type { Database } from './database.ts';

/** The database's clock, to the millisecond. */
const statement = `
SELECT clock_timestamp() AS now`;

/** Seconds since 1970 by a clock that said `nowSeconds` just now, and runs on without this machine's. */
export function runningSeconds(nowSeconds: number): () => number {
  const readAtMs = performance.now();
  return () => nowSeconds + (performance.now() - readAtMs) / 1000;
}

export async function readClock(database: Database): Promise<Date> {
  const [row] = await database.query<{ now: Date }>(statement, []);
  if (row === undefined) throw new Error('The database did not say what time it is.');
  return row.now;
}
