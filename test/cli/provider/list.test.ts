import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openCircuit } from '../../../lambdas/postgres/open-circuit.ts';
import { catalogue } from '../../../lambdas/providers/catalogue.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { providerSecretPrefix, TestStack } from '../connect/harness.ts';
import { run } from './harness.ts';

let db: TestDatabase;
let stack: TestStack;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(async () => {
  await db.clear();
  stack = await TestStack.start(db, { current: '0f'.repeat(32) });
});
afterEach(() => stack.stop());
afterAll(() => db.end());

const put = (name: string, value: string | object) => stack.put(providerSecretPrefix + name, value);
const credentials = { clientId: 'canary-id', clientSecret: 'canary-secret' };

async function list(...options: readonly string[]) {
  const ended = await run(stack, ['list', ...options]);
  expect(JSON.stringify(ended)).not.toContain('canary');
  return ended;
}

describe('provider list', () => {
  it('shows the catalogue where nothing is configured, in lines that fit', async () => {
    const { exitCode, stdout } = await list();
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^No provider is configured yet\. evergrant provider set <name>/);
    for (const name of Object.keys(catalogue)) expect(stdout).toMatch(new RegExp(`(^|[ ,])${name}\\b`, 'm'));
    expect(stdout).toMatch(/\nauth0 +Auth0 +post +sometimes +id, secret and domain\n/);
    expect(stdout).toMatch(
      /\nRenewed without a client, so there is nothing to set: instagram, threads\nNever renewed, .*trello/s,
    );
    expect(stdout).toMatch(/\n {2}google: gmail, /);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  it('shows what is configured first: own, shared, custom, unusable and missing', async () => {
    put('google', credentials);
    put('acme', {
      ...credentials,
      provider: { displayName: 'Acme', tokenEndpoint: 'https://acme.example/token', rotation: 'always' },
    });
    put('hubspot', { clientId: 'canary-id' });
    put('broken', 'canary');
    for (const provider of ['gmail', 'gmail', 'slack', 'trello']) await db.insertIntegration({ provider });
    await openCircuit(db.database, { provider: 'google' });
    const { exitCode, stdout } = await list();
    expect(exitCode).toBe(3);
    const lines = stdout.split('\n');
    expect(lines.slice(1, 8)).toEqual([
      expect.stringMatching(/^acme +Acme +own secret, custom +basic +always +0$/),
      expect.stringMatching(/^broken +— +unusable +— +— +0$/),
      expect.stringMatching(/^gmail +Google +secret of google +post +never +2$/),
      expect.stringMatching(/^google +Google +own secret +post +never +0$/),
      expect.stringMatching(/^hubspot +HubSpot +unusable +post +sometimes +0$/),
      expect.stringMatching(/^slack +Slack +missing +\S+ +\w+ +1$/),
      expect.stringMatching(/^trello +Trello +not needed +\S+ +no renewal +1$/),
    ]);
    expect(stdout).toContain(
      `broken: its secret is unusable. Mend the secret ${providerSecretPrefix}broken: the secret is not JSON.`,
    );
    expect(stdout).toContain('hubspot: its secret is unusable. ');
    expect(stdout).toContain(
      'slack: 1 connected integration waits for our client. evergrant provider set slack',
    );
    expect(stdout).toMatch(/\ngoogle: circuit open for \d+ s, by hand\.\n/);
  });

  it('is a document', async () => {
    put('google', credentials);
    const { document } = await list('--json');
    expect(document.well).toBe(true);
    const of = (name: string) => document.providers.find((each: { name: string }) => each.name === name);
    expect(of('google')).toEqual({
      name: 'google',
      displayName: 'Google',
      definedBy: 'catalogue',
      catalogueName: 'google',
      aliases: expect.arrayContaining(['gmail']),
      client: 'own',
      secretId: `${providerSecretPrefix}google`,
      problem: null,
      clientAuthentication: 'client_secret_post',
      renewal: 'refresh_token',
      rotation: 'never',
      variables: [],
      documentation: expect.stringMatching(/^https:/),
      integrations: 0,
      circuit: null,
      disconnectionsHeld: null,
    });
    expect(of('auth0')).toMatchObject({ client: 'missing', variables: ['domain'] });
  });

  it('pages through many secrets, and leaves those of others alone', async () => {
    for (let number = 0; number < 120; number += 1) {
      put(`own-${number}`, {
        ...credentials,
        provider: { displayName: 'Own', tokenEndpoint: 'https://acme.example/token' },
      });
    }
    stack.put('evergrant/other/providers/elsewhere', credentials);
    const { document } = await list('--json');
    const names = document.providers.map((each: { name: string }) => each.name);
    expect(names.filter((name: string) => name.startsWith('own-'))).toHaveLength(120);
    expect(names).not.toContain('elsewhere');
  });

  it('without the operator function shows the rest', async () => {
    put('google', credentials);
    stack.invoke = () => Promise.reject(new Error('away'));
    const { exitCode, stdout, stderr } = await list();
    expect(exitCode).toBe(0);
    expect(stderr).toContain('What holds providers back is not known: ');
    expect(stdout).toMatch(/\ngoogle +Google +own secret +post +never +\?\n/);
  });
});
