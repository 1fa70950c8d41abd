import { randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { base64url, CompactEncrypt, compactDecrypt, decodeProtectedHeader, generateKeyPair } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { TokenKeyError } from '../../../lambdas/sealing/token-keys.ts';
import { type SealedPlace, TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';

const key = randomBytes(32).toString('hex');
const earlierKey = randomBytes(32).toString('hex');
const place: SealedPlace = { integrationId: randomUUID(), column: 'refresh_token' };

let sealer: TokenSealer;
let earlier: TokenSealer;
beforeAll(async () => {
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: key, previous: [earlierKey] }));
  earlier = await TokenSealer.fromSecret(JSON.stringify({ current: earlierKey }));
});

describe('a sealed token', () => {
  it('opens where it was sealed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1, unit: 'binary' }), async (text) => {
        const token = text.toWellFormed();
        const sealed = await sealer.seal(token, place);
        expect(await sealer.open(sealed, place)).toEqual({ ok: true, token, current: true });
      }),
      { numRuns: 200 },
    );
  });

  it('keeps a byte order mark, which a text decoder would take for itself', async () => {
    const token = '\ufefftoken';
    expect(await sealer.open(await sealer.seal(token, place), place)).toMatchObject({ token });
  });

  it('shows nothing of the token, and is another each time', async () => {
    const sealed = await sealer.seal('canary-token', place);
    for (const part of sealed.split('.')) {
      expect(Buffer.from(part, 'base64url').toString('latin1')).not.toContain('canary');
    }
    expect(await sealer.seal('canary-token', place)).not.toBe(sealed);
  });

  it('opens in no other row and no other column', async () => {
    const sealed = await sealer.seal('token', place);
    const damaged = { ok: false, reason: 'damaged' };
    expect(await sealer.open(sealed, { ...place, integrationId: randomUUID() })).toEqual(damaged);
    expect(await sealer.open(sealed, { ...place, column: 'access_token' })).toEqual(damaged);
  });

  it('can be read by any JOSE library that has the key (RFC 7516)', async () => {
    const sealed = await sealer.seal('token', place);
    const { plaintext, protectedHeader } = await compactDecrypt(sealed, Buffer.from(key, 'hex'));
    expect(new TextDecoder().decode(plaintext)).toBe('token');
    expect(protectedHeader).toMatchObject({ alg: 'dir', enc: 'A256GCM', kid: expect.any(String) });
    // `dir`: no encrypted key (RFC 7516 §5.1 step 5); A256GCM: 96 bits of IV and 128 of tag (RFC 7518 §5.3).
    const [, encryptedKey, iv, , tag] = sealed.split('.');
    expect(encryptedKey).toBe('');
    expect(base64url.decode(iv!)).toHaveLength(12);
    expect(base64url.decode(tag!)).toHaveLength(16);
  });

  it('says nothing about its key but a one-way id', async () => {
    const { kid } = decodeProtectedHeader(await sealer.seal('token', place));
    expect(kid).not.toContain(key);
    expect(Buffer.from(String(kid), 'base64url').toString('hex')).not.toBe(key);
  });

  describe('with one character changed', () => {
    it('is never opened as another token', async () => {
      const sealed = await sealer.seal('a token', place);
      const counts: Record<string, number> = {};
      for (let index = 0; index < sealed.length; index += 1) {
        for (const character of new Set(['A', 'B', '_', '.', '', ' ', 'é', `${sealed[index]}x`])) {
          const damaged = sealed.slice(0, index) + character + sealed.slice(index + 1);
          if (damaged === sealed) continue;
          const opened = await sealer.open(damaged, place);
          if (!opened.ok) {
            counts[opened.reason] = (counts[opened.reason] ?? 0) + 1;
            continue;
          }
          // Read as a plain token, which the provider then refuses; or the same one, by bits without meaning.
          if (opened.token === damaged) expect(opened.current).toBe(false);
          else expect(opened.token).toBe('a token');
        }
      }
      // Damage to the key id looks like an unknown key; what is encrypted is damaged.
      expect(counts.damaged).toBeGreaterThan(50);
      expect(counts.unknown_key).toBeGreaterThan(50);
    });

    it('behind its header is damaged, so that nothing of it goes to a provider', async () => {
      const sealed = await sealer.seal('a token', place);
      const header = sealed.indexOf('.');
      for (let index = header + 2; index < sealed.length; index += 1) {
        const other = sealed[index] === 'A' ? 'B' : 'A';
        const damaged = sealed.slice(0, index) + other + sealed.slice(index + 1);
        const opened = await sealer.open(damaged, place);
        if (opened.ok) expect(opened.token).toBe('a token');
        else expect(opened.reason).toBe('damaged');
      }
    });
  });

  it('cut short anywhere behind its header is damaged', async () => {
    const sealed = await sealer.seal('a token', place);
    for (let length = sealed.indexOf('.'); length < sealed.length; length += 1) {
      expect(await sealer.open(sealed.slice(0, length), place)).toEqual({ ok: false, reason: 'damaged' });
    }
  });

  it('with any bytes in place of a part never throws nor opens', async () => {
    const sealed = await sealer.seal('a token', place);
    const parts = sealed.split('.');
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 4 }), fc.uint8Array({ maxLength: 40 }), async (index, bytes) => {
        const changed = parts.with(index, base64url.encode(bytes)).join('.');
        fc.pre(changed !== sealed);
        const opened = await sealer.open(changed, place);
        if (opened.ok) expect(opened.token).toBe(changed);
      }),
    );
  });
});

describe('keys', () => {
  it('of before open what they sealed, to be sealed anew', async () => {
    const sealed = await earlier.seal('token', place);
    expect(await sealer.open(sealed, place)).toEqual({ ok: true, token: 'token', current: false });
  });

  it('that we do not have are named, and blame nobody’s grant', async () => {
    const sealed = await sealer.seal('token', place);
    const { kid } = decodeProtectedHeader(sealed);
    expect(await earlier.open(sealed, place)).toEqual({ ok: false, reason: 'unknown_key', keyId: kid });
  });

  it('are the same in either case, and once more in the list', async () => {
    const same = await TokenSealer.fromSecret(
      JSON.stringify({ current: key.toUpperCase(), previous: [key, earlierKey] }),
    );
    expect(await same.open(await sealer.seal('token', place), place)).toMatchObject({ current: true });
  });

  it.each([
    ['', 'JSON'],
    ['canary', 'JSON'],
    ['null', 'current'],
    ['[]', 'current'],
    ['"canary"', 'current'],
    ['{}', 'current'],
    [JSON.stringify({ current: 'canary' }), 'current'],
    [JSON.stringify({ current: 'ca'.repeat(31) }), 'current'],
    [JSON.stringify({ current: `${'ca'.repeat(31)}zz` }), 'current'],
    [JSON.stringify({ current: `${'ca'.repeat(32)}\n` }), 'current'],
    [JSON.stringify({ current: ['ca'.repeat(32)] }), 'current'],
    [JSON.stringify({ current: 'ca'.repeat(32), previous: 'fe'.repeat(32) }), 'previous'],
    [JSON.stringify({ current: 'ca'.repeat(32), previous: ['fe'] }), 'previous'],
    [JSON.stringify({ current: 'ca'.repeat(32), previous: [null] }), 'previous'],
  ])('in a malformed secret (%j) are refused, saying where and no part of them', async (secret, where) => {
    const error = (await TokenSealer.fromSecret(secret).catch((thrown: Error) => thrown)) as Error;
    expect(error).toBeInstanceOf(TokenKeyError);
    expect(error.message).toContain(where);
    for (const part of ['canary', 'caca', 'fefe']) expect(error.message).not.toContain(part);
  });
});

describe('a plain token', () => {
  it.each([
    'ya29.a0AfH6SMBx',
    '1//0gabc-def_ghi',
    'xoxe-1-abc',
    'a.b.c.d.e',
    '....',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig',
    'eyJ',
    'e',
    '{"refresh":"token"}',
    ' ',
    '💥',
  ])('%j is what it is', async (token) => {
    expect(await sealer.open(token, place)).toEqual({ ok: true, token, current: false });
  });

  it('may be any printable text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), async (token) => {
        fc.pre(!token.startsWith('eyJ'));
        expect(await sealer.open(token, place)).toEqual({ ok: true, token, current: false });
      }),
    );
  });

  it('may be a JWE of the provider’s own', async () => {
    const { publicKey } = await generateKeyPair('RSA-OAEP');
    const plaintext = new TextEncoder().encode('theirs');
    const theirs = [
      // As Auth0 issues opaque access tokens.
      await new CompactEncrypt(plaintext)
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', iss: 'https://acme.auth0.com/' })
        .encrypt(randomBytes(32)),
      await new CompactEncrypt(plaintext)
        .setProtectedHeader({ alg: 'RSA-OAEP', enc: 'A256GCM', kid: 'theirs' })
        .encrypt(publicKey),
      await new CompactEncrypt(plaintext)
        .setProtectedHeader({ alg: 'dir', enc: 'A256CBC-HS512', typ: 'JWT', cty: 'JWT' })
        .encrypt(randomBytes(64)),
      // Sealed by accident with our own key, and not in our way.
      await new CompactEncrypt(plaintext)
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .encrypt(Buffer.from(key, 'hex')),
    ];
    for (const token of theirs) {
      expect(await sealer.open(token, place)).toEqual({ ok: true, token, current: false });
    }
  });
});
