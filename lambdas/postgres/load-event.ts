import type { EmailKind, NotificationType } from '../domain/policy.ts';
import type { Database } from './database.ts';

/** A threshold event with whom it concerns. */
export interface LoadedEvent {
  readonly id: string;
  readonly integration_id: string;
  readonly user_id: string;
  readonly provider: string;
  readonly provider_name: string;
  readonly notification_type: NotificationType | null;
  readonly email_kind: EmailKind | null;
  readonly failure_code: string;
  readonly created_at: Date;
  readonly handled_at: Date | null;
  /** From the operator's view `evergrant.users`; `null`: the view does not know the user or an address. */
  readonly email: string | null;
  readonly name: string | null;
}

const statement = `
SELECT e.id, e.integration_id, e.user_id, e.provider, e.provider_name, e.notification_type, e.email_kind, e.failure_code,
       e.created_at, e.handled_at, u.email, u.name
FROM evergrant.threshold_events e
LEFT JOIN evergrant.users u ON u.id = e.user_id
WHERE e.id = $1
LIMIT 1`;

export async function loadEvent(database: Database, eventId: string): Promise<LoadedEvent | null> {
  const [row] = await database.query<LoadedEvent>(statement, [eventId]);
  return row ?? null;
}
