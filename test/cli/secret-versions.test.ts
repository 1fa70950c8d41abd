import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createSecret, readCurrentVersion, replaceCurrentVersion } from '../../cli/secret-versions.ts';
import { type Secrets, startSecrets } from '../../local/cloud/secrets.ts';

let manager: Secrets;
let target: { secrets: SecretsManagerClient };
beforeEach(async () => {
  manager = await startSecrets({ specs: [], given: { known: 'first' } });
  target = {
    secrets: new SecretsManagerClient({
      region: 'us-east-1',
      endpoint: manager.endpoint,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    }),
  };
});
afterEach(async () => {
  target.secrets.destroy();
  await manager.stop();
});

it('of two that replace the same version one wins, and the other knows', async () => {
  const read = await readCurrentVersion(target, 'known');
  expect(read).toMatchObject({ secretId: 'known', value: 'first' });
  expect(await replaceCurrentVersion(target, read!, 'second')).toBe(true);
  expect(await replaceCurrentVersion(target, read!, 'third')).toBe(false);
  expect(manager.get('known')).toBe('second');
});

it('of two that make the same secret one wins, and the other knows', async () => {
  const results = await Promise.all(
    ['one', 'two', 'three'].map((value) => createSecret(target, 'new', { value, description: 'd' })),
  );
  expect(results.filter((made) => made)).toHaveLength(1);
  expect(['one', 'two', 'three'][results.indexOf(true)]).toBe(manager.get('new'));
});

it('a secret that is there without a value gets its first', async () => {
  await target.secrets.send(new CreateSecretCommand({ Name: 'empty' }));
  expect(await readCurrentVersion(target, 'empty')).toBeNull();
  expect(await createSecret(target, 'empty', { value: 'first', description: 'd' })).toBe(true);
  expect(manager.get('empty')).toBe('first');
});

it('one that is not there is none', async () => {
  expect(await readCurrentVersion(target, 'unknown')).toBeNull();
});
