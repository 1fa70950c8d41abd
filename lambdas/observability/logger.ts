import { Logger } from '@aws-lambda-powertools/logger';
import pg from 'pg';

export type { Logger } from '@aws-lambda-powertools/logger';

/** Structured logs, one JSON object a line. */
export function createLogger(): Logger {
  return new Logger();
}

/**
 * What of an error may be logged. Errors of Postgres can repeat the values of a statement in their message
 * and detail ("Failing row contains …"), tokens among them, so only their SQLSTATE and names are kept.
 */
export function errorFields(error: unknown): Record<string, string> {
  if (error instanceof pg.DatabaseError) {
    const { code, severity, table, column, constraint, routine } = error;
    return definedFields({
      name: 'DatabaseError',
      sqlstate: code,
      severity,
      table,
      column,
      constraint,
      routine,
    });
  }
  if (!(error instanceof Error)) return { name: typeof error };
  const { code } = error as { code?: unknown };
  return definedFields({
    name: error.name,
    code: typeof code === 'string' ? code : undefined,
    message: error.message.slice(0, 500),
  });
}

function definedFields(fields: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
