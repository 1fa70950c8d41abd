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
  /** Fields of the answer that the product needs, such as Salesforce's `instance_url`; none is a token. */
  readonly kept: Readonly<Record<string, string>>;
  /** What was odd about the answer and mended, for the log: stable codes such as `expires_in_clamped`. */
  readonly remarks: readonly string[];
}

export type FailureClass = 'transient' | 'permanent' | 'operator';

interface FailureEvidence {
  /** Stable, lower case, safe to log: one of `failure-codes.ts`, such as `invalid_grant` or `timeout`. */
  readonly code: string;
  /** Status of the answer; `null` when there was none. */
  readonly httpStatus: number | null;
  /** The provider's own code where ours is another, such as `AADSTS50173`; only one that we know, so safe to log. */
  readonly providerCode: string | null;
}

/** A passing fault: try again, never disconnect. */
export interface TransientFailure extends FailureEvidence {
  readonly kind: 'transient';
  /** What the provider asked for (`Retry-After`), already capped; `null`: nothing. */
  readonly retryAfterSeconds: number | null;
  /** The provider may have spent the refresh token all the same; then a new one exists that nobody got. */
  readonly doubtful: boolean;
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
