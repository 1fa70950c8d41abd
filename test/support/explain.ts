import type { Database } from '../../lambdas/postgres/database.ts';
import type { TestDatabase } from './database.ts';

/** A node of a plan, as `EXPLAIN (ANALYZE, FORMAT JSON)` gives it. */
export interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: PlanNode[];
}

const nodes = (plan: PlanNode): PlanNode[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

/** The plan that a statement of ours ran with, all nodes of it; what it changed is rolled back. */
export async function explain(
  db: TestDatabase,
  run: (database: Database) => Promise<unknown>,
): Promise<PlanNode[]> {
  let plan: PlanNode | undefined;
  await run({
    async query(statement, parameters) {
      const rows = await db.inTransaction(async (connection) => {
        const answer = await connection.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${statement}`, [...parameters]);
        await connection.query('ROLLBACK');
        return answer.rows;
      });
      plan = rows[0]['QUERY PLAN'][0].Plan as PlanNode;
      return [];
    },
  });
  if (plan === undefined) throw new Error('no statement ran');
  return nodes(plan);
}

/** Rows that a node read, also those that it threw away. */
export const rowsRead = (node: PlanNode) =>
  (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];
