/**
 * Which rows are due, for the statements that claim, list and count them. `$1`: the window in seconds,
 * `$2`: a provider or null for all. The two conditions on top are those of the partial index
 * `evergrant_integrations_due`; with them only due rows are read, however large the table is.
 */
export const dueRows = `
  FROM integrations
  WHERE status = 'connected' AND refresh_token IS NOT NULL
    AND expires_at <= now() + make_interval(secs => $1)
    AND ($2::text IS NULL OR provider = $2)
    AND (refresh_held_until IS NULL OR refresh_held_until <= now())
    AND refresh_token <> '' AND isfinite(expires_at)`;
