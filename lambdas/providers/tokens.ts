import type { RefreshedTokens } from '../domain/outcome.ts';
import { type AnswerBody, type AnswerHeaders, isObject, valueAt } from './answer-body.ts';
import type { ProviderDefinition } from './definition.ts';
import { accessTokenLifetime, refreshTokenLifetime } from './lifetimes.ts';

/** Tokens are visible ASCII, RFC 6749 appendices A.12 and A.17. */
const visibleAscii = /^[\x20-\x7e]+$/;

/** Types whose tokens serve only with a proof that we cannot give (RFC 9449, MAC). */
const provenTypes = ['dpop', 'mac', 'pop'];

const maxKeptBytes = 2048;
/** Names of fields that are never kept: `metadata` is no place for secrets. */
const secretName = /(^|[._-])(token|secret|password|assertion)$/i;

/**
 * The tokens of a successful answer, RFC 6749 §5.1; `null`: it holds no access token that can be used. Everything beside the
 * tokens is read leniently: after a rotation they are the only living ones, and must not be lost for a fault elsewhere.
 */
export function readTokens(
  definition: ProviderDefinition,
  body: AnswerBody,
  headers: AnswerHeaders,
): RefreshedTokens | null {
  const nested = definition.tokensAt === undefined ? undefined : valueAt(body, definition.tokensAt);
  const tokens = isObject(nested) && !Array.isArray(nested) ? nested : body;
  const { access_token: accessToken, refresh_token: given, token_type: type } = tokens;
  if (typeof accessToken !== 'string' || !visibleAscii.test(accessToken)) return null;
  if (typeof type === 'string' && provenTypes.includes(type.toLowerCase())) return null;
  // An empty one is none: the one that was used stays valid. What is no token does not make the access token worthless.
  const isNone = given === undefined || given === null || given === '';
  const refreshToken = typeof given === 'string' && visibleAscii.test(given) ? given : null;
  const access = accessTokenLifetime(definition, tokens, headers);
  const refresh = refreshTokenLifetime(tokens, headers);
  return {
    accessToken,
    refreshToken,
    expiresInSeconds: access.seconds,
    refreshTokenExpiresInSeconds: refresh.seconds,
    scopes: readScopes(tokens.scope ?? tokens.scopes, definition.scopeSeparator),
    kept: keptFields(definition, body, [accessToken, refreshToken]),
    remarks: [
      ...(refreshToken === null && !isNone ? ['refresh_token_unusable'] : []),
      ...access.remarks,
      ...refresh.remarks,
    ],
  };
}

/** RFC 6749 §3.3, or a list. What is none counts as unchanged: Postgres takes no NUL, for one. */
function readScopes(scope: unknown, separator: ProviderDefinition['scopeSeparator']): string[] | null {
  const texts: unknown[] = Array.isArray(scope) ? scope : [scope];
  if (!texts.every((text) => typeof text === 'string' && visibleAscii.test(text))) return null;
  const scopes = texts
    .flatMap((text) => String(text).split(separator === ',' ? /[, ]/ : ' '))
    .filter((name) => name !== '');
  return scopes.length > 0 ? scopes : null;
}

function keptFields(
  { keptFields: names }: ProviderDefinition,
  body: AnswerBody,
  tokens: readonly (string | null)[],
): Record<string, string> {
  const kept: [string, string][] = [];
  for (const name of names) {
    const value = valueAt(body, name);
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') continue;
    const text = String(value);
    const isSecret = secretName.test(name) || tokens.some((token) => token !== null && text.includes(token));
    if (isSecret || !/^\P{C}+$/u.test(text) || Buffer.byteLength(text) > maxKeptBytes) continue;
    kept.push([name, text]);
  }
  return Object.fromEntries(kept);
}
