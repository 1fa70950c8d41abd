import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { clientConfig } from '../lambdas/postgres/database.ts';
import { type LocalCloud, startCloud } from './cloud/cloud.ts';
import type { CloudEvent } from './cloud/events.ts';
import { startPostgres } from './cloud/postgres.ts';
import type { QueueDisturbance } from './cloud/queues.ts';
import { type ProductProvider, type ProductServer, startProductServer } from './product/server.ts';
import { ProductStore } from './product/store.ts';
import { type ProviderClient, startProvider } from './provider/server.ts';
import { type Assembly, synthesize } from './synth.ts';

/** A provider to run, and to configure in the system. */
export interface ProviderSpec {
  readonly name: string;
  readonly displayName: string;
  readonly clientAuth: ProviderClient['clientAuth'];
  readonly accessTokenLifetimeSeconds: number;
  /** A free one by default. */
  readonly port?: number;
}

export interface SystemOptions {
  /** Folder for the database, the assembly, the token key and the log. */
  readonly directory: string;
  /** An existing Postgres instead of the embedded one. */
  readonly databaseUrl?: string;
  /** A pooler in front of that, for the functions to go through; migrations and the product go past it. */
  readonly pooledUrl?: string;
  /** Keep the embedded database for the next start. */
  readonly persistent: boolean;
  readonly providers: readonly ProviderSpec[];
  /** Clients at providers that run elsewhere: the content of each one's secret, by the provider's name. */
  readonly clients?: Readonly<Record<string, object>>;
  /** `null`: only who asks for a scan gets one. */
  readonly scanIntervalMs: number | null;
  /** Whether the queues feed their functions from the start on; true by default. */
  readonly polling?: boolean;
  /** Milliseconds of the time that alarms live in; by default in step with the scans. */
  readonly alarmClock?: () => number;
  /** Milliseconds by which the wall clock of a function's process is ahead, asked whenever one starts; right by default. */
  readonly clockOffsetMs?: () => number;
  /** Settings of the stack beyond those that a laptop needs, as `-c name=value` gives them. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly ports?: {
    readonly postgres?: number;
    readonly product?: number;
    readonly inbox?: number;
    readonly lambda?: number;
    readonly sqs?: number;
  };
  /** Between the providers' start and the functions' first scan; the database may have no schema yet. */
  readonly beforeCloud?: (parts: {
    databaseUrl: string;
    providers: readonly ProductProvider[];
  }) => Promise<void>;
  /** What goes wrong with the queues. */
  readonly queueDisturbance?: QueueDisturbance;
  readonly onEvent?: (event: CloudEvent) => void;
  readonly onProgress?: (step: string) => void;
}

/** The running system with the world around it: providers, the product and its users' inbox. */
export interface LocalSystem {
  readonly cloud: LocalCloud;
  readonly assembly: Assembly;
  readonly databaseUrl: string;
  readonly providers: readonly ProductProvider[];
  readonly store: ProductStore;
  readonly product: ProductServer;
  readonly logFile: string;
  /** Logical id of a function by the folder of its code, such as `scanner`. */
  functionId(stage: string): string;
  /** Logical ids of the queues. */
  readonly queueIds: {
    refresh: string;
    refreshDeadLetters: string;
    threshold: string;
    thresholdDeadLetters: string;
    sealedResults: string;
    sealedResultDeadLetters: string;
  };
  stop(): Promise<void>;
}

/** Name of the stage that runs locally; it is part of the names of its secrets. */
const stage = 'local';
/** Where `evergrant connect` waits for the browser, unless it is given another port. */
export const commandLineRedirectUri = 'http://127.0.0.1:8976/callback';
export const senderEmail = 'connections@acme-flows.example';

/** Starts everything. Rejects with a message for people; nothing is left running then. */
export async function startSystem(options: SystemOptions): Promise<LocalSystem> {
  const { onProgress = () => undefined } = options;
  const resources = new AsyncDisposableStack();
  try {
    await mkdir(options.directory, { recursive: true });
    const product = await startProductServer(options.ports?.product);
    resources.defer(() => product.stop());

    onProgress('synthesizing the stack, starting PostgreSQL and the providers');
    const assembling = synthesize(path.join(options.directory, 'cdk.out'), {
      stage,
      database: 'existing',
      productName: 'Acme Flows',
      senderEmail,
      appBaseUrl: product.origin,
      ...options.settings,
    });
    // Whatever fails first is reported; the other must not become an unhandled rejection.
    assembling.catch(() => undefined);
    const databaseStarting = startDatabase(options, resources);
    databaseStarting.catch(() => undefined);
    const providers: ProductProvider[] = [];
    for (const spec of options.providers) {
      const started = await startConfiguredProvider(spec, product.redirectUri);
      resources.defer(() => started.provider.stop());
      providers.push(started);
    }
    const databaseUrl = await databaseStarting;
    await options.beforeCloud?.({ databaseUrl, providers });
    const assembly = await assembling;

    onProgress('migrating the database and starting the functions');
    const tokenKeySecret = `evergrant/${stage}/token-key`;
    const logFile = path.join(options.directory, 'functions.log');
    await rm(logFile, { force: true });
    const { lambda, inbox, sqs } = options.ports ?? {};
    const cloud = await startCloud({
      ...assembly,
      secrets: {
        [`evergrant/${stage}/database`]: { url: options.pooledUrl ?? databaseUrl, directUrl: databaseUrl },
        [tokenKeySecret]: await tokenKey(options.directory),
        ...Object.fromEntries(
          [
            ...providers.map((each) => [each.provider.name, clientOf(each)] as const),
            ...Object.entries(options.clients ?? {}),
          ].map(([name, client]) => [`evergrant/${stage}/providers/${name}`, client]),
        ),
      },
      databases: { upstreamUrl: databaseUrl },
      scanIntervalMs: options.scanIntervalMs,
      ...(options.polling !== undefined && { polling: options.polling }),
      ...(options.alarmClock && { alarmClock: options.alarmClock }),
      ...(options.clockOffsetMs && { clockOffsetMs: options.clockOffsetMs }),
      logFile,
      onSecret: (name, value) => {
        if (name === tokenKeySecret) writeFileSync(tokenKeyFile(options.directory), value, { mode: 0o600 });
      },
      ports: {
        ...(lambda !== undefined && { lambda }),
        ...(inbox !== undefined && { email: inbox }),
        ...(sqs !== undefined && { sqs }),
      },
      ...(options.queueDisturbance && { queueDisturbance: options.queueDisturbance }),
      ...(options.onEvent && { onEvent: options.onEvent }),
    });
    resources.defer(() => cloud.stop());
    if (cloud.unsupported.length > 0)
      onProgress(`left out, for want of a local stand-in: ${cloud.unsupported.join(', ')}`);

    const store = new ProductStore(databaseUrl);
    resources.defer(() => store.end());
    await store.createUsers();
    await store.pointView();
    product.open(store, providers);
    const runningFile = await writeRunningFile(options.directory, cloud);
    resources.defer(() => rm(runningFile, { force: true }));
    let stopping: Promise<void> | undefined;
    return {
      cloud,
      assembly,
      databaseUrl,
      providers,
      store,
      product,
      logFile,
      functionId: (name) => idOf(cloud.functions, new RegExp(`^${name}Function`, 'i')),
      queueIds: {
        refresh: idOf(cloud.queues, /^RefreshQueue/),
        refreshDeadLetters: idOf(cloud.queues, /^RefreshDeadLetters/),
        threshold: idOf(cloud.queues, /^ThresholdQueue/),
        thresholdDeadLetters: idOf(cloud.queues, /^ThresholdDeadLetters/),
        sealedResults: idOf(cloud.queues, /^SealedResultQueue/),
        sealedResultDeadLetters: idOf(cloud.queues, /^SealedResultDeadLetters/),
      },
      stop() {
        stopping ??= resources.disposeAsync();
        return stopping;
      },
    };
  } catch (error) {
    await resources.disposeAsync();
    throw error;
  }
}

async function startDatabase(options: SystemOptions, resources: AsyncDisposableStack): Promise<string> {
  if (options.databaseUrl !== undefined) {
    await checkDatabase(options.databaseUrl);
    return options.databaseUrl;
  }
  const server = await startPostgres({
    dataDir: path.join(options.directory, 'postgres'),
    persistent: options.persistent,
    ...(options.ports?.postgres !== undefined && { port: options.ports.postgres }),
  });
  resources.defer(() => server.stop());
  return server.url;
}

/** Connects once as the functions do, so that what is wrong is said plainly and before anything is changed. */
async function checkDatabase(url: string): Promise<void> {
  const client = new pg.Client(clientConfig({ url }));
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    const { message } = error as Error;
    const hint = /SSL/i.test(message) ? ' For a server without TLS, add ?sslmode=disable to the URL.' : '';
    throw new Error(`the database cannot be used: ${message}.${hint}`, { cause: error });
  }
  await client.end();
}

async function startConfiguredProvider(spec: ProviderSpec, redirectUri: string): Promise<ProductProvider> {
  const client: ProviderClient = {
    clientId: `acme-flows-at-${spec.name}`,
    clientSecret: randomBytes(24).toString('base64url'),
    clientAuth: spec.clientAuth,
    redirectUri,
    commandLineRedirectUri,
  };
  const { name, displayName, accessTokenLifetimeSeconds } = spec;
  const options = { name, displayName, client, accessTokenLifetimeSeconds };
  const provider = await startProvider({ ...options, ...(spec.port !== undefined && { port: spec.port }) });
  return { provider, displayName, client };
}

/** The content of a provider's secret, as an operator puts it there. */
function clientOf({ provider, displayName, client }: ProductProvider): object {
  return {
    clientId: client.clientId,
    clientSecret: client.clientSecret,
    provider: {
      displayName,
      tokenEndpoint: provider.tokenEndpoint,
      clientAuthentication: client.clientAuth,
      authorizationEndpoint: provider.authorizationEndpoint,
      issuer: provider.issuer,
      scopes: ['openid', 'offline_access'],
      // Without it, no offline access is given (OpenID Connect Core section 11).
      authorizationParameters: { prompt: 'consent' },
    },
  };
}

/** The key outlives a restart, as the sealed tokens in the database do. */
async function tokenKey(directory: string): Promise<{ current: string; previous: string[] }> {
  const file = tokenKeyFile(directory);
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const key = { current: randomBytes(32).toString('hex'), previous: [] };
  await writeFile(file, JSON.stringify(key), { mode: 0o600 });
  return key;
}

function tokenKeyFile(directory: string): string {
  return path.join(directory, 'token-key.json');
}

/** Tells `evergrant --local` where the system is, for as long as it runs. Returns the file's path. */
async function writeRunningFile(directory: string, cloud: LocalCloud): Promise<string> {
  const { sqs, lambda, secretsManager, ses } = cloud.endpoints;
  const file = path.join(directory, 'running.json');
  const running = {
    stackName: `evergrant-${stage}`,
    endpoints: { sqs, lambda, secretsManager, ses },
    outputs: cloud.outputs,
  };
  // Whoever reads it meanwhile must not see half of it.
  await writeFile(`${file}.new`, JSON.stringify(running, null, 2));
  await rename(`${file}.new`, file);
  return file;
}

function idOf(things: Readonly<Record<string, unknown>>, pattern: RegExp): string {
  const id = Object.keys(things).find((name) => pattern.test(name));
  if (id === undefined)
    throw new Error(`The template has nothing named like ${pattern}: ${Object.keys(things).join(', ')}`);
  return id;
}
