import pg from 'pg';

/** The migrated database that `testDatabase` copies. */
export const templateName = 'evergrant_template';

/** Runs one statement over a connection of its own. */
export async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
