import type { Database } from './database.ts';

/** An attempt that has started: whoever holds this makes the one call to the token endpoint. */
export interface StartedAttempt {
  readonly id: string;
  readonly provider: string;
  /** As stored: sealed, or plain from before Evergrant. */
  readonly refresh_token: string;
  /** Fencing token that this attempt runs under. */
  readonly claim: string;
}

/**
 * Consumes open claims and loads what the attempts need, in one statement: a duplicate of a message finds
 * nothing to start. Any message may start an open claim, so that a backlog of messages from earlier scans
 * still does its work. The hold outlives the function's timeout: until then nobody else can start, whatever
 * becomes of this process. `SKIP LOCKED`: a row that somebody is changing right now waits for the next
 * scan, and cannot make the rows beside it wait.
 */
const statement = `
UPDATE integrations i
SET refresh_claim_open = false,
    refresh_held_until = now() + make_interval(secs => $2),
    last_refresh_attempt = now()
FROM (
  SELECT id
  FROM integrations
  WHERE id = ANY($1::uuid[])
    AND refresh_claim_open AND status = 'connected' AND refresh_token <> ''
  FOR NO KEY UPDATE SKIP LOCKED
) AS startable
WHERE i.id = startable.id
RETURNING i.id, i.provider, i.refresh_token, i.refresh_claim AS claim`;

export function startAttempts(
  database: Database,
  wanted: { readonly ids: readonly string[]; readonly holdSeconds: number },
): Promise<StartedAttempt[]> {
  return database.query<StartedAttempt>(statement, [wanted.ids, wanted.holdSeconds]);
}
