import { type Database, type StatementOptions, sqlState } from '../postgres/database.ts';
import { planning } from '../postgres/planning.ts';
import { recordFailures } from '../postgres/record-failures.ts';
import { recordLapses } from '../postgres/record-lapses.ts';
import { type RefreshedResult, storeRefreshed } from '../postgres/store-refreshed.ts';

const policy = {
  steps: [],
  eventRelayHoldSeconds: 0,
  waitingHoldSeconds: 0,
  lapseWarningSeconds: 0,
  restSeconds: 0,
};

/** Fits no row. With a field that is kept, so that the column is planned which only some providers' results are written to. */
const refreshed: RefreshedResult = {
  id: '00000000-0000-0000-0000-000000000000',
  usedToken: '',
  claim: '0',
  accessToken: '',
  refreshToken: '',
  expiresInSeconds: 0,
  refreshTokenExpiresInSeconds: null,
  authorizationLifetimeSeconds: null,
  scope: null,
  kept: { field: '' },
  providerName: '',
};

/**
 * A database that is asked once whether it would take results, before there are any: where a column or a right is
 * missing, as when functions are newer than the schema, an attempt could start, and its new token would be lost.
 */
export class CommitCheck implements Database {
  readonly #database: Database;
  #passed = false;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Has the server plan what results are committed with. Throws what it refuses that with; nothing is changed. */
  async check(): Promise<void> {
    if (this.#passed) return;
    const planned = planning(this.#database);
    await storeRefreshed(planned, [refreshed], policy);
    await recordFailures(planned, [], policy);
    await recordLapses(planned, [], policy);
    this.#passed = true;
  }

  async query<Row>(
    statement: string,
    parameters: readonly unknown[],
    options?: StatementOptions,
  ): Promise<Row[]> {
    try {
      return await this.#database.query<Row>(statement, parameters, options);
    } catch (error) {
      // Class 42 is about names and rights: the schema has changed under this process.
      if (sqlState(error)?.startsWith('42')) this.#passed = false;
      throw error;
    }
  }
}
