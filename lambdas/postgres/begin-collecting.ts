import type { Database } from './database.ts';

/** Somebody's turn to collect sealed results. */
export interface Collecting {
  /** The database's clock when it began, as it writes it: microseconds count. */
  readonly began_at: string;
  /** The same in seconds since the epoch. */
  readonly began_at_seconds: number;
  readonly until: string;
}

/**
 * Takes the turn to collect sealed results, unless somebody has it. Whoever dies with results in hands leaves them
 * hidden in their queue until their visibility time-out, so the turn lasts until they are visible again: before that an
 * empty queue says nothing.
 */
const statement = `
UPDATE evergrant.installation
SET collecting_until = now() + make_interval(secs => $1)
WHERE collecting_until IS NULL OR collecting_until <= now()
RETURNING now()::text AS began_at, extract(epoch FROM now())::float8 AS began_at_seconds, collecting_until::text AS until`;

/** `null`: somebody else collects, or did until a moment ago and never came back. */
export async function beginCollecting(database: Database, seconds: number): Promise<Collecting | null> {
  const [turn] = await database.query<Collecting>(statement, [seconds]);
  return turn ?? null;
}
