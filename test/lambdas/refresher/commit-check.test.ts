import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { neededColumns } from '../../../lambdas/operator/needed-schema.ts';
import { plannedStatements } from '../../../lambdas/operator/planned-statements.ts';
import { type Database, PostgresConnection, sqlState } from '../../../lambdas/postgres/database.ts';
import { planning } from '../../../lambdas/postgres/planning.ts';
import { CommitCheck } from '../../../lambdas/refresher/commit-check.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { leastRole } from '../../support/least-role.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.end());

/** What an attempt begins with, and what its result is committed with. */
const starts = ['start-attempts'];
const commits = ['store-refreshed', 'record-failures', 'record-lapses'];

/** Whether the server takes these statements. */
async function takes(names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    try {
      await plannedStatements[name]!(planning(db.database));
    } catch (error) {
      expect(sqlState(error)).toMatch(/^42/);
      return false;
    }
  }
  return true;
}

describe('a refresher that is newer than the schema', () => {
  it('starts nothing whose result could not be stored, whichever column is missing', async () => {
    let onlyTheCheck = 0;
    for (const { relation, name } of neededColumns) {
      if (relation === 'evergrant.users' || relation === 'evergrant.installation') continue;
      const column = pg.escapeIdentifier(name);
      await db.sql(`ALTER TABLE ${relation} RENAME COLUMN ${column} TO put_aside`);
      const passed = await new CommitCheck(db.database).check().then(
        () => true,
        () => false,
      );
      if (passed && (await takes(starts))) expect(await takes(commits), `${relation}.${name}`).toBe(true);
      if (!passed && (await takes(starts))) onlyTheCheck += 1;
      await db.sql(`ALTER TABLE ${relation} RENAME COLUMN put_aside TO ${column}`);
    }
    // Without it an attempt would have started, and its token been lost.
    expect(onlyTheCheck).toBeGreaterThan(5);
  });

  it('starts nothing where a right is missing that only some providers’ results need', async () => {
    const role = await leastRole(db);
    const connection = new PostgresConnection({ url: role.url });
    try {
      await new CommitCheck(connection).check();
      await db.sql(`REVOKE UPDATE (metadata) ON integrations FROM ${role.name}`);
      await expect(new CommitCheck(connection).check()).rejects.toMatchObject({ code: '42501' });
    } finally {
      await connection.end();
      await role.drop();
    }
  });

  it('asks once, and again when a statement has met a schema that it does not know', async () => {
    let plans = 0;
    const counted: Database = {
      query: (statement, parameters, options) => {
        if (statement.startsWith('EXPLAIN')) plans += 1;
        return db.database.query(statement, parameters, options);
      },
    };
    const database = new CommitCheck(counted);
    await database.check();
    const once = plans;
    expect(once).toBeGreaterThan(0);
    await database.check();
    // A value that is refused says nothing of the schema.
    await expect(database.query('SELECT 1 / 0', [])).rejects.toMatchObject({ code: '22012' });
    await database.check();
    expect(plans).toBe(once);
    await expect(database.query(`SELECT ${'a'}`, [])).rejects.toMatchObject({ code: '42703' });
    await database.check();
    expect(plans).toBe(2 * once);
  });

  it('changes nothing by asking', async () => {
    const { id } = await db.insertIntegration({ id: randomUUID() });
    const before = await db.integration(id);
    await new CommitCheck(db.database).check();
    expect(await db.integration(id)).toEqual(before);
  });
});
