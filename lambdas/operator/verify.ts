import { errorFields } from '../observability/logger.ts';
import { DatabaseUnavailable, sqlState } from '../postgres/database.ts';
import { describeServer, type ServerFacts } from '../postgres/describe-server.ts';
import { TokenKeyError } from '../sealing/token-keys.ts';
import { SecretUnusable } from '../secrets/secret-reader.ts';
import { dataTopics } from './data-topics.ts';
import type { Check, VerifyReport } from './reports.ts';
import { schemaTopics } from './schema-topics.ts';
import { serverTopics } from './server-topics.ts';
import { type Finding, failed, notChecked, ok, type Topic, type VerifyParts } from './topic.ts';
import { unreachable } from './unreachable.ts';

/** Kept back from the deadline for the answer itself. */
const reserveMs = 2_000;

const topics: readonly Topic[] = [...serverTopics, ...schemaTopics, ...dataTopics];

/**
 * Goes through the deployment checklist, as far as it can be seen from where the functions stand. One topic after
 * another, over the one connection; one that fails keeps none of the others back. Never throws.
 */
export async function verify(parts: VerifyParts): Promise<VerifyReport> {
  const checks: Check[] = [];
  let server: ServerFacts | null = null;
  try {
    server = await describeServer(parts.database);
    const reached = ok(`PostgreSQL answers, as role ${server.role}.`);
    checks.push(...named(reachable, reached));
  } catch (error) {
    parts.logger.warn('database not reachable', { cause: errorFields(error) });
    checks.push(...named(reachable, unreachable(error)));
  }
  checks.push(...named(tokenKey, await tokenKeyFinding(parts)));
  for (const topic of topics) checks.push(...named(topic, await look(topic, parts, server)));
  return { checks };
}

const reachable = { code: 'database_reachable', title: 'The database can be reached' };
const tokenKey = { code: 'token_key', title: 'The token key is there' };

function named(
  { code, title }: Pick<Topic, 'code' | 'title'>,
  findings: Finding | readonly Finding[],
): Check[] {
  return [findings].flat().map((finding) => ({
    code,
    title: finding.title ?? title,
    state: finding.state,
    found: finding.found,
    fix: finding.fix,
  }));
}

async function look(
  topic: Topic,
  parts: VerifyParts,
  server: ServerFacts | null,
): Promise<Finding | readonly Finding[]> {
  if (server === null) return notChecked('The database cannot be reached.', null);
  // A topic may wait for one statement to its end.
  if (parts.remainingMs() < parts.settings.queryTimeoutMs + reserveMs) {
    return notChecked('No time was left for it: the checks before took too long.', 'Run verify again.');
  }
  try {
    return await topic.look(parts, server);
  } catch (error) {
    parts.logger.warn('check failed', { code: topic.code, cause: errorFields(error) });
    return incomplete(error, server);
  }
}

/** Why a topic could not be looked at to its end. Messages of Postgres may repeat values, so only the SQLSTATE is told. */
function incomplete(error: unknown, { role }: ServerFacts): Finding {
  const state = sqlState(error);
  switch (state) {
    case null:
      return error instanceof DatabaseUnavailable
        ? notChecked(`${error.message}.`, 'Run verify again when the database is back.')
        : notChecked(
            `There was no answer: ${error instanceof Error ? error.message : typeof error}.`,
            'Run verify again; if it says the same, look for what slows the database down.',
          );
    case '42501':
      return notChecked(
        `Role ${role} may not look (SQLSTATE 42501).`,
        'Grant what the lines "privileges" and "statements" name, and SELECT on every table in the schema evergrant.',
      );
    case '42P01':
    case '42703':
      return notChecked(
        `A table or column is missing (SQLSTATE ${state}).`,
        'Mend what the lines "schema_version", "tables" and "columns" name.',
      );
    case '57014':
      return notChecked(
        'The server ended the statement before it was done (SQLSTATE 57014).',
        'Give the role a longer statement_timeout.',
      );
    default:
      return notChecked(
        `The server refused the look (SQLSTATE ${state}).`,
        'Run verify again; if it says the same, the server’s own log says why.',
      );
  }
}

async function tokenKeyFinding({ sealer }: VerifyParts): Promise<Finding> {
  try {
    const { currentKeyId, keyIds } = await sealer.load();
    return ok(`The current key is ${currentKeyId}; ${keyIds.length - 1} earlier.`);
  } catch (error) {
    if (error instanceof SecretUnusable) {
      return failed(
        error.message,
        'Put {"current": "<64 hex digits>"} into it, with the key that the stored tokens are sealed with.',
      );
    }
    if (error instanceof TokenKeyError) {
      return failed(
        error.message,
        'Mend the secret; its earlier versions in Secrets Manager have what was there.',
      );
    }
    const { name, code } = errorFields(error);
    return failed(
      `Secrets Manager did not give the token key: ${code ?? name}.`,
      'Make sure that the function may read the secret and reaches Secrets Manager.',
    );
  }
}
