import { base64url, calculateJwkThumbprint } from 'jose';

/** A key that seals tokens. */
export interface TokenKey {
  /** RFC 7638 thumbprint of the key: it tells keys apart and gives none of them away. */
  readonly id: string;
  /** 32 bytes, for A256GCM. */
  readonly bytes: Uint8Array;
}

/** The keys in the token key secret. */
export interface TokenKeys {
  /** Seals. */
  readonly current: TokenKey;
  /** Only open what they sealed. */
  readonly previous: readonly TokenKey[];
}

/** The token key secret is not what it must be. The message holds no key material. */
export class TokenKeyError extends Error {
  override readonly name = 'TokenKeyError';
  readonly code = 'token_key_malformed';
}

/** Reads the secret `{"current": "<64 hex digits>", "previous": ["<64 hex digits>", …]}`. Throws `TokenKeyError`. */
export async function parseTokenKeys(secret: string): Promise<TokenKeys> {
  const shape =
    'The token key secret must be {"current": "<64 hex digits>", "previous": ["<64 hex digits>", …]}';
  let document: { current?: unknown; previous?: unknown } | null;
  try {
    document = JSON.parse(secret);
  } catch {
    throw new TokenKeyError(`${shape}, but it is not JSON.`);
  }
  const { current, previous = [] } = document ?? {};
  if (!isHexKey(current)) throw new TokenKeyError(`${shape}, but "current" is not 64 hex digits.`);
  if (!Array.isArray(previous) || !previous.every(isHexKey)) {
    throw new TokenKeyError(`${shape}, but "previous" is not a list of such keys.`);
  }
  return {
    current: await tokenKey(fromHex(current)),
    previous: await Promise.all(previous.map((hex) => tokenKey(fromHex(hex)))),
  };
}

/** The secret that holds these keys. */
export function formatTokenKeys({ current, previous }: TokenKeys): string {
  return JSON.stringify({ current: toHex(current), previous: previous.map(toHex) });
}

/** A key of its 32 bytes. */
export async function tokenKey(bytes: Uint8Array): Promise<TokenKey> {
  return { id: await calculateJwkThumbprint({ kty: 'oct', k: base64url.encode(bytes) }), bytes };
}

function isHexKey(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value);
}

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

function toHex({ bytes }: TokenKey): string {
  return Buffer.from(bytes).toString('hex');
}
