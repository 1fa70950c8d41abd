import { setTimeout as sleep } from 'node:timers/promises';
import { metricNames } from '../contract.ts';
import type { NotificationType } from '../domain/policy.ts';
import { errorFields, type Logger } from '../observability/logger.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import { claimEmail } from '../postgres/claim-email.ts';
import { type Database, sqlState } from '../postgres/database.ts';
import { findRecipient } from '../postgres/find-recipient.ts';
import { finishEvent } from '../postgres/finish-event.ts';
import { type LoadedEvent, loadEvent } from '../postgres/load-event.ts';
import { recordEmail } from '../postgres/record-email.ts';
import { releaseEmail } from '../postgres/release-email.ts';
import { writeNotification } from '../postgres/write-notification.ts';
import { emailCopy, notificationCopy, reconnectUrl, type Told } from './copy.ts';
import { renderEmail } from './email.ts';
import type { EmailSender, SendResult } from './send-email.ts';

export interface NotifyParts {
  readonly database: Database;
  /** `null`: no sender address is configured, so that only the app tells. */
  readonly sender: EmailSender | null;
  readonly settings: {
    readonly productName: string;
    /** `null`: notifications link within the app, and no email is sent. */
    readonly appBaseUrl: string | null;
    readonly reconnectPath: string;
    /** How long one notifier keeps the right to send an email; longer than the function can live. */
    readonly emailHoldSeconds: number;
  };
  readonly logger: Logger;
  readonly metrics: InvocationMetrics;
  /** Milliseconds until the function is killed. */
  readonly remainingMs: () => number;
}

export type Notified =
  | { readonly done: true }
  /** The message has to come again. */
  | { readonly done: false; readonly reason: string };

const done: Notified = { done: true };
const userGone: Notified = { done: true };
const noTime: Notified = { done: false, reason: 'no_time_left' };

/** An email is begun only with time for its claim, for SES, and for writing down what SES said. */
const emailMs = 14_000;

const retryPauseMs = 200;

/**
 * Tells a user what one threshold event says: the notification row, which any number of deliveries write
 * once, and the email, which one notifier at a time may send. Neither waits for the other: a row that cannot
 * be written does not keep the email back.
 */
export async function notify(parts: NotifyParts, eventId: string): Promise<Notified> {
  if (parts.remainingMs() < emailMs) return noTime;
  const event = await loadEvent(parts.database, eventId);
  if (event === null) return { done: false, reason: 'event_unknown' };
  if (event.handled_at !== null) return done;
  const inApp =
    event.notification_type === null ? done : await tellInApp(parts, event, event.notification_type);
  const noEmail = inApp === userGone || event.email_kind === null || event.email_outcome !== null;
  const byEmail = noEmail ? done : await tellByEmail(parts, event);
  if (!inApp.done) return inApp;
  if (!byEmail.done) return byEmail;
  await finishEvent(parts.database, eventId);
  return done;
}

async function tellInApp(
  { database, settings, logger, metrics }: NotifyParts,
  event: LoadedEvent,
  type: NotificationType,
): Promise<Notified> {
  try {
    const written = await writeNotification(database, {
      ...notificationCopy(type, told(settings, event, null)),
      eventId: event.id,
      userId: event.user_id,
      type,
      metadata: {
        integration_id: event.integration_id,
        provider: event.provider,
        code: event.failure_code,
        ...(event.lapses_at !== null && { lapses_at: event.lapses_at.toISOString() }),
      },
    });
    if (written) {
      metrics.count(metricNames.notified, 1, { type });
      if (type === 'integration_disconnected') measureDisconnection(metrics, event);
    }
    logger.info('notification', { ...fieldsOf(event), written });
    return done;
  } catch (error) {
    if (isForeignKeyViolation(error)) {
      logger.warn('user gone', fieldsOf(event));
      return userGone;
    }
    logger.error('notification not written', { ...fieldsOf(event), cause: errorFields(error) });
    return { done: false, reason: 'notification_not_written' };
  }
}

/** Once for each disconnection, as its notification is written once. */
function measureDisconnection(metrics: InvocationMetrics, event: LoadedEvent): void {
  const { provider } = event;
  metrics.count(metricNames.disconnections, 1, { provider });
  metrics.count(metricNames.disconnectionsWarned, event.warned ? 1 : 0, { provider });
  if (event.connected_days !== null)
    metrics.measure(metricNames.connectedDays, event.connected_days, { provider });
}

async function tellByEmail(parts: NotifyParts, event: LoadedEvent): Promise<Notified> {
  const { database, sender, settings, logger, metrics } = parts;
  const recipient = sender && (await findRecipient(database, event.user_id));
  const address = recipient?.email?.trim() ?? '';
  if (sender === null || address === '' || event.email_kind === null) {
    const outcome = sender === null ? 'no_sender' : 'no_address';
    metrics.count(metricNames.emailsSkipped, 1);
    logger.warn('email skipped', { ...fieldsOf(event), outcome });
    await recordEmail(database, event.id, { sent: false, outcome });
    return done;
  }
  if (parts.remainingMs() < emailMs) return noTime;
  const copy = emailCopy(event.email_kind, told(settings, event, recipient?.name ?? null));
  const heldUntil = await claimEmail(database, event.id, settings.emailHoldSeconds);
  if (heldUntil === null) return { done: false, reason: 'email_held_elsewhere' };
  const sent = await sender.send(address, renderEmail(copy, settings.productName), event.id);
  return settle(parts, event, heldUntil, sent);
}

/** Writes down what SES said, and says it. */
async function settle(
  parts: NotifyParts,
  event: LoadedEvent,
  heldUntil: string,
  result: SendResult,
): Promise<Notified> {
  const { database, logger, metrics } = parts;
  const fields = fieldsOf(event);
  if (result.kind === 'sent') {
    await untilWritten(parts, () =>
      recordEmail(database, event.id, { sent: true, outcome: result.messageId }),
    );
    metrics.count(metricNames.emailsSent, 1);
    logger.info('email sent', { ...fields, sesMessageId: result.messageId });
    return done;
  }
  metrics.count(metricNames.emailsFailed, 1);
  switch (result.kind) {
    case 'refused':
      logger.error('email refused', { ...fields, code: result.code });
      await recordEmail(database, event.id, { sent: false, outcome: result.code });
      return done;
    case 'not_sent':
      logger.error('email not sent', { ...fields, code: result.code });
      await releaseEmail(database, event.id, heldUntil);
      return { done: false, reason: 'email_not_sent' };
    case 'in_doubt':
      logger.error('email in doubt', { ...fields, code: result.code });
      return { done: false, reason: 'email_in_doubt' };
  }
}

/** The email is out: unless that is written down, it goes out again. So this is tried while there is time. */
async function untilWritten({ remainingMs }: NotifyParts, write: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (remainingMs() < 2 * retryPauseMs) throw error;
      await sleep(retryPauseMs);
    }
  }
}

function told(settings: NotifyParts['settings'], event: LoadedEvent, userName: string | null): Told {
  return {
    integrationId: event.integration_id,
    providerName: event.provider_name,
    userName,
    productName: settings.productName,
    code: event.failure_code,
    lapsesAt: event.lapses_at,
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
  return sqlState(error) === '23503';
}
