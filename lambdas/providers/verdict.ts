import { STATUS_CODES } from 'node:http';
import { processRefreshTokenResponse } from 'oauth4webapi';
import type { Failure, OperatorFault, Outcome, RefreshedTokens } from '../domain/outcome.ts';
import { maxRetryAfterSeconds } from '../domain/retry-delay.ts';
import type { FailureMeaning, ProviderDefinition } from './definition.ts';

/** What came back from a token endpoint, as far as a verdict needs it. */
export type Answer =
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly headers: Headers;
      /** `null`: larger than we are willing to read, or broken off. */
      readonly body: string | null;
    }
  | { readonly kind: 'no_response'; readonly reason: 'timeout' | 'network_error' };

/**
 * Error codes of RFC 6749 §5.2, RFC 8707 §2, RFC 9449 §5 and §8, and OpenID Connect Core §3.1.2.6, plus
 * codes that RFC 6749 §4.1.2.1 defines for the authorization endpoint and that token endpoints also use.
 */
const standardMeanings: Readonly<Record<string, FailureMeaning>> = {
  invalid_grant: 'invalid_refresh_token',
  invalid_client: 'operator',
  unauthorized_client: 'operator',
  unsupported_grant_type: 'operator',
  invalid_request: 'operator',
  invalid_target: 'operator',
  invalid_dpop_proof: 'operator',
  use_dpop_nonce: 'operator',
  // We never ask for a scope, so the server speaks of what was granted to this user.
  invalid_scope: 'permanent',
  access_denied: 'permanent',
  interaction_required: 'permanent',
  login_required: 'permanent',
  consent_required: 'permanent',
  account_selection_required: 'permanent',
  server_error: 'transient',
  temporarily_unavailable: 'transient',
  internal_failure: 'transient',
  slow_down: 'transient',
};

const fixes: Readonly<Record<string, string>> = {
  invalid_client: "Check the client id and secret in the provider's secret, and whether the secret expired.",
  unauthorized_client: 'Allow the refresh_token grant for this client at the provider.',
  unsupported_grant_type: 'Check tokenEndpoint: this address does not take the refresh_token grant.',
  invalid_request:
    'Check extraParameters and clientAuthentication: the provider calls the request malformed.',
};
const generalFix = "Compare the provider's definition with its documentation.";

/**
 * The verdict on one answer: pure and total, any bytes give an outcome. A verdict against a grant needs
 * evidence, which is an OAuth error code in a JSON body; an HTML block page, an empty body or a bare 401
 * says nothing about a grant and is transient. So is a 2xx that is not what RFC 6749 §5.1 describes.
 */
export async function verdict(definition: ProviderDefinition, answer: Answer): Promise<Outcome> {
  if (answer.kind === 'no_response') {
    return {
      kind: 'transient',
      code: answer.reason,
      httpStatus: null,
      providerCode: null,
      retryAfterSeconds: null,
    };
  }
  const { status, headers } = answer;
  const passing = (code: string): Outcome => ({
    kind: 'transient',
    code,
    httpStatus: status,
    providerCode: null,
    retryAfterSeconds: retryAfterSeconds(headers),
  });

  if (status === 429) return passing('rate_limited');
  if (status === 408 || status === 425 || status >= 500) return passing(`http_${status}`);

  const body = answer.body === null ? null : parseObject(answer.body);
  const error = body && typeof body.error === 'string' ? body.error : null;
  if (error !== null) {
    const meaning = meaningOf(definition, error) ?? (isRefusal(error, status) ? 'permanent' : null);
    if (meaning !== null) return refusal(definition, error, meaning, status, passing);
  }
  if (status >= 200 && status < 300) {
    const tokens = body && (await readTokens(definition, body));
    return tokens ? { kind: 'refreshed', tokens } : passing('malformed_response');
  }
  if (status >= 300 && status < 400) {
    return operatorFault(
      'redirected',
      status,
      'Check tokenEndpoint: the provider redirects to another address.',
    );
  }
  if (status === 404 || status === 405 || status === 415) {
    return operatorFault(
      `http_${status}`,
      status,
      'Check tokenEndpoint: nothing there takes a token request.',
    );
  }
  return passing(`http_${status}`);
}

function meaningOf(definition: ProviderDefinition, error: string): FailureMeaning | undefined {
  const own = (table: Readonly<Record<string, FailureMeaning>>) =>
    Object.hasOwn(table, error) ? table[error] : undefined;
  return own(definition.errorMeanings) ?? own(standardMeanings);
}

/**
 * Whether an error that nobody has told us speaks of this grant. A gateway or framework that names the status
 * (`{"status":401,"error":"Unauthorized"}`) says no more than a bare 401.
 */
function isRefusal(error: string, status: number): boolean {
  if (status !== 400 && status !== 401 && status !== 403) return false;
  return error.trim() !== '' && error.toLowerCase() !== STATUS_CODES[status]?.toLowerCase();
}

function refusal(
  definition: ProviderDefinition,
  error: string,
  meaning: FailureMeaning,
  status: number,
  passing: (code: string) => Outcome,
): Outcome {
  const known = meaningOf(definition, error) !== undefined;
  // The code goes into logs and metrics, and a provider could echo anything in it.
  const code = known && /^[\w.:-]{1,64}$/.test(error) ? error : 'unknown_error';
  switch (meaning) {
    case 'transient':
      return passing(code);
    case 'operator':
      return operatorFault(code, status, fixes[code] ?? generalFix);
    case 'invalid_refresh_token':
      return permanent(code, status, true);
    case 'permanent':
      return permanent(code, status, false);
  }
}

function permanent(code: string, httpStatus: number, invalidRefreshToken: boolean): Failure {
  return { kind: 'permanent', code, httpStatus, providerCode: null, invalidRefreshToken };
}

function operatorFault(code: string, httpStatus: number, fix: string): OperatorFault {
  return { kind: 'operator', code, httpStatus, providerCode: null, fix };
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** Tokens are visible ASCII, RFC 6749 appendices A.12 and A.17. */
const visibleAscii = /^[\x20-\x7e]+$/;

/** Beyond this a lifetime is taken for a mistake (a timestamp, say) and the row would never be due again. */
const longestLifetimeSeconds = 10 * 365 * 86_400;

/**
 * Where neither the answer nor the definition says one. An integration gets here because its token was about to
 * expire, so its next one will as well; a row without an expiry would never be looked at again.
 */
const usualLifetimeSeconds = 3600;

async function readTokens(
  definition: ProviderDefinition,
  body: Record<string, unknown>,
): Promise<RefreshedTokens | null> {
  // An ID token may come along (OpenID Connect Core §12.2). We have no use for it, and a fault in it must
  // not cost the rotated refresh token beside it. The same goes for a scope of an unexpected type.
  const { id_token: _, scope, expires_in: expiresIn, refresh_token: refreshToken, ...rest } = body;
  const lenient = {
    // Left out by some against RFC 6749 §5.1; the tokens beside it are all the same the only living ones.
    token_type: 'bearer',
    ...rest,
    // An empty one is none: the one that was used stays valid.
    ...(refreshToken !== null && refreshToken !== '' && { refresh_token: refreshToken }),
  };
  const response = new Response(JSON.stringify(lenient), { headers: { 'content-type': 'application/json' } });
  let tokens: Awaited<ReturnType<typeof processRefreshTokenResponse>>;
  try {
    tokens = await processRefreshTokenResponse(
      { issuer: definition.tokenEndpoint ?? '' },
      { client_id: 'unused: no ID token is read' },
      response,
    );
  } catch {
    return null;
  }
  if (!visibleAscii.test(tokens.access_token)) return null;
  if (tokens.refresh_token !== undefined && !visibleAscii.test(tokens.refresh_token)) return null;
  return {
    accessToken: tokens.access_token,
    refreshToken: tokens.refresh_token ?? null,
    expiresInSeconds: lifetime(expiresIn) ?? definition.accessTokenLifetimeSeconds ?? usualLifetimeSeconds,
    refreshTokenExpiresInSeconds: lifetime(body.refresh_token_expires_in),
    scopes: readScopes(scope),
    kept: {},
    remarks: [],
  };
}

/** RFC 6749 §3.3. What is none counts as unchanged: Postgres takes no NUL, for one, and the tokens must be stored. */
function readScopes(scope: unknown): string[] | null {
  if (typeof scope !== 'string' || !/^[\x20-\x7e]+$/.test(scope)) return null;
  const scopes = scope.split(' ').filter((name) => name !== '');
  return scopes.length > 0 ? scopes : null;
}

/** Servers send a number or, against RFC 6749 §5.1, a string. Absurd values count as absent. */
function lifetime(value: unknown): number | null {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && number > 0 && number <= longestLifetimeSeconds
    ? Math.floor(number)
    : null;
}

/**
 * `Retry-After` in either form, RFC 9110 §10.2.3, capped; `null` when absent or unreadable. A date is
 * compared with the answer's own `Date`, so that our clock plays no part.
 */
function retryAfterSeconds(headers: Headers): number | null {
  const value = headers.get('retry-after')?.trim();
  if (value === undefined || value === '') return null;
  // Decimals are against the RFC, and sent all the same. Date.parse takes "-5" for a date, hence the letter.
  const delay = /^\d+(\.\d+)?$/.test(value)
    ? Number(value)
    : /^[a-z]/i.test(value)
      ? (Date.parse(value) - Date.parse(headers.get('date') ?? '')) / 1000
      : Number.NaN;
  return Number.isFinite(delay) ? Math.min(Math.max(0, Math.ceil(delay)), maxRetryAfterSeconds) : null;
}
