import type { Database } from './database.ts';

export interface NotificationRow {
  readonly eventId: string;
  readonly userId: string;
  readonly type: string;
  readonly title: string;
  readonly message: string;
  readonly actionUrl: string;
  readonly actionLabel: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** One notification per event, however often the event arrives. Returns whether this call wrote it. */
const statement = `
INSERT INTO notifications (user_id, type, title, message, action_url, action_label, metadata, is_read, event_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, false, $8)
ON CONFLICT (event_id) DO NOTHING
RETURNING id`;

export async function writeNotification(database: Database, row: NotificationRow): Promise<boolean> {
  const written = await database.query(statement, [
    row.userId,
    row.type,
    row.title,
    row.message,
    row.actionUrl,
    row.actionLabel,
    JSON.stringify(row.metadata),
    row.eventId,
  ]);
  return written.length === 1;
}
