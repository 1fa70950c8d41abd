import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { closeServer, listenOnLoopback } from '../../local/cloud/loopback.ts';
import { connectAccount } from '../../local/provider/connect.ts';
import { type LocalSystem, startSystem } from '../../local/system.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

const entry = path.join(import.meta.dirname, '..', '..', 'bin', 'evergrant.ts');

/** How a run of the command line ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the command line sees: nothing of the AWS configuration of whoever runs the tests. */
function environment(extra: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(AWS_|EVERGRANT_|DATABASE_URL$|NO_COLOR$|FORCE_COLOR$)/.test(name),
  );
  return {
    ...Object.fromEntries(own),
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    ...extra,
  };
}

/** Starts the real command line in a process of its own, without a terminal. `input`: what it gets on standard input. */
export function launch(args: readonly string[], env: NodeJS.ProcessEnv = {}, input?: string): ChildProcess {
  const child = spawn(process.execPath, [entry, ...args], {
    env: environment(env),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  child.stdin?.end(input);
  return child;
}

export function end(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

/** Runs the command line to its end. */
export function evergrant(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return end(launch(args, env));
}

/** Runs it with `--json`: standard output must be one document, and nothing but it. */
export async function evergrantJson<Document>(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; document: Document; stderr: string }> {
  const { code, stdout, stderr } = await evergrant([...args, '--json'], env);
  try {
    return { code, document: JSON.parse(stdout) as Document, stderr };
  } catch (error) {
    throw new Error(`not one JSON document: ${JSON.stringify(stdout)}\n${stderr}`, { cause: error });
  }
}

/** A temporary folder that PostgreSQL's account can get through as well. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-cli-'));
  await chmod(directory, 0o755);
  return directory;
}

export interface CliSystem {
  readonly system: LocalSystem;
  readonly database: TestDatabase;
  readonly directory: string;
  /** The options that lead to it. */
  readonly options: readonly string[];
  /** Connects an account at the provider through the real flow. Returns the integration's id. */
  connect(account: string): Promise<string>;
  stop(): Promise<void>;
}

/** The whole system as `npm start` runs it, in a database of its own. It scans once, and then only by hand. */
export async function startCliSystem(): Promise<CliSystem> {
  const database = await testDatabase({ empty: true });
  const directory = await temporaryDirectory();
  const remove = async () => {
    await database.end();
    await rm(directory, { recursive: true, force: true });
  };
  let system: LocalSystem;
  try {
    system = await startSystem({
      directory,
      databaseUrl: database.url,
      persistent: false,
      scanIntervalMs: 3_600_000,
      providers: [
        {
          name: 'acme-calendar',
          displayName: 'Acme Calendar',
          clientAuth: 'client_secret_basic',
          accessTokenLifetimeSeconds: 3_600,
        },
      ],
    });
  } catch (error) {
    await remove();
    throw error;
  }
  try {
    await firstScanEnded(database);
  } catch (error) {
    await system.stop();
    await remove();
    throw error;
  }
  return {
    system,
    database,
    directory,
    options: ['--local', '--directory', directory],
    async connect(account) {
      const [{ provider, client } = undefined as never] = system.providers;
      const connection = await connectAccount(provider, { account, client });
      const user = await system.store.addUser(account, account);
      return system.store.connect(user.id, provider.name, connection);
    },
    async stop() {
      await system.stop();
      await remove();
    },
  };
}

/** It would claim what a test wants to be due: a scan claims again when it has asked for sealed results. */
async function firstScanEnded(database: TestDatabase): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  for (;;) {
    const scans = await database.sql('SELECT FROM evergrant.scans');
    if (scans.length > 0) return;
    if (performance.now() > deadlineMs) throw new Error('The first scan has not ended within 60 s.');
    await sleep(50);
  }
}

/** A server on this machine that answers what AWS would. */
export async function startAnswers(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ endpoint: string; stop(): Promise<void> }> {
  const server = createServer(answer);
  const port = await listenOnLoopback(server, undefined, 'none');
  return { endpoint: `http://127.0.0.1:${port}`, stop: () => closeServer(server) };
}

/** What CloudFormation answers for a stack with these outputs, in its query protocol. */
export function stackAnswer(status: string, outputs: Readonly<Record<string, string>>): string {
  const members = Object.entries(outputs).map(
    ([key, value]) =>
      `<member><OutputKey>${key}</OutputKey><OutputValue>${value.replaceAll('&', '&amp;')}</OutputValue></member>`,
  );
  return `<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>
<StackName>evergrant-prod</StackName><StackStatus>${status}</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime>
<Outputs>${members.join('')}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`;
}

/** What AWS's query protocol answers for an error. */
export function errorAnswer(code: string, message: string): string {
  return `<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`;
}
