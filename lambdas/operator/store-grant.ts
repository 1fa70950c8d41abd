import { setTimeout as sleep } from 'node:timers/promises';
import { errorFields } from '../observability/logger.ts';
import { type Database, sqlState } from '../postgres/database.ts';
import { findIntegration } from '../postgres/find-integration.ts';
import { insertIntegration } from '../postgres/insert-integration.ts';
import { replaceGrant } from '../postgres/replace-grant.ts';
import { z } from '../schema.ts';
import { providerName } from './provider-name.ts';
import type { FoundIntegration, StoreGrantReport, StoreGrantRequest } from './reports.ts';

const id = z.guid({ error: 'must be a UUID' });

/** A JWE compact string with `alg` dir has no encrypted key (RFC 7516 §7.1). A plain token is never taken for one. */
const sealed = z
  .string()
  .check(
    z.maxLength(100_000),
    z.regex(/^eyJ[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/, { error: 'must be a sealed token' }),
  );

/** As long as in `verdict`: ten years. */
const lifetime = z
  .number()
  .check(z.positive({ error: 'must be positive' }), z.maximum(315_360_000, { error: 'must be seconds' }));

export const findIntegrationRequest = z.strictObject({
  ask: z.literal('find_integration'),
  integrationId: id,
});

export const storeGrantRequest = z.strictObject({
  ask: z.literal('store_grant'),
  integrationId: id,
  userId: z.nullable(id),
  provider: providerName,
  accessToken: sealed,
  refreshToken: sealed,
  expiresInSeconds: lifetime,
  refreshTokenExpiresInSeconds: z.nullable(lifetime),
  scopes: z.nullable(z.array(z.string().check(z.regex(/^[\x20-\x7e]+$/)))),
}) satisfies z.ZodMiniType<StoreGrantRequest>;

export interface StoreGrantParts {
  readonly database: Database;
  /** How long an attempt holds its row, as the refresher's setting says. */
  readonly attemptHoldSeconds: number;
}

/** For a row that somebody else is changing. */
const lockWaitMs = 5_000;
const lockPauseMs = 100;

/** Looks up what connecting anew needs to know. */
export async function findForReconnection(
  database: Database,
  integrationId: string,
): Promise<FoundIntegration> {
  const row = await twice(() => findIntegration(database, integrationId));
  if (row === null) return { reconnectable: false, ...notFound(integrationId) };
  if (!row.replaceable) return { reconnectable: false, ...unknownStatus(row.status) };
  return { reconnectable: true, provider: row.provider, userId: row.user_id, scopes: row.scopes ?? [] };
}

/**
 * Stores a grant: in a new row, or in place of the one that an integration has. What Postgres refuses for a reason
 * that people can act on is a report; it repeats names of columns and constraints and no values.
 */
export async function storeGrant(
  parts: StoreGrantParts,
  request: StoreGrantRequest,
): Promise<StoreGrantReport> {
  try {
    return request.userId === null
      ? await replace(parts, request)
      : await twice(() => insert(parts.database, request, request.userId as string));
  } catch (error) {
    const refusal = refusalOf(error, request);
    if (refusal) return refusal;
    throw error;
  }
}

async function insert(
  database: Database,
  { integrationId, ...request }: StoreGrantRequest,
  userId: string,
): Promise<StoreGrantReport> {
  const expiresAt = await insertIntegration(database, { ...request, id: integrationId, userId });
  return expiresAt
    ? { stored: true, integrationId, expiresAt: expiresAt.toISOString() }
    : refused('integration_exists', `There is another integration ${integrationId}: try again.`);
}

async function replace(
  { database, attemptHoldSeconds }: StoreGrantParts,
  { integrationId, ...request }: StoreGrantRequest,
): Promise<StoreGrantReport> {
  const startedAtMs = performance.now();
  for (;;) {
    const waitedMs = performance.now() - startedAtMs;
    const grant = {
      ...request,
      id: integrationId,
      expiresInSeconds: request.expiresInSeconds - waitedMs / 1000,
    };
    // Not with a second try: where the first took effect and the row was refreshed meanwhile, it would put the spent
    // refresh token in the place of its successor.
    const row = await replaceGrant(database, grant, attemptHoldSeconds);
    switch (row.verdict) {
      case 'applied':
        return { stored: true, integrationId, expiresAt: row.expires_at.toISOString() };
      case 'gone':
        return { stored: false, ...notFound(integrationId) };
      case 'refused':
        if (row.provider === request.provider) return { stored: false, ...unknownStatus(row.status) };
        return refused(
          'provider_changed',
          `The integration ${integrationId} is one of ${row.provider}, not of ${request.provider}.`,
        );
      case 'locked':
        if (waitedMs > lockWaitMs) {
          return refused(
            'integration_locked',
            `A transaction of somebody else holds the integration ${integrationId}. Try again when it has ended.`,
          );
        }
        await sleep(lockPauseMs);
    }
  }
}

function notFound(integrationId: string) {
  return { code: 'integration_not_found', message: `There is no integration ${integrationId}.` };
}

function unknownStatus(status: string | null) {
  return {
    code: 'status_unknown',
    message: `The integration's status is ${JSON.stringify(status)}, which only the product knows the meaning of: connect it through the product instead.`,
  };
}

/** With a second try, for statements that can be repeated: an environment that was frozen may find its connection dead. */
async function twice<Result>(statement: () => Promise<Result>): Promise<Result> {
  try {
    return await statement();
  } catch (error) {
    if (sqlState(error) !== null) throw error;
    return await statement();
  }
}

function refused(code: string, message: string): StoreGrantReport {
  return { stored: false, code, message };
}

/** SQLSTATE, PostgreSQL Appendix A. `null`: nobody foresaw it. */
function refusalOf(error: unknown, { userId }: StoreGrantRequest): StoreGrantReport | null {
  const { column = '', constraint = '' } = errorFields(error);
  switch (sqlState(error)) {
    case '23502':
      return refused(
        'column_required',
        `The table integrations demands a value in its column ${JSON.stringify(column)}, which only the product knows: connect through the product instead.`,
      );
    case '23503':
      return refused(
        'reference_missing',
        `The foreign key ${JSON.stringify(constraint)} of integrations refuses the row: is ${userId} the id of one of the product's users?`,
      );
    case '23505':
      return refused(
        'integration_exists',
        `The constraint ${JSON.stringify(constraint)} of integrations refuses a second row like one that is there: give that one the new grant, with evergrant reconnect <integration-id>.`,
      );
    case '23514':
      return refused(
        'constraint_violated',
        `The constraint ${JSON.stringify(constraint)} of integrations refuses the row: connect through the product instead.`,
      );
    case '22001':
      return refused(
        'column_too_short',
        'A token does not fit its column, as sealed tokens are longer than plain ones: make access_token and refresh_token of type text.',
      );
    case '42501':
      return refused(
        'permission_denied',
        "The functions' database role may not write to integrations: GRANT INSERT, UPDATE ON integrations to it, and let it own the table or bypass its row-level security.",
      );
    default:
      return null;
  }
}
