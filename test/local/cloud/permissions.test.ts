import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from 'aws-cdk-lib';
import { Duration } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Code, Function as LambdaFn, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { CfnConfigurationSet, CfnEmailIdentity } from 'aws-cdk-lib/aws-ses';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { RawTemplate } from '../../../local/cloud/assembly.ts';
import type { LocalCloud } from '../../../local/cloud/cloud.ts';
import type { CloudEvent } from '../../../local/cloud/events.ts';
import type { PermissionUse } from '../../../local/cloud/iam/authorizer.ts';
import type { Json, JsonObject } from '../../../local/cloud/json.ts';
import { createSqsCaller } from '../../../local/cloud/sqs-client.ts';
import {
  answers,
  denials,
  emailCall,
  invokeCall,
  secretCall,
  sesArn,
  sqsArn,
  sqsCall,
  start,
  stopAll,
} from './access-fixture.ts';
import { addFunction, addQueue, grant, HANDLERS, synthesize } from './fixture.ts';

async function until<T>(read: () => T | undefined | false): Promise<T> {
  for (const deadline = Date.now() + 15_000; ; await sleep(10)) {
    const value = read();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`Never true: ${read}`);
  }
}

/** A function that needs each of its permissions once: it is fed, logs, sends, reads, mails and invokes. */
function worker(stack: Stack): void {
  const work = addQueue(stack, 'Work', 30);
  const outbox = addQueue(stack, 'Outbox', 30);
  const secret = new Secret(stack, 'Known', { secretName: 'known' });
  const logGroup = new LogGroup(stack, 'Logs');
  const role = new Role(stack, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
  new CfnEmailIdentity(stack, 'Domain', {
    emailIdentity: 'x.example',
    configurationSetAttributes: {
      configurationSetName: new CfnConfigurationSet(stack, 'Feedback', { name: 'feedback' }).ref,
    },
  });
  const target = addFunction(stack, 'target', 'calls.handler');
  const lambda = new LambdaFn(stack, 'worker', {
    runtime: Runtime.NODEJS_24_X,
    code: Code.fromAsset(HANDLERS),
    handler: 'calls.handler',
    functionName: 'worker',
    timeout: Duration.seconds(10),
    role,
    logGroup,
  });
  stack.renameLogicalId(stack.getLogicalId(lambda.node.defaultChild as never), 'worker');
  grant(lambda, ['logs:CreateLogStream', 'logs:PutLogEvents'], [logGroup.logGroupArn]);
  grant(lambda, ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], [work.queueArn]);
  grant(lambda, ['sqs:SendMessage'], [outbox.queueArn]);
  grant(lambda, ['secretsmanager:GetSecretValue'], [secret.secretArn]);
  grant(lambda, ['ses:SendEmail'], [sesArn('identity/x.example'), sesArn('configuration-set/feedback')]);
  grant(lambda, ['lambda:InvokeFunction'], [target.functionArn]);
  lambda.addEventSourceMapping('Messages', { eventSourceArn: work.queueArn, batchSize: 1 });
  new Rule(stack, 'Schedule', {
    schedule: Schedule.rate(Duration.minutes(5)),
    targets: [new LambdaFunction(target)],
  });
}

/** Lets the worker do everything that it does. */
async function work({ cloud, events }: { cloud: LocalCloud; events: CloudEvent[] }): Promise<void> {
  const queueUrl = (id: string) => cloud.queues[id]?.url ?? '';
  await answers(
    cloud,
    'worker',
    sqsCall('SendMessage', { QueueUrl: queueUrl('Outbox'), MessageBody: 'x' }),
    secretCall('GetSecretValue', { SecretId: 'known' }),
    emailCall('connections@x.example'),
    invokeCall('target'),
  );
  await createSqsCaller(cloud.endpoints.sqs)('SendMessage', { QueueUrl: queueUrl('Work'), MessageBody: 'x' });
  await until(() => events.some((event) => event.type === 'batch.ended' || event.type === 'queue.error'));
}

/** The template's statements for the worker, one action and one resource each, and the rule's permission. */
interface Removable {
  name: string;
  action: string;
  remove(template: RawTemplate): void;
}

function removables(template: RawTemplate): Removable[] {
  return Object.entries(template.Resources).flatMap(([id, { Type, Properties }]) => {
    if (Type === 'AWS::Lambda::Permission') {
      const remove = (changed: RawTemplate) => void delete changed.Resources[id];
      return [
        {
          name: `${Properties?.Principal} ${Properties?.Action}`,
          action: String(Properties?.Action),
          remove,
        },
      ];
    }
    if (Type !== 'AWS::IAM::Policy' || !JSON.stringify(Properties?.Roles).includes('"Role')) return [];
    const statements = statementsOf(template, id);
    return statements.flatMap(({ Action, Resource }, index) =>
      [Action as Json].flat().flatMap((action) =>
        [Resource as Json].flat().map((resource) => ({
          name: `${action} ${JSON.stringify(resource)}`,
          action: String(action),
          remove(changed: RawTemplate) {
            const others = statementsOf(changed, id).toSpliced(index, 1);
            const rest = [Action as Json].flat().flatMap((each) =>
              [Resource as Json]
                .flat()
                .filter((one) => each !== action || one !== resource)
                .map((one) => ({ Effect: 'Allow', Action: each, Resource: one })),
            );
            const { PolicyDocument } = changed.Resources[id]!.Properties as { PolicyDocument: JsonObject };
            PolicyDocument.Statement = [...others, ...rest];
          },
        })),
      ),
    );
  });
}

function statementsOf(template: RawTemplate, policyId: string): JsonObject[] {
  const { PolicyDocument } = template.Resources[policyId]!.Properties as { PolicyDocument: JsonObject };
  return PolicyDocument.Statement as JsonObject[];
}

describe('a permission', () => {
  const assembly = synthesize(worker);
  const file = 'fixture.template.json';
  const template = JSON.parse(readFileSync(path.join(assembly.assemblyDir, file), 'utf8')) as RawTemplate;
  const all = removables(template);
  const copies: string[] = [];
  afterAll(() => {
    assembly.remove();
    for (const copy of copies) rmSync(copy, { recursive: true, force: true });
  });
  afterEach(stopAll);

  async function startChanged(change: (template: RawTemplate) => void) {
    const copy = mkdtempSync(path.join(os.tmpdir(), 'evergrant-access-'));
    copies.push(copy);
    cpSync(assembly.assemblyDir, copy, { recursive: true });
    const changed = structuredClone(template);
    change(changed);
    writeFileSync(path.join(copy, file), JSON.stringify(changed));
    return start(copy, { scanIntervalMs: 60_000 });
  }

  const ofWorker = ({ holder }: PermissionUse) => holder === 'worker' || holder === 'events.amazonaws.com';

  it('that is needed is counted, and so none is surplus', async () => {
    const running = await startChanged(() => {});
    await work(running);
    const { allowed, denied } = running.cloud.permissionUsage();
    expect(denied).toEqual([]);
    expect(allowed.filter(ofWorker)).toHaveLength(all.length);
    expect(allowed.filter(ofWorker).filter(({ callCount }) => callCount === 0)).toEqual([]);
    expect(all).toHaveLength(11);
    // Once when the event source is created, and then with each poll and each batch.
    const countOf = (name: string) => allowed.find(({ action }) => action === name)?.callCount;
    expect(countOf('sqs:GetQueueAttributes')).toBe(1);
    expect(countOf('sqs:ReceiveMessage')).toBeGreaterThan(1);
    expect(countOf('sqs:DeleteMessage')).toBe(2);
  });

  it('that is surplus is told by name', async () => {
    const running = await startChanged(({ Resources }) => {
      const [policyId = ''] = Object.entries(Resources).find(
        ([, { Type, Properties }]) =>
          Type === 'AWS::IAM::Policy' && JSON.stringify(Properties?.Roles).includes('"Role'),
      )!;
      statementsOf({ Resources }, policyId).push(
        { Effect: 'Allow', Action: 'sqs:GetQueueUrl', Resource: sqsArn('Outbox') },
        // Wider than what is there already, so it would not be missed.
        { Effect: 'Allow', Action: 'sqs:*', Resource: '*' },
      );
    });
    await work(running);
    const unused = running.cloud
      .permissionUsage()
      .allowed.filter((use) => ofWorker(use) && use.callCount === 0);
    expect(unused.map(({ holder, action, resource }) => `${holder} ${action} ${resource}`)).toEqual([
      `worker sqs:GetQueueUrl ${sqsArn('Outbox')}`,
      'worker sqs:* *',
    ]);
  });

  it.each(all)('that is missing is told by name: $name', async ({ action, remove }) => {
    const running = await startChanged(remove).catch((error: Error) => error);
    if (running instanceof Error) {
      expect(running.message).toContain('The provided execution role does not have permissions to call');
      expect(running.message).toContain(`is not authorized to perform: ${action} on resource`);
      return;
    }
    await work(running);
    expect(denials(running.events)).toEqual([
      {
        callerId: action === 'lambda:InvokeFunction' ? expect.any(String) : 'worker',
        action,
        resource: expect.any(String),
      },
    ]);
  });
});
