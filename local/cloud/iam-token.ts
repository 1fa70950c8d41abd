import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { callerPrefix, secretAccessKey, sessionToken } from './function-environment.ts';
import { REGION } from './intrinsics.ts';

/** What an IAM authentication token must have been made for. */
export interface TokenPurpose {
  host: string;
  port: number;
  /** The database role that wants to connect. */
  user: string;
}

/** Who made a token, or why it is refused; the reason holds no part of the token. */
export type TokenVerdict = { ok: true; callerId: string } | { ok: false; reason: string };

/** RDS, "IAM database authentication". */
const LIFETIME_SECONDS = 900;
/** How far the clock of whoever signs may be ahead (SigV4). */
const MAX_SKEW_SECONDS = 300;
const ALGORITHM = 'AWS4-HMAC-SHA256';
const SERVICE = 'rds-db';
const SIGNATURE = 'X-Amz-Signature';
const PARAMETERS = [
  'Action',
  'DBUser',
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-Security-Token',
  SIGNATURE,
  'X-Amz-SignedHeaders',
];

/**
 * Checks an RDS IAM authentication token as RDS does: a presigned SigV4 URL without its scheme,
 * `host:port/?Action=connect&DBUser=…&X-Amz-…`, signed with a local function's credentials.
 */
export function checkToken(token: string, purpose: TokenPurpose, nowMs: number): TokenVerdict {
  const [, address, query] = /^([^/?]+)\/\?([^?#]+)$/.exec(token) ?? [];
  const parameters = query === undefined ? null : readQuery(query);
  if (address === undefined || parameters === null) return refused('it is no IAM authentication token');
  const missing = PARAMETERS.filter((name) => !parameters.has(name));
  if (missing.length > 0) return refused(`the token has no ${missing.join(', ')}`);
  const value = (name: string) => parameters.get(name) as string;

  const wanted: Record<string, string> = {
    Action: 'connect',
    DBUser: purpose.user,
    'X-Amz-Algorithm': ALGORITHM,
    'X-Amz-Expires': String(LIFETIME_SECONDS),
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Security-Token': sessionToken,
  };
  if (address !== `${purpose.host}:${purpose.port}`) return refused('the token is for another host or port');
  const wrong = Object.keys(wanted).filter((name) => value(name) !== wanted[name]);
  if (wrong.length > 0) return refused(`the token has another ${wrong.join(', ')}`);

  const signedAt = value('X-Amz-Date');
  const [accessKeyId = '', ...scope] = value('X-Amz-Credential').split('/');
  if (scope.join('/') !== `${signedAt.slice(0, 8)}/${REGION}/${SERVICE}/aws4_request`) {
    return refused('the credential of the token has another scope');
  }
  if (!accessKeyId.startsWith(callerPrefix)) return refused('the access key of the token is unknown');
  if (!isSignedFor(address, parameters, scope)) return refused('the signature of the token is wrong');

  const ageSeconds = (nowMs - parseBasicTime(signedAt)) / 1_000;
  if (!(ageSeconds <= LIFETIME_SECONDS)) return refused('the token has expired');
  if (ageSeconds < -MAX_SKEW_SECONDS) return refused('the token is of the future');
  return { ok: true, callerId: accessKeyId.slice(callerPrefix.length) };
}

/** Parameters by name, decoded; null when one is malformed or comes twice. */
function readQuery(query: string): Map<string, string> | null {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&')) {
    const equals = pair.indexOf('=');
    if (equals < 0) return null;
    try {
      const name = decodeURIComponent(pair.slice(0, equals));
      if (parameters.has(name)) return null;
      parameters.set(name, decodeURIComponent(pair.slice(equals + 1)));
    } catch {
      return null;
    }
  }
  return parameters;
}

/** Computes the signature of a presigned URL anew (SigV4, "signature calculations: query string"). */
function isSignedFor(address: string, parameters: ReadonlyMap<string, string>, scope: string[]): boolean {
  const canonicalQuery = [...parameters]
    .filter(([name]) => name !== SIGNATURE)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .toSorted()
    .join('&');
  const canonicalRequest = ['GET', '/', canonicalQuery, `host:${address}`, '', 'host', sha256('')].join('\n');
  const toSign = [ALGORITHM, parameters.get('X-Amz-Date'), scope.join('/'), sha256(canonicalRequest)].join(
    '\n',
  );
  const key = scope.reduce<Buffer | string>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`);
  const expected = Buffer.from(hmac(key, toSign).toString('hex'));
  const given = Buffer.from(parameters.get(SIGNATURE) as string);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** As SigV4 wants it: all but RFC 3986's unreserved characters are escaped. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Milliseconds since 1970 of `YYYYMMDDTHHMMSSZ`; NaN when it is something else. */
function parseBasicTime(text: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!parts) return Number.NaN;
  const [, year, month, day, hour, minute, second] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function refused(reason: string): TokenVerdict {
  return { ok: false, reason };
}
