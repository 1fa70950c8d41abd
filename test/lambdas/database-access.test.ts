import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { databaseSource, FunctionDatabase } from '../../lambdas/database-access.ts';
import { EnvironmentError, readEnv } from '../../lambdas/env.ts';
import { SecretReader } from '../../lambdas/secrets/secret-reader.ts';
import { type Secrets, startSecrets } from '../../local/cloud/secrets.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

let db: TestDatabase;
let secrets: Secrets;
const environment = { ...process.env };
beforeAll(async () => {
  db = await testDatabase();
  secrets = await startSecrets({ specs: [], given: {}, port: undefined });
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
  await db.end();
});

/** As after five minutes: the secret is read again. */
async function readAgain(reader: SecretReader) {
  reader.forget('database');
  await new Promise((resolve) => setTimeout(resolve, 1_050));
}

const applicationName = `SELECT current_setting('application_name') AS name`;
const named = (name: string) => {
  const url = new URL(db.url);
  url.searchParams.set('application_name', name);
  return { url: url.href };
};

describe('the database of a function', () => {
  it('answers what it was asked when the secret changes meanwhile, and is another one from then on', async () => {
    const reader = new SecretReader();
    const database = new FunctionDatabase('database', reader, { nowMs: Date.now });
    secrets.put('database', named('before'));
    expect(await database.query(applicationName, [])).toEqual([{ name: 'before' }]);
    const slow = database.query('SELECT pg_sleep(2)', []);
    const waiting = database.query(applicationName, []);
    secrets.put('database', named('after'));
    await readAgain(reader);
    expect(await database.query(applicationName, [])).toEqual([{ name: 'after' }]);
    expect(await slow).toHaveLength(1);
    expect(await waiting).toEqual([{ name: 'before' }]);
    await expect
      .poll(() => db.sql(`SELECT FROM pg_stat_activity WHERE application_name = 'before'`))
      .toHaveLength(0);
    await database.end();
  });

  it('goes on over its connection while the secret is unusable, and finds the mended one at once', async () => {
    const reader = new SecretReader();
    const database = new FunctionDatabase('database', reader, { nowMs: Date.now });
    secrets.put('database', named('before'));
    await database.query(applicationName, []);
    secrets.put('database', 'a slip of the pen');
    await readAgain(reader);
    expect(await database.query(applicationName, [])).toEqual([{ name: 'before' }]);
    secrets.put('database', named('mended'));
    await readAgain(new SecretReader());
    expect(await database.query(applicationName, [])).toEqual([{ name: 'mended' }]);
    await database.end();
  });

  it('takes the authority that the secret says by now, also where the URL stays', async () => {
    const reader = new SecretReader();
    const database = new FunctionDatabase('database', reader, { nowMs: Date.now });
    secrets.put('database', named('same'));
    await database.query(applicationName, []);
    const session = 'SELECT pg_backend_pid() AS pid';
    const [before] = await database.query<{ pid: number }>(session, []);
    const ca = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
    secrets.put('database', { ...named('same'), ca });
    await readAgain(reader);
    expect(await database.query(session, [])).not.toEqual([before]);
    await database.end();
  });

  it('that cannot even be begun fails its statement and not its end', async () => {
    const database = new FunctionDatabase('postgres://%E0%A4%A@db.example/app', new SecretReader(), {
      nowMs: Date.now,
    });
    await expect(database.query(applicationName, [])).rejects.toThrow(URIError);
    await expect(database.query(applicationName, [])).rejects.toThrow(URIError);
    await expect(database.end()).resolves.toBeUndefined();
  });
});

describe('where the database is', () => {
  const read = (DATABASE_SOURCE: string) =>
    readEnv({ source: ['DATABASE_SOURCE', databaseSource] }, { DATABASE_SOURCE }).source;

  it.each([
    'evergrant/prod/database',
    'arn:aws:secretsmanager:eu-central-1:123456789012:secret:evergrant-AbCdEf',
    'postgres://postgres@c.abc.eu-central-1.rds.amazonaws.com:5432/postgres',
  ])('may be %s', (source) => expect(read(source)).toBe(source));

  it.each([
    'postgres://u:canary@db.example/app',
    'postgresql://u:canary@db.example/app',
    'postgres://u@db.example/app?password=canary',
    'mysql://canary@db.example/app',
    'postgres://canary:no port/app',
  ])('is refused and not repeated: %s', (source) => {
    expect(() => read(source)).toThrow(EnvironmentError);
    expect(() => read(source)).toThrow(/DATABASE_SOURCE: must be the id of a secret/);
    expect(() => read(source)).not.toThrow(/canary/);
  });
});
