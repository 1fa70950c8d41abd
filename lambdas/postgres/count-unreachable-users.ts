import type { Database } from './database.ts';

/**
 * Of the users of some connected integrations, how many have no address in `evergrant.users`. A sample: each
 * user is looked up as the notifier does it.
 */
const statement = `
SELECT count(*)::int AS users, count(*) FILTER (WHERE trim(coalesce(recipient.email, '')) = '')::int AS unreachable
FROM (
  SELECT DISTINCT user_id
  FROM (SELECT user_id FROM integrations WHERE status = 'connected' AND user_id IS NOT NULL LIMIT $1) AS sample
) AS connected
LEFT JOIN LATERAL (
  SELECT email FROM evergrant.users WHERE id = connected.user_id ORDER BY email LIMIT 1
) AS recipient ON true`;

export async function countUnreachableUsers(
  database: Database,
  limit: number,
): Promise<{ readonly users: number; readonly unreachable: number }> {
  const [row] = await database.query<{ users: number; unreachable: number }>(statement, [limit]);
  return row ?? { users: 0, unreachable: 0 };
}
