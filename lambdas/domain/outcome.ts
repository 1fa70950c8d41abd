/** The tokens of a successful answer, RFC 6749 §5.1. */
export interface RefreshedTokens {
  readonly accessToken: string;
  /** `null`: the server issued none, so the one that was used stays valid (RFC 6749 §6). */
  readonly refreshToken: string | null;
  /** Lifetime of the access token counted from the answer. */
  readonly expiresInSeconds: number;
  /** Lifetime of the refresh token counted from the answer; `null`: not said. */
  readonly refreshTokenExpiresInSeconds: number | null;
  /** Granted scopes; `null`: unchanged (RFC 6749 §5.1). */
  readonly scopes: readonly string[] | null;
}

export type FailureClass = 'transient' | 'permanent' | 'operator';

interface FailureEvidence {
  /** Stable, lower case, safe to log: a known OAuth error code or one of ours, such as `timeout`. */
  readonly code: string;
  /** Status of the answer; `null` when there was none. */
  readonly httpStatus: number | null;
}

/** A passing fault: try again, never disconnect. */
export interface TransientFailure extends FailureEvidence {
  readonly kind: 'transient';
  /** What the provider asked for (`Retry-After`), already capped; `null`: nothing. */
  readonly retryAfterSeconds: number | null;
}

/** The provider refused this grant. */
export interface PermanentFailure extends FailureEvidence {
  readonly kind: 'permanent';
  /** The provider says that the grant itself is dead (`invalid_grant` and its dialects). */
  readonly invalidRefreshToken: boolean;
}

/** Our side is wrong: nobody's grant is to blame, an operator has to act. */
export interface OperatorFault extends FailureEvidence {
  readonly kind: 'operator';
  /** One sentence: what to check or change. */
  readonly fix: string;
}

export type Failure = TransientFailure | PermanentFailure | OperatorFault;

/** What became of one attempt to refresh one integration. */
export type Outcome = { readonly kind: 'refreshed'; readonly tokens: RefreshedTokens } | Failure;
