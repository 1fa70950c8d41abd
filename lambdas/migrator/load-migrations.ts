import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { RunnerOption } from 'node-pg-migrate';

type MigrationLoader = Extract<
  NonNullable<RunnerOption['migrationLoaderStrategies']>[number]['loader'],
  (...parameters: never[]) => unknown
>;

/** The first line of a migration whose statements run one by one, outside a transaction. */
const outsideTransaction = /^-- no transaction\b/;

/**
 * Reads pairs of `<name>.up.sql` and `<name>.down.sql`. The loader of node-pg-migrate does the same but knows
 * no way to leave the transaction, which `CREATE INDEX CONCURRENTLY` needs beside a live product.
 */
export const loadMigrations: MigrationLoader = async (filePaths) => {
  const ups = filePaths.filter((path) => path.endsWith('.up.sql'));
  return Promise.all(
    ups.map(async (upPath) => {
      const name = basename(upPath, '.up.sql');
      const downPath = join(dirname(upPath), `${name}.down.sql`);
      const [up, down] = await Promise.all([readFile(upPath, 'utf8'), readFile(downPath, 'utf8')]);
      return {
        id: join(dirname(upPath), `${name}.sql`),
        filePaths: [upPath, downPath],
        actions: { up: (builder) => run(builder, up), down: (builder) => run(builder, down) },
      };
    }),
  );
};

function run(builder: { sql(statement: string): unknown; noTransaction(): unknown }, text: string): void {
  if (!outsideTransaction.test(text)) {
    builder.sql(text);
    return;
  }
  builder.noTransaction();
  // Several statements in one query would share an implicit transaction.
  for (const statement of text.split(/;\s*$/m)) {
    if (statement.replace(/--.*$/gm, '').trim() !== '') builder.sql(statement);
  }
}
