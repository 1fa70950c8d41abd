import { STATUS_CODES } from 'node:http';
import { type FailureCode, isFailureCode, sentencesOf } from '../domain/failure-codes.ts';
import type { Failure, Outcome } from '../domain/outcome.ts';
import { type AnswerBody, type AnswerHeaders, readAnswerBody, valueAt } from './answer-body.ts';
import type { ErrorRule, FailureMeaning, ProviderDefinition } from './definition.ts';
import { leavesDoubt } from './doubt.ts';
import { retryAfterSeconds } from './retry-after.ts';
import { readTokens } from './tokens.ts';

/** What came back from a token endpoint, as far as a verdict needs it. */
export type Answer =
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly headers: AnswerHeaders;
      /** `null`: larger than we are willing to read, or broken off. */
      readonly body: string | null;
    }
  | {
      readonly kind: 'no_response';
      readonly reason: 'timeout' | 'network_error';
      /** `false`: nothing of the request has left us, for certain. */
      readonly mayHaveArrived: boolean;
    };

/**
 * Error codes of RFC 6749 §5.2, RFC 8707 §2, RFC 9449 §5 and §8, and OpenID Connect Core §3.1.2.6, codes that RFC 6749
 * §4.1.2.1 defines for the authorization endpoint and that token endpoints also use, and the usual names of passing
 * faults and of a refused client, which must never pass for the refusal of a grant.
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
  redirect_uri_mismatch: 'operator',
  // Of a client that is refused under a name of the server's own: nobody's grant has to do with it.
  bad_client_id: 'operator',
  bad_client_secret: 'operator',
  deleted_client: 'operator',
  disabled_client: 'operator',
  incorrect_client_credentials: 'operator',
  invalid_client_credentials: 'operator',
  invalid_client_id: 'operator',
  invalid_client_secret: 'operator',
  unknown_client: 'operator',
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
  internal_error: 'transient',
  slow_down: 'transient',
  request_timeout: 'transient',
  rate_limited: 'transient',
  ratelimited: 'transient',
  rate_limit_exceeded: 'transient',
  too_many_requests: 'transient',
};

/** Other names for codes of ours. */
const synonyms: Readonly<Record<string, FailureCode>> = {
  internal_error: 'server_error',
  ratelimited: 'rate_limited',
  rate_limit_exceeded: 'rate_limited',
  too_many_requests: 'rate_limited',
  bad_client_id: 'client_unknown',
  bad_client_secret: 'client_secret_invalid',
  deleted_client: 'client_disabled',
  disabled_client: 'client_disabled',
  incorrect_client_credentials: 'invalid_client',
  invalid_client_credentials: 'invalid_client',
  invalid_client_id: 'client_unknown',
  invalid_client_secret: 'client_secret_invalid',
  unknown_client: 'client_unknown',
};

/** What an error is called where neither its rule nor its own name says. */
const codeOfMeaning: Readonly<Record<FailureMeaning, FailureCode>> = {
  transient: 'temporarily_unavailable',
  permanent: 'grant_refused',
  invalid_refresh_token: 'invalid_grant',
  operator: 'request_refused',
};

/**
 * The verdict on one answer: pure and total, any bytes give an outcome. A verdict against a grant needs evidence, which
 * is an error that the provider is known to give, or at least an error code in the words of OAuth; an HTML block page,
 * an empty body or a bare 401 says nothing about a grant and is transient. So is a 2xx that is not what the provider
 * documents. The statuses of passing faults outweigh every body.
 */
export function verdict(definition: ProviderDefinition, answer: Answer): Outcome {
  if (answer.kind === 'no_response') {
    return {
      kind: 'transient',
      code: answer.reason,
      httpStatus: null,
      providerCode: null,
      retryAfterSeconds: null,
      doubtful: leavesDoubt(definition, answer, answer.reason),
    };
  }
  const { status, headers } = answer;
  const body = answer.body === null ? null : readAnswerBody(answer.body, headers.get('content-type'));
  const fail = (meaning: FailureMeaning, code: string, providerCode: string | null = null): Failure =>
    failure(meaning, code, {
      httpStatus: status,
      providerCode: providerCode === code ? null : providerCode,
      retryAfterSeconds: retryAfterSeconds(headers, body, status === 429 || code === 'rate_limited'),
      doubtful: leavesDoubt(definition, answer, code),
    });

  const passes = status === 408 || status === 425 || status === 429 || status >= 500;
  const rule = definition.errorRules.find(
    (each) => (!passes || each.meaning === 'transient') && fits(each, status, headers, body),
  );
  if (rule) return fail(rule.meaning, rule.code ?? codeOfRule(rule, body), ownCodeOf(rule, body));
  if (status === 429) return fail('transient', 'rate_limited');
  if (passes) return fail('transient', codeOfStatus(status));
  if (status >= 300 && status < 400) return fail('operator', 'redirected');

  const succeeds = status >= 200 && status < 300;
  const error = body && typeof body.error === 'string' ? nameOf(definition, body.error) : null;
  const meaning = error === null ? undefined : meaningOf(definition, error);
  if (error !== null && meaning !== undefined) {
    return fail(meaning, codeOf(error, meaning), safe(error));
  }
  if (succeeds) {
    if (body === null) return fail('transient', 'malformed_response');
    if (saysRefusal(definition, body)) return fail('transient', 'unknown_answer');
    const tokens = readTokens(definition, body, headers);
    if (tokens !== null) return { kind: 'refreshed', tokens };
    return fail('transient', error === null || error === '' ? 'malformed_response' : 'unknown_answer');
  }
  if (error !== null && isRefusal(error, status)) return fail('permanent', 'unknown_error');
  if (status === 404 || status === 405 || status === 415) return fail('operator', codeOfStatus(status));
  return fail('transient', codeOfStatus(status));
}

function failure(
  meaning: FailureMeaning,
  code: string,
  {
    httpStatus,
    providerCode,
    retryAfterSeconds: wait,
    doubtful,
  }: {
    readonly httpStatus: number;
    readonly providerCode: string | null;
    readonly retryAfterSeconds: number | null;
    readonly doubtful: boolean;
  },
): Failure {
  const evidence = { code, httpStatus, providerCode };
  switch (meaning) {
    case 'transient':
      return { kind: 'transient', ...evidence, retryAfterSeconds: wait, doubtful };
    case 'operator':
      return { kind: 'operator', ...evidence, fix: sentencesOf(code, 'operator').operator };
    case 'permanent':
    case 'invalid_refresh_token':
      return { kind: 'permanent', ...evidence, invalidRefreshToken: meaning === 'invalid_refresh_token' };
  }
}

type Scalar = string | number | boolean;
type Expected = ErrorRule['fields'][string];

function fits(rule: ErrorRule, status: number, headers: AnswerHeaders, body: AnswerBody | null): boolean {
  if (rule.status !== undefined && rule.status !== status) return false;
  return (
    Object.entries(rule.headers).every(([name, { contains }]) => includes(headers.get(name), contains)) &&
    Object.entries(rule.fields).every(([path, expected]) => {
      const value = valueAt(body, path);
      return isContained(expected)
        ? elementsOf(value).some((element) => includes(element, expected.contains))
        : matched(value, expected) !== null;
    })
  );
}

function isContained(expected: Expected): expected is { contains: string } {
  return typeof expected === 'object' && !Array.isArray(expected);
}

function includes(value: unknown, part: string): boolean {
  return typeof value === 'string' && value.toLowerCase().includes(part.toLowerCase());
}

/** The first of the values that are expected to stand somewhere and do; `null`: none. */
function matched(value: unknown, expected: Scalar | Scalar[]): Scalar | null {
  const elements = elementsOf(value);
  return [expected].flat().find((each) => elements.some((element) => isSame(element, each))) ?? null;
}

function elementsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

/** Whether a value is the expected one; providers are not steady about numbers as texts. */
function isSame(value: unknown, expected: Scalar): boolean {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return false;
  return String(value) === String(expected);
}

/** The code of a rule that names none: what the error that it is about is called anyway. */
function codeOfRule({ fields, meaning }: ErrorRule, body: AnswerBody | null): string {
  const expected = ownProperty(fields, 'error');
  const error = expected === undefined || isContained(expected) ? null : matched(body?.error, expected);
  return typeof error === 'string' ? codeOf(error, meaning) : codeOfMeaning[meaning];
}

/** The provider's own code that a rule is about: the most telling of its exact values, and none of the answer's text. */
function ownCodeOf({ fields }: ErrorRule, body: AnswerBody | null): string | null {
  const exact = Object.entries(fields).flatMap(([path, expected]) => {
    const value = isContained(expected) ? null : matched(valueAt(body, path), expected);
    return typeof value === 'string' || typeof value === 'number' ? [{ path, value }] : [];
  });
  const telling = exact.findLast(({ path }) => path !== 'error') ?? exact.at(-1);
  return telling === undefined ? null : safe(String(telling.value));
}

/**
 * The name that an error is known by. Servers put texts behind it ("invalid_client: Invalid client_id") and write it as
 * words ("Rate limit exceeded."); words are no evidence that a grant is dead.
 */
function nameOf(definition: ProviderDefinition, error: string): string {
  if (meaningOf(definition, error) !== undefined) return error;
  const code = /^(\w+):\s/.exec(error)?.[1];
  if (code !== undefined && meaningOf(definition, code) !== undefined) return code;
  const name = firstWords(error).replaceAll(' ', '_');
  const meaning = meaningOf(definition, name);
  return meaning === undefined || meaning === 'invalid_refresh_token' ? error : name;
}

/** What an error says in front of its first punctuation, in lower case. */
function firstWords(error: string): string {
  const [words = ''] = /^[^:;,.!()]*/.exec(error.trim()) ?? [];
  return words
    .trim()
    .toLowerCase()
    .replaceAll(/[\s_-]+/g, ' ');
}

function meaningOf(definition: ProviderDefinition, error: string): FailureMeaning | undefined {
  return ownProperty(definition.errorMeanings, error) ?? ownProperty(standardMeanings, error);
}

function ownProperty<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The code of an error that is known: its own name, if that is one of ours and means the same here. */
function codeOf(error: string, meaning: FailureMeaning): string {
  const usual = ownProperty(standardMeanings, error);
  if (usual !== undefined && usual !== meaning) return codeOfMeaning[meaning];
  return ownProperty(synonyms, error) ?? (isFailureCode(error) ? error : codeOfMeaning[meaning]);
}

/** A code of a table, if it is fit for logs and metrics. */
function safe(code: string): string | null {
  return /^[\w.:-]{1,64}$/.test(code) ? code : null;
}

/** Whether an answer with HTTP 2xx says that it is none, by the field that its provider has for that. */
function saysRefusal({ success }: ProviderDefinition, body: AnswerBody): boolean {
  if (success === undefined) return false;
  const value = valueAt(body, success.field);
  return value !== undefined && !isSame(value, success.value);
}

const statusTexts = new Set(Object.values(STATUS_CODES).map((text) => text?.toLowerCase()));

/**
 * Whether an error that nobody has told us speaks of this grant. A gateway or framework that names a status
 * (`{"status":401,"error":"Unauthorized"}`) says no more than a bare 401.
 */
function isRefusal(error: string, status: number): boolean {
  if (status !== 400 && status !== 401 && status !== 403) return false;
  return error.trim() !== '' && !statusTexts.has(firstWords(error));
}

function codeOfStatus(status: number): string {
  return Number.isInteger(status) && status >= 100 && status <= 999 ? `http_${status}` : 'malformed_response';
}
