import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { clientConfig } from '../../../lambdas/postgres/database.ts';
import { readDatabaseSecret, SecretReader } from '../../../lambdas/secrets/secret-reader.ts';
import { type Secrets, startSecrets } from '../../../local/cloud/secrets.ts';
import { startProxy } from '../../support/proxy.ts';

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

  it.each(['refuses', 'hangs'] as const)(
    'goes on with what was read last while Secrets Manager %s, and asks again when some time has passed',
    async (how) => {
      const proxy = await startProxy(Number(new URL(secrets.endpoint).port));
      process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = `http://127.0.0.1:${proxy.port}`;
      const reader = new SecretReader();
      secrets.put('plain', 'a');
      expect(await reader.get('plain')).toBe('a');
      secrets.put('plain', 'b');
      // Not doubted, so not asked for again.
      expect(await reader.get('plain')).toBe('a');
      if (how === 'hangs') proxy.hang();
      else proxy.cut();
      reader.forget('plain');
      pass(1_100);
      const askedAtMs = process.hrtime.bigint();
      expect(await reader.get('plain')).toBe('a');
      // Less than three tries of two seconds: somebody may be waiting with a token in hand.
      expect(Number(process.hrtime.bigint() - askedAtMs) / 1e6).toBeLessThan(5_500);
      proxy.restore();
      // Doubt does not make it ask sooner while nobody answers.
      const connections = proxy.connections;
      reader.forget('plain');
      pass(5_000);
      expect(await reader.get('plain')).toBe('a');
      expect(proxy.connections).toBe(connections);
      pass(5_100);
      expect(await reader.get('plain')).toBe('b');
      await proxy.stop();
      process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = secrets.endpoint;
    },
  );

  it('that was never read fails when Secrets Manager does not answer, and is asked for again', async () => {
    const proxy = await startProxy(Number(new URL(secrets.endpoint).port));
    process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = `http://127.0.0.1:${proxy.port}`;
    const reader = new SecretReader();
    secrets.put('plain', 'a');
    proxy.cut();
    await expect(reader.get('plain')).rejects.toThrow();
    proxy.restore();
    expect(await reader.get('plain')).toBe('a');
    await proxy.stop();
    process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = secrets.endpoint;
  });
});

let passedMs = 0;
afterEach(() => {
  vi.restoreAllMocks();
  passedMs = 0;
});

/** Moves the clock on that readers go by. */
function pass(ms: number): void {
  vi.restoreAllMocks();
  const now = performance.now.bind(performance);
  passedMs += ms;
  const aheadMs = passedMs;
  vi.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs);
}
