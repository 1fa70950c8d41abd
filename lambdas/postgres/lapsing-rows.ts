import { isFree } from './unfinished-attempt.ts';

/**
 * Which rows come to an end that the rhythm of due rows does not see. Parameters: `$1` how many seconds before its
 * end an access token is seen to, `$2` a provider or null for all, `$3` providers that are left alone.
 */
const free = `
    AND ${isFree}
    AND ($2::text IS NULL OR provider = $2)
    AND (provider = ANY ($3::text[])) IS NOT TRUE`;

/**
 * Rows with a refresh token that ends within a day, however long the access token lives: a refresh brings another one,
 * or nothing does and the attempt costs little, which a success tells for six hours. One that failed is tried again when
 * its hold is over, as its end may be near. The first conditions are those of the partial index
 * `evergrant_integrations_refresh_token_end`.
 */
export const agingRows = `
  FROM integrations
  WHERE status = 'connected' AND refresh_token IS NOT NULL AND refresh_token_expires_at IS NOT NULL
    AND refresh_token_expires_at > now() AND refresh_token_expires_at <= now() + interval '1 day'
    AND refresh_token <> ''
    AND (last_refresh_success IS NULL OR last_refresh_success <= now() - interval '6 hours')${free}`;

/**
 * Rows without a refresh token whose access token has ended, or ends soon, is past half of its life, and has not been
 * seen to yet. Half a life, because some providers exchange it for another, which is within the time before its end
 * from its birth on when it lives that short. The first conditions are those of the partial index
 * `evergrant_integrations_without_refresh_token`.
 */
export const endingRows = `
  FROM integrations
  WHERE status = 'connected' AND (refresh_token IS NULL OR refresh_token = '')
    AND expires_at <= now() + make_interval(secs => $1)
    AND access_token <> '' AND isfinite(expires_at)
    AND (expires_at <= now()
         OR (lapse_warned_for IS DISTINCT FROM expires_at
             AND extract(epoch FROM ${accessTokenBorn()}) + extract(epoch FROM expires_at)
                 <= 2 * extract(epoch FROM now())))${free}`;

/**
 * The earliest moment that a row's access token can come from. After Evergrant disconnected the row
 * (`disconnected_grant`), that is the end it was disconnected for: whatever it holds now was obtained later.
 */
export function accessTokenBorn(alias = ''): string {
  const prefix = alias === '' ? '' : `${alias}.`;
  return `coalesce(greatest(
      coalesce(${prefix}grant_connected_since, ${prefix}created_at),
      ${prefix}last_refresh_success,
      CASE WHEN ${prefix}disconnected_grant IS NOT NULL THEN least(${prefix}lapse_warned_for, now()) END
    ), '-infinity')`;
}
