import type { Database } from './database.ts';

/** Connected rows that the rhythm of due tokens does not find. */
export interface NeverRefreshed {
  /** Their access token expires, and there is no refresh token: it is exchanged where the provider does that, else its user is told. */
  readonly without_refresh_token: number;
  /** There is a refresh token, but nothing says when the access token expires. */
  readonly without_expiry: number;
  /** Neither: as providers issue tokens that do not expire. */
  readonly without_both: number;
}

const statement = `
SELECT count(*) FILTER (WHERE NOT refreshable AND expires)::int AS without_refresh_token,
       count(*) FILTER (WHERE refreshable AND NOT expires)::int AS without_expiry,
       count(*) FILTER (WHERE NOT refreshable AND NOT expires)::int AS without_both
FROM (
  SELECT coalesce(refresh_token, '') <> '' AS refreshable, coalesce(isfinite(expires_at), false) AS expires
  FROM integrations
  WHERE status = 'connected'
) AS connected`;

export async function countNeverRefreshed(database: Database): Promise<NeverRefreshed> {
  const [row] = await database.query<NeverRefreshed>(statement, []);
  return row ?? { without_refresh_token: 0, without_expiry: 0, without_both: 0 };
}
