import { join } from 'node:path';
import { databaseEnv, migrationsFolder } from '../contract.ts';
import { databaseSource, directAddress } from '../database-access.ts';
import { readEnv, text } from '../env.ts';
import { handler as wrap } from '../handler.ts';
import { functionTimeout, InvocationClock } from '../invocation-clock.ts';
import { createLogger } from '../observability/logger.ts';
import { InvocationMetrics } from '../observability/metrics.ts';
import { SecretReader } from '../secrets/secret-reader.ts';
import { type MigrationReport, migrate } from './migrate.ts';
import { parseMigrationRequest } from './request.ts';

const env = readEnv({
  timeoutSeconds: functionTimeout,
  database: [databaseEnv.source, databaseSource],
  taskRoot: ['LAMBDA_TASK_ROOT', text],
});
const logger = createLogger();
const metrics = new InvocationMetrics();
const clock = new InvocationClock(env.timeoutSeconds);
const secrets = new SecretReader();

/** A new cluster is waited for: otherwise the first deployment with one could fail for want of a minute. */
const connectWithinMs = 120_000;

/** Brings the database to the schema of this version; by deployment, or by hand with `MigrationRequest`'s fields. */
export const handler = wrap<unknown, MigrationReport>({ logger, metrics, clock }, async (event) => {
  const request = parseMigrationRequest(event);
  const address = await directAddress(env.database, secrets, clock);
  return migrate(address, join(env.taskRoot, migrationsFolder), request, logger, {
    connectWithinMs,
  });
});
