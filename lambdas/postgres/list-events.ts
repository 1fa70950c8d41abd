import type { EmailKind, NotificationType } from '../domain/policy.ts';
import type { Database } from './database.ts';

/** A threshold event of an integration, with the notification that came of it. */
export interface ListedEvent {
  readonly created_at: Date;
  readonly notification_type: NotificationType | null;
  readonly email_kind: EmailKind | null;
  readonly failure_code: string;
  /** When the grant ends, or ended, by itself; `null`: it does not. */
  readonly lapses_at: Date | null;
  /** The refusal came after a call whose answer was lost. */
  readonly after_doubt: boolean;
  readonly consecutive_failures: number;
  readonly consecutive_transient_failures: number;
  readonly relay_after: Date;
  readonly relay_count: number;
  readonly email_held_until: Date | null;
  readonly email_sent_at: Date | null;
  readonly email_outcome: string | null;
  readonly handled_at: Date | null;
  /** `null`: there is no notification for the event, or none any more. */
  readonly notified_at: Date | null;
  readonly is_read: boolean | null;
}

/** The latest ones; `relay_after` and `email_held_until` only while they matter. */
const statement = `
SELECT e.created_at, e.notification_type, e.email_kind, e.failure_code, e.lapses_at, e.after_doubt,
       e.consecutive_failures, e.consecutive_transient_failures, e.relay_after, e.relay_count,
       CASE WHEN e.email_outcome IS NULL AND e.email_held_until > now() THEN e.email_held_until END AS email_held_until,
       e.email_sent_at, e.email_outcome, e.handled_at, n.created_at AS notified_at, n.is_read
FROM evergrant.threshold_events e
LEFT JOIN notifications n ON n.event_id = e.id
WHERE e.integration_id = $1
ORDER BY e.created_at DESC
LIMIT $2`;

export function listEvents(
  database: Database,
  wanted: { readonly integrationId: string; readonly limit: number },
): Promise<ListedEvent[]> {
  return database.query<ListedEvent>(statement, [wanted.integrationId, wanted.limit]);
}
