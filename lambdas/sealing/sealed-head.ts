import { base64url } from 'jose';
import { sealedType } from './token-sealer.ts';

/** As `TokenSealer` begins the header; the key id, an RFC 7638 thumbprint, and its closing quote come next. */
const beginning = `{"alg":"dir","enc":"A256GCM","typ":"${sealedType}","kid":"`;
const thumbprintLength = 43;

/**
 * How strings of our own begin, for statements that group stored tokens by key without reading them whole. Three
 * bytes are four characters of base64url: `length` characters reach to the end of the key id and no further,
 * `start` ends a little before it.
 */
export const sealedHead = {
  start: base64url.encode(beginning).slice(0, 4 * Math.floor(Buffer.byteLength(beginning) / 3)),
  length: 4 * ((beginning.length + thumbprintLength + 1) / 3),
} as const;

/**
 * The id of the key that a stored token names in its header, read without opening it; `null`: it is none of ours,
 * and so plain text to us. Takes the string, its header, or the first `sealedHead.length` characters.
 */
export function sealedKeyId(stored: string): string | null {
  const [header = ''] = stored.split('.', 1);
  if (!header.startsWith('eyJ')) return null;
  const text = decoded(header);
  const fields = parsed(text) ?? parsed(`${text}}`);
  return fields?.typ === sealedType && typeof fields.kid === 'string' ? fields.kid : null;
}

function decoded(header: string): string {
  try {
    return new TextDecoder().decode(base64url.decode(header));
  } catch {
    return '';
  }
}

function parsed(text: string): { readonly typ?: unknown; readonly kid?: unknown } | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
