import { isFree } from './unfinished-attempt.ts';

/**
 * When a row is due. `$1`: the window in seconds. The two conditions on top are those of the partial index
 * `evergrant_integrations_due`; with them only due rows are read, however large the table is.
 */
const dueWhere = (free: string) => `
    status = 'connected' AND refresh_token IS NOT NULL
    AND expires_at <= now() + make_interval(secs => $1)
    AND ${free}
    AND refresh_token <> '' AND isfinite(expires_at)`;
export const isDue = dueWhere(isFree);

/** For reports, which are asked for one migration behind as well: whose replay is waited for is held, whoever connected anew. */
export const isDueByItsHold = dueWhere('(refresh_held_until IS NULL OR refresh_held_until <= now())');

/** Which rows are due, for the statements that claim, list and count them. `$2`: a provider or null for all; `$3`: providers to leave out. */
export const dueRows = `
  FROM integrations
  WHERE ${isDue}
    AND ($2::text IS NULL OR provider = $2)
    AND (provider = ANY ($3::text[])) IS NOT TRUE`;
