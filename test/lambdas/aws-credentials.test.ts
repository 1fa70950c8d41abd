import { afterEach, expect, it, vi } from 'vitest';
import { defaultProvider } from '../../lambdas/aws-credentials.ts';

afterEach(() => vi.unstubAllEnvs());

function inEnvironment(accessKeyId?: string, secretAccessKey?: string, sessionToken?: string) {
  vi.stubEnv('AWS_ACCESS_KEY_ID', accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', secretAccessKey);
  vi.stubEnv('AWS_SESSION_TOKEN', sessionToken);
  return defaultProvider()();
}

it('reads the credentials that Lambda puts into the environment', async () => {
  expect(await inEnvironment('id', 'secret', 'session')).toEqual({
    accessKeyId: 'id',
    secretAccessKey: 'secret',
    sessionToken: 'session',
  });
  expect(await inEnvironment('id', 'secret')).toEqual({ accessKeyId: 'id', secretAccessKey: 'secret' });
});

it('says what is not set', async () => {
  await expect(inEnvironment('id')).rejects.toThrow('AWS_SECRET_ACCESS_KEY');
  await expect(inEnvironment(undefined, 'secret')).rejects.toThrow('AWS_ACCESS_KEY_ID');
});
