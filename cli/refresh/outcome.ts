import type { HistoryReport } from '../../lambdas/operator/reports.ts';
import { moment } from '../words.ts';

export type Integration = NonNullable<HistoryReport['integration']>;

/** What became of an attempt. */
export interface Outcome {
  readonly code: 'refreshed' | 'failed' | 'disconnected' | 'not_applied';
  readonly message: string;
}

/** Why a refresh of this row cannot be asked for; `null` when it can. */
export function obstacleTo({ status, disconnectReason, accessToken, refreshToken }: Integration): {
  readonly code: string;
  readonly message: string;
} | null {
  if (status !== 'connected') {
    const reason = disconnectReason === null ? '' : ` (${disconnectReason})`;
    return {
      code: 'not_connected',
      message: `It is not connected: its status is ${status}${reason}. Only its user can connect it again.`,
    };
  }
  if (refreshToken === 'absent' && accessToken === 'absent') {
    return {
      code: 'no_token',
      message: 'It has no token, so nobody can refresh it. Its user has to connect it again.',
    };
  }
  return null;
}

/** Why the scanner did not claim a row that looked claimable. */
export function whyNotClaimed(integration: Integration): { readonly code: string; readonly message: string } {
  const obstacle = obstacleTo(integration);
  if (obstacle) return obstacle;
  if (integration.heldUntil !== null) {
    const why = integration.claimOpen
      ? 'a scan has claimed it, and a refresher will start on it'
      : 'an attempt is under way, or has just failed';
    return {
      code: 'held',
      message: `It is held until ${moment(integration.heldUntil)}: ${why}. Try again then; evergrant history shows more.`,
    };
  }
  return { code: 'busy', message: 'Somebody else is changing the row right now. Try again.' };
}

/**
 * What became of the attempt that was asked for, seen from the row before and after; `null`: nothing yet. An
 * operator's fault leaves no mark on the row but the attempt and a new hold, so `previous`, the row as it was seen
 * between, tells an attempt that ended so from one that is under way.
 */
export function outcomeOf(before: Integration, previous: Integration, now: Integration): Outcome | null {
  if (now.lastRefreshSuccess !== before.lastRefreshSuccess) {
    const expires = now.expiresAt === null ? '' : ` Its token now expires at ${moment(now.expiresAt)}.`;
    return { code: 'refreshed', message: `Refreshed.${expires}` };
  }
  if (now.lastFailureAt !== before.lastFailureAt) {
    const count =
      now.consecutiveFailures > before.consecutiveFailures
        ? `The provider refused it, ${now.consecutiveFailures} in a row`
        : `It failed for a passing reason, ${now.consecutiveTransientFailures} in a row`;
    if (now.status !== 'connected') {
      return {
        code: 'disconnected',
        message: `${count}, and it is disconnected now (${now.disconnectReason ?? now.status}). Its user is told.`,
      };
    }
    const next = now.heldUntil === null ? '' : ` The next attempt comes after ${moment(now.heldUntil)}.`;
    return { code: 'failed', message: `${count}.${next} The refresher's log has the code.` };
  }
  if (now.disconnectReason === 'access_token_ended' && now.status !== before.status) {
    return {
      code: 'disconnected',
      message:
        'Its access token has ended and nothing renews it, so it is disconnected now. Its user is told.',
    };
  }
  if (now.status !== 'connected') {
    return {
      code: 'not_applied',
      message: `Its status is now ${now.status}: somebody changed it meanwhile.`,
    };
  }
  const ended =
    previous.lastRefreshAttempt !== before.lastRefreshAttempt &&
    previous.lastRefreshAttempt === now.lastRefreshAttempt &&
    previous.heldUntil !== now.heldUntil;
  return ended
    ? { code: 'not_applied', message: `The attempt ended and changed nothing: ${causeOf(now)}` }
    : null;
}

/** What to say when the time to wait is over. */
export function unfinished(before: Integration, now: Integration, waitedSeconds: number): Outcome {
  const message =
    now.lastRefreshAttempt === before.lastRefreshAttempt
      ? `No attempt has started within ${waitedSeconds} s. The request stays in the refresh queue; evergrant verify tells whether the refresher gets it.`
      : `The attempt has changed nothing within ${waitedSeconds} s. It is still under way, or ${causeOf(now)}`;
  return { code: 'not_applied', message };
}

function causeOf({ refreshToken }: Integration): string {
  return refreshToken === 'absent'
    ? `it found nothing to renew, as there is no refresh token; or ${ownFault}`
    : ownFault;
}

const ownFault =
  'it failed by our own fault, such as a wrong client secret, which counts against nobody. The refresher\'s log names the fault and its fix ("operator fault" in docs/runbook.md).';
