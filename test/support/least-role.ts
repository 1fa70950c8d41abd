import { randomUUID } from 'node:crypto';
import pg from 'pg';
import {
  neededColumns,
  neededRelations,
  privilegeNames,
  prunedRelations,
} from '../../lambdas/operator/needed-schema.ts';
import type { TestDatabase } from './database.ts';

/** A role that may do in a database exactly what the functions' statements need, column by column. */
export interface LeastRole {
  readonly name: string;
  /** URL of the database, as this role. */
  readonly url: string;
  drop(): Promise<void>;
}

export async function leastRole(db: TestDatabase): Promise<LeastRole> {
  const name = `app_${randomUUID().replaceAll('-', '')}`;
  await db.sql(`CREATE ROLE ${name} LOGIN`);
  await db.sql(`GRANT USAGE ON SCHEMA evergrant TO ${name}`);
  for (const relation of neededRelations) {
    const grants = Object.entries(privilegeNames).flatMap(([letter, privilege]) => {
      const columns = neededColumns
        .filter((column) => column.relation === relation && column.privileges.includes(letter))
        .map((column) => pg.escapeIdentifier(column.name));
      return columns.length === 0 ? [] : [`${privilege} (${columns.join(', ')})`];
    });
    await db.sql(`GRANT ${grants.join(', ')} ON ${relation} TO ${name}`);
  }
  for (const relation of prunedRelations) await db.sql(`GRANT DELETE ON ${relation} TO ${name}`);
  const url = new URL(db.url);
  url.username = name;
  return {
    name,
    url: url.href,
    async drop() {
      await db.sql(`DROP OWNED BY ${name}`);
      await db.sql(`DROP ROLE ${name}`);
    },
  };
}
