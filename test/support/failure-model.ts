/**
 * What README.md promises for one integration, written from its words and not from the code:
 * counts by counting, thresholds by comparing.
 */
export interface ModelSettings {
  readonly warningThreshold: number;
  readonly disconnectThreshold: number;
  readonly rateLimitThreshold: number;
  readonly disconnectOnInvalidRefreshToken: boolean;
}

export type ModelFailure = 'transient' | 'permanent' | 'dead' | 'operator';

/** What the user gets to know by one failure. */
export interface Told {
  readonly notification: string | null;
  readonly email: string | null;
  /** A disconnection that a warning of the same episode came before. */
  readonly warned: boolean;
}

export interface Model {
  status: string;
  /** As the columns hold them: `null` until somebody writes. */
  permanent: number | null;
  transient: number | null;
  /** An email has gone out in the present episode. */
  emailed: boolean;
  /** The user has reconnected since the last failure or success: what the counters say is history. */
  freshGrant: boolean;
  /** Evergrant has seen this grant fail. Failures from before have no mark. */
  seenFailing: boolean;
  /** A warning was given in the present episode. */
  warned: boolean;
  /** Evergrant has disconnected since the last success; `same`: and the grant that it ended is in the row. */
  disconnection: 'none' | 'same' | 'other';
  /** A success has come after a disconnection, or after a reconnection in the midst of failures. */
  connectedAnew: boolean;
  told: Told[];
}

export function newModel(permanent: number | null, transient: number | null): Model {
  return {
    status: 'connected',
    permanent,
    transient,
    emailed: false,
    freshGrant: false,
    seenFailing: false,
    warned: false,
    disconnection: 'none',
    connectedAnew: false,
    told: [],
  };
}

/** Returns whether it shows that a disconnection was premature. */
export function modelSuccess(model: Model): boolean {
  const premature = model.disconnection === 'same';
  if (model.disconnection !== 'none' || model.freshGrant) model.connectedAnew = true;
  model.disconnection = 'none';
  model.warned = false;
  if (model.status === 'needs_reauthorization') model.status = 'connected';
  model.permanent = 0;
  model.transient = 0;
  model.emailed = false;
  model.freshGrant = false;
  model.seenFailing = false;
  return premature;
}

/** The product stores a new grant; it may or may not put the counter that it knows of back to zero. */
export function modelReconnect(model: Model, resetsCounter: boolean): void {
  model.status = 'connected';
  if (resetsCounter) model.permanent = 0;
  if (model.disconnection === 'same') model.disconnection = 'other';
  // A row that failed before Evergrant came bears no mark, so a silent reconnection before its first
  // failure under Evergrant cannot be told from none.
  if (model.seenFailing) model.freshGrant = true;
}

/** The product sets a row that waits for its user connected again, with the grant that it has. */
export function modelRevive(model: Model): void {
  if (model.status !== 'needs_reauthorization') return;
  model.status = 'connected';
  model.freshGrant = true;
}

export function modelDisconnect(model: Model): void {
  model.status = 'disconnected';
}

/** Returns whether the failure counts. */
export function modelFailure(model: Model, failure: ModelFailure, settings: ModelSettings): boolean {
  if (model.status !== 'connected') return false;
  if (failure === 'operator') return true;
  if (model.freshGrant) {
    model.permanent = 0;
    model.transient = 0;
    model.emailed = false;
    model.warned = false;
    model.freshGrant = false;
  }
  model.seenFailing = true;
  model.permanent ??= 0;
  model.transient ??= 0;
  let notification: string | null = null;
  let email: string | null = null;
  let warned = false;
  if (failure === 'transient') {
    model.transient += 1;
    if (model.transient === settings.rateLimitThreshold) notification = 'integration_rate_limit';
  } else {
    model.permanent += 1;
    const atOnce = failure === 'dead' && settings.disconnectOnInvalidRefreshToken;
    if (atOnce || model.permanent >= settings.disconnectThreshold) {
      model.status = 'needs_reauthorization';
      notification = 'integration_disconnected';
      email = 'disconnected';
      warned = model.warned;
      model.disconnection = 'same';
    } else {
      if (model.permanent === settings.warningThreshold) notification = 'integration_warning';
      if (notification !== null) model.warned = true;
      if (failure === 'dead') email = 'reconnect';
    }
  }
  if (model.emailed) email = null;
  if (email !== null) model.emailed = true;
  if (notification !== null || email !== null) model.told.push({ notification, email, warned });
  return true;
}
