import type { Database } from './database.ts';

/** A scan that ended well. */
export interface EndedScan {
  readonly durationMs: number;
  readonly claimed: number;
  readonly enqueued: number;
  readonly released: number;
  /** Due rows left for the next scan. */
  readonly left: number;
  readonly eventsRelayed: number;
  readonly oldestExpiredSeconds: number;
}

/**
 * Writes a scan down, by the database's clock. Scans of more than two weeks ago go at the same time, at most a
 * hundred: a statement's cost does not depend on how many have gathered. Two scans that began in the same
 * microsecond share a row.
 */
const statement = `
WITH pruned AS (
  DELETE FROM evergrant.scans
  WHERE started_at = ANY (ARRAY(
    SELECT started_at
    FROM evergrant.scans
    WHERE started_at < now() - interval '14 days'
    ORDER BY started_at
    LIMIT 100
    FOR UPDATE SKIP LOCKED
  ))
)
INSERT INTO evergrant.scans (started_at, duration_ms, claimed, enqueued, released, left_due, events_relayed,
  oldest_expired_seconds)
VALUES (now() - make_interval(secs => $1::float8 / 1000), $1::int, $2, $3, $4, $5, $6, $7)
ON CONFLICT (started_at) DO NOTHING`;

/** The column's largest value: 68 years. */
const longestSeconds = 2_147_483_647;

export async function recordScan(database: Database, scan: EndedScan): Promise<void> {
  await database.query(statement, [
    Math.round(scan.durationMs),
    scan.claimed,
    scan.enqueued,
    scan.released,
    scan.left,
    scan.eventsRelayed,
    // An expiry of long ago (products write the year 1 for none) does not fit into the column.
    Math.min(Math.round(scan.oldestExpiredSeconds), longestSeconds),
  ]);
}
