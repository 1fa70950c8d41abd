import { isFailureCode, sentencesOf } from '../domain/failure-codes.ts';
import type { Database } from '../postgres/database.ts';
import { type ListedEvent, listEvents } from '../postgres/list-events.ts';
import { type LoadedIntegration, loadIntegration } from '../postgres/load-integration.ts';
import { findInCatalogue } from '../providers/catalogue.ts';
import { sealedKeyId } from '../sealing/sealed-head.ts';
import { moment } from './moment.ts';
import { readGuards } from './provider-guards.ts';
import type { HistoryEntry, HistoryReport } from './reports.ts';

const eventLimit = 200;

/**
 * What is known of one integration: the latest of each kind from its row, and every threshold event with what came
 * of it. The database keeps no list of refreshes; the log has one line for each.
 */
export async function history(
  database: Database,
  integrationId: string,
  settings: { readonly attemptHoldSeconds: number },
): Promise<HistoryReport> {
  const row = await loadIntegration(database, integrationId);
  const events = await listEvents(database, { integrationId, limit: eventLimit });
  const guards = row === null ? [] : await readGuards(database);
  const entries = [...(row === null ? [] : rowEntries(row)), ...events.flatMap(eventEntries)];
  return {
    integrationId,
    integration: row === null ? null : integration(row, settings.attemptHoldSeconds),
    circuit: guards.find(({ provider }) => provider === row?.provider)?.circuit ?? null,
    // ISO 8601 in UTC sorts as text.
    entries: entries.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)),
    meanings: meaningsOf([row?.disconnect_reason ?? null, ...events.map((event) => event.failure_code)]),
  };
}

/** In words, the codes that are ours: a product has reasons of its own to disconnect. */
function meaningsOf(codes: readonly (string | null)[]): HistoryReport['meanings'] {
  const ours = codes.filter((code) => code !== null && (isFailureCode(code) || /^http_\d{3}$/.test(code)));
  return Object.fromEntries(
    (ours as string[]).map((code) => [
      code,
      sentencesOf(code, code.startsWith('http_') ? 'transient' : 'permanent').operator,
    ]),
  );
}

/** An attempt holds its row for a fixed time from its start; whatever becomes of it sets another hold. */
function isUnderWay(row: LoadedIntegration, attemptHoldSeconds: number): boolean {
  const { refresh_held_until: held, last_refresh_attempt: attempt } = row;
  if (!(held instanceof Date && attempt instanceof Date)) return false;
  return Math.abs(held.getTime() - attempt.getTime() - attemptHoldSeconds * 1000) <= 1;
}

function integration(row: LoadedIntegration, attemptHoldSeconds: number): HistoryReport['integration'] {
  return {
    provider: row.provider,
    userId: row.user_id ?? '',
    status: row.status ?? '',
    disconnectReason: row.disconnect_reason,
    expiresAt: moment(row.expires_at),
    refreshTokenExpiresAt: moment(row.refresh_token_expires_at),
    consecutiveFailures: row.consecutive_failures,
    consecutiveTransientFailures: row.consecutive_transient_failures,
    heldUntil: moment(row.refresh_held_until),
    claimOpen: row.refresh_claim_open,
    attempting: isUnderWay(row, attemptHoldSeconds),
    lastRefreshAttempt: moment(row.last_refresh_attempt),
    lastRefreshSuccess: moment(row.last_refresh_success),
    lastFailureAt: moment(row.last_failure_at),
    doubtfulSince: doubtfulSince(row),
    accessToken: atRest(row.access_token_header),
    refreshToken: atRest(row.refresh_token_header),
    keyId: row.refresh_token_header === null ? null : sealedKeyId(row.refresh_token_header),
  };
}

/** An attempt without a known end leaves a doubt whatever its provider does; where nothing is ever spent there is none. */
function doubtfulSince({ provider, doubtful_since }: LoadedIntegration): string | null {
  return findInCatalogue(provider)?.description.rotation === 'never' ? null : moment(doubtful_since);
}

function atRest(header: string | null): 'sealed' | 'plain' | 'absent' {
  if (header === null) return 'absent';
  return sealedKeyId(header) === null ? 'plain' : 'sealed';
}

function rowEntries(row: LoadedIntegration): HistoryEntry[] {
  const success = moment(row.last_refresh_success);
  const failure = moment(row.last_failure_at);
  const attempt = moment(row.last_refresh_attempt);
  const latestResult = [success, failure]
    .filter((at) => at !== null)
    .sort()
    .at(-1);
  return [
    entry(moment(row.created_at), 'connected', `The integration with ${row.provider} was created.`),
    entry(success, 'refreshed', 'The latest refresh that succeeded.'),
    entry(
      failure,
      'failed',
      success !== null && failure !== null && success > failure
        ? 'The latest refresh that failed; it has succeeded since.'
        : `The latest refresh that failed. In a row: ${row.consecutive_failures} permanent, ${row.consecutive_transient_failures} transient.`,
    ),
    entry(
      attempt,
      'attempted',
      attempt !== null && (latestResult === undefined || latestResult < attempt)
        ? 'The latest attempt started; no result of it has counted.'
        : 'The latest attempt started.',
    ),
    entry(
      doubtfulSince(row),
      'answer_lost',
      'The answer to a call was lost, and the provider may have spent the refresh token in it. If it refuses the grant from now on, this may be why.',
    ),
  ].filter((each) => each !== null);
}

function entry(at: string | null, what: string, detail: string): HistoryEntry | null {
  return at === null ? null : { at, what, detail };
}

function eventEntries(event: ListedEvent): HistoryEntry[] {
  return [
    entry(moment(event.created_at), whatOf(event), detailOf(event)),
    entry(
      moment(event.notified_at),
      'notified',
      `The notification ${event.notification_type} was written; the user has ${event.is_read ? '' : 'not '}read it.`,
    ),
    entry(
      moment(event.email_sent_at),
      'emailed',
      `The email "${event.email_kind}" was sent (SES message id ${event.email_outcome}).`,
    ),
  ].filter((each) => each !== null);
}

function whatOf({ notification_type: type, email_kind: email }: ListedEvent): string {
  if (type === 'integration_disconnected' || email === 'disconnected') return 'disconnected';
  if (type === 'integration_warning') return 'warned';
  return type === 'integration_rate_limit' ? 'rate_limited' : 'refused';
}

function detailOf(event: ListedEvent): string {
  return [
    causeOf(event),
    event.after_doubt
      ? 'It came after a call whose answer was lost: that call may have spent the refresh token, without anybody having ended the grant.'
      : '',
    event.notification_type === null ? 'No notification.' : `Notification: ${event.notification_type}.`,
    emailOf(event),
    event.handled_at === null
      ? `Waiting to be handled; the scanner publishes it again from ${moment(event.relay_after)} on.`
      : `Handled at ${moment(event.handled_at)}.`,
    event.relay_count > 0 ? `Published again ${times(event.relay_count)}.` : '',
  ]
    .filter((sentence) => sentence !== '')
    .join(' ');
}

function causeOf(event: ListedEvent): string {
  const { failure_code: code, lapses_at: lapsesAt } = event;
  if (lapsesAt !== null) {
    const which = code.startsWith('refresh_token') ? 'refresh token' : 'access token';
    const when = event.notification_type === 'integration_disconnected' ? 'ended' : 'ends';
    return `The ${which} ${when} by itself at ${moment(lapsesAt)}, and only the user can renew it (${code}).`;
  }
  const kind = event.notification_type === 'integration_rate_limit' ? 'transient' : 'permanent';
  const count = kind === 'transient' ? event.consecutive_transient_failures : event.consecutive_failures;
  return `${count} ${kind} in a row, the latest: ${code}.`;
}

/** What became of the email; SES codes and our own say why none was sent. */
function emailOf(event: ListedEvent): string {
  if (event.email_kind === null) return 'No email.';
  const email = `Email "${event.email_kind}"`;
  if (event.email_sent_at !== null) return `${email}: sent at ${moment(event.email_sent_at)}.`;
  switch (event.email_outcome) {
    case null:
      if (event.email_held_until !== null) {
        return `${email}: a notifier is sending it, until ${moment(event.email_held_until)} at most.`;
      }
      return event.handled_at === null
        ? `${email}: not sent yet.`
        : `${email}: not sent, as the product has removed the user.`;
    case 'no_sender':
      return `${email}: not sent, as no sender is configured.`;
    case 'no_address':
      return `${email}: not sent, as evergrant.users has no address of the user.`;
    default:
      return `${email}: refused by SES (${event.email_outcome}).`;
  }
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}
