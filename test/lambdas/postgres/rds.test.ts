import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { Signer } from '@aws-sdk/rds-signer';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { iamPassword, signedAddress } from '../../../lambdas/postgres/iam-password.ts';
import { rdsAuthorities } from '../../../lambdas/postgres/rds-authorities.ts';

describe('TLS to RDS', () => {
  it('trusts the authorities of RDS beside those that Node knows', async () => {
    const authorities = await rdsAuthorities('postgres://u@c.abc.eu-central-1.rds.amazonaws.com:5433/app');
    expect(authorities).toEqual(expect.arrayContaining([...rootCertificates.slice(0, 3)]));
    const subjects = authorities!.map((pem) => new X509Certificate(pem).subject);
    for (const region of ['us-east-1', 'eu-central-1', 'ap-southeast-2']) {
      expect(subjects.some((name) => name.includes(`Amazon RDS ${region} Root CA RSA2048 G1`))).toBe(true);
    }
  });

  it.each(['postgres://u@db.example/app', 'postgres://u@rds.amazonaws.com.evil.example/app'])(
    'leaves the trust of any other host as it is: %s',
    async (url) => {
      expect(await rdsAuthorities(url)).toBeUndefined();
    },
  );
});

describe('the password of IAM authentication', () => {
  const environment = { ...process.env };
  beforeAll(() => {
    Object.assign(process.env, {
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'a secret',
      AWS_SESSION_TOKEN: 'a token',
    });
  });
  afterAll(() => {
    process.env = environment;
  });

  it('is signed for the host, the port and the user of the URL, and new for each connection', async () => {
    const password = iamPassword('postgres://ever%40grant@db.example:5433/app', Date.now);
    const token = new URL(`https://${await password()}`);
    expect(token.host).toBe('db.example:5433');
    expect(Object.fromEntries(token.searchParams)).toMatchObject({
      Action: 'connect',
      DBUser: 'ever@grant',
      'X-Amz-Expires': '900',
      'X-Amz-Security-Token': 'a token',
      'X-Amz-Credential': expect.stringMatching(/^AKIDEXAMPLE\/\d{8}\/eu-central-1\/rds-db\/aws4_request$/),
    });
    expect(token.search).not.toContain('a%20secret');
  });

  it('is the one that the SDK’s signer makes at that moment', async () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.record({
            user: name,
            accessKeyId: fc.stringMatching(/^[A-Z0-9]{8,20}$/),
            secretAccessKey: name,
            sessionToken: fc.oneof(fc.constant(''), name),
            nowMs: fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2099, 11) }),
          }),
          async ({ user, nowMs, ...credentials }) => {
            const region = 'eu-central-1';
            vi.setSystemTime(nowMs);
            const { sessionToken, ...keys } = credentials;
            const signer = new Signer({
              hostname: 'db.example',
              port: 5433,
              username: user,
              region,
              credentials: { ...keys, ...(sessionToken !== '' && { sessionToken }) },
            });
            const expected = await signer.getAuthToken();
            vi.setSystemTime(0);
            const made = signedAddress('db.example:5433', user, { ...credentials, region }, nowMs);
            const parts = (token: string) => token.split(/[?&]/).toSorted();
            expect(parts(made)).toEqual(parts(expected));
          },
        ),
      );
    } finally {
      vi.useRealTimers();
    }
  });

  it('is dated by the clock that it is given', async () => {
    const password = iamPassword('postgres://app@db.example/app', () => Date.UTC(2026, 1, 3, 4, 5, 6));
    expect(await password()).toMatch(/^db\.example:5432\/\?.*X-Amz-Date=20260203T040506Z/);
  });

  it('cannot be made without credentials, and says which variables are missing', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', '');
    await expect(iamPassword('postgres://app@db.example/app', Date.now)()).rejects.toThrow(
      'AWS_ACCESS_KEY_ID',
    );
    vi.unstubAllEnvs();
  });
});
