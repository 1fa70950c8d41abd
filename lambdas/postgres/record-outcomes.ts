import type { Database } from './database.ts';

/** What became of one provider's integrations in one batch. */
export interface ProviderOutcomes {
  readonly provider: string;
  readonly refreshed: number;
  readonly disconnected: number;
}

/**
 * Adds what a batch came to, a row for each provider: nobody updates a row that others update. Rows that nobody
 * looks back at any more go at the same time, twice as many as are added, and those that another batch is
 * deleting are its own.
 */
const statement = `
WITH pruned AS (
  DELETE FROM evergrant.refresh_outcomes
  WHERE id = ANY (ARRAY(
    SELECT id
    FROM evergrant.refresh_outcomes
    WHERE counted_at < now() - interval '12 hours'
    ORDER BY counted_at
    LIMIT 2 * cardinality($1::text[])
    FOR UPDATE SKIP LOCKED
  ))
)
INSERT INTO evergrant.refresh_outcomes (provider, refreshed, disconnected)
SELECT * FROM unnest($1::text[], $2::int[], $3::int[])`;

export async function recordOutcomes(
  database: Database,
  outcomes: readonly ProviderOutcomes[],
): Promise<void> {
  await database.query(statement, [
    outcomes.map(({ provider }) => provider),
    outcomes.map(({ refreshed }) => refreshed),
    outcomes.map(({ disconnected }) => disconnected),
  ]);
}
