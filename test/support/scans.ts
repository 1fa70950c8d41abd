import type { TestDatabase } from './database.ts';

/** A scan that ended well, `secondsAgo` by the database's clock. */
export async function insertScan(db: TestDatabase, secondsAgo: number): Promise<void> {
  await db.sql(
    `INSERT INTO evergrant.scans (started_at, duration_ms, claimed, enqueued, released, left_due, events_relayed,
       oldest_expired_seconds)
     VALUES (now() - make_interval(secs => $1), 1200, 7, 6, 1, 2, 3, 40)`,
    [secondsAgo],
  );
}
