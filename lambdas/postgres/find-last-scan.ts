import type { Database } from './database.ts';
import { relationExists } from './relation-exists.ts';

/** A row of `evergrant.scans`: a scan that ended well. */
export interface ScanRow {
  readonly started_at: Date;
  readonly duration_ms: number;
  readonly claimed: number;
  readonly enqueued: number;
  readonly released: number;
  readonly left_due: number;
  readonly events_relayed: number;
  readonly oldest_expired_seconds: number;
  /** Seconds since it started, by the database's clock. */
  readonly age_seconds: number;
}

const statement = `
SELECT started_at, duration_ms, claimed, enqueued, released, left_due, events_relayed, oldest_expired_seconds,
       extract(epoch FROM now() - started_at)::float8 AS age_seconds
FROM evergrant.scans
ORDER BY started_at DESC
LIMIT 1`;

/** `no_table`: the database is older than the record of scans. */
export async function findLastScan(database: Database): Promise<ScanRow | 'none' | 'no_table'> {
  if (!(await relationExists(database, 'evergrant.scans'))) return 'no_table';
  const [row] = await database.query<ScanRow>(statement, []);
  return row ?? 'none';
}
