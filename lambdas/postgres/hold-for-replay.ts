import type { Database } from './database.ts';

/**
 * Holds a row whose sealed result cannot be stored as it is and goes to the dead letters: until that is replayed, no
 * attempt may use the token that the provider has taken back. Only for the attempt that the result came of.
 */
const statement = `
WITH target AS (
  SELECT id
  FROM integrations
  WHERE id = $1 AND refresh_claim = $2 AND refresh_started_at IS NOT NULL
  FOR NO KEY UPDATE SKIP LOCKED
), held AS (
  UPDATE integrations i
  SET refresh_held_until = now() + make_interval(secs => $3)
  FROM target t
  WHERE i.id = t.id
  RETURNING i.id
)
SELECT EXISTS (SELECT FROM held)
       OR NOT EXISTS (SELECT FROM integrations WHERE id = $1 AND refresh_claim = $2 AND refresh_started_at IS NOT NULL)
         AS safe`;

/** Whether no attempt can begin on the row for want of the result: `false` while somebody else is changing it. */
export async function holdForReplay(
  database: Database,
  { id, claim, seconds }: { readonly id: string; readonly claim: string; readonly seconds: number },
): Promise<boolean> {
  const [answer] = await database.query<{ safe: boolean }>(statement, [id, claim, seconds]);
  return answer?.safe ?? false;
}
