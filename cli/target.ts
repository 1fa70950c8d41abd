import type { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import type { LambdaClient } from '@aws-sdk/client-lambda';
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { SESv2Client } from '@aws-sdk/client-sesv2';
import type { SQSClient } from '@aws-sdk/client-sqs';

/** A deployed stack, or the one that `npm start` runs on this machine: the same calls reach both. */
export interface Target {
  /** The stack's name. */
  readonly stackName: string;
  readonly local: boolean;
  /** The stack's outputs by name. */
  readonly outputs: Readonly<Record<string, string>>;
  /** One output; throws `CliError` that names it and says to deploy this version. */
  output(name: string): string;
  readonly lambda: LambdaClient;
  readonly sqs: SQSClient;
  readonly ses: SESv2Client;
  readonly secrets: SecretsManagerClient;
  readonly events: EventBridgeClient;
  /**
   * Invokes one of the stack's functions and waits. `output` names the stack output with the function's name. Throws
   * `CliError` with the function's own message when it fails.
   */
  invoke<Result>(output: string, payload: object): Promise<Result>;
}
