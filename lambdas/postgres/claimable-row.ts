import { grantToken } from './grant-token.ts';
import { isFree } from './unfinished-attempt.ts';

/**
 * The one row `$1`, if an attempt may be started on it whatever its expiry, for the statements that claim and
 * show it. Due rows meet these conditions as well; a held row is somebody's, or waits after a failure. But one that is held
 * after a success waits only for the attempt that is scheduled for its short-lived token, and may come sooner.
 */
export const claimableRow = `
  FROM integrations
  WHERE id = $1 AND status = 'connected' AND ${grantToken()} <> ''
    AND (${isFree}
         OR NOT refresh_claim_open AND refresh_started_at IS NULL AND last_refresh_success >= last_refresh_attempt)`;

/**
 * Seconds until the access token expires by the database's clock; null without a finite expiry, since
 * PostgreSQL before 17 refuses to subtract from infinity.
 */
export const expiresInSeconds = `CASE WHEN isfinite(expires_at) THEN extract(epoch FROM expires_at - now())::float8 END`;

/** A row that is wanted by its id: it need not have an expiry. */
export interface ClaimableIntegration {
  readonly id: string;
  readonly provider: string;
  /** `null`: none, or at infinity. */
  readonly expires_at: Date | null;
  /** Negative when the token has expired. */
  readonly expires_in_seconds: number | null;
}
