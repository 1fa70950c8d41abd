import pg from 'pg';
import { metricNames } from '../contract.ts';
import type { Logger } from '../observability/logger.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import { claimEmail } from '../postgres/claim-email.ts';
import type { Database } from '../postgres/database.ts';
import { finishEvent } from '../postgres/finish-event.ts';
import { type LoadedEvent, loadEvent } from '../postgres/load-event.ts';
import { releaseEmail } from '../postgres/release-email.ts';
import { writeNotification } from '../postgres/write-notification.ts';
import { emailCopy, notificationCopy, reconnectUrl, type Told } from './copy.ts';
import { renderEmail } from './email.ts';
import type { EmailSender } from './send-email.ts';

export interface NotifyParts {
  readonly database: Database;
  /** `null`: no sender address is configured, so that only the app tells. */
  readonly sender: EmailSender | null;
  readonly settings: {
    readonly productName: string;
    readonly appBaseUrl: string;
    readonly reconnectPath: string;
    /** How long one notifier keeps the right to send an email; longer than the function can live. */
    readonly emailHoldSeconds: number;
  };
  readonly logger: Logger;
  readonly metrics: InvocationMetrics;
}

export type Notified =
  | { readonly done: true }
  /** The message has to come again. */
  | { readonly done: false; readonly reason: string };

/**
 * Tells a user what one threshold event says: the notification row first, which any number of deliveries
 * write once, then the email, which one notifier at a time may send.
 */
export async function notify(parts: NotifyParts, eventId: string): Promise<Notified> {
  const { database, logger, metrics } = parts;
  const event = await loadEvent(database, eventId);
  if (event === null) return { done: false, reason: 'event_unknown' };
  if (event.handled_at !== null) return { done: true };
  const told = tell(parts, event);

  if (event.notification_type !== null) {
    try {
      const written = await writeNotification(database, {
        ...notificationCopy(event.notification_type, told),
        eventId,
        userId: event.user_id,
        type: event.notification_type,
        metadata: {
          integration_id: event.integration_id,
          provider: event.provider,
          code: event.failure_code,
        },
      });
      if (written) metrics.count(metricNames.notified, 1, { type: event.notification_type });
      logger.info('notification', { ...fieldsOf(event), written });
    } catch (error) {
      if (!isForeignKeyViolation(error)) throw error;
      logger.warn('user gone', fieldsOf(event));
      await finishEvent(database, eventId, null);
      return { done: true };
    }
  }
  if (event.email_kind === null) {
    await finishEvent(database, eventId, null);
    return { done: true };
  }
  return sendOnce(parts, event, renderEmail(emailCopy(event.email_kind, told), parts.settings.productName));
}

async function sendOnce(
  { database, sender, settings, logger, metrics }: NotifyParts,
  event: LoadedEvent,
  email: ReturnType<typeof renderEmail>,
): Promise<Notified> {
  const fields = fieldsOf(event);
  if (sender === null || event.email === null || event.email.trim() === '') {
    const outcome = sender === null ? 'no_sender' : 'no_address';
    metrics.count(metricNames.emailsSkipped, 1);
    logger.warn('email skipped', { ...fields, outcome });
    await finishEvent(database, event.id, { sent: false, outcome });
    return { done: true };
  }
  if (!(await claimEmail(database, event.id, settings.emailHoldSeconds))) {
    return { done: false, reason: 'email_held_elsewhere' };
  }
  const result = await sender.send(event.email.trim(), email, event.id);
  switch (result.kind) {
    case 'sent':
      await finishEvent(database, event.id, { sent: true, outcome: result.messageId });
      metrics.count(metricNames.emailsSent, 1);
      logger.info('email sent', { ...fields, sesMessageId: result.messageId });
      return { done: true };
    case 'refused':
      await finishEvent(database, event.id, { sent: false, outcome: result.code });
      metrics.count(metricNames.emailsFailed, 1);
      logger.error('email refused', { ...fields, code: result.code });
      return { done: true };
    case 'not_sent':
      await releaseEmail(database, event.id);
      metrics.count(metricNames.emailsFailed, 1);
      logger.error('email not sent', { ...fields, code: result.code });
      return { done: false, reason: 'email_not_sent' };
    case 'in_doubt':
      metrics.count(metricNames.emailsFailed, 1);
      logger.error('email in doubt', { ...fields, code: result.code });
      return { done: false, reason: 'email_in_doubt' };
  }
}

function tell({ settings }: NotifyParts, event: LoadedEvent): Told {
  return {
    integrationId: event.integration_id,
    providerName: event.provider_name,
    userName: event.name,
    productName: settings.productName,
    reconnectUrl: reconnectUrl(
      settings.appBaseUrl,
      settings.reconnectPath,
      event.integration_id,
      event.provider,
    ),
  };
}

function fieldsOf(event: LoadedEvent) {
  return {
    eventId: event.id,
    integrationId: event.integration_id,
    provider: event.provider,
    type: event.notification_type,
    email: event.email_kind,
  };
}

/** SQLSTATE 23503: the product removed the user, and with them everybody to tell. */
function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23503';
}
