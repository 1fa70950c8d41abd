import type { Stack } from 'aws-cdk-lib';
import type { LocalCloud, LocalCloudOptions } from '../../../local/cloud/cloud.ts';
import { startCloud } from '../../../local/cloud/cloud.ts';
import type { CloudEvent } from '../../../local/cloud/events.ts';
import type { Json, JsonObject } from '../../../local/cloud/json.ts';
import { synthesize } from './fixture.ts';

export const account = '000000000000';
export const sesArn = (resource: string) => `arn:aws:ses:us-east-1:${account}:${resource}`;
export const sqsArn = (name: string) => `arn:aws:sqs:us-east-1:${account}:fixture-${name}`;
export const lambdaArn = (name: string) => `arn:aws:lambda:us-east-1:${account}:function:${name}`;

/** An answer of an endpoint to a function. */
interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** A call as test/local/cloud/handlers/calls.mjs makes it. */
type Call = { [key: string]: Json };

export const sqsCall = (action: string, body: JsonObject): Call => ({
  service: 'SQS',
  type: 'application/x-amz-json-1.0',
  target: `AmazonSQS.${action}`,
  body,
});
export const secretCall = (action: string, body: JsonObject): Call => ({
  service: 'SECRETS_MANAGER',
  type: 'application/x-amz-json-1.1',
  target: `secretsmanager.${action}`,
  body,
});
const content = { Simple: { Subject: { Data: 'Hello' }, Body: { Text: { Data: 'World' } } } };
export const emailCall = (FromEmailAddress: string, more: JsonObject = {}): Call => ({
  service: 'SESV2',
  path: '/v2/email/outbound-emails',
  body: { FromEmailAddress, Destination: { ToAddresses: ['ann@x.example'] }, Content: content, ...more },
});
export const emailCallV1 = (parameters: Record<string, string>): Call => ({
  service: 'SES',
  type: 'application/x-www-form-urlencoded',
  body: new URLSearchParams(parameters).toString(),
});
export const invokeCall = (name: string): Call => ({
  service: 'LAMBDA',
  path: `/2015-03-31/functions/${name}/invocations`,
  body: {},
});

const assemblies: { remove(): void }[] = [];
const started: { cloud: LocalCloud; events: CloudEvent[] }[] = [];

export async function start(assemblyDir: string, options: Partial<LocalCloudOptions> = {}) {
  const events: CloudEvent[] = [];
  const cloud = await startCloud({
    assemblyDir,
    stackName: 'fixture',
    secrets: { known: 'x', 'known/other': 'y' },
    scanIntervalMs: null,
    onEvent: (event) => events.push(event),
    ...options,
  });
  const running = { cloud, events };
  started.push(running);
  return running;
}

export async function startOnce(define: (stack: Stack) => void, options: Partial<LocalCloudOptions> = {}) {
  const own = synthesize(define);
  assemblies.push(own);
  return start(own.assemblyDir, options);
}

export async function answers(cloud: LocalCloud, name: string, ...calls: Call[]): Promise<Answer[]> {
  const result = await cloud.invoke(name, { calls });
  if (!result.ok) throw new Error(`${result.errorType}: ${result.errorMessage}`);
  return result.payload as unknown as Answer[];
}

export const denials = (events: CloudEvent[]) =>
  events
    .filter((event) => event.type === 'access.denied')
    .map(({ callerId, action, resource }) => ({ callerId, action, resource }));

export async function stopAll(): Promise<void> {
  await Promise.all(started.splice(0).map(({ cloud }) => cloud.stop()));
  for (const assembly of assemblies.splice(0)) assembly.remove();
}
