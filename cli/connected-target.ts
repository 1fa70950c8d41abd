import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SESv2Client } from '@aws-sdk/client-sesv2';
import { SQSClient } from '@aws-sdk/client-sqs';
import { CliError } from './command.ts';
import type { Target } from './target.ts';

/** Base URLs of the services where they are not AWS's own. */
export interface Endpoints {
  readonly sqs: string;
  readonly lambda: string;
  readonly secretsManager: string;
  readonly ses: string;
}

/** What the local services take for credentials. They know callers by the access key; this one is the operator's. */
const localAccess = {
  region: 'us-east-1',
  credentials: { accessKeyId: 'LOCAL', secretAccessKey: 'local' },
};

const connectionTimeoutMs = 5_000;

/** A target with its clients: of AWS as it is usually configured, or of the given endpoints. */
export class ConnectedTarget implements Target {
  readonly stackName: string;
  readonly local: boolean;
  readonly outputs: Readonly<Record<string, string>>;
  readonly lambda: LambdaClient;
  readonly sqs: SQSClient;
  readonly ses: SESv2Client;
  readonly secrets: SecretsManagerClient;
  readonly events: EventBridgeClient;

  constructor(
    stackName: string,
    outputs: Readonly<Record<string, string>>,
    endpoints: Endpoints | null = null,
  ) {
    this.stackName = stackName;
    this.outputs = outputs;
    this.local = endpoints !== null;
    const at = (endpoint: string | undefined) => ({
      requestHandler: { connectionTimeout: connectionTimeoutMs },
      ...(endpoint !== undefined && { ...localAccess, endpoint }),
    });
    // Not repeated by the SDK: an invocation whose answer was lost may have taken effect (`migrate down`).
    this.lambda = new LambdaClient({ ...at(endpoints?.lambda), maxAttempts: 1 });
    this.sqs = new SQSClient(at(endpoints?.sqs));
    this.ses = new SESv2Client(at(endpoints?.ses));
    this.secrets = new SecretsManagerClient(at(endpoints?.secretsManager));
    this.events = new EventBridgeClient(at(endpoints?.lambda));
  }

  output(name: string): string {
    const value = this.outputs[name];
    if (value !== undefined) return value;
    throw new CliError(
      'output_missing',
      this.local
        ? `The local system has no output ${name}: it runs another version. Stop it, and start this one with npm start.`
        : `The stack ${this.stackName} has no output ${name}: it runs another version. Deploy this one (npx cdk deploy), or use the command line of that one.`,
    );
  }

  async invoke<Result>(output: string, payload: object): Promise<Result> {
    const { Payload, FunctionError } = await this.lambda.send(
      new InvokeCommand({ FunctionName: this.output(output), Payload: JSON.stringify(payload) }),
    );
    const text = Payload?.transformToString() || 'null';
    const answer = JSON.parse(text, (_, value) => (typeof value === 'string' ? harmless(value) : value));
    if (FunctionError === undefined) return answer as Result;
    throw functionFailure(output, (answer ?? {}) as { errorType?: string; errorMessage?: string });
  }
}

/**
 * Values of the product's database end on a terminal: what could steer it, turn text around or begin a line that looks like
 * one of ours is taken out.
 */
function harmless(value: string): string {
  return value.replaceAll(/[\n\p{Zl}\p{Zp}]+/gu, ' ').replaceAll(/[\p{Cc}\p{Cf}]/gu, '');
}

/** The functions say `<name> (<code>): <message>` of what they foresaw. */
function functionFailure(
  output: string,
  { errorType = 'an unknown error', errorMessage = '' }: { errorType?: string; errorMessage?: string },
): CliError {
  const [, code, message] = /^\w+ \(([a-z_]+)\): (.*)$/s.exec(errorMessage) ?? [];
  const stage = output.replace(/Function$/, '').toLowerCase();
  if (code === undefined || message === undefined) {
    return new CliError('function_failed', `The ${stage} function failed: ${errorMessage || errorType}`);
  }
  return new CliError(code, `The ${stage} function failed: ${message}`);
}
