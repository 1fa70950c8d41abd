import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  end,
  errorAnswer,
  evergrant,
  evergrantJson,
  launch,
  stackAnswer,
  startAnswers,
  temporaryDirectory,
} from './harness.ts';

// Each test runs several processes, one after the other.
vi.setConfig({ testTimeout: 120_000 });

interface ErrorDocument {
  error: { code: string; message: string };
}

let directory: string;
beforeAll(async () => {
  directory = await temporaryDirectory();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

const credentials = { AWS_ACCESS_KEY_ID: 'AKIDTEST', AWS_SECRET_ACCESS_KEY: 'secret-of-the-test' };
const region = { AWS_REGION: 'eu-west-1' };

describe('evergrant', () => {
  test('--help tells what there is, without AWS', async () => {
    const { code, stdout, stderr } = await evergrant(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Operates Evergrant/);
    expect(stdout).toContain('Exit codes');
    expect(stdout).not.toContain('\u001b[');
  });

  test('wrong usage is told on standard error, with what may have been meant and where help is', async () => {
    const { code, stdout, stderr } = await evergrant(['key', 'rotaet', '--yes']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^evergrant: There is no command key rotaet.* Did you mean rotate\?\n/);
    expect(stderr).toMatch(/\nTry: evergrant key --help\n$/);
  });

  test.each([
    [['sttaus'], 'There is no command "sttaus". Did you mean status?'],
    [['scan', '--limit', 'many'], '--limit must be a whole number from 1 to 1000000.'],
    [['scan', '--limit', '0'], '--limit must be a whole number from 1 to 1000000.'],
    [['scan', '--provider', 'a b'], '--provider must be the name of a provider, such as google.'],
    [['history', 'abc'], '"abc" is no integration id.'],
    [['migrate', 'up', '--count', '0'], '--count must be a whole number, 1 or more.'],
    [['migrate', 'up', '--ca', 'x'], '--ca goes with --direct.'],
    [['migrate', 'up', '--direct'], '--direct needs a postgres:// URL'],
    [['migrate', 'up', '--direct', '--local'], 'leave out --stack and --local'],
    [['status', '--local', '--stack', 's'], 'not both'],
    [['status', '--directory', 'd'], '--directory goes with --local.'],
  ])('%j is wrong usage, also as a document', async (args, message) => {
    const { code, document } = await evergrantJson<ErrorDocument>(args);
    expect(code).toBe(2);
    expect(document).toEqual({ error: { code: 'usage', message: expect.stringContaining(message) } });
  });

  test('a reader that has gone away is no failure', async () => {
    const child = launch(['--help']);
    child.stdout?.destroy();
    const { code, stderr } = await end(child);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test.each([[[]], [['--json']]])('Ctrl-C ends it with 130 %j', async (options) => {
    // Takes the request for the outputs, and never answers.
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanUps.push(async () => void server.close());
    const { port } = server.address() as { port: number };
    const child = launch(['scan', ...options], {
      ...credentials,
      ...region,
      AWS_ENDPOINT_URL_CLOUDFORMATION: `http://127.0.0.1:${port}`,
    });
    const ended = end(child);
    const [socket] = await once(server, 'connection');
    child.kill('SIGINT');
    const { code, stdout } = await ended;
    socket.destroy();
    expect(code).toBe(130);
    expect(stdout).toBe(
      options.length === 0
        ? ''
        : `${JSON.stringify({ error: { code: 'interrupted', message: 'It was interrupted.' } }, null, 2)}\n`,
    );
  });

  test('a step that takes long is announced on standard error', async () => {
    const answers = await startAnswers((_, response) => {
      setTimeout(() => response.writeHead(400).end(errorAnswer('AccessDenied', 'no')), 2_500);
    });
    cleanUps.push(answers.stop);
    const { stderr } = await evergrant(['scan'], {
      ...credentials,
      ...region,
      AWS_ENDPOINT_URL_CLOUDFORMATION: answers.endpoint,
    });
    expect(stderr).toMatch(/^reading the outputs of the stack\nevergrant: AWS does not allow it/);
  });
});

describe('--local', () => {
  test('where nothing runs says how to start it', async () => {
    const { code, document } = await evergrantJson<ErrorDocument>([
      'status',
      '--local',
      '--directory',
      path.join(directory, 'nowhere'),
    ]);
    expect(code).toBe(1);
    expect(document.error.code).toBe('not_running');
    expect(document.error.message).toContain('npm start -- --directory');
  });

  test('what a system left behind that was killed is not taken for a running one', async () => {
    const closed = await startAnswers(() => undefined);
    await closed.stop();
    const { sqs, lambda, secretsManager, ses } = {
      sqs: closed.endpoint,
      lambda: closed.endpoint,
      secretsManager: closed.endpoint,
      ses: closed.endpoint,
    };
    await mkdir(path.join(directory, 'stale'));
    await writeFile(
      path.join(directory, 'stale', 'running.json'),
      JSON.stringify({
        stackName: 'evergrant-local',
        endpoints: { sqs, lambda, secretsManager, ses },
        outputs: {},
      }),
    );
    const { code, stdout, stderr } = await evergrant([
      'scan',
      '--local',
      '--directory',
      path.join(directory, 'stale'),
    ]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/is gone: nothing answers at http:\S+\. Start it with npm start -- --directory/);
  });
});

describe('--local with a file that npm start did not write', () => {
  test.each(['', '{}', 'null', '{"endpoints":{"lambda":7}}', '{"endpoints":{}}'])(
    'says how to start a system: %j',
    async (content) => {
      const place = path.join(directory, 'odd');
      await mkdir(place, { recursive: true });
      await writeFile(path.join(place, 'running.json'), content);
      const { code, document } = await evergrantJson<ErrorDocument>([
        'status',
        '--local',
        '--directory',
        place,
      ]);
      expect(code).toBe(1);
      expect(document.error).toMatchObject({
        code: 'not_running',
        message: expect.stringContaining('npm start'),
      });
    },
  );
});

describe('AWS', () => {
  /** A server that answers each call to CloudFormation so. */
  async function cloudFormation(status: number, body: string): Promise<NodeJS.ProcessEnv> {
    const answers = await startAnswers((request, response) => {
      request.resume();
      response.writeHead(status, { 'content-type': 'text/xml' }).end(body);
    });
    cleanUps.push(answers.stop);
    return { ...credentials, ...region, AWS_ENDPOINT_URL_CLOUDFORMATION: answers.endpoint };
  }

  async function failure(args: string[], env: NodeJS.ProcessEnv): Promise<ErrorDocument['error']> {
    const { code, document, stderr } = await evergrantJson<ErrorDocument>(args, env);
    expect(code).toBe(1);
    // Only what is going on, on a slow machine.
    expect(stderr).not.toContain('evergrant:');
    return document.error;
  }

  test('no credentials', async () => {
    const { code, message } = await failure(['scan'], { ...region, HOME: directory });
    expect(code).toBe('credentials_missing');
    expect(message).toContain('aws configure');
  });

  test('no region', async () => {
    const { code, message } = await failure(['scan'], { ...credentials, HOME: directory });
    expect(code).toBe('region_missing');
    expect(message).toContain('AWS_REGION');
  });

  test('a sign-in that has expired', async () => {
    const config = path.join(directory, 'sso-config');
    const home = path.join(directory, 'home');
    await mkdir(path.join(home, '.aws', 'sso', 'cache'), { recursive: true });
    await writeFile(
      config,
      `[profile work]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Admin\nregion = eu-west-1\n
[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example/start\n`,
    );
    // Where the AWS CLI keeps it: the file is named by the SHA-1 of the session's name.
    const { createHash } = await import('node:crypto');
    const name = createHash('sha1').update('corp').digest('hex');
    await writeFile(
      path.join(home, '.aws', 'sso', 'cache', `${name}.json`),
      JSON.stringify({ accessToken: 'expired-token', expiresAt: '2020-01-01T00:00:00Z' }),
    );
    const { code, message } = await failure(['scan'], {
      HOME: home,
      AWS_PROFILE: 'work',
      AWS_CONFIG_FILE: config,
    });
    expect(code).toBe('credentials_expired');
    expect(message).toContain('aws sso login');
    expect(message).not.toContain('expired-token');
  });

  test.each([
    [
      400,
      'ValidationError',
      'Stack with id evergrant-qa does not exist',
      'stack_not_found',
      /There is no stack evergrant-qa in eu-west-1 .*--stack NAME/,
    ],
    [
      403,
      'AccessDenied',
      'User: arn:aws:iam::1:user/a is not authorized to perform: cloudformation:DescribeStacks',
      'access_denied',
      /cloudformation:DescribeStacks\. Sign in with a role that may/,
    ],
    [
      403,
      'ExpiredToken',
      'The security token included in the request is expired',
      'credentials_expired',
      /expired/,
    ],
    [
      403,
      'InvalidClientTokenId',
      'The security token included in the request is invalid.',
      'credentials_invalid',
      /does not know these credentials/,
    ],
    [
      400,
      'ValidationError',
      'something else',
      'ValidationError',
      /AWS answered ValidationError: something else/,
    ],
  ])('%i %s', async (status, awsCode, awsMessage, code, text) => {
    const env = await cloudFormation(status, errorAnswer(awsCode, awsMessage));
    const failed = await failure(['scan', '--stack', 'evergrant-qa'], env);
    expect(failed.code).toBe(code);
    expect(failed.message).toMatch(text);
  });

  test('the network is away', async () => {
    const closed = await startAnswers(() => undefined);
    await closed.stop();
    const { code, message } = await failure(['scan'], {
      ...credentials,
      ...region,
      AWS_ENDPOINT_URL_CLOUDFORMATION: closed.endpoint,
      AWS_MAX_ATTEMPTS: '1',
    });
    expect(code).toBe('aws_unreachable');
    expect(message).toMatch(/^AWS does not answer \(ECONNREFUSED\)/);
  });

  test('the stack is that of EVERGRANT_STACK, and one of another version is named so', async () => {
    let body = '';
    const answers = await startAnswers((request, response) => {
      request.on('data', (chunk) => {
        body += chunk;
      });
      response.writeHead(200, { 'content-type': 'text/xml' }).end(stackAnswer('CREATE_COMPLETE', {}));
    });
    cleanUps.push(answers.stop);
    const env = { ...credentials, ...region, AWS_ENDPOINT_URL_CLOUDFORMATION: answers.endpoint };
    const { code, message } = await failure(['scan'], { ...env, EVERGRANT_STACK: 'evergrant-test' });
    expect(code).toBe('output_missing');
    expect(message).toContain('The stack evergrant-test has no output ScannerFunction');
    expect(body).toContain('StackName=evergrant-test');
  });
});

test('the entry is executable by itself', async () => {
  const text = await readFile(path.join(import.meta.dirname, '..', '..', 'bin', 'evergrant.ts'), 'utf8');
  expect(text).toMatch(/^#!\/usr\/bin\/env node\n/);
});
