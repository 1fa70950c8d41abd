import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { databaseEnv, migrationsFolder, operatorEnv } from '../contract.ts';
import { databaseSource, FunctionDatabase } from '../database-access.ts';
import { readEnv, text, wholeNumber } from '../env.ts';
import { handler as wrap } from '../handler.ts';
import { functionTimeout, InvocationClock } from '../invocation-clock.ts';
import { createLogger } from '../observability/logger.ts';
import { InvocationMetrics } from '../observability/metrics.ts';
import { z } from '../schema.ts';
import { SecretSealer } from '../secret-sealer.ts';
import { ProviderClients } from '../secrets/provider-clients.ts';
import { SecretReader } from '../secrets/secret-reader.ts';
import { checkProvider } from './check-provider.ts';
import { history } from './history.ts';
import { keys } from './keys.ts';
import { changeCircuit } from './provider-guards.ts';
import type {
  ChangeCircuitReport,
  CheckProviderReport,
  FoundIntegration,
  HistoryReport,
  KeysReport,
  OperatorRequest,
  StatusReport,
  StoreGrantReport,
  VerifyReport,
} from './reports.ts';
import { parseOperatorRequest } from './request.ts';
import { status } from './status.ts';
import { findForReconnection, storeGrant } from './store-grant.ts';
import type { VerifyParts } from './topic.ts';
import { verify } from './verify.ts';

/** An operator waits for these answers, and some of them count whole tables. */
const queryTimeoutMs = 15_000;

/** For saying goodbye to the server. */
const closeMs = 1_000;

const env = readEnv({
  timeoutSeconds: functionTimeout,
  database: [databaseEnv.source, databaseSource],
  tokenKeySecretId: [operatorEnv.tokenKeySecretId, text],
  providerSecretPrefix: [operatorEnv.providerSecretPrefix, text],
  refreshWindowSeconds: [operatorEnv.refreshWindowSeconds, wholeNumber(1, 30 * 86_400)],
  scanIntervalSeconds: [operatorEnv.scanIntervalSeconds, wholeNumber(1, 86_400)],
  attemptHoldSeconds: [operatorEnv.attemptHoldSeconds, wholeNumber(1, 86_400)],
  senderEmail: [operatorEnv.senderEmail, z.optional(text)],
  taskRoot: ['LAMBDA_TASK_ROOT', text],
});

const logger = createLogger();
const metrics = new InvocationMetrics();
const clock = new InvocationClock(env.timeoutSeconds);

type Report =
  | StatusReport
  | HistoryReport
  | VerifyReport
  | KeysReport
  | FoundIntegration
  | StoreGrantReport
  | CheckProviderReport
  | ChangeCircuitReport;

/**
 * Answers the operator's command line about the database and the providers, from where the functions stand. Changes
 * nothing but the one integration that a grant is stored for, and a provider's circuit; that grant comes sealed, and the
 * event is never logged.
 */
export const handler = wrap<unknown, Report>({ logger, metrics, clock }, async (event, remainingMs) => {
  const request = parseOperatorRequest(event);
  const { ask, integrationId, provider } = { integrationId: undefined, provider: undefined, ...request };
  logger.info('asked', { ask, integrationId, provider });
  // Secrets and connection are new for each question: what has just been mended shows, and nothing stays open.
  const secrets = new SecretReader();
  const database = new FunctionDatabase(env.database, secrets, clock, { queryTimeoutMs });
  const parts: VerifyParts = {
    database,
    sealer: new SecretSealer(secrets, env.tokenKeySecretId),
    providers: new ProviderClients(secrets, env.providerSecretPrefix),
    migrations: () => migrationNames(join(env.taskRoot, migrationsFolder)),
    settings: { ...env, senderEmail: env.senderEmail ?? null, queryTimeoutMs },
    logger,
    remainingMs,
  };
  try {
    return await answer(request, parts, secrets);
  } finally {
    // A connection that hangs does not keep the answer back.
    await Promise.race([database.end(), sleep(closeMs, undefined, { ref: false })]);
  }
});

async function answer(request: OperatorRequest, parts: VerifyParts, secrets: SecretReader): Promise<Report> {
  switch (request.ask) {
    case 'status':
      return status(parts.database, env);
    case 'history':
      return history(parts.database, request.integrationId, env);
    case 'keys':
      return keys(parts.database);
    case 'find_integration':
      return findForReconnection(parts.database, request.integrationId);
    case 'store_grant':
      return storeGrant({ database: parts.database, attemptHoldSeconds: env.attemptHoldSeconds }, request);
    case 'verify':
      return verify(parts);
    case 'open_circuit':
    case 'close_circuit':
      return changeCircuit(parts.database, request);
    case 'check_provider':
      return checkProvider(
        {
          database: parts.database,
          readSecret: (secretId) => secrets.get(secretId),
          secretPrefix: env.providerSecretPrefix,
          logger,
          nowMs: () => clock.nowMs(),
        },
        request,
      );
  }
}

async function migrationNames(directory: string): Promise<string[]> {
  const files = await readdir(directory);
  return files
    .filter((file) => file.endsWith('.up.sql'))
    .map((file) => file.slice(0, -'.up.sql'.length))
    .sort();
}
