import { randomBytes, randomUUID } from 'node:crypto';
import { CompactEncrypt, EncryptJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { sealedHead, sealedKeyId } from '../../../lambdas/sealing/sealed-head.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';

const key = randomBytes(32);
const place = { integrationId: randomUUID(), column: 'refresh_token' } as const;

describe('the head of a sealed token', () => {
  it('ends with the key id, whatever the key and the place', async () => {
    const heads = new Set<string>();
    for (let i = 0; i < 20; i += 1) {
      const sealer = await TokenSealer.fromSecret(
        JSON.stringify({ current: randomBytes(32).toString('hex') }),
      );
      for (const column of ['access_token', 'refresh_token'] as const) {
        const sealed = await sealer.seal(randomUUID(), { integrationId: randomUUID(), column });
        expect(sealed.startsWith(sealedHead.start)).toBe(true);
        const head = sealed.slice(0, sealedHead.length);
        heads.add(head);
        expect(Buffer.from(head, 'base64url').toString()).toMatch(/"kid":"[\w-]{43}"$/);
        for (const part of [head, sealed, sealed.split('.')[0]!, sealed.slice(0, -20)]) {
          expect(sealedKeyId(part)).toBe(sealer.currentKeyId);
        }
      }
    }
    // One head for each key: the place stands behind it.
    expect(heads.size).toBe(20);
  });

  it('is read in any order of its fields, as another JOSE library may write them', async () => {
    const sealed = await new CompactEncrypt(Buffer.from('token'))
      .setProtectedHeader({
        sub: 'integrations/x',
        kid: 'k1',
        typ: 'evergrant+jwe',
        enc: 'A256GCM',
        alg: 'dir',
      })
      .encrypt(key);
    expect(sealedKeyId(sealed)).toBe('k1');
  });

  it('is not there in what providers issue', async () => {
    const jwe = await new EncryptJWT({})
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: 'k' })
      .encrypt(key);
    const jwt = new UnsecuredJWT({}).encode();
    for (const token of [
      jwe,
      jwt,
      '',
      '.',
      '1//0abc',
      'eyJ',
      'eyJhbGciOiJ',
      'eyJ.a.b.c.d',
      'eyJudWxsIn0',
      'xoxb-1-2',
    ]) {
      expect(sealedKeyId(token), token).toBeNull();
    }
  });

  it('without a key id is none of ours', async () => {
    const header = Buffer.from('{"typ":"evergrant+jwe","kid":7}').toString('base64url');
    expect(sealedKeyId(`${header}....`)).toBeNull();
  });

  it('stands in tokens that the sealer opens', async () => {
    const sealer = await TokenSealer.fromSecret(JSON.stringify({ current: key.toString('hex') }));
    const sealed = await sealer.seal('token', place);
    expect(sealer.keyIds).toContain(sealedKeyId(sealed));
    expect(await sealer.open(sealed, place)).toMatchObject({ ok: true });
  });
});
