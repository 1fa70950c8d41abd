import type { EmailKind, NotificationType } from '../domain/policy.ts';
import type { Database } from './database.ts';

/** A threshold event. */
export interface LoadedEvent {
  readonly id: string;
  readonly integration_id: string;
  readonly user_id: string;
  readonly provider: string;
  readonly provider_name: string;
  readonly notification_type: NotificationType | null;
  readonly email_kind: EmailKind | null;
  readonly failure_code: string;
  readonly handled_at: Date | null;
  /** `null`: none was sent, refused or skipped yet. */
  readonly email_outcome: string | null;
}

const statement = `
SELECT id, integration_id, user_id, provider, provider_name, notification_type, email_kind, failure_code,
       handled_at, email_outcome
FROM evergrant.threshold_events
WHERE id = $1`;

export async function loadEvent(database: Database, eventId: string): Promise<LoadedEvent | null> {
  const [row] = await database.query<LoadedEvent>(statement, [eventId]);
  return row ?? null;
}
