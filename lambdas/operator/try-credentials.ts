import { randomUUID } from 'node:crypto';
import { sentencesOf } from '../domain/failure-codes.ts';
import type { Outcome } from '../domain/outcome.ts';
import { addressOf } from '../providers/address.ts';
import { sendTokenRequest } from '../providers/call.ts';
import type { ProviderClient } from '../providers/client.ts';
import { buildTokenRequest, type RequestClock } from '../providers/request.ts';
import { verdict } from '../providers/verdict.ts';
import type { CheckProviderReport, CheckProviderRequest } from './reports.ts';
import { type Finding, failed, notChecked, ok, warning } from './topic.ts';

/** Somebody waits for it. */
const timeoutMs = 10_000;

type Request = Omit<CheckProviderRequest, 'ask'>;

/** Why the credentials cannot be tried; `null`: they can. */
export function reasonNotToTry(client: ProviderClient, { provider, variables }: Request): Finding | null {
  const { renewal, clientAuthentication, credentialsCanBeTried, displayName, tokenEndpoint } =
    client.provider;
  if (renewal === 'none' || tokenEndpoint === undefined) {
    return ok(`Nothing to try: ${displayName} has nothing to renew, so it is never called.`);
  }
  if (clientAuthentication === 'anonymous') {
    return ok('Nothing to try: no credentials of a client are sent.');
  }
  if (!credentialsCanBeTried) {
    return notChecked(
      `Not tried: a made-up token tells nothing of our client at ${displayName}, or would do harm there.`,
      'Refresh an integration of it: evergrant refresh <integration-id>.',
    );
  }
  const address = addressOf(client, tokenEndpoint, variables);
  if (!address.ok && address.code === 'integration_variable_missing') {
    const needed = Object.entries(client.provider.variables).filter(
      ([name, { from }]) => from === 'integration' && !Object.hasOwn(variables, name),
    );
    return notChecked(
      `Not tried: the address differs by integration (${describeVariables(client)}).`,
      `Say which: evergrant provider check ${provider}${needed.map(([name]) => ` --variable ${name}=…`).join('')}.`,
    );
  }
  return null;
}

export type Tried = Pick<CheckProviderReport, 'credentials' | 'attempt'> & { readonly finding: Finding };

export async function tryCredentials(
  client: ProviderClient,
  { variables }: Request,
  clock: RequestClock,
): Promise<Tried> {
  const token = `evergrant-check-${randomUUID()}`;
  const built = await buildTokenRequest(client, { token, variables }, clock);
  if (!built.ok) {
    return {
      credentials: 'not_tried',
      attempt: null,
      finding: failed(sentencesOf(built.code, 'operator').operator, built.fix),
    };
  }
  const address = addressOf(client, client.provider.tokenEndpoint ?? '', variables);
  const startedAtMs = performance.now();
  const answer = await sendTokenRequest(built.request, timeoutMs);
  const durationMs = Math.round(performance.now() - startedAtMs);
  const outcome = verdict(client.provider, answer);
  const httpStatus = answer.kind === 'response' ? answer.status : null;
  const attempt = {
    tokenEndpoint: address.ok ? address.url : '',
    httpStatus,
    code: outcome.kind === 'refreshed' ? null : outcome.code,
    durationMs,
  };
  return { attempt, ...judge(client, outcome, `${statusText(httpStatus)} in ${durationMs} ms`) };
}

function statusText(httpStatus: number | null): string {
  return httpStatus === null ? 'no answer' : `HTTP ${httpStatus}`;
}

/** What the answer to a made-up token says of our client. */
function judge(
  { provider: { displayName } }: ProviderClient,
  outcome: Outcome,
  how: string,
): Pick<Tried, 'credentials' | 'finding'> {
  if (outcome.kind === 'refreshed') {
    return {
      credentials: 'unknown',
      finding: warning(
        `It gave tokens for a token that nobody has issued (${how}).`,
        'Make sure that tokenEndpoint is the right address: what answers there grants whatever it is asked for.',
      ),
    };
  }
  const { code, kind } = outcome;
  const answered = `${code}, ${how}`;
  if (kind === 'operator') {
    return { credentials: 'refused', finding: failed(`No (${answered}).`, outcome.fix) };
  }
  if (kind === 'transient') {
    return {
      credentials: 'unknown',
      finding: warning(
        `Not known (${answered}). ${sentencesOf(code, kind).operator}`,
        outcome.httpStatus === null
          ? 'Try again in a minute. If it stays, look at the address, and whether the functions reach the internet.'
          : 'Try again in a minute.',
      ),
    };
  }
  if (code === 'unknown_error') {
    return {
      credentials: 'unknown',
      finding: warning(
        `Not known: ${displayName} refused the made-up token with an error code that its definition does not know (${how}).`,
        'If it stands for a wrong client, give it the meaning "operator" under provider.errorMeanings in the secret; then this check can tell.',
      ),
    };
  }
  return {
    credentials: 'accepted',
    finding: ok(`Only the made-up token was refused (${answered}).`),
  };
}

/** What the address needs of an integration, for people. */
export function describeVariables({ provider: { variables } }: ProviderClient): string {
  return Object.entries(variables)
    .filter(([, { from }]) => from === 'integration')
    .map(([name, { description }]) => `${name}, ${description}`)
    .join('; ');
}
