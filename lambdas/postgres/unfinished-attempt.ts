import { grantToken } from './grant-token.ts';

/**
 * An attempt whose end nobody has recorded: its process died, or Postgres did not take its result. A rotated token may
 * then wait in the sealed result queue, so the row is claimed only by who knows that this queue was empty after the
 * attempt's hold had ended. `collected`: the parameter with that moment; null: not known, and such rows wait.
 */
export function isAccountedFor(collected: string): string {
  return `(refresh_started_at IS NULL OR coalesce(refresh_held_until, refresh_started_at) <= ${collected}::timestamptz
         OR ${isHeldForAnother})`;
}

/**
 * The row is held for the replay of a sealed result (`hold-for-replay.ts`), and its user has connected anew since. No
 * attempt holds its row for a day.
 */
const isHeldForAnother = `(refresh_started_at < refresh_held_until - interval '1 day'
         AND doubtful_grant <> sha256(convert_to(${grantToken()}, 'UTF8')))`;

/** Nobody has the row: it is not claimed, has no attempt under way and waits after no failure. */
export const isFree = `(refresh_held_until IS NULL OR refresh_held_until <= now() OR ${isHeldForAnother})`;

/**
 * Assignments of a claim on `i`: an attempt without a known end may have spent the token that the row still holds, unless
 * that is known to be another one.
 */
export const leavesDoubt = `
      doubtful_grant = CASE WHEN i.refresh_started_at IS NULL OR ${isHeldForAnother} THEN i.doubtful_grant
                            ELSE sha256(convert_to(${grantToken('i')}, 'UTF8')) END,
      doubtful_since = coalesce(i.refresh_started_at, i.doubtful_since),
      refresh_started_at = NULL`;
