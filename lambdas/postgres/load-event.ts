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
  /** When the grant ends, or ended, by itself; `null`: it does not. */
  readonly lapses_at: Date | null;
  readonly handled_at: Date | null;
  /** `null`: none was sent, refused or skipped yet. */
  readonly email_outcome: string | null;
  /** Of a disconnection: how long the integration had been connected; `null`: nobody knows. */
  readonly connected_days: number | null;
  /** Of a disconnection: the warning of the same episode of failures had been told before it. */
  readonly warned: boolean;
}

const statement = `
SELECT e.id, e.integration_id, e.user_id, e.provider, e.provider_name, e.notification_type, e.email_kind,
       e.failure_code, e.lapses_at, e.handled_at, e.email_outcome,
       CASE WHEN isfinite(e.connected_since)
            THEN extract(epoch FROM e.created_at - e.connected_since)::float8 / 86400 END AS connected_days,
       EXISTS (
         SELECT FROM evergrant.threshold_events w
         WHERE w.integration_id = e.integration_id AND w.created_at = e.warned_at
           AND w.notification_type = 'integration_warning' AND w.handled_at < e.created_at
       ) AS warned
FROM evergrant.threshold_events e
WHERE e.id = $1`;

export async function loadEvent(database: Database, eventId: string): Promise<LoadedEvent | null> {
  const [row] = await database.query<LoadedEvent>(statement, [eventId]);
  return row ?? null;
}
