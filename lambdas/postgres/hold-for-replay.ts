import type { Database } from './database.ts';
import { grantToken } from './grant-token.ts';

const isOfTheAttempt = `id = $1 AND refresh_claim = $2 AND refresh_started_at IS NOT NULL
    AND encode(sha256(convert_to(${grantToken()}, 'UTF8')), 'hex') = $4`;

/**
 * Holds a row whose sealed result cannot be stored as it is, and goes to the dead letters unless that is mended before: until
 * it is stored, no attempt may use the token that the provider has spent. Only for the attempt that the result came of, and
 * while the row has the token that it used: the hold is over when the user connects anew (`unfinished-attempt.ts`).
 */
const statement = `
WITH target AS (
  SELECT id
  FROM integrations
  WHERE ${isOfTheAttempt}
  FOR NO KEY UPDATE SKIP LOCKED
), held AS (
  UPDATE integrations i
  SET refresh_held_until = now() + make_interval(secs => $3),
      doubtful_grant = decode($4, 'hex'),
      doubtful_since = i.refresh_started_at
  FROM target t
  WHERE i.id = t.id
  RETURNING i.id
)
SELECT EXISTS (SELECT FROM held)
       OR NOT EXISTS (SELECT FROM integrations WHERE ${isOfTheAttempt})
         AS safe`;

/** Whether no attempt can begin on the row for want of the result: `false` while somebody else is changing it. */
export async function holdForReplay(
  database: Database,
  {
    id,
    claim,
    seconds,
    grant,
  }: {
    readonly id: string;
    readonly claim: string;
    readonly seconds: number;
    /** Of the stored token that was used: SHA-256 in hexadecimal digits. */
    readonly grant: string;
  },
): Promise<boolean> {
  const [answer] = await database.query<{ safe: boolean }>(statement, [id, claim, seconds, grant]);
  return answer?.safe ?? false;
}
