import type { HistoryReport, OpenCircuit } from '../../lambdas/operator/reports.ts';
import type { Output } from '../output.ts';
import { table } from '../table.ts';
import { moment } from '../words.ts';

/** What `history` prints for people. */
export function renderHistory(report: HistoryReport, style: Output['style']): string[] {
  const { integration, entries } = report;
  const lines = [style('bold', `Integration ${report.integrationId}`)];
  if (integration === null) {
    lines.push('There is no such row any more; what the outbox remembers of it follows.');
  } else {
    const { status, disconnectReason, accessToken, refreshToken, keyId } = integration;
    const facts: [string, string | null][] = [
      ['Provider', integration.provider],
      ['User', integration.userId],
      ['Status', status + (disconnectReason === null ? '' : ` (${disconnectReason})`)],
      ['Circuit', report.circuit && circuit(report.circuit)],
      ['Token expires', integration.expiresAt && moment(integration.expiresAt)],
      ['Grant expires', integration.refreshTokenExpiresAt && moment(integration.refreshTokenExpiresAt)],
      ['Failures in a row', failures(integration)],
      ['Claim', claim(integration)],
      ['Last attempt', integration.lastRefreshAttempt && moment(integration.lastRefreshAttempt)],
      ['Last success', integration.lastRefreshSuccess && moment(integration.lastRefreshSuccess)],
      ['Last failure', integration.lastFailureAt && moment(integration.lastFailureAt)],
      ['Answer lost', integration.doubtfulSince && answerLost(integration.doubtfulSince)],
      ['Access token', accessToken],
      ['Refresh token', refreshToken + (keyId === null ? '' : ` with key ${keyId}`)],
    ];
    const rows = facts.filter((fact): fact is [string, string] => fact[1] !== null);
    lines.push(...table([{ title: '' }, { title: '' }], rows).slice(1));
  }
  lines.push('');
  if (entries.length === 0) lines.push('Nothing is recorded of it yet.');
  else {
    const rows = entries.map(({ at, what, detail }) => [moment(at), what, detail]);
    const [titles = '', ...rest] = table([{ title: 'When' }, { title: 'What' }, { title: '' }], rows);
    lines.push(style('bold', titles), ...rest);
  }
  const meanings = Object.entries(report.meanings);
  if (meanings.length > 0) {
    lines.push('', ...meanings.map(([code, meaning]) => `${style('bold', code)}: ${meaning}`));
  }
  return lines;
}

type Integration = NonNullable<HistoryReport['integration']>;

function circuit({ provider, cause, code, openedAt, nextTryAt }: OpenCircuit): string {
  const why = cause === 'by_hand' ? 'by hand' : (code ?? cause);
  const next = nextTryAt === null ? '' : `; a few integrations try again after ${moment(nextTryAt)}`;
  return `open since ${openedAt === null ? 'long ago' : moment(openedAt)} (${why}): ${provider} is not called${next}`;
}

function failures({ consecutiveFailures, consecutiveTransientFailures }: Integration): string {
  if (consecutiveFailures === 0 && consecutiveTransientFailures === 0) return 'none';
  return `${consecutiveFailures} refused, ${consecutiveTransientFailures} passing`;
}

function answerLost(since: string): string {
  return `the refresh token may have been spent by a call whose answer was lost at ${moment(since)}`;
}

/** Whether a delayed message will ask for the next refresh: only for that is a row held after a success. */
function isScheduled(integration: Integration): boolean {
  const { status, claimOpen, heldUntil, attempting, lastRefreshAttempt, lastRefreshSuccess } = integration;
  if (status !== 'connected' || claimOpen || attempting || heldUntil === null) return false;
  // ISO 8601 in UTC sorts as text.
  return (
    lastRefreshSuccess !== null && lastRefreshAttempt !== null && lastRefreshSuccess >= lastRefreshAttempt
  );
}

function claim(integration: Integration): string {
  const { claimOpen, heldUntil } = integration;
  if (isScheduled(integration)) {
    return `scheduled, as its token is short-lived; scans leave it alone until ${moment(heldUntil ?? '')}`;
  }
  const open = claimOpen ? 'open: a refresher has been asked' : 'none is open';
  return heldUntil === null ? open : `${open}; not claimed again before ${moment(heldUntil)}`;
}
