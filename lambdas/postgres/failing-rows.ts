import { grantToken } from './grant-token.ts';

/**
 * Whether a connected row is failing. A row that holds another refresh token than the one that was failing belongs
 * to a user who connected anew: its counters begin anew with the next attempt, whatever they say.
 */
export const isFailing = `
    status = 'connected' AND (consecutive_failures > 0 OR consecutive_transient_failures > 0)
    AND (failing_grant IS NULL OR failing_grant = sha256(convert_to(${grantToken()}, 'UTF8')))`;
