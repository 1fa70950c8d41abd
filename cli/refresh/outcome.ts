import type { HistoryReport, OpenCircuit } from '../../lambdas/operator/reports.ts';
import { moment } from '../words.ts';

export type Integration = NonNullable<HistoryReport['integration']>;
type Circuit = HistoryReport['circuit'];

/** What became of an attempt. */
export interface Outcome {
  readonly code: 'refreshed' | 'failed' | 'disconnected' | 'not_counted' | 'not_applied';
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
 * operator's fault, and a failure of a provider that is out of order, leave no mark on the row but the attempt and another
 * hold than that of an attempt.
 */
export function outcomeOf(before: Integration, now: Integration, circuit: Circuit): Outcome | null {
  if (now.lastRefreshSuccess !== before.lastRefreshSuccess) {
    const expires = now.expiresAt === null ? '' : ` Its token now expires at ${moment(now.expiresAt)}.`;
    return { code: 'refreshed', message: `Refreshed.${expires}` };
  }
  const next = now.heldUntil === null ? '' : ` The next attempt comes after ${moment(now.heldUntil)}.`;
  if (now.lastFailureAt !== before.lastFailureAt) {
    const count =
      now.consecutiveFailures > before.consecutiveFailures
        ? `The provider refused it, ${now.consecutiveFailures} in a row`
        : now.consecutiveTransientFailures === 0
          ? 'It failed for a passing reason, which does not count, as it is tried again before its token ends'
          : `It failed for a passing reason, ${now.consecutiveTransientFailures} in a row`;
    if (now.status !== 'connected') {
      return {
        code: 'disconnected',
        message: `${count}, and it is disconnected now (${now.disconnectReason ?? now.status}). Its user is told.`,
      };
    }
    const lost =
      now.doubtfulSince === before.doubtfulSince || now.doubtfulSince === null
        ? ''
        : ' The answer to the call was lost, and the provider may have spent the refresh token in it.';
    return { code: 'failed', message: `${count}.${lost}${next} The refresher's log has the code.` };
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
  if (now.lastRefreshAttempt === before.lastRefreshAttempt) {
    // The claim was open before this was asked; whoever starts on it writes the attempt down in the same statement.
    if (now.claimOpen) return null;
    return {
      code: 'not_applied',
      message:
        'The refresher gave it back without calling the provider: it was at its deadline, or the provider takes no more calls at the moment. Try again in a minute.',
    };
  }
  if (now.attempting) return null;
  if (circuit !== null) return { code: 'not_counted', message: notCounted(now, circuit) };
  return { code: 'not_applied', message: `The attempt ended and changed nothing: ${causeOf(now)}` };
}

/** What to say when the time to wait is over. */
export function unfinished(
  before: Integration,
  now: Integration,
  circuit: Circuit,
  waitedSeconds: number,
): Outcome {
  if (now.lastRefreshAttempt !== before.lastRefreshAttempt) {
    return {
      code: 'not_applied',
      message: `The attempt has changed nothing within ${waitedSeconds} s. It is still under way; evergrant history shows its outcome.`,
    };
  }
  const waits =
    circuit === null
      ? ''
      : ` Its provider's circuit is open (${circuit.cause === 'by_hand' ? 'by hand' : (circuit.code ?? circuit.cause)}).`;
  return {
    code: 'not_applied',
    message: `No attempt has started within ${waitedSeconds} s.${waits} The request stays in the refresh queue; evergrant verify tells whether the refresher gets it.`,
  };
}

function notCounted({ provider }: Integration, { cause, code, nextTryAt }: OpenCircuit): string {
  const why = cause === 'by_hand' ? 'an operator opened it' : (code ?? cause);
  const next =
    nextTryAt === null
      ? `Nobody calls it until evergrant provider close ${provider}.`
      : `A few integrations try again after ${moment(nextTryAt)}; when they get through, this one follows by itself.`;
  return `It failed, which counts against nobody while the circuit of ${provider} is open (${why}). ${next}`;
}

function causeOf({ refreshToken }: Integration): string {
  return refreshToken === 'absent'
    ? `it found nothing to renew, as there is no refresh token; or ${ownFault}`
    : ownFault;
}

const ownFault =
  'it failed by our own fault, such as a wrong client secret, which counts against nobody. evergrant provider check tries the credentials; the refresher\'s log names the fault and its fix ("operator fault" in docs/runbook.md).';
