import { randomUUID } from 'node:crypto';
import {
  CreateSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  paginateListSecrets,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Secrets, startSecrets } from '../../../local/cloud/secrets.ts';

let secrets: Secrets;
let client: SecretsManagerClient;
let changes: string[];
beforeEach(async () => {
  changes = [];
  secrets = await startSecrets({
    specs: [],
    given: { 'a/one': 'x', 'a/two': 'x', 'A/three': 'x', 'b/one': 'x' },
    onCurrent: (name, value) => changes.push(`${name}=${value}`),
  });
  client = new SecretsManagerClient({
    region: 'us-east-1',
    endpoint: secrets.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
});
afterEach(async () => {
  client.destroy();
  await secrets.stop();
});

describe('ListSecrets', () => {
  const names = async (...values: string[]) => {
    const { SecretList = [] } = await client.send(
      new ListSecretsCommand({ Filters: [{ Key: 'name', Values: values }], SortOrder: 'asc' }),
    );
    return SecretList.map(({ Name }) => Name);
  };

  it('filters by the begin of the name, letter case included', async () => {
    expect(await names('a/')).toEqual(['a/one', 'a/two']);
    expect(await names('/one')).toEqual([]);
    expect(await names('a/t', 'b')).toEqual(['a/two', 'b/one']);
    expect(await names('!a/')).toEqual(['A/three', 'b/one']);
    expect((await client.send(new ListSecretsCommand({}))).SecretList).toHaveLength(4);
  });

  it('gives no values, but the labels of versions, page by page', async () => {
    const pages = [];
    for await (const { SecretList = [] } of paginateListSecrets({ client, pageSize: 3 }, {}))
      pages.push(SecretList);
    expect(pages.map(({ length }) => length)).toEqual([3, 1]);
    const secret = pages.flat().find(({ Name }) => Name === 'a/one');
    expect(secret?.ARN).toMatch(/:secret:a\/one-\w{6}$/);
    expect(Object.values(secret?.SecretVersionsToStages ?? {})).toEqual([['AWSCURRENT']]);
    expect(JSON.stringify(pages)).not.toContain('SecretString');
  });

  it('refuses what it does not know', async () => {
    const list = (input: object) => client.send(new ListSecretsCommand(input));
    await expect(list({ MaxResults: 101 })).rejects.toMatchObject({ name: 'InvalidParameterException' });
    await expect(list({ NextToken: 'x' })).rejects.toMatchObject({ name: 'InvalidNextTokenException' });
    await expect(list({ Filters: [{ Key: 'tag-key', Values: ['x'] }] })).rejects.toThrow(/filters by name/);
  });
});

describe('CreateSecret', () => {
  const token = randomUUID();
  const create = (Name: string, SecretString?: string, ClientRequestToken = token) =>
    client.send(new CreateSecretCommand({ Name, SecretString, ClientRequestToken }));

  it('makes a version under the token of the request, and is the same call when repeated', async () => {
    expect(await create('new', 'value')).toMatchObject({ Name: 'new', VersionId: token });
    expect(await create('new', 'value')).toMatchObject({ VersionId: token });
    expect(changes).toEqual(['new=value']);
    const { SecretString, VersionStages } = await client.send(new GetSecretValueCommand({ SecretId: 'new' }));
    expect({ SecretString, VersionStages }).toEqual({ SecretString: 'value', VersionStages: ['AWSCURRENT'] });
  });

  it('refuses a name that is taken, and another value under the same token', async () => {
    await create('new', 'value');
    for (const refused of [
      create('new', 'other'),
      create('new', 'value', randomUUID()),
      create('a/one', 'x'),
    ]) {
      await expect(refused).rejects.toMatchObject({ name: 'ResourceExistsException' });
    }
  });

  it('without a value has none, until the first one is put, which is the current one in any case', async () => {
    await create('new');
    await expect(client.send(new GetSecretValueCommand({ SecretId: 'new' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
    const { VersionId } = await client.send(
      new PutSecretValueCommand({ SecretId: 'new', SecretString: 'first', VersionStages: ['AWSPENDING'] }),
    );
    expect(secrets.get('new')).toBe('first');
    await expect(
      client.send(
        new UpdateSecretVersionStageCommand({
          SecretId: 'new',
          VersionStage: 'AWSCURRENT',
          MoveToVersionId: VersionId,
        }),
      ),
    ).rejects.toMatchObject({ name: 'InvalidParameterException' });
  });
});
