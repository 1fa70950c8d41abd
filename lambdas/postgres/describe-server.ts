import type { Database } from './database.ts';

/** Whom the functions talk to, and as whom. */
export interface ServerFacts {
  /** As `server_version_num`: 140000 is 14.0. */
  readonly version_number: number;
  readonly version: string;
  readonly in_recovery: boolean;
  readonly read_only: boolean;
  readonly role: string;
  readonly search_path: string;
  /** 0: none. */
  readonly statement_timeout_seconds: number;
}

const statement = `
SELECT current_setting('server_version_num')::int AS version_number,
       current_setting('server_version') AS version,
       pg_is_in_recovery() AS in_recovery,
       current_setting('transaction_read_only')::boolean AS read_only,
       current_user::text AS role,
       current_setting('search_path') AS search_path,
       (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'statement_timeout') AS statement_timeout_seconds`;

export async function describeServer(database: Database): Promise<ServerFacts> {
  const [row] = await database.query<ServerFacts>(statement, []);
  if (row === undefined) throw new Error('The database said nothing about itself.');
  return row;
}
