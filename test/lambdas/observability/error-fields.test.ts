import type { Context } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { handler } from '../../../lambdas/handler.ts';
import { InvocationClock } from '../../../lambdas/invocation-clock.ts';
import { createLogger, errorFields } from '../../../lambdas/observability/logger.ts';
import { InvocationMetrics } from '../../../lambdas/observability/metrics.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.sql(`CREATE TABLE narrow (token varchar(8) CHECK (token <> 'canary'), part text UNIQUE)`);
  await db.sql(`INSERT INTO narrow (part) VALUES ('canary-1')`);
});
afterAll(() => db.end());

/** Statements that Postgres refuses while repeating their values, in the message or the detail. */
const refusals: [sqlstate: string, statement: string, parameters: unknown[]][] = [
  ['22P02', 'SELECT $1::uuid', ['canary']],
  ['22P02', 'SELECT $1::jsonb', ['{canary']],
  ['23514', 'INSERT INTO narrow (token) VALUES ($1)', ['canary']],
  ['23505', 'INSERT INTO narrow (part) VALUES ($1)', ['canary-1']],
  ['22001', 'INSERT INTO narrow (token) VALUES ($1)', ['canary-too-long']],
];

describe('what may be logged of an error', () => {
  it.each(refusals)(
    'of Postgres (%s) is its code and names, never a value',
    async (code, statement, values) => {
      const error = await db.database.query(statement, values).catch((thrown: unknown) => thrown);
      expect(errorFields(error)).toMatchObject({ name: 'DatabaseError', sqlstate: code });
      expect(JSON.stringify(errorFields(error))).not.toContain('canary');
    },
  );

  it('of anything else is its name, code and message', () => {
    expect(errorFields(Object.assign(new TypeError('what'), { code: 'E1' }))).toEqual({
      name: 'TypeError',
      code: 'E1',
      message: 'what',
    });
    expect(errorFields('canary')).toEqual({ name: 'string' });
    expect(errorFields(null)).toEqual({ name: 'object' });
  });
});

describe('a function that fails', () => {
  it('throws and logs nothing of a value, also what the runtime would print', async () => {
    const output: string[] = [];
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((chunk) => {
        output.push(String(chunk));
        return true;
      });
    }
    const metrics = new InvocationMetrics();
    const failing = handler<{ statement: string; values: unknown[] }, unknown>(
      { logger: createLogger(), metrics, clock: new InvocationClock(60) },
      ({ statement, values }) => {
        metrics.count('Counted', 1);
        return db.database.query(statement, values);
      },
    );
    const context = { awsRequestId: 'request-1', getRemainingTimeInMillis: () => 60_000 } as Context;
    for (const [sqlstate, statement, values] of refusals) {
      const error = (await Promise.resolve(failing({ statement, values }, context)).catch(
        (thrown: unknown) => thrown,
      )) as Error;
      expect(error).toMatchObject({ name: 'InvocationFailed', code: 'invocation_failed' });
      expect(error.message).toContain(sqlstate);
      expect(JSON.stringify([error.message, error.stack, error.cause])).not.toContain('canary');
    }
    const other = new Error('what the operator has to read');
    const failed = handler({ logger: createLogger(), metrics, clock: new InvocationClock(60) }, () =>
      Promise.reject(other),
    );
    await expect(Promise.resolve(failed({}, context))).rejects.toThrow(other.message);
    vi.restoreAllMocks();
    const lines = output
      .filter((line) => line.includes('"invocation failed"'))
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({
      message: 'invocation failed',
      requestId: 'request-1',
      cause: { name: 'Error', message: 'what the operator has to read' },
    });
    expect(output.join('')).not.toContain('canary');
    expect(output.join('')).toContain('request-1');
    // Metrics are written however the work ends.
    expect(output.join('').match(/"Counted":1/g)).toHaveLength(refusals.length);
  });
});

describe('a line of the log', () => {
  it('is one document, whatever stands in the values', () => {
    const output: string[] = [];
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((chunk) => {
        output.push(String(chunk));
        return true;
      });
    }
    const provider = 'evil"}\n{"level":"INFO","message":"refreshed"}\r\u2028\u001b[2J';
    createLogger().warn('refresh failed', { provider, cause: errorFields(new Error(provider)) });
    vi.restoreAllMocks();
    const lines = output.join('').trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ message: 'refresh failed', provider });
  });
});
