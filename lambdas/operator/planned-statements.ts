import { defaultPolicy, type NotificationType, thresholdSteps } from '../domain/policy.ts';
import { circuitLimits, massRefusalLimits } from '../domain/provider-guards.ts';
import { beginCollecting } from '../postgres/begin-collecting.ts';
import { claimDue } from '../postgres/claim-due.ts';
import { claimEmail } from '../postgres/claim-email.ts';
import { claimLapsing } from '../postgres/claim-lapsing.ts';
import { claimOne } from '../postgres/claim-one.ts';
import { claimProbes } from '../postgres/claim-probes.ts';
import { closeCircuit } from '../postgres/close-circuit.ts';
import { countDue } from '../postgres/count-due.ts';
import { countLapsing } from '../postgres/count-lapsing.ts';
import { countNeverRefreshed } from '../postgres/count-never-refreshed.ts';
import { countTokenHeads } from '../postgres/count-token-heads.ts';
import { countUnreachableUsers } from '../postgres/count-unreachable-users.ts';
import { countWaitingEvents } from '../postgres/count-waiting-events.ts';
import type { Database } from '../postgres/database.ts';
import { endCollecting } from '../postgres/end-collecting.ts';
import { findClaimable } from '../postgres/find-claimable.ts';
import { findIntegration } from '../postgres/find-integration.ts';
import { findRecipient } from '../postgres/find-recipient.ts';
import { finishEvent } from '../postgres/finish-event.ts';
import { giveUpClaims } from '../postgres/give-up-claims.ts';
import { holdForReplay } from '../postgres/hold-for-replay.ts';
import { letThrough } from '../postgres/let-through.ts';
import { listDue } from '../postgres/list-due.ts';
import { listEvents } from '../postgres/list-events.ts';
import { listFailing } from '../postgres/list-failing.ts';
import { listProviders } from '../postgres/list-providers.ts';
import { loadEvent } from '../postgres/load-event.ts';
import { loadIntegration } from '../postgres/load-integration.ts';
import { measureProviders } from '../postgres/measure-providers.ts';
import { measureTokens } from '../postgres/measure-tokens.ts';
import { measureWaitingEvents } from '../postgres/measure-waiting-events.ts';
import { openCircuit } from '../postgres/open-circuit.ts';
import { putBackEvents } from '../postgres/put-back-events.ts';
import { readProviderStates } from '../postgres/read-provider-states.ts';
import { recordEmail } from '../postgres/record-email.ts';
import { recordFailures } from '../postgres/record-failures.ts';
import { recordLapses } from '../postgres/record-lapses.ts';
import { recordLimit } from '../postgres/record-limit.ts';
import { recordOutcomes } from '../postgres/record-outcomes.ts';
import { recordScan } from '../postgres/record-scan.ts';
import { relayEvents } from '../postgres/relay-events.ts';
import { releaseClaims } from '../postgres/release-claims.ts';
import { releaseEmail } from '../postgres/release-email.ts';
import { reopenClaims } from '../postgres/reopen-claims.ts';
import { replaceGrant } from '../postgres/replace-grant.ts';
import { reserveCalls } from '../postgres/reserve-calls.ts';
import { settleProbes } from '../postgres/settle-probes.ts';
import { startAttempts } from '../postgres/start-attempts.ts';
import { storeRefreshed } from '../postgres/store-refreshed.ts';
import { summarizeProviders } from '../postgres/summarize-providers.ts';
import { watchProviders } from '../postgres/watch-providers.ts';
import { writeNotification } from '../postgres/write-notification.ts';

/** Fits no row: nothing that a statement could find or change. */
const id = '00000000-0000-0000-0000-000000000000';
const result = { id, usedToken: '', claim: '0' };
const window = { windowSeconds: 1, provider: null, limit: 1 };
const lapsing = { leadSeconds: 1, provider: null, excludedProviders: [], limit: 1 };

const guards = {
  circuit: circuitLimits,
  massRefusal: massRefusalLimits,
  circuitWindowSeconds: 1,
  circuitCooldownSeconds: 1,
  maxRetryAfterSeconds: 1,
  massRefusalWindowSeconds: 1,
  disconnectionHoldSeconds: 1,
  memorySeconds: 1,
};

/** The statements of the functions, with parameters that stand for real ones, so that a server can plan them. */
export const plannedStatements: Readonly<Record<string, (database: Database) => Promise<unknown>>> = {
  'begin-collecting': (database) => beginCollecting(database, 1),
  'claim-due': (database) =>
    claimDue(database, { ...window, holdSeconds: 1, after: null, collectedAt: null }),
  'claim-email': (database) => claimEmail(database, id, 1),
  'claim-lapsing': (database) => claimLapsing(database, { ...lapsing, holdSeconds: 1, collectedAt: null }),
  'claim-one': (database) => claimOne(database, { id, holdSeconds: 1, collectedAt: null }),
  'claim-probes': (database) =>
    claimProbes(database, {
      provider: '',
      windowSeconds: 1,
      holdSeconds: 1,
      probes: 1,
      cooldownSeconds: 1,
      collectedAt: null,
    }),
  'close-circuit': (database) => closeCircuit(database, { provider: '', trustedSeconds: 1 }),
  'count-due': (database) => countDue(database, window),
  'count-lapsing': (database) => countLapsing(database, { ...lapsing, windowSeconds: 1 }),
  'count-never-refreshed': countNeverRefreshed,
  'count-token-heads': (database) => countTokenHeads(database, { start: '', length: 1 }),
  'count-unreachable-users': (database) => countUnreachableUsers(database, 1),
  'count-waiting-events': countWaitingEvents,
  'end-collecting': (database) => endCollecting(database, 'infinity'),
  'find-claimable': (database) => findClaimable(database, id),
  'find-integration': (database) => findIntegration(database, id),
  'find-recipient': (database) => findRecipient(database, id),
  'finish-event': (database) => finishEvent(database, id),
  'give-up-claims': (database) => giveUpClaims(database, [{ id, claim: '0' }]),
  'hold-for-replay': (database) => holdForReplay(database, { id, claim: '0', seconds: 1, grant: '' }),
  'let-through': (database) => letThrough(database, id),
  'list-due': (database) => listDue(database, window),
  'list-events': (database) => listEvents(database, { integrationId: id, limit: 1 }),
  'list-failing': (database) => listFailing(database, 1),
  'list-providers': listProviders,
  'load-event': (database) => loadEvent(database, id),
  'load-integration': (database) => loadIntegration(database, id),
  'measure-providers': (database) =>
    measureProviders(database, { windowSeconds: 1, refreshWindowSeconds: 1, dueUpTo: 1 }),
  'measure-tokens': (database) => measureTokens(database, { expiredUpTo: 1, countUpTo: 1 }),
  'measure-waiting-events': measureWaitingEvents,
  'open-circuit': (database) => openCircuit(database, { provider: '' }),
  'put-back-events': (database) => putBackEvents(database, [id]),
  'read-provider-states': readProviderStates,
  'record-email': (database) => recordEmail(database, id, { sent: true, outcome: '' }),
  'record-failures': (database) =>
    recordFailures(
      database,
      [
        {
          ...result,
          failureClass: 'permanent',
          invalidRefreshToken: false,
          code: '',
          providerName: '',
          retryDelaySeconds: 0,
          doubtful: false,
          mayRotate: false,
        },
      ],
      { steps: thresholdSteps(defaultPolicy), eventRelayHoldSeconds: 1, waitingHoldSeconds: 1 },
    ),
  'record-lapses': (database) =>
    recordLapses(database, [{ ...result, decision: 'end', providerName: '' }], {
      lapseWarningSeconds: 1,
      restSeconds: 1,
      eventRelayHoldSeconds: 1,
    }),
  'record-limit': (database) => recordLimit(database, { provider: '', callsPerSecond: 1 }),
  'record-outcomes': (database) =>
    recordOutcomes(database, [{ provider: '', refreshed: 0, disconnected: 0 }]),
  'record-scan': (database) =>
    recordScan(database, {
      durationMs: 1,
      claimed: 0,
      enqueued: 0,
      released: 0,
      left: 0,
      eventsRelayed: 0,
      oldestExpiredSeconds: 0,
    }),
  'relay-events': (database) => relayEvents(database, { holdSeconds: 1, limit: 1 }),
  'release-claims': (database) => releaseClaims(database, [{ id, claim: '0' }]),
  'release-email': (database) => releaseEmail(database, id, 'infinity'),
  'reopen-claims': (database) => reopenClaims(database, [{ id, claim: '0' }]),
  'replace-grant': (database) =>
    replaceGrant(
      database,
      {
        id,
        provider: '',
        accessToken: '',
        refreshToken: '',
        expiresInSeconds: 1,
        refreshTokenExpiresInSeconds: null,
        scopes: null,
      },
      1,
    ),
  'reserve-calls': (database) =>
    reserveCalls(database, { provider: '', callsPerSecond: 1, calls: 1, withinSeconds: 1 }),
  'settle-probes': (database) =>
    settleProbes(
      database,
      [{ provider: '', integrationIds: [id], answered: false, retryAfterSeconds: 0 }],
      guards,
    ),
  'start-attempts': (database) => startAttempts(database, { ids: [id], holdSeconds: 1 }),
  'store-refreshed': (database) =>
    storeRefreshed(
      database,
      [
        {
          ...result,
          accessToken: '',
          refreshToken: '',
          expiresInSeconds: 1,
          refreshTokenExpiresInSeconds: null,
          authorizationLifetimeSeconds: null,
          scope: null,
          kept: { field: '' },
          providerName: '',
        },
      ],
      { lapseWarningSeconds: 1, eventRelayHoldSeconds: 1 },
    ),
  'summarize-providers': (database) =>
    summarizeProviders(database, { windowSeconds: 1, attemptHoldSeconds: 1 }),
  'watch-providers': (database) =>
    watchProviders(
      database,
      [{ integrationId: id, provider: '', failureClass: 'transient', code: '' }],
      [{ provider: '', refreshed: 0, pending: 0, retryAfterSeconds: 0 }],
      guards,
    ),
  'write-notification': async (database) => {
    for (const type of notificationTypes) {
      await writeNotification(database, {
        eventId: id,
        userId: id,
        type,
        title: '',
        message: '',
        actionUrl: '',
        actionLabel: '',
        metadata: {},
      });
    }
  },
};

export const notificationTypes: readonly NotificationType[] = [
  'integration_warning',
  'integration_disconnected',
  'integration_rate_limit',
];
