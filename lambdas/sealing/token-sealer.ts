import { base64url, CompactEncrypt, type CryptoKey, compactDecrypt } from 'jose';
import { parseTokenKeys, type TokenKey } from './token-keys.ts';

/** Where a sealed string belongs. What is sealed for one place does not open in another. */
export interface SealedPlace {
  readonly integrationId: string;
  /** A column of the row, or a whole result on its way to the row. */
  readonly column: 'access_token' | 'refresh_token' | 'result';
}

export type OpenedToken =
  /** `current`: sealed, and with the current key; otherwise the next write seals it anew. */
  | { readonly ok: true; readonly token: string; readonly current: boolean }
  /** `damaged`: not what was sealed here. `unknown_key`: `keyId` is none of the keys that we have. */
  | { readonly ok: false; readonly reason: 'damaged' }
  | { readonly ok: false; readonly reason: 'unknown_key'; readonly keyId: string };

/** Seals and opens tokens. */
export interface Sealer {
  seal(token: string, place: SealedPlace): Promise<string>;
  /** Opens what is stored: a sealed token, or a plain one as products kept them before Evergrant. */
  open(stored: string, place: SealedPlace): Promise<OpenedToken>;
}

/** Marks our own tokens: providers issue `dir` JWEs as well (Auth0 does), and those are plain text to us. */
export const sealedType = 'evergrant+jwe';

/**
 * Seals tokens for the database as JWE compact strings (RFC 7516; `alg` dir, `enc` A256GCM) and opens them.
 * The key id is the RFC 7638 thumbprint of the key, so a wrong key can never pass for a known one: it shows
 * as an unknown key (an operator's fault), not as damaged tokens (a user's loss). The header's `sub` binds a
 * string to its row and column.
 */
export class TokenSealer implements Sealer {
  readonly #keys: ReadonlyMap<string, CryptoKey>;
  readonly #currentKeyId: string;
  readonly #currentKey: CryptoKey;

  private constructor(keys: ReadonlyMap<string, CryptoKey>, currentKeyId: string, currentKey: CryptoKey) {
    this.#keys = keys;
    this.#currentKeyId = currentKeyId;
    this.#currentKey = currentKey;
  }

  /**
   * Reads the secret `{"current": "<64 hex digits>", "previous": ["<64 hex digits>", …]}`. To rotate, move
   * `current` to `previous` and put a new key in its place. Throws `TokenKeyError`.
   */
  static async fromSecret(secret: string): Promise<TokenSealer> {
    const { current, previous } = await parseTokenKeys(secret);
    const currentKey = await imported(current);
    const keys = new Map<string, CryptoKey>();
    for (const key of previous) keys.set(key.id, await imported(key));
    return new TokenSealer(keys.set(current.id, currentKey), current.id, currentKey);
  }

  /** Ids of all keys that tokens can be opened with. */
  get keyIds(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** Id of the key that tokens are sealed with. */
  get currentKeyId(): string {
    return this.#currentKeyId;
  }

  async seal(token: string, place: SealedPlace): Promise<string> {
    return new CompactEncrypt(new TextEncoder().encode(token))
      .setProtectedHeader({
        alg: 'dir',
        enc: 'A256GCM',
        typ: sealedType,
        kid: this.#currentKeyId,
        sub: subject(place),
      })
      .encrypt(this.#currentKey);
  }

  async open(stored: string, place: SealedPlace): Promise<OpenedToken> {
    const header = sealedHeader(stored);
    if (header === 'plain') return { ok: true, token: stored, current: false };
    if (header === 'damaged') return { ok: false, reason: 'damaged' };
    const key = this.#keys.get(header.kid);
    if (!key) return { ok: false, reason: 'unknown_key', keyId: header.kid };
    if (header.sub !== subject(place)) return { ok: false, reason: 'damaged' };
    try {
      const { plaintext } = await compactDecrypt(stored, key, {
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
      });
      return {
        ok: true,
        token: new TextDecoder('utf-8', { ignoreBOM: true }).decode(plaintext),
        current: header.kid === this.#currentKeyId,
      };
    } catch {
      return { ok: false, reason: 'damaged' };
    }
  }
}

/** Imported once: given the bytes, jose does that for every token. */
function imported({ bytes }: TokenKey): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt']);
}

function subject({ integrationId, column }: SealedPlace): string {
  return `integrations/${integrationId}/${column}`;
}

function sealedHeader(stored: string): { kid: string; sub: string } | 'plain' | 'damaged' {
  const parts = stored.split('.');
  // "eyJ" is how every base64url JSON object begins. A refresh token that begins so and has five parts was
  // meant to be a JWE; if its header cannot be read, it is damaged whoever made it.
  if (parts.length !== 5 || !stored.startsWith('eyJ')) return looksTruncated(parts) ? 'damaged' : 'plain';
  try {
    const header = JSON.parse(new TextDecoder().decode(base64url.decode(parts[0] ?? ''))) as Record<
      string,
      unknown
    >;
    if (header.typ !== sealedType) return 'plain';
    const { kid, sub } = header;
    return typeof kid === 'string' && typeof sub === 'string' ? { kid, sub } : 'damaged';
  } catch {
    return 'damaged';
  }
}

/** One of ours with parts missing, as a column that is too short would leave it. */
function looksTruncated([first = '', ...others]: string[]): boolean {
  if (others.length > 4 || !first.startsWith('eyJ')) return false;
  try {
    const text = new TextDecoder().decode(base64url.decode(first));
    return text.includes(`"typ":"${sealedType}"`);
  } catch {
    return false;
  }
}
