import { rm } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs, styleText } from 'node:util';
import type { CloudEvent } from './cloud/events.ts';
import { lockDirectory } from './lock.ts';
import { preferred } from './ports.ts';
import { connectAccount } from './provider/connect.ts';
import { type LocalSystem, startSystem } from './system.ts';
import { View } from './view.ts';

const help = `Runs Evergrant on this machine: the synthesized stack with a real PostgreSQL, SQS, SES with an inbox,
and an OAuth provider, and a handful of integrations whose tokens are refreshed before your eyes.

Usage
  npm start                                        all on this machine, the database kept between starts
  npm start -- --fresh                             begin with an empty database
  npm start -- --scan-interval 3s                  scan every 3 seconds (default 10s; units: ms, s, m)
  npm start -- --database-url postgres://u:p@h/db  use this Postgres (see below)

Options
  --scan-interval DURATION   how often the rule fires
  --database-url URL         an existing Postgres 14 or newer; ?sslmode=disable for one without TLS
  --fresh                    forget the database that earlier starts left
  --directory PATH           where the database and the log are kept (default .evergrant); one start each
  --help                     this text

With --database-url the database is migrated, and gets a schema local_product and five integrations of its own. Due
integrations that it has already are claimed as on AWS, but nothing is called for them and no user of theirs is told:
their providers are not configured here.

Exit codes: 0 stopped by Ctrl-C, 1 could not start, 2 wrong usage.
`;

const usualDirectory = path.join(import.meta.dirname, '..', '.evergrant');

const refreshWindowSeconds = 600;

const providers = [
  { name: 'acme-calendar', displayName: 'Acme Calendar', clientAuth: 'client_secret_basic', usualPort: 4011 },
  { name: 'globex-crm', displayName: 'Globex CRM', clientAuth: 'client_secret_post', usualPort: 4012 },
] as const;

const people = [
  { name: 'Ada', email: 'ada@acme-flows.example', connects: ['acme-calendar', 'globex-crm'] },
  { name: 'Grace', email: 'grace@acme-flows.example', connects: ['acme-calendar'] },
  { name: 'Linus', email: 'linus@acme-flows.example', connects: ['acme-calendar', 'globex-crm'] },
] as const;

interface Arguments {
  readonly scanIntervalMs: number;
  readonly databaseUrl: string | undefined;
  readonly fresh: boolean;
  readonly directory: string;
}

class UsageError extends Error {}

function readArguments(): Arguments | 'help' {
  let values: {
    'scan-interval'?: string;
    'database-url'?: string;
    directory?: string;
    fresh?: boolean;
    help?: boolean;
  };
  try {
    ({ values } = parseArgs({
      options: {
        'scan-interval': { type: 'string' },
        'database-url': { type: 'string' },
        directory: { type: 'string' },
        fresh: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return 'help';
  const databaseUrl = values['database-url'];
  if (databaseUrl !== undefined && !(/^postgres(ql)?:\/\//.test(databaseUrl) && URL.canParse(databaseUrl))) {
    throw new UsageError(
      '--database-url must be a postgres:// URL, such as postgres://user:password@host:5432/name',
    );
  }
  if (databaseUrl !== undefined && values.fresh) {
    throw new UsageError('--fresh is for the embedded database; what is in your own is yours to delete');
  }
  return {
    scanIntervalMs: durationMs(values['scan-interval'] ?? '10s'),
    databaseUrl,
    fresh: values.fresh ?? false,
    directory: path.resolve(values.directory ?? usualDirectory),
  };
}

function durationMs(text: string): number {
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text) ?? [];
  const ms = Number(number) * { ms: 1, s: 1_000, m: 60_000 }[unit as 'ms' | 's' | 'm'];
  if (!(ms >= 100 && ms <= 3_600_000)) {
    throw new UsageError(
      `--scan-interval must be from 100ms to 60m, such as 500ms, 10s or 5m, but is ${JSON.stringify(text)}`,
    );
  }
  return ms;
}

/** When somebody wants the end: an interrupt, or the reader of our output gone. */
interface Stop {
  readonly requested: Promise<void>;
  isRequested(): boolean;
}

function listenForStop(): Stop {
  const { promise, resolve } = Promise.withResolvers<void>();
  let count = 0;
  const request = () => {
    count += 1;
    // npm passes on an interrupt that the terminal has sent already, so the second may be the same one.
    if (count > 3) process.exit(130);
    resolve();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, request);
  process.stdout.on('error', () => resolve());
  return { requested: promise, isRequested: () => count > 0 };
}

const say = (text: string) => process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
  const given = readArguments();
  if (given === 'help') {
    process.stdout.write(help);
    return 0;
  }
  const stop = listenForStop();
  const release = await lockDirectory(given.directory);
  try {
    if (given.fresh) {
      for (const leftover of ['postgres', 'token-key.json']) {
        await rm(path.join(given.directory, leftover), { recursive: true, force: true });
      }
    }
    await run(given, stop);
  } catch (error) {
    // An interrupt reaches the processes that we start as well, and whichever it ends first makes the start fail.
    if (!stop.isRequested()) throw error;
    say('\nstopped while starting; nothing is left running.');
  } finally {
    await release();
  }
  return 0;
}

/** Starts everything, shows what happens until somebody wants the end, and ends everything. */
async function run(given: Arguments, stop: Stop): Promise<void> {
  const startedAtMs = performance.now();
  const labels = new Map<string, string>();
  const view = new View(process.stdout, (id) => labels.get(id) ?? id);
  // What the functions say before the introduction is printed waits until after it.
  let early: CloudEvent[] | null = [];
  const system = await startSystem({
    directory: given.directory,
    persistent: true,
    scanIntervalMs: given.scanIntervalMs,
    ...(given.databaseUrl !== undefined && { databaseUrl: given.databaseUrl }),
    settings: { retryDelaySeconds: Math.max(1, Math.round(given.scanIntervalMs / 1000)) },
    providers: await Promise.all(
      providers.map(async ({ usualPort, ...spec }, index) => {
        const port = await preferred(usualPort);
        // Due again after two scans at the one provider, after three at the other: enough to see, and calm.
        const accessTokenLifetimeSeconds =
          refreshWindowSeconds + Math.ceil(((index + 2) * given.scanIntervalMs) / 1000);
        return { ...spec, accessTokenLifetimeSeconds, ...(port !== undefined && { port }) };
      }),
    ),
    ports: await usualPorts(),
    onProgress: (step) => say(`… ${step}`),
    onEvent: (event) => (early ? early.push(event) : view.show(event)),
  });
  try {
    await connectEverybody(system, labels).catch((error: Error) => {
      throw new Error(
        `the integrations of the demonstration cannot be added to this database: ${error.message}`,
      );
    });
    say(introduction(system, given, performance.now() - startedAtMs));
    const waiting = early;
    early = null;
    for (const event of waiting) view.show(event);
    await stop.requested;
  } finally {
    view.close();
    say('\nstopping …');
    await system.stop();
    say('stopped; nothing is left running.');
  }
}

async function usualPorts() {
  const usual = { postgres: 54329, product: 4000, inbox: 8005, lambda: 4001, sqs: 4002 };
  const entries = await Promise.all(
    Object.entries(usual).map(async ([name, port]) => [name, await preferred(port)]),
  );
  return Object.fromEntries(entries.filter(([, port]) => port !== undefined));
}

/** Each integration is connected through the authorization code flow; those of an earlier start anew, as the
 * providers have forgotten them. */
async function connectEverybody(system: LocalSystem, labels: Map<string, string>): Promise<void> {
  const known = await system.store.integrations(system.providers.map(({ provider }) => provider.name));
  for (const person of people) {
    const user = await system.store.addUser(person.email, person.name);
    for (const name of person.connects) {
      const { provider, client, displayName } = system.providers.find((each) => each.provider.name === name)!;
      const connection = await connectAccount(provider, { account: person.email, client });
      const earlier = known.find((row) => row.user_id === user.id && row.provider === name);
      if (earlier) await system.store.reconnect(earlier.id, connection);
      labels.set(
        earlier?.id ?? (await system.store.connect(user.id, name, connection)),
        `${person.name} at ${displayName}`,
      );
    }
  }
}

function introduction(system: LocalSystem, given: Arguments, tookMs: number): string {
  const bold = (text: string) => styleText('bold', text, { stream: process.stdout });
  const { cloud, product } = system;
  const [first, second] = system.providers.map(({ provider }) => provider.origin);
  const database = given.databaseUrl === undefined ? system.databaseUrl : 'the database you gave';
  const directory =
    given.directory === usualDirectory ? '' : ` --directory ${path.relative(process.cwd(), given.directory)}`;
  return `
${bold('Evergrant is running')} (${(tookMs / 1000).toFixed(1)} s). A scan every ${given.scanIntervalMs / 1000} s; tokens live ten minutes and two or three scans,
and are refreshed when less than ten minutes are left.

  database     ${database}
               psql '${given.databaseUrl === undefined ? system.databaseUrl : '<your URL>'}' -c 'table integrations'
  product      ${product.origin}/integrations   where people see and reconnect their integrations
  inbox        ${cloud.endpoints.inbox}   every email that SES got
  SQS          ${cloud.endpoints.sqs}/_fauxqs/queues
  secrets      ${cloud.endpoints.secretsManager}   Secrets Manager, for the AWS CLI with --endpoint-url
  functions    ${cloud.endpoints.lambda}/_switches   invoke, kill, break SES
  providers    ${first}/_switches   faults: latency, 429, revocation, another client secret …
               ${second}/_switches
  alarms       ${cloud.alarms.states().size} on what the functions measure are told here; ${cloud.alarms.notEvaluated.length} on what only AWS measures are not
  logs         ${path.relative(process.cwd(), system.logFile)}

${bold('Try')}
  # the provider is down for the next refreshes of Ada
  curl -X POST ${first}/_switches/faults -d '{"account": "ada@acme-flows.example", "times": 5, "answer": {"status": 503}}'
  # Grace revokes her grant: an email at once, a warning, the disconnection
  curl -X POST ${first}/_switches/revoke -d '{"account": "grace@acme-flows.example"}'
  # how it is, and a scan by hand, as an operator does it on AWS
  npm run evergrant -- status --local${directory}
  npm run evergrant -- scan --local${directory} --dry-run --verbose
`;
}

try {
  process.exitCode = await main();
} catch (error) {
  const { message } = error as Error;
  process.stderr.write(
    error instanceof UsageError
      ? `${message}\nTry: npm start -- --help\n`
      : `\nEvergrant could not start: ${message}\n`,
  );
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
