import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientConfig } from '../../../lambdas/postgres/database.ts';
import { readDatabaseSecret, SecretReader } from '../../../lambdas/secrets/secret-reader.ts';
import { type Secrets, startSecrets } from '../../../local/cloud/secrets.ts';

const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
const url = 'postgres://u:p@db.example:6543/product';

let secrets: Secrets;
const environment = { ...process.env };
beforeAll(async () => {
  secrets = await startSecrets({ specs: [], given: { plain: 'a' }, port: undefined });
  Object.assign(process.env, {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
  });
});
afterAll(async () => {
  process.env = environment;
  await secrets.stop();
});

describe('the database secret', () => {
  const read = (value: string | object) => {
    secrets.put('database', value);
    return readDatabaseSecret(new SecretReader(), 'database');
  };

  it('is a pooled URL, a direct one that may be the same, and an authority of its own', async () => {
    expect(await read({ url })).toEqual({ url, directUrl: url, ca: undefined });
    expect(await read({ url, directUrl: `${url}2`, ca: pem })).toEqual({
      url,
      directUrl: `${url}2`,
      ca: pem,
    });
  });

  it('may have an @ in a parameter, and one in the password that begins no other part', async () => {
    for (const own of ['postgres://u:p@ss@h/d', 'postgres://h/d?user=u@tenant&password=x']) {
      expect(await read({ url: own })).toMatchObject({ url: own });
    }
  });

  it('may be what RDS itself puts into a secret', async () => {
    const parts = { engine: 'postgres', host: 'db.example', port: 5433, username: 'u@1', password: 'p/#?' };
    const expected = 'postgres://u%401:p%2F%23%3F@db.example:5433';
    expect(await read({ ...parts, dbname: 'product' })).toMatchObject({
      url: `${expected}/product`,
      directUrl: `${expected}/product`,
    });
    expect((await read(parts)).url).toBe(`${expected}/postgres`);
  });

  it.each([
    ['it is not JSON', 'postgres://u:canary@h/d'],
    ['url is not a postgres:// URL', { url: 'mysql://u:canary@h/d' }],
    ['url is not a postgres:// URL', {}],
    ['url is not a postgres:// URL', { host: 'db.example', username: 'u' }],
    ['url is not a postgres:// URL', { host: 'h', username: 'u', password: 'canary\ud800', dbname: 'd' }],
    ['directUrl is not a postgres:// URL', { url, directUrl: 'canary' }],
    // The host of these is a part of the password, and would be looked up.
    ['the password in url must have its', { url: 'postgres://u:p@canary/word@db.example/d' }],
    ['the password in url must have its', { url: 'postgres://u:p@canary?word@db.example/d' }],
    ['the password in url must have its', { url: 'postgres://u:p@canary#word@db.example/d' }],
    ['the password in directUrl must have its', { url, directUrl: 'postgres://u:p@canary/w?x@db.example/d' }],
    ['ca is not a PEM certificate', { url, ca: 'canary' }],
  ])('says what to mend: %s', async (problem, value) => {
    const error = (await read(value).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ name: 'SecretUnusable', code: 'secret_unusable' });
    expect(error.message).toContain(problem);
    expect(error.message).not.toContain('canary');
  });

  it('that does not exist is named', async () => {
    await expect(readDatabaseSecret(new SecretReader(), 'nowhere')).rejects.toThrow(
      /nowhere.*does not exist/,
    );
  });
});

describe('connecting', () => {
  it('verifies TLS whatever the URL asks for, against the given authority, unless it is switched off', () => {
    expect(clientConfig({ url: `${url}?sslmode=no-verify` }).ssl).toEqual({ rejectUnauthorized: true });
    expect(clientConfig({ url: `${url}?sslmode=require`, ca: pem }).ssl).toEqual({
      rejectUnauthorized: true,
      ca: [pem],
    });
    expect(clientConfig({ url: `${url}?sslmode=disable` }).ssl).toBe(false);
    expect(clientConfig({ url: `${url}?sslmode=require&sslrootcert=/x` }).connectionString).not.toContain(
      'ssl',
    );
  });
});

describe('reading a secret', () => {
  it('remembers also that there is none, until somebody doubts it', async () => {
    const reader = new SecretReader();
    expect(await reader.get('made-later')).toBeNull();
    secrets.put('made-later', 'a');
    expect(await reader.get('made-later')).toBeNull();
    reader.forget('made-later');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await reader.get('made-later')).toBe('a');
  });

  it('goes on with what was read last while Secrets Manager is away', async () => {
    const reader = new SecretReader();
    expect(await reader.get('plain')).toBe('a');
    secrets.put('plain', 'b');
    // Not doubted, so not asked for again.
    expect(await reader.get('plain')).toBe('a');
    reader.forget('plain');
    const endpoint = secrets.endpoint;
    await secrets.stop();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await reader.get('plain')).toBe('a');
    secrets = await startSecrets({ specs: [], given: { plain: 'c' }, port: Number(new URL(endpoint).port) });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await reader.get('plain')).toBe('c');
  });
});
