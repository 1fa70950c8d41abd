import type { Database } from './database.ts';

/** The database's clock, to the millisecond. */
const statement = `
SELECT clock_timestamp() AS now`;

export async function readClock(database: Database): Promise<Date> {
  const [row] = await database.query<{ now: Date }>(statement, []);
  if (row === undefined) throw new Error('The database did not say what time it is.');
  return row.now;
}
