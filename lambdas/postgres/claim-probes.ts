import { type ClaimableIntegration, expiresInSeconds } from './claimable-row.ts';
import type { Database } from './database.ts';
import { isDue } from './due-rows.ts';
import { grantToken } from './grant-token.ts';
import { isAccountedFor, isFree, leavesDoubt } from './unfinished-attempt.ts';

/** Whether an attempt may be started on a row, whatever its expiry. */
const isStartable = `
    i.provider = $2 AND i.status = 'connected' AND ${grantToken('i')} <> ''
    AND ${isFree}
    AND ${isAccountedFor('$7')}`;

/**
 * Claims a few due rows of a provider whose circuit is open and may be tried again, and lets them through. They are
 * drawn from those that fell due last, as the rows that have been due for longest are the ones that may be sick by
 * themselves; where none is due by its expiry, from those that failed (what is renewed with its access token is claimed
 * long before that expires). The moment of the next probes moves on at once: a scan beside this one finds nothing to do, and probes
 * that nobody heard of again are followed by others. A state or a row that somebody is changing is left to the next scan.
 */
const statement = `
WITH circuit AS MATERIALIZED (
  SELECT provider
  FROM evergrant.provider_states
  WHERE provider = $2 AND circuit_open AND circuit_probe_at <= now()
  FOR NO KEY UPDATE SKIP LOCKED
), latest AS MATERIALIZED (
  SELECT id
  FROM integrations
  WHERE ${isDue} AND provider = (SELECT provider FROM circuit)
  ORDER BY expires_at DESC
  LIMIT $3
), failed AS MATERIALIZED (
  SELECT DISTINCT f.integration_id AS id
  FROM (
    SELECT integration_id
    FROM evergrant.recent_failures
    WHERE provider = (SELECT provider FROM circuit) AND failure_class <> 'permanent' AND NOT EXISTS (SELECT FROM latest)
    ORDER BY failed_at DESC
    LIMIT $3
  ) AS f
), drawn AS MATERIALIZED (
  SELECT i.id
  FROM integrations i
  WHERE i.id = ANY (ARRAY(SELECT id FROM latest UNION ALL SELECT id FROM failed)) AND ${isStartable}
  ORDER BY random()
  LIMIT $4
), probe AS MATERIALIZED (
  SELECT i.id
  FROM integrations i
  WHERE i.id = ANY (ARRAY(SELECT id FROM drawn)) AND ${isStartable}
  FOR NO KEY UPDATE SKIP LOCKED
), let_through AS (
  UPDATE evergrant.provider_states s
  SET circuit_probes = ARRAY(SELECT id FROM probe),
      circuit_probe_at = now() + make_interval(secs => $6)
  FROM circuit c
  WHERE s.provider = c.provider AND EXISTS (SELECT FROM probe)
), claimed AS (
  UPDATE integrations i
  SET refresh_claim = i.refresh_claim + 1,
      refresh_claim_open = true,
      refresh_held_until = now() + make_interval(secs => $5),${leavesDoubt}
  FROM probe
  WHERE i.id = probe.id
  RETURNING i.id, i.provider, i.expires_at, i.refresh_claim AS claim
)
SELECT id, provider, claim, CASE WHEN isfinite(expires_at) THEN expires_at END AS expires_at,
       ${expiresInSeconds} AS expires_in_seconds
FROM claimed
ORDER BY expires_at`;

/** Rows that the probes are drawn from: enough for chance, and few to read however many wait. */
const drawnFrom = 1_000;

export function claimProbes(
  database: Database,
  wanted: {
    readonly provider: string;
    readonly windowSeconds: number;
    readonly holdSeconds: number;
    readonly probes: number;
    readonly cooldownSeconds: number;
    /** See `isAccountedFor`. */
    readonly collectedAt: string | null;
  },
): Promise<(ClaimableIntegration & { readonly claim: string })[]> {
  return database.query<ClaimableIntegration & { readonly claim: string }>(statement, [
    wanted.windowSeconds,
    wanted.provider,
    drawnFrom,
    wanted.probes,
    wanted.holdSeconds,
    wanted.cooldownSeconds,
    wanted.collectedAt,
  ]);
}
