import type { TestDatabase } from './database.ts';

/** The record of scans, where the migrations have not made it. */
export async function createScans(db: TestDatabase): Promise<void> {
  await db.sql(
    `CREATE TABLE IF NOT EXISTS evergrant.scans (
       started_at timestamptz PRIMARY KEY, duration_ms integer NOT NULL, claimed integer NOT NULL,
       enqueued integer NOT NULL, released integer NOT NULL, left_due integer NOT NULL,
       events_relayed integer NOT NULL, oldest_expired_seconds integer NOT NULL)`,
  );
}

/** A scan that ended well, `secondsAgo` by the database's clock. */
export async function insertScan(db: TestDatabase, secondsAgo: number): Promise<void> {
  await db.sql(
    `INSERT INTO evergrant.scans (started_at, duration_ms, claimed, enqueued, released, left_due, events_relayed,
       oldest_expired_seconds)
     VALUES (now() - make_interval(secs => $1), 1200, 7, 6, 1, 2, 3, 40)`,
    [secondsAgo],
  );
}
