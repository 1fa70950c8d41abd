/**
 * What the infrastructure (`lib/`) and the functions (`lambdas/`) share, and nothing else: names of
 * environment variables and metrics, and the shapes and groups of messages. Both sides import them from here.
 */

/** Environment variables of every function. */
export const functionEnv = {
  /** What Lambda gives an invocation, from 1 to 900. */
  timeoutSeconds: 'FUNCTION_TIMEOUT_SECONDS',
} as const;

/** Environment variables of every function that talks to Postgres. */
export const databaseEnv = {
  /**
   * Where the database is: the Secrets Manager id of `{"url", "directUrl"}`, or a postgres:// URL without a password,
   * when the function's own credentials let it in (IAM database authentication).
   */
  source: 'DATABASE_SOURCE',
} as const;

/** Folder of the SQL files inside the bundles of the migrator and of the operator function. */
export const migrationsFolder = 'migrations';

export const scannerEnv = {
  refreshQueueUrl: 'REFRESH_QUEUE_URL',
  thresholdQueueUrl: 'THRESHOLD_QUEUE_URL',
  refreshWindowSeconds: 'REFRESH_WINDOW_SECONDS',
  claimHoldSeconds: 'CLAIM_HOLD_SECONDS',
  lapseWarningSeconds: 'LAPSE_WARNING_SECONDS',
  eventRelayHoldSeconds: 'EVENT_RELAY_HOLD_SECONDS',
  successWindowSeconds: 'SUCCESS_WINDOW_SECONDS',
  circuitCooldownSeconds: 'CIRCUIT_COOLDOWN_SECONDS',
  pacedSpreadSeconds: 'PACED_SPREAD_SECONDS',
  sealedResultQueueUrl: 'SEALED_RESULT_QUEUE_URL',
  sealedResultVisibilitySeconds: 'SEALED_RESULT_VISIBILITY_SECONDS',
  sealedResultRetentionSeconds: 'SEALED_RESULT_RETENTION_SECONDS',
  tokenKeySecretId: 'TOKEN_KEY_SECRET_ID',
} as const;

export const refresherEnv = {
  thresholdQueueUrl: 'THRESHOLD_QUEUE_URL',
  refreshQueueUrl: 'REFRESH_QUEUE_URL',
  sealedResultQueueUrl: 'SEALED_RESULT_QUEUE_URL',
  tokenKeySecretId: 'TOKEN_KEY_SECRET_ID',
  tokensAtRest: 'TOKENS_AT_REST',
  providerSecretPrefix: 'PROVIDER_SECRET_PREFIX',
  attemptHoldSeconds: 'ATTEMPT_HOLD_SECONDS',
  callTimeoutMs: 'CALL_TIMEOUT_MS',
  maxInFlight: 'MAX_IN_FLIGHT',
  retryDelaySeconds: 'RETRY_DELAY_SECONDS',
  /** Tokens that live shorter than this are refreshed by scheduled attempts; 0: none are, as nobody scans either. */
  shortLifetimeSeconds: 'SHORT_LIFETIME_SECONDS',
  lapseWarningSeconds: 'LAPSE_WARNING_SECONDS',
  eventRelayHoldSeconds: 'EVENT_RELAY_HOLD_SECONDS',
  warningThreshold: 'WARNING_THRESHOLD',
  disconnectThreshold: 'DISCONNECT_THRESHOLD',
  rateLimitThreshold: 'RATE_LIMIT_THRESHOLD',
  disconnectOnInvalidRefreshToken: 'DISCONNECT_ON_INVALID_REFRESH_TOKEN',
  circuitWindowSeconds: 'CIRCUIT_WINDOW_SECONDS',
  circuitCooldownSeconds: 'CIRCUIT_COOLDOWN_SECONDS',
  massRefusalWindowSeconds: 'MASS_REFUSAL_WINDOW_SECONDS',
  failureMemorySeconds: 'FAILURE_MEMORY_SECONDS',
  disconnectionHoldSeconds: 'DISCONNECTION_HOLD_SECONDS',
} as const;

export const notifierEnv = {
  thresholdQueueUrl: 'THRESHOLD_QUEUE_URL',
  senderEmail: 'SENDER_EMAIL',
  configurationSet: 'SES_CONFIGURATION_SET',
  productName: 'PRODUCT_NAME',
  appBaseUrl: 'APP_BASE_URL',
  reconnectPath: 'RECONNECT_PATH',
  emailHoldSeconds: 'EMAIL_HOLD_SECONDS',
} as const;

export const operatorEnv = {
  tokenKeySecretId: 'TOKEN_KEY_SECRET_ID',
  providerSecretPrefix: 'PROVIDER_SECRET_PREFIX',
  refreshWindowSeconds: 'REFRESH_WINDOW_SECONDS',
  scanIntervalSeconds: 'SCAN_INTERVAL_SECONDS',
  attemptHoldSeconds: 'ATTEMPT_HOLD_SECONDS',
  /** Not set: the notifier sends no email. */
  senderEmail: 'SENDER_EMAIL',
} as const;

/** Namespace and names of the CloudWatch metrics; the dimensions stand beside each name. */
export const metricsNamespace = 'Evergrant';
export const metricNames = {
  /** Count of claimed rows in a scan. No dimension. */
  claimed: 'IntegrationsClaimed',
  /** Count of claimed rows handed to the refresh queue. No dimension. */
  enqueued: 'IntegrationsEnqueued',
  /** Count of due rows that a scan left for the next one, as it had no time or the refresh queue did not take them. No dimension. */
  leftDue: 'IntegrationsLeftDue',
  /** Seconds since the longest-expired claimed token expired; 0 when none had. No dimension. */
  oldestExpiredSeconds: 'OldestExpiredSeconds',
  /** Count of threshold events published again by the scanner. No dimension. */
  eventsRelayed: 'ThresholdEventsRelayed',
  /**
   * Seconds that the threshold event has waited that has waited for longest without anybody telling its user, at each
   * scan; 0: none does. Events whose email SES does not take are left out. No dimension.
   */
  oldestUntoldSeconds: 'OldestUntoldEventSeconds',
  /** Connected integrations with a refresh token, at each scan; estimated where they are many. No dimension. */
  connected: 'ConnectedIntegrations',
  /** Of these, how many have an access token that has expired, at each scan. No dimension. */
  expiredConnected: 'ExpiredConnected',
  /** Percent of the integrations that came due lately and have been refreshed, at each scan, by `provider`. */
  successRate: 'RefreshSuccessRate',
  /** The lowest of these; none where no provider has enough integrations to tell. No dimension. */
  lowestSuccessRate: 'LowestRefreshSuccessRate',
  /** Count of statements for which Postgres was away. No dimension. */
  databaseUnreachable: 'DatabaseUnreachable',
  /** Count by `provider`. */
  refreshed: 'Refreshed',
  /** Count by `provider` and `class` (transient, permanent, operator). */
  failed: 'RefreshFailed',
  /** Count of refreshes that failed by our own fault; those of all providers together. No dimension. */
  operatorFaults: 'OperatorFaults',
  /** Count of next attempts on short-lived tokens that a delayed message asks for, by `provider`. */
  scheduled: 'RefreshesScheduled',
  /** Count of results that no longer applied to their row, by `provider`. */
  superseded: 'ResultsSuperseded',
  /** Count of refreshes that the limit of a provider left no room for, and that the next scan sees to, by `provider`. */
  putOff: 'RefreshesPutOff',
  /** Providers whose circuit is open as they are down, at each scan and when one opens. No dimension. */
  openCircuits: 'OpenCircuits',
  /** 1 at each scan while a provider's circuit is open, by `cause` (outage, client_refused, by_hand) and `provider`. */
  circuitOpen: 'CircuitOpen',
  /** Seconds that the circuit has been open that has been so for longest, whatever its cause, at each scan; 0: none is. No dimension. */
  longestCircuitSeconds: 'LongestCircuitSeconds',
  /**
   * Providers whose disconnections are held, at each scan and when that begins. No dimension. By `provider` 1, at each
   * scan while they are.
   */
  disconnectionsHeld: 'DisconnectionsHeld',
  /** Count of successes that went sealed to their queue, as Postgres did not take them at once. No dimension. */
  sealed: 'ResultsSealed',
  /** Count of sealed results that a scan has stored. No dimension. */
  collected: 'SealedResultsStored',
  /**
   * Count of successes that neither Postgres nor the sealed result queue took before the function's deadline, and of attempts
   * that ended by an error that nobody foresaw. No dimension.
   */
  lost: 'ResultsLost',
  /** Count of calls whose answer was lost, so that the provider may have spent the refresh token, by `provider`. */
  doubtfulCalls: 'DoubtfulCalls',
  /** Count of doubtful calls whose retry brought the tokens at once, by `provider`. */
  doubtsResolved: 'DoubtsResolved',
  /**
   * Count of grants that were refused as dead for the first time after a doubtful call; by `provider`, and of all
   * together without it.
   */
  refusedAfterDoubt: 'RefusedAfterDoubt',
  /** Milliseconds of a call to a token endpoint, by `provider`. */
  callDuration: 'TokenEndpointDuration',
  /** Count of grants that Evergrant had disconnected and that work; by `provider`, and of all together without it. */
  prematureDisconnections: 'PrematureDisconnections',
  /** Count by `type` of notification. */
  notified: 'NotificationsWritten',
  /** Count of disconnections that users were told of, by `provider`. */
  disconnections: 'Disconnections',
  /** Of these, how many had been told of in time by a warning of the same episode of failures, by `provider`. */
  disconnectionsWarned: 'DisconnectionsWarned',
  /** Days that an integration had been connected when it was disconnected, by `provider`. */
  connectedDays: 'ConnectedDays',
  /** Count. No dimension. */
  emailsSent: 'EmailsSent',
  /** Count of emails that nobody could get: no address, or no sender configured. No dimension. */
  emailsSkipped: 'EmailsSkipped',
  /** Count of emails that SES refused or did not answer for; they are tried again. No dimension. */
  emailsFailed: 'EmailsFailed',
} as const;

/** One message on the refresh queue asks for one integration. It carries an id, never a token. */
export interface RefreshMessage {
  readonly version: 1;
  readonly integrationId: string;
  /** Number of the claim that the message was scheduled for, in digits: it may start that one before any scan has opened it. */
  readonly claim?: string;
  /** See `ThresholdEventMessage`. */
  readonly provider?: string;
}

/** One message on the threshold event queue names one row of the outbox `evergrant.threshold_events`. */
export interface ThresholdEventMessage {
  readonly version: 1;
  readonly eventId: string;
  /**
   * Name of the integration's provider, for operators who sort dead letters; consumers do not read it. It stands in
   * the body because the body alone survives every way that a message can go: SQS documents neither for its redrive
   * nor for a copy by hand that group id and attributes come along. A message without it (an earlier version sent it)
   * has the provider as its group id.
   */
  readonly provider?: string;
}

/**
 * One message on the sealed result queue holds a success that Postgres did not take. What a provider gave is in `sealed`
 * alone: a JWE under the token key, whatever the setting for tokens at rest.
 */
export interface SealedResultMessage {
  readonly version: 1;
  readonly integrationId: string;
  /** Fencing token of the attempt that the result came of. */
  readonly claim: string;
  /** SHA-256, in hexadecimal digits, of the stored token that was used. */
  readonly grant: string;
  /** See `ThresholdEventMessage`. */
  readonly provider?: string;
  readonly sealed: string;
}

/** Group of events that the scanner relays, whatever their provider: they must not delay fresh ones. */
export const relayGroupId = 'relay';

/**
 * A provider's name as messages carry it: only dead letters are sorted by it, and a column may hold a name that SQS
 * would refuse a message for, with the nine that are sent beside it.
 */
export function messageProvider(name: string): string {
  return name.slice(0, 128);
}

/** The group id of a provider's messages: SQS takes up to 128 letters, digits and punctuation marks. */
export function messageGroupId(name: string): string {
  return name.replace(/[^\x21-\x7e]/g, '_').slice(0, 128) || '_';
}
