import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { iamPassword } from '../../../lambdas/postgres/iam-password.ts';
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
    const password = iamPassword('postgres://ever%40grant@db.example:5433/app');
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
});
