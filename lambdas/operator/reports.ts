/**
 * What the operator function is asked and what it answers: the one place that the function and the command line
 * share. Nothing here holds a token but sealed ones. Moments are ISO 8601 strings, by the database's clock.
 */

export type OperatorRequest =
  | { readonly ask: 'status' }
  | { readonly ask: 'history'; readonly integrationId: string }
  | { readonly ask: 'find_integration'; readonly integrationId: string }
  | StoreGrantRequest
  | { readonly ask: 'verify' }
  | { readonly ask: 'keys' }
  | CheckProviderRequest
  | { readonly ask: 'open_circuit' | 'close_circuit'; readonly provider: string };

/** Health of one provider's integrations. */
export interface ProviderStatus {
  readonly provider: string;
  /** Rows with status `connected`. */
  readonly connected: number;
  /** Of these: the token has expired. The promise is 0. */
  readonly expired: number;
  /** Of these: due now and claimed by nobody. */
  readonly due: number;
  /** Of these: nobody claims them now: a claim or an attempt is under way, or the delay after a failure runs. */
  readonly held: number;
  /** Of these: the latest attempts failed, for now (transient) or because the provider refused (permanent). */
  readonly failingTransient: number;
  readonly failingPermanent: number;
  /** Rows with status `needs_reauthorization`. */
  readonly needsReauthorization: number;
  /** Of connected rows: there is no refresh token, so that only the access token itself can be exchanged for another, where the provider does that. */
  readonly withoutRefreshToken: number;
  /** Of connected rows: the latest attempt ended without a result about the grant, by our own fault as a rule. */
  readonly withoutResult: number;
  /** The latest success of any integration; `null`: none yet. */
  readonly lastSuccess: string | null;
}

/** One failing integration, for the list under the table. */
export interface FailingIntegration {
  readonly id: string;
  readonly provider: string;
  readonly consecutiveFailures: number;
  readonly consecutiveTransientFailures: number;
  readonly lastFailure: string | null;
  readonly expiresAt: string | null;
  /** Nobody claims it before this moment. */
  readonly heldUntil: string | null;
}

/** One scan that ended well. */
export interface ScanRecord {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly claimed: number;
  readonly enqueued: number;
  readonly released: number;
  readonly left: number;
  readonly eventsRelayed: number;
  readonly oldestExpiredSeconds: number;
}

/** Nobody calls a provider, but for a few integrations that try whether it is back. */
export interface OpenCircuit {
  readonly provider: string;
  /** It failed across many integrations, it refused our client, or an operator opened the circuit. */
  readonly cause: 'outage' | 'client_refused' | 'by_hand';
  /** The failure that most integrations met, and what it means; `null`: opened by hand. */
  readonly code: string | null;
  readonly meaning: string | null;
  /** How many integrations failed when it opened; `null`: opened by hand. */
  readonly failing: number | null;
  readonly openedAt: string | null;
  /** From then on a few may try; `null`: nobody, until it is closed by hand. */
  readonly nextTryAt: string | null;
}

/** Implausibly many grants of a provider were refused at once: until somebody has looked, nobody is disconnected. */
export interface HeldDisconnections {
  readonly provider: string;
  readonly since: string | null;
  readonly until: string | null;
  /** How many grants had been refused when it began. */
  readonly refused: number | null;
}

/** What holds a provider's integrations back. */
export interface ProviderGuards {
  readonly circuit: OpenCircuit | null;
  readonly disconnectionsHeld: HeldDisconnections | null;
  /** An operator closed the circuit: neither guard acts before; `null`: both do. */
  readonly trustedUntil: string | null;
}

export interface StatusReport {
  readonly now: string;
  readonly providers: readonly ProviderStatus[];
  /** The worst failing integrations, the most failures first; at most 20. */
  readonly failing: readonly FailingIntegration[];
  /** How many are failing in all. */
  readonly failingCount: number;
  /** `null`: none is recorded. */
  readonly lastScan: ScanRecord | null;
  readonly circuits: readonly OpenCircuit[];
  readonly disconnectionsHeld: readonly HeldDisconnections[];
  /** Threshold events that nobody has handled yet, and since when the oldest waits. */
  readonly eventsWaiting: { readonly count: number; readonly oldest: string | null };
}

export interface HistoryEntry {
  readonly at: string;
  /** What happened, such as `connected`, `refreshed`, `failed`, `warned`, `disconnected`, `emailed`, `answer_lost`. */
  readonly what: string;
  /** One sentence for people. */
  readonly detail: string;
}

export interface HistoryReport {
  readonly integrationId: string;
  /** `null`: there is no such integration (it may have been deleted; its events may remain). */
  readonly integration: {
    readonly provider: string;
    readonly userId: string;
    readonly status: string;
    readonly disconnectReason: string | null;
    readonly expiresAt: string | null;
    readonly refreshTokenExpiresAt: string | null;
    readonly consecutiveFailures: number;
    readonly consecutiveTransientFailures: number;
    readonly heldUntil: string | null;
    readonly claimOpen: boolean;
    /** The latest attempt is under way, as far as its hold tells. */
    readonly attempting: boolean;
    readonly lastRefreshAttempt: string | null;
    readonly lastRefreshSuccess: string | null;
    readonly lastFailureAt: string | null;
    /**
     * When the answer to a call was lost that may have spent the stored token; `null`: none was, or the provider spends
     * none.
     */
    readonly doubtfulSince: string | null;
    /** Whether the stored tokens are sealed, plain or absent; never the tokens. */
    readonly accessToken: 'sealed' | 'plain' | 'absent';
    readonly refreshToken: 'sealed' | 'plain' | 'absent';
    /** Key id that the refresh token is sealed with. */
    readonly keyId: string | null;
  } | null;
  /** Of its provider; `null`: it is not open. */
  readonly circuit: OpenCircuit | null;
  /** Oldest first. */
  readonly entries: readonly HistoryEntry[];
  /** What the failure codes among these mean, and what to do. */
  readonly meanings: Readonly<Record<string, string>>;
}

/** What has to be known of an integration before its account is connected anew. */
export type FoundIntegration =
  | {
      readonly reconnectable: true;
      readonly provider: string;
      readonly userId: string | null;
      /** As granted last; empty where nobody has written them down. */
      readonly scopes: readonly string[];
    }
  /** `message`: why, and what to do. */
  | { readonly reconnectable: false; readonly code: string; readonly message: string };

/** Asks to store a grant that an account at a provider has just been connected with. */
export interface StoreGrantRequest {
  readonly ask: 'store_grant';
  /** Chosen beforehand for a new integration: the tokens are sealed for it. */
  readonly integrationId: string;
  /** Whose new integration it is; `null`: it is there, and its grant is replaced. */
  readonly userId: string | null;
  readonly provider: string;
  /** Sealed. */
  readonly accessToken: string;
  readonly refreshToken: string;
  /** From now. */
  readonly expiresInSeconds: number;
  /** From now; `null`: the provider said nothing. */
  readonly refreshTokenExpiresInSeconds: number | null;
  /** `null`: not known. */
  readonly scopes: readonly string[] | null;
}

export type StoreGrantReport =
  | { readonly stored: true; readonly integrationId: string; readonly expiresAt: string }
  /** Nothing was changed. `message`: why, and what to do. */
  | { readonly stored: false; readonly code: string; readonly message: string };

/** One line of the deployment checklist. */
export interface Check {
  /** Stable code, such as `schema_version`. */
  readonly code: string;
  /** What was looked at, in a few words. */
  readonly title: string;
  readonly state: 'ok' | 'warning' | 'failed' | 'not_checked';
  /** What was found, in a sentence. */
  readonly found: string;
  /** What to do; `null` when there is nothing to do. */
  readonly fix: string | null;
}

export interface VerifyReport {
  readonly checks: readonly Check[];
}

/** Asks what is wrong with a provider's configuration, and to try its credentials. */
export interface CheckProviderRequest {
  readonly ask: 'check_provider';
  readonly provider: string;
  /** What an integration would say of the provider's address. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface CheckProviderReport {
  readonly provider: string;
  /** `null`: not known. */
  readonly displayName: string | null;
  /** What the client was read from; `null`: nothing. */
  readonly secretId: string | null;
  readonly checks: readonly Check[];
  /** Whether the provider accepts our client; `unknown`: its answer does not tell. */
  readonly credentials: 'accepted' | 'refused' | 'unknown' | 'not_tried';
  /** The request that tried them; `null`: none was made. */
  readonly attempt: {
    readonly tokenEndpoint: string;
    /** `null`: there was no answer. */
    readonly httpStatus: number | null;
    /** Our code of the answer; `null`: it gave tokens. */
    readonly code: string | null;
    readonly durationMs: number;
  } | null;
}

/** A provider's circuit was opened or closed by hand. */
export interface ChangeCircuitReport {
  readonly now: string;
  readonly provider: string;
  readonly before: ProviderGuards;
  readonly after: ProviderGuards;
}

/** Which keys the stored refresh and access tokens are sealed with, of rows of any status. */
export interface KeysReport {
  readonly keys: readonly { readonly keyId: string; readonly tokens: number }[];
  /** Tokens that are not sealed. */
  readonly plain: number;
}
