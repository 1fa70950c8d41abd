import { createHash, createHmac } from 'node:crypto';

/** What the function signs with, as the environment of a Lambda function has it. */
export interface SigningCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly region: string;
}

const algorithm = 'AWS4-HMAC-SHA256';
const service = 'rds-db';
const lifetimeSeconds = 900;

/**
 * Makes passwords for IAM database authentication out of the function's own credentials. A password is a signed
 * address, good for 15 minutes and needed only while connecting, so each connection gets a new one (Aurora User
 * Guide, "IAM database authentication"). The URL's host, port and user are what is signed.
 *
 * `nowMs` dates it. The SDK's signer goes by this machine's clock, and RDS refuses what is signed more than five minutes
 * ahead of its own; no answer would tell that signer so, as it makes no call.
 */
export function iamPassword(url: string, nowMs: () => number): () => Promise<string> {
  const { hostname, port, username } = new URL(url);
  const address = `${hostname}:${port || 5432}`;
  const user = decodeURIComponent(username);
  return async () => signedAddress(address, user, credentialsOfFunction(), nowMs());
}

/** Lambda keeps a function's credentials in its environment ("Lambda environment variables: defined runtime"). */
function credentialsOfFunction(): SigningCredentials {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION } = process.env;
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY || !AWS_REGION) {
    throw new Error('AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION must be set to sign in by IAM.');
  }
  return {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    sessionToken: AWS_SESSION_TOKEN ?? '',
    region: AWS_REGION,
  };
}

/** A presigned request without its scheme (IAM User Guide, "Create a signed AWS API request", with query parameters). */
export function signedAddress(
  address: string,
  user: string,
  { accessKeyId, secretAccessKey, sessionToken, region }: SigningCredentials,
  nowMs: number,
): string {
  const signedAt = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const scope = [signedAt.slice(0, 8), region, service, 'aws4_request'];
  const query = Object.entries({
    Action: 'connect',
    DBUser: user,
    'X-Amz-Algorithm': algorithm,
    'X-Amz-Credential': [accessKeyId, ...scope].join('/'),
    'X-Amz-Date': signedAt,
    'X-Amz-Expires': String(lifetimeSeconds),
    ...(sessionToken !== '' && { 'X-Amz-Security-Token': sessionToken }),
    'X-Amz-SignedHeaders': 'host',
  }).map(([name, value]) => `${name}=${escaped(value)}`);
  const request = ['GET', '/', query.join('&'), `host:${address}`, '', 'host', sha256('')].join('\n');
  const toSign = [algorithm, signedAt, scope.join('/'), sha256(request)].join('\n');
  const key = scope.reduce<Buffer | string>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`);
  return `${address}/?${[...query, `X-Amz-Signature=${hmac(key, toSign).toString('hex')}`].toSorted().join('&')}`;
}

/** All but RFC 3986's unreserved characters. */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
