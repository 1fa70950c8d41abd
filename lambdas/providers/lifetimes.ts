import { type AnswerBody, type AnswerHeaders, isObject, numberIn } from './answer-body.ts';
import type { ProviderDefinition } from './definition.ts';

/** A lifetime counted from the answer, and what was odd about how it was said. */
export interface Lifetime<Seconds> {
  readonly seconds: Seconds;
  readonly remarks: readonly string[];
}

/**
 * No provider documents access tokens that live longer without being endless. One that is said to is refreshed after
 * a year, which costs one call and makes a mistaken number harmless.
 */
const longestAccessTokenSeconds = 365 * 86_400;

/** A refresh token that is said to live longer is looked at then, which costs nothing. */
const longestRefreshTokenSeconds = 10 * 365 * 86_400;

/**
 * Where neither the answer nor the definition says one. An integration gets here because its token was about to
 * expire, so its next one will as well; a row without an expiry would never be looked at again.
 */
const usualAccessTokenSeconds = 3600;

/** Spans end far below these, and moments lie far above: the year 2001 in seconds, and in milliseconds. */
const momentsFromSeconds = 1e9;
const momentsFromMilliseconds = 1e12;
/** The year 5138; what lies beyond is no moment either. */
const lastMomentSeconds = 1e11;

/** How long the access token of an answer lives. */
export function accessTokenLifetime(
  definition: ProviderDefinition,
  tokens: AnswerBody,
  headers: AnswerHeaders,
): Lifetime<number> {
  const remarks: string[] = [];
  const answered = answeredAt(tokens, headers);
  const said =
    spanIn(tokens.expires_in, answered, 'expires_in', remarks) ??
    untilMoment(tokens.expires_at, answered, 'expires_at', remarks) ??
    // Clover's.
    untilMoment(tokens.access_token_expiration, answered, 'access_token_expiration', remarks) ??
    (definition.lifetimeFromJwt ? jwtLifetime(tokens.access_token, headers, remarks) : null);
  if (said === null) {
    return { seconds: definition.accessTokenLifetimeSeconds ?? usualAccessTokenSeconds, remarks };
  }
  if (said > longestAccessTokenSeconds) {
    return { seconds: longestAccessTokenSeconds, remarks: [...remarks, 'expires_in_clamped'] };
  }
  return { seconds: said, remarks };
}

/** How long the refresh token of an answer lives; `null`: not said. */
export function refreshTokenLifetime(tokens: AnswerBody, headers: AnswerHeaders): Lifetime<number | null> {
  const remarks: string[] = [];
  const answered = answeredAt(tokens, headers);
  const span = (name: string) => spanIn(tokens[name], answered, name, remarks);
  const said = [
    span('refresh_token_expires_in') ??
      // Keycloak's offline tokens say 0 for never.
      (numberIn(tokens.refresh_expires_in) === 0 ? null : span('refresh_expires_in')) ??
      span('x_refresh_token_expires_in') ??
      untilMoment(tokens.refresh_token_expires_at, answered, 'refresh_token_expires_at', remarks) ??
      untilMoment(tokens.refresh_token_expiration, answered, 'refresh_token_expiration', remarks),
    // Intuit's limit that no refresh extends.
    span('x_refresh_token_hard_expires_in'),
  ].filter((seconds) => seconds !== null);
  if (said.length === 0) return { seconds: null, remarks };
  const shortest = Math.min(...said);
  if (shortest > longestRefreshTokenSeconds) {
    return {
      seconds: longestRefreshTokenSeconds,
      remarks: [...remarks, 'refresh_token_expires_in_clamped'],
    };
  }
  return { seconds: shortest, remarks };
}

/** Seconds since 1970 of an HTTP date, RFC 9110 §5.6.7; `null`: none. */
export function httpDateSeconds(value: string | null | undefined): number | null {
  // Date.parse takes "-5" and "1" for dates as well, hence the letter.
  if (!value || !/^\s*[a-z]/i.test(value)) return null;
  const milliseconds = Date.parse(value);
  return Number.isNaN(milliseconds) ? null : milliseconds / 1000;
}

/** Seconds since 1970 of a moment as servers write them: in seconds, in milliseconds, or ISO 8601; `null`: none. */
export function momentSeconds(value: unknown): number | null {
  const number = numberIn(value);
  if (number !== null) {
    const seconds = number >= momentsFromMilliseconds ? number / 1000 : number;
    return seconds >= momentsFromSeconds && seconds <= lastMomentSeconds ? seconds : null;
  }
  if (typeof value !== 'string') return null;
  const match = /^\s*(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?\s*$/i.exec(
    value,
  );
  if (!match) return null;
  const [, day, time, zone = 'Z'] = match;
  const milliseconds = Date.parse(`${day}T${time}${zone.replace(/(\d\d)(\d\d)$/, '$1:$2').toUpperCase()}`);
  return Number.isNaN(milliseconds) ? null : milliseconds / 1000;
}

/** When the answer was given, by the provider's clock: ours plays no part. */
function answeredAt(tokens: AnswerBody, headers: AnswerHeaders): number | null {
  return (
    httpDateSeconds(headers.get('date')) ??
    momentSeconds(tokens.issued_at) ??
    momentSeconds(tokens.created_at)
  );
}

/** A span in seconds, RFC 6749 §5.1; a number that can only be a moment is one. */
function spanIn(value: unknown, answered: number | null, name: string, remarks: string[]): number | null {
  if (value === undefined || value === null || value === '') return null;
  const number = numberIn(value);
  if (number !== null && number > momentsFromSeconds) {
    const seconds = untilMoment(number, answered, name, remarks);
    if (seconds !== null) remarks.push(`${name}_is_a_moment`);
    return seconds;
  }
  return usable(number, name, remarks);
}

function untilMoment(
  value: unknown,
  answered: number | null,
  name: string,
  remarks: string[],
): number | null {
  if (value === undefined || value === null || value === '') return null;
  const moment = momentSeconds(value);
  return usable(moment === null || answered === null ? null : moment - answered, name, remarks);
}

function usable(seconds: number | null, name: string, remarks: string[]): number | null {
  if (seconds !== null && seconds >= 1) return Math.floor(seconds);
  remarks.push(`${name}_unusable`);
  return null;
}

/** By the claims of the token, RFC 7519 §4.1: the shorter one where the answer came later than the token was made. */
function jwtLifetime(token: unknown, headers: AnswerHeaders, remarks: string[]): number | null {
  const { exp, iat } = jwtClaims(token);
  const expires = momentSeconds(exp);
  if (expires === null) return null;
  const beginnings = [momentSeconds(iat), httpDateSeconds(headers.get('date'))].filter(
    (moment) => moment !== null,
  );
  return usable(beginnings.length === 0 ? null : expires - Math.max(...beginnings), 'exp', remarks);
}

function jwtClaims(token: unknown): Record<string, unknown> {
  const payload = typeof token === 'string' ? token.split('.')[1] : undefined;
  if (payload === undefined) return {};
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return isObject(claims) ? claims : {};
  } catch {
    return {};
  }
}
