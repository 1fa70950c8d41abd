import type { Database } from './database.ts';
import { grantToken } from './grant-token.ts';
import { metadataObject } from './metadata-object.ts';

/** An attempt that has started: whoever holds this makes the one call to the token endpoint. */
export interface StartedAttempt {
  readonly id: string;
  readonly provider: string;
  /** What renews the grant (`grant-token.ts`), as stored: sealed, or plain from before Evergrant. */
  readonly token: string;
  readonly token_column: 'refresh_token' | 'access_token';
  /** Fencing token that this attempt runs under. */
  readonly claim: string;
  /** Texts in the integration's `metadata` that are short enough to stand in an address; `null`: none. */
  readonly variables: Readonly<Record<string, string>> | null;
  /** The provider's circuit is open, and this attempt is one of the few that find out whether it can be closed. */
  readonly probe: boolean;
  /** Seconds until the access token expires by the database's clock; `null`: no finite expiry. */
  readonly expires_in_seconds: number | null;
  /** Seconds since 1970 by the database's clock, when the attempt started. */
  readonly now_seconds: number;
  /** Seconds from the latest refresh here to the end of the access token; `null`: there was none, or no finite expiry. */
  readonly lifetime_seconds: number | null;
}

/** A claim by the number that it has in its row. */
export interface NamedClaim {
  readonly id: string;
  readonly claim: string;
}

/**
 * Consumes open claims and loads what the attempts need, in one statement: a duplicate of a message finds
 * nothing to start. Any message may start an open claim, so that a backlog of messages from earlier scans
 * still does its work. A claim that was scheduled is not open: only the message that names it starts it, so that no
 * other message, and no duplicate, moves the attempt forward; starting moves that claim on. But of a provider whose
 * circuit is open only the probes start, and the claims of the others lapse. The hold outlives the function's timeout:
 * until then nobody else can start, whatever becomes of this process. `SKIP LOCKED`: a row that somebody is changing
 * right now waits for the next scan, and cannot make the rows beside it wait.
 */
const statement = `
UPDATE integrations i
SET refresh_claim = i.refresh_claim + (NOT i.refresh_claim_open)::int,
    refresh_claim_open = false,
    refresh_held_until = now() + make_interval(secs => $2),
    refresh_started_at = now(),
    last_refresh_attempt = now()
FROM (
  SELECT i.id, s.provider IS NOT NULL AS probe
  FROM integrations i
  LEFT JOIN evergrant.provider_states s ON s.provider = i.provider AND s.circuit_open
  WHERE i.id = ANY($1::uuid[])
    AND (i.refresh_claim_open
         OR i.refresh_started_at IS NULL
            AND (i.id, i.refresh_claim) IN (SELECT id, claim FROM unnest($4::uuid[], $5::bigint[]) AS named (id, claim)))
    AND i.status = 'connected' AND ${grantToken('i')} <> ''
    AND (s.provider IS NULL OR i.id = ANY(s.circuit_probes))
  FOR NO KEY UPDATE OF i SKIP LOCKED
) AS startable
WHERE i.id = startable.id
RETURNING i.id, coalesce(i.provider, '') AS provider, ${grantToken('i')} AS token,
  CASE WHEN i.refresh_token <> '' THEN 'refresh_token' ELSE 'access_token' END AS token_column,
  i.refresh_claim AS claim, startable.probe,
  (SELECT jsonb_object_agg(key, value)
   FROM jsonb_each_text(CASE WHEN pg_column_size(i.metadata) <= $3 THEN coalesce(${metadataObject('i')}, '{}') ELSE '{}' END)
   WHERE length(value) <= 255) AS variables,
  CASE WHEN isfinite(i.expires_at) THEN extract(epoch FROM i.expires_at - now())::float8 END AS expires_in_seconds,
  extract(epoch FROM now())::float8 AS now_seconds,
  CASE WHEN isfinite(i.expires_at) AND isfinite(i.last_refresh_success)
       THEN extract(epoch FROM i.expires_at - i.last_refresh_success)::float8 END AS lifetime_seconds`;

/** A product may keep whole documents in it, and a batch reads two hundred at once: beyond this, as stored, it counts as none. */
const longestMetadataBytes = 100_000;

export function startAttempts(
  database: Database,
  wanted: {
    readonly ids: readonly string[];
    /** Claims that messages name; their rows are among `ids`. */
    readonly named?: readonly NamedClaim[];
    readonly holdSeconds: number;
  },
): Promise<StartedAttempt[]> {
  const { ids, named = [], holdSeconds } = wanted;
  return database.query<StartedAttempt>(statement, [
    ids,
    holdSeconds,
    longestMetadataBytes,
    named.map(({ id }) => id),
    named.map(({ claim }) => claim),
  ]);
}
