import { parseArgs } from 'node:util';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { CliError, type Command, UsageError } from '../../../cli/command.ts';
import { connectCommands } from '../../../cli/connect/commands.ts';
import type { Output } from '../../../cli/output.ts';
import type { Target } from '../../../cli/target.ts';
import { checkProvider } from '../../../lambdas/operator/check-provider.ts';
import { changeCircuit } from '../../../lambdas/operator/provider-guards.ts';
import { parseOperatorRequest } from '../../../lambdas/operator/request.ts';
import { status } from '../../../lambdas/operator/status.ts';
import { findForReconnection, storeGrant } from '../../../lambdas/operator/store-grant.ts';
import { type Secrets, startSecrets } from '../../../local/cloud/secrets.ts';
import type { TestDatabase } from '../../support/database.ts';
import { silentLogger } from '../../support/silent-logger.ts';

export const providerSecretPrefix = 'evergrant/test/providers/';
export const tokenKeySecret = 'evergrant/test/token-key';

/** What a run of a command printed, line by line as it does so. */
export class RecordedOutput implements Output {
  readonly json: boolean;
  readonly interactive = false;
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly documents: unknown[] = [];

  constructor(json: boolean) {
    this.json = json;
  }

  line(text = ''): void {
    if (!this.json) this.stdout.push(text);
  }

  progress(text: string): void {
    this.stderr.push(text);
  }

  notice(text = ''): void {
    this.stderr.push(text);
  }

  document(value: unknown): void {
    if (this.json) this.documents.push(value);
  }

  style(_format: string, text: string): string {
    return text;
  }

  confirm(question: string): Promise<boolean> {
    throw new UsageError(question);
  }

  get canAsk(): boolean {
    return false;
  }

  ask(question: string): Promise<string | null> {
    throw new Error(`nobody is there to be asked ${question}`);
  }

  /** Everything that anybody could read. */
  get all(): string {
    return [...this.stdout, ...this.stderr, JSON.stringify(this.documents)].join('\n');
  }
}

/** A stack of a Secrets Manager and the logic of the operator function on a real database. */
export class TestStack implements Target {
  readonly stackName = 'evergrant-test';
  readonly local = true;
  readonly outputs: Record<string, string> = {
    ProviderSecretPrefix: providerSecretPrefix,
    TokenKeySecret: tokenKeySecret,
    OperatorFunction: 'evergrant-test-operator',
  };
  readonly secrets: SecretsManagerClient;
  readonly #manager: Secrets;
  readonly #database: TestDatabase;
  /** Payloads of all invocations, as they went over the wire. */
  readonly sent: string[] = [];

  private constructor(manager: Secrets, database: TestDatabase) {
    this.#manager = manager;
    this.#database = database;
    this.secrets = new SecretsManagerClient({
      region: 'us-east-1',
      endpoint: manager.endpoint,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
  }

  static async start(database: TestDatabase, tokenKey: string | object | null): Promise<TestStack> {
    const manager = await startSecrets({ specs: [], given: {} });
    if (tokenKey !== null) manager.put(tokenKeySecret, tokenKey);
    return new TestStack(manager, database);
  }

  put(name: string, value: string | object): void {
    this.#manager.put(name, value);
  }

  /** The value in force. */
  get(name: string): string | undefined {
    return this.#manager.get(name);
  }

  async stop(): Promise<void> {
    this.secrets.destroy();
    await this.#manager.stop();
  }

  output(name: string): string {
    const value = this.outputs[name];
    if (value === undefined) throw new CliError('output_missing', `no output ${name}`);
    return value;
  }

  async invoke<Result>(output: string, payload: object): Promise<Result> {
    if (output !== 'OperatorFunction') throw new Error(`nobody should invoke ${output}`);
    const body = JSON.stringify(payload);
    this.sent.push(body);
    return JSON.parse(JSON.stringify(await this.#answer(JSON.parse(body)))) as Result;
  }

  #answer(event: unknown): Promise<object> {
    const { database } = this.#database;
    const request = parseOperatorRequest(event);
    switch (request.ask) {
      case 'find_integration':
        return findForReconnection(database, request.integrationId);
      case 'store_grant':
        return storeGrant({ database, attemptHoldSeconds: 45 }, request);
      case 'status':
        return status(database, { refreshWindowSeconds: 600, attemptHoldSeconds: 45 });
      case 'open_circuit':
      case 'close_circuit':
        return changeCircuit(database, request);
      case 'check_provider':
        return checkProvider(
          {
            database,
            readSecret: async (secretId) => this.#manager.get(secretId) ?? null,
            secretPrefix: providerSecretPrefix,
            logger: silentLogger(),
            nowMs: Date.now,
          },
          request,
        );
      default:
        throw new Error(`nobody should ask ${request.ask}`);
    }
  }

  get lambda(): never {
    throw new Error('only invoke is used');
  }
  get sqs(): never {
    throw new Error('SQS is not used');
  }
  get ses(): never {
    throw new Error('SES is not used');
  }
  get events(): never {
    throw new Error('EventBridge is not used');
  }
}

export interface Ended {
  readonly exitCode: number;
  /** `code: message` of the error that ended it. */
  readonly error: string | null;
}

/** A command under way. */
export interface Run {
  readonly output: RecordedOutput;
  /** The address that was printed, as soon as it is. */
  address(): Promise<URL>;
  readonly ended: Promise<Ended>;
}

/** Runs a command as the command line does: arguments by its own options, errors to exit codes. */
export function run(target: Target, ...argv: readonly string[]): Run {
  const [name, ...rest] = argv;
  const command = connectCommands.find((each) => each.name === name) as Command;
  const { values, positionals } = parseArgs({
    args: rest,
    options: { ...command.options, json: { type: 'boolean' } },
    allowPositionals: true,
  });
  const output = new RecordedOutput(values.json === true);
  const ended = command
    .run({
      options: values as Record<string, string | boolean | string[] | undefined>,
      arguments: positionals,
      output,
      target: async () => target,
    })
    .then(
      (exitCode): Ended => ({ exitCode, error: null }),
      (error: Error): Ended => {
        if (error instanceof UsageError) return { exitCode: 2, error: `usage: ${error.message}` };
        if (error instanceof CliError) return { exitCode: 1, error: `${error.code}: ${error.message}` };
        throw error;
      },
    );
  ended.catch(() => undefined);
  return {
    output,
    ended,
    async address() {
      let over: Ended | undefined;
      ended.then((end) => {
        over = end;
      });
      for (;;) {
        const printed = /https?:\/\/\S+[?&]response_type=\S+/.exec(output.stderr.join('\n'))?.[0];
        if (printed !== undefined) return new URL(printed);
        if (over) throw new Error(`it ended before it printed an address: ${over.error}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}
