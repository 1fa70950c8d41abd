import { metricNames } from './contract.ts';
import type { InvocationMetrics } from './observability/metrics.ts';
import { type Database, isUnreachable, type StatementOptions } from './postgres/database.ts';

/** A database that counts when it cannot be reached, wherever that is met and whatever its caller makes of it. */
export class MeasuredDatabase implements Database {
  readonly #database: Database;
  readonly #metrics: InvocationMetrics;

  constructor(database: Database, metrics: InvocationMetrics) {
    this.#database = database;
    this.#metrics = metrics;
  }

  async query<Row>(
    statement: string,
    parameters: readonly unknown[],
    options?: StatementOptions,
  ): Promise<Row[]> {
    try {
      return await this.#database.query<Row>(statement, parameters, options);
    } catch (error) {
      if (isUnreachable(error)) this.#metrics.count(metricNames.databaseUnreachable, 1);
      throw error;
    }
  }
}
