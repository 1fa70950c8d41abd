import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { base64url, calculateJwkThumbprint, compactDecrypt, decodeProtectedHeader } from 'jose';
import pg from 'pg';
import type { RefreshCall } from '../provider/call-log.ts';
import type { Fault } from '../provider/fault-list.ts';
import type { LocalSystem } from '../system.ts';

/** Where an operator and an app find the running system: nothing but addresses. */
export interface Addresses {
  readonly databaseUrl: string;
  readonly sqs: string;
  readonly secretsManager: string;
  readonly inbox: string;
  readonly lambda: string;
  readonly queueUrls: {
    readonly refresh: string;
    readonly refreshDeadLetters: string;
    readonly threshold: string;
    readonly thresholdDeadLetters: string;
    readonly sealedResults: string;
    readonly sealedResultDeadLetters: string;
  };
  readonly functionNames: Readonly<
    Record<'scanner' | 'refresher' | 'notifier' | 'migrator' | 'operator', string>
  >;
  readonly tokenKeySecret: string;
  readonly logFile: string;
}

/** Where a system that runs here is found. */
export function addressesOf({ cloud, databaseUrl, logFile, queueIds, functionId }: LocalSystem): Addresses {
  const queueUrl = (id: string) => cloud.queues[id]?.url ?? '';
  const functionName = (stage: string) => cloud.functions[functionId(stage)]?.name ?? '';
  return {
    databaseUrl,
    sqs: cloud.endpoints.sqs,
    secretsManager: cloud.endpoints.secretsManager,
    inbox: cloud.endpoints.inbox,
    lambda: cloud.endpoints.lambda,
    queueUrls: {
      refresh: queueUrl(queueIds.refresh),
      refreshDeadLetters: queueUrl(queueIds.refreshDeadLetters),
      threshold: queueUrl(queueIds.threshold),
      thresholdDeadLetters: queueUrl(queueIds.thresholdDeadLetters),
      sealedResults: queueUrl(queueIds.sealedResults),
      sealedResultDeadLetters: queueUrl(queueIds.sealedResultDeadLetters),
    },
    functionNames: {
      scanner: functionName('scanner'),
      refresher: functionName('refresher'),
      notifier: functionName('notifier'),
      migrator: functionName('migrator'),
      operator: functionName('operator'),
    },
    tokenKeySecret: 'evergrant/local/token-key',
    logFile,
  };
}

export interface Email {
  readonly destination: { readonly to: readonly string[] };
  readonly subject: string;
  readonly body: { readonly text?: string; readonly html?: string };
}

const aws = { region: 'us-east-1', credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' } };

/** What an operator and an app can do with the running system: SQL, SQS, the inbox, Lambda's Invoke, switches. */
export class Client {
  readonly addresses: Addresses;
  readonly #pool: pg.Pool;
  readonly #sqs: SQSClient;

  constructor(addresses: Addresses) {
    this.addresses = addresses;
    this.#pool = new pg.Pool({ connectionString: addresses.databaseUrl, max: 8 });
    this.#sqs = new SQSClient({ ...aws, endpoint: addresses.sqs });
  }

  async sql<Row extends pg.QueryResultRow>(statement: string, parameters: unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(statement, parameters)).rows;
  }

  /** Locks one integration as a transaction of the product does, until the returned function ends it. */
  async lockIntegration(id: string): Promise<() => Promise<void>> {
    const session = await this.#pool.connect();
    await session.query('BEGIN');
    await session.query('SELECT FROM integrations WHERE id = $1 FOR UPDATE', [id]);
    return async () => {
      await session.query('ROLLBACK');
      session.release();
    };
  }

  async send(queueUrl: string, body: string): Promise<void> {
    await this.#sqs.send(
      new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: body, MessageGroupId: 'demo' }),
    );
  }

  /** Bodies of the messages in a queue, which stay there. */
  async peek(queueUrl: string): Promise<string[]> {
    const { Messages: messages = [] } = await this.#sqs.send(
      new ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 0 }),
    );
    return messages.map(({ Body: body = '' }) => body);
  }

  async emailsTo(address: string): Promise<Email[]> {
    return (await this.emails()).filter(({ destination }) => destination.to.includes(address));
  }

  async emails(): Promise<Email[]> {
    const response = await fetch(new URL('/store', this.addresses.inbox));
    return ((await response.json()) as { emails: Email[] }).emails;
  }

  /** Lambda's Invoke. Rejects with what the function threw. */
  async invoke<Result>(functionName: string, event: object): Promise<Result> {
    const response = await fetch(
      `${this.addresses.lambda}/2015-03-31/functions/${functionName}/invocations`,
      { method: 'POST', body: JSON.stringify(event) },
    );
    const payload = await response.text();
    if (!response.ok || response.headers.has('x-amz-function-error')) {
      throw new Error(`${functionName} failed: ${payload}`);
    }
    return JSON.parse(payload) as Result;
  }

  async killFunction(functionName: string): Promise<void> {
    await this.#switch(`${this.addresses.lambda}/_switches/functions/${functionName}/kill`, 'POST');
  }

  async breakEmail(fault: object | null): Promise<void> {
    await this.#switch(
      `${this.addresses.lambda}/_switches/email`,
      fault ? 'PUT' : 'DELETE',
      fault ?? undefined,
    );
  }

  async addFault(providerOrigin: string, fault: Fault): Promise<void> {
    await this.#switch(`${providerOrigin}/_switches/faults`, 'POST', fault);
  }

  async clearFaults(providerOrigin: string): Promise<void> {
    await this.#switch(`${providerOrigin}/_switches/faults`, 'DELETE');
  }

  async setClientSecretAtProvider(providerOrigin: string, clientSecret: string): Promise<void> {
    await this.#switch(`${providerOrigin}/_switches/client-secret`, 'PUT', { clientSecret });
  }

  async calls(providerOrigin: string, account?: string): Promise<RefreshCall[]> {
    const url = new URL('/_switches/calls', providerOrigin);
    if (account !== undefined) url.searchParams.set('account', account);
    return ((await (await fetch(url)).json()) as { calls: RefreshCall[] }).calls;
  }

  /** A stored token, opened as an app in any language would: JOSE, and the key from Secrets Manager. */
  async openToken(stored: string): Promise<string> {
    if (!stored.startsWith('eyJ') || decodeProtectedHeader(stored).typ !== 'evergrant+jwe') return stored;
    const { keyId, key } = await this.#tokenKey();
    if (decodeProtectedHeader(stored).kid !== keyId) throw new Error('sealed with another key');
    const { plaintext } = await compactDecrypt(stored, key);
    return new TextDecoder().decode(plaintext);
  }

  async secretValue(secretId: string): Promise<string> {
    const secrets = new SecretsManagerClient({ ...aws, endpoint: this.addresses.secretsManager });
    const { SecretString: value = '' } = await secrets.send(
      new GetSecretValueCommand({ SecretId: secretId }),
    );
    return value;
  }

  async logLines(): Promise<string[]> {
    return (await readFile(this.addresses.logFile, 'utf8')).split('\n').filter((line) => line !== '');
  }

  async end(): Promise<void> {
    await this.#pool.end();
    this.#sqs.destroy();
  }

  #key: Promise<{ keyId: string; key: Uint8Array }> | undefined;

  #tokenKey() {
    this.#key ??= (async () => {
      const { current } = JSON.parse(await this.secretValue(this.addresses.tokenKeySecret)) as {
        current: string;
      };
      const key = new Uint8Array(Buffer.from(current, 'hex'));
      return { key, keyId: await calculateJwkThumbprint({ kty: 'oct', k: base64url.encode(key) }) };
    })();
    return this.#key;
  }

  async #switch(url: string, method: string, body?: object): Promise<void> {
    const response = await fetch(url, { method, ...(body && { body: JSON.stringify(body) }) });
    if (!response.ok)
      throw new Error(`${method} ${url} answered ${response.status}: ${await response.text()}`);
  }
}

/** Asks again and again until `probe` gives something other than null. Rejects after `timeoutMs`. */
export async function eventually<Value>(
  what: string,
  probe: () => Promise<Value | null>,
  timeoutMs = 40_000,
): Promise<Value> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== null) return value;
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs / 1000} s in vain: ${what}`);
    await sleep(50);
  }
}
