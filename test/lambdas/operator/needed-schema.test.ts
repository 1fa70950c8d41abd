import { readdirSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { neededColumns, privilegeNames, prunedRelations } from '../../../lambdas/operator/needed-schema.ts';
import { plannedStatements } from '../../../lambdas/operator/planned-statements.ts';
import { type Database, PostgresConnection, sqlState } from '../../../lambdas/postgres/database.ts';
import { findLastScan } from '../../../lambdas/postgres/find-last-scan.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { type LeastRole, leastRole } from '../../support/least-role.ts';

let db: TestDatabase;
let role: LeastRole;
let connection: PostgresConnection;
beforeAll(async () => {
  db = await testDatabase();
  role = await leastRole(db);
  connection = new PostgresConnection({ url: role.url });
});
afterAll(async () => {
  await connection.end();
  await role.drop();
  await db.end();
});

const planning: Database = {
  async query(statement, parameters) {
    await connection.query(`EXPLAIN ${statement}`, parameters);
    return [];
  },
};

/** It looks first whether its table is there. */
const planningRecordOfScans: Database = {
  async query<Row>(statement: string, parameters: readonly unknown[]) {
    await planning.query(statement, parameters);
    return (statement.includes('to_regclass') ? [{ exists: true }] : []) as Row[];
  },
};

/** Names of the statements that are refused for want of a privilege. */
async function refused(): Promise<string[]> {
  const names: string[] = [];
  const asked = {
    ...plannedStatements,
    'find-last-scan': (_: Database) => findLastScan(planningRecordOfScans),
  };
  for (const [name, run] of Object.entries(asked)) {
    try {
      await run(planning);
    } catch (error) {
      expect(sqlState(error), `${name}: ${(error as Error).message}`).toBe('42501');
      names.push(name);
    }
  }
  return names;
}

describe('the privileges that are asked for', () => {
  it('are enough for every statement', async () => {
    expect(await refused()).toEqual([]);
  });

  it('are each needed', async () => {
    const surplus: string[] = [];
    for (const { relation, name, privileges } of neededColumns) {
      for (const letter of privileges) {
        const right = `${privilegeNames[letter]} (${pg.escapeIdentifier(name)}) ON ${relation}`;
        await db.sql(`REVOKE ${right} FROM ${role.name}`);
        if ((await refused()).length === 0) surplus.push(right);
        await db.sql(`GRANT ${right} TO ${role.name}`);
      }
    }
    for (const relation of prunedRelations) {
      await db.sql(`REVOKE DELETE ON ${relation} FROM ${role.name}`);
      if ((await refused()).length === 0) surplus.push(`DELETE ON ${relation}`);
      await db.sql(`GRANT DELETE ON ${relation} TO ${role.name}`);
    }
    expect(surplus).toEqual([]);
  }, 120_000);
});

it('every statement is among those that a server is asked to plan, but for those about the catalog', () => {
  const fragments = [
    'claimable-row',
    'commit-verdict',
    'counter-of',
    'database',
    'due-rows',
    'iam-password',
    'rds-authorities',
    'failing-rows',
    'grant-token',
    'unfinished-attempt',
    'planning',
    'lapsing-rows',
    'metadata-object',
    'provider-state',
    'relation-oid',
  ];
  const aboutTheCatalog = [
    'describe-columns',
    'describe-relations',
    'describe-server',
    'describe-users-view',
    'list-checks',
    'list-indexes',
    'list-required-columns',
    'read-clock',
    'relation-exists',
  ];
  // They look first whether their table is there, and answer without it.
  const mayBeMissing = ['find-last-scan', 'list-applied-migrations'];
  // Only for connecting by hand, which says itself what it lacks.
  const byHand = ['insert-integration'];
  const files = readdirSync(path.join(import.meta.dirname, '../../../lambdas/postgres')).map((file) =>
    path.basename(file, '.ts'),
  );
  const expected = files.filter(
    (file) => ![...fragments, ...aboutTheCatalog, ...mayBeMissing, ...byHand].includes(file),
  );
  expect(Object.keys(plannedStatements).toSorted()).toEqual(expected.toSorted());
});
