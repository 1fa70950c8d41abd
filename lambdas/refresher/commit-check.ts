import { type Database, type StatementOptions, sqlState } from '../postgres/database.ts';
import { planning } from '../postgres/planning.ts';
import { recordFailures } from '../postgres/record-failures.ts';
import { recordLapses } from '../postgres/record-lapses.ts';
import { storeRefreshed } from '../postgres/store-refreshed.ts';

const policy = {
  steps: [],
  eventRelayHoldSeconds: 0,
  waitingHoldSeconds: 0,
  lapseWarningSeconds: 0,
  restSeconds: 0,
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
    await storeRefreshed(planned, [], policy);
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
