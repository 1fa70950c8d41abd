import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { refused, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';
import { providerSecretPrefix, TestStack } from '../connect/harness.ts';
import { run } from './harness.ts';

let db: TestDatabase;
let stack: TestStack;
let endpoint: TokenEndpoint;
beforeAll(async () => {
  db = await testDatabase();
  stack = await TestStack.start(db, null);
});
beforeEach(async () => {
  await db.clear();
  endpoint = await startTokenEndpoint(() => refused('invalid_grant'));
  stack.put(`${providerSecretPrefix}acme`, {
    clientId: 'canary-id',
    clientSecret: 'canary-secret',
    provider: { displayName: 'Acme', tokenEndpoint: endpoint.url },
  });
});
afterEach(() => endpoint.stop());
afterAll(async () => {
  await stack.stop();
  await db.end();
});

async function check(...argv: readonly string[]) {
  const ended = await run(stack, ['check', ...argv]);
  expect(JSON.stringify(ended)).not.toContain('canary');
  return ended;
}

it('says line by line that all is well', async () => {
  const { exitCode, stdout } = await check('acme');
  expect(exitCode).toBe(0);
  expect(stdout.replace(/\d+ ms/, 'N ms')).toBe(`Acme (acme)
✓ Its definition: Acme, by its secret.
✓ Its secret: ${providerSecretPrefix}acme.
✓ Its secret is well-formed: It has what client_secret_basic needs.
✓ Its address is complete: ${endpoint.url}.
✓ It accepts our client: Only the made-up token was refused (invalid_grant, HTTP 400 in N ms).
✓ evergrant connect: Not possible, as authorizationEndpoint is not known. Refreshes do not need it.
    To connect accounts by the command line, put provider.authorizationEndpoint into the secret: evergrant provider set acme.
✓ It is called: Its circuit is closed.

7 of 7 checks are well.`);
});

it('a client that is refused is not well', async () => {
  endpoint.answer = () => refused('invalid_client', 401);
  const { exitCode, document } = await check('acme', '--json');
  expect(exitCode).toBe(3);
  expect(document).toMatchObject({
    well: false,
    provider: 'acme',
    credentials: 'refused',
    attempt: { httpStatus: 401, code: 'invalid_client' },
  });
});

it('a name that nobody knows is nearly one that is known', async () => {
  const { exitCode, stdout } = await check('gogle');
  expect(exitCode).toBe(3);
  expect(stdout).toContain('no secret defines it. Did you mean google?');
  expect((await check('a b')).exitCode).toBe(2);
  expect((await check('acme', '--variable', 'shop')).error).toMatch(
    /^usage: --variable is a name and a value/,
  );
});
