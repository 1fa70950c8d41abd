import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { Stack } from 'aws-cdk-lib';
import { type CfnResource, Duration } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { type CfnRole, Effect, ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { CfnFunction, CfnPermission } from 'aws-cdk-lib/aws-lambda';
import { CfnConfigurationSet, CfnEmailIdentity } from 'aws-cdk-lib/aws-ses';
import { CfnQueuePolicy } from 'aws-cdk-lib/aws-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { LocalCloud } from '../../../local/cloud/cloud.ts';
import type { CloudEvent } from '../../../local/cloud/events.ts';
import type { JsonObject } from '../../../local/cloud/json.ts';
import {
  account,
  answers,
  denials,
  emailCall,
  emailCallV1,
  invokeCall,
  lambdaArn,
  secretCall,
  sesArn,
  sqsArn,
  sqsCall,
  startOnce,
  stopAll,
} from './access-fixture.ts';
import { addFunction, addQueue, grant } from './fixture.ts';

const user = (name: string) =>
  expect.stringMatching(new RegExp(`arn:aws:sts::${account}:assumed-role/fixture-${name}\\w+/${name}`));

describe('each endpoint', () => {
  let cloud: LocalCloud;
  let events: CloudEvent[];

  beforeAll(async () => {
    ({ cloud, events } = await startOnce((stack) => {
      const outbox = addQueue(stack, 'Outbox', 30);
      const closed = addQueue(stack, 'Closed', 30);
      new CfnQueuePolicy(stack, 'ClosedPolicy', {
        queues: [closed.queueUrl],
        policyDocument: {
          Version: '2012-10-17',
          Statement: [{ Effect: 'Deny', Principal: '*', Action: 'sqs:*', Resource: closed.queueArn }],
        },
      });
      const deadLetters = addQueue(stack, 'DeadLetters', 30);
      addQueue(stack, 'Source', 30, deadLetters);
      new CfnEmailIdentity(stack, 'Domain', {
        emailIdentity: 'x.example',
        configurationSetAttributes: {
          configurationSetName: new CfnConfigurationSet(stack, 'Feedback', { name: 'feedback' }).ref,
        },
      });
      new CfnEmailIdentity(stack, 'Address', { emailIdentity: 'own@x.example' });
      addFunction(stack, 'target', 'calls.handler');
      addFunction(stack, 'nobody', 'calls.handler');
      const sender = addFunction(stack, 'sender', 'calls.handler');
      grant(sender, ['sqs:SendMessage'], [outbox.queueArn, closed.queueArn]);
      const known = `arn:aws:secretsmanager:us-east-1:${account}:secret:known-??????`;
      grant(sender, ['secretsmanager:GetSecretValue'], [known]);
      grant(sender, ['lambda:InvokeFunction'], [lambdaArn('target')]);
      grant(sender, ['ses:SendEmail'], [sesArn('identity/x.example'), sesArn('configuration-set/feedback')], {
        StringEquals: { 'ses:FromAddress': 'connections@x.example' },
      });
      const mover = addFunction(stack, 'mover', 'calls.handler');
      grant(
        mover,
        ['sqs:StartMessageMoveTask', 'sqs:ReceiveMessage', 'sqs:DeleteMessage'],
        [deadLetters.queueArn],
      );
      const denied = addFunction(stack, 'denied', 'calls.handler');
      grant(denied, ['sqs:*'], ['*']);
      denied.addToRolePolicy(
        new PolicyStatement({
          effect: Effect.DENY,
          actions: ['sqs:SendMessage'],
          resources: [outbox.queueArn],
        }),
      );
    }));
  });
  afterAll(stopAll);

  const url = (id: string) => cloud.queues[id]?.url ?? '';

  it('SQS answers a denied call as SQS does', async () => {
    const body = { QueueUrl: url('Outbox'), MessageBody: 'x' };
    const [answer] = await answers(cloud, 'nobody', sqsCall('SendMessage', body));
    expect(answer).toMatchObject({
      status: 403,
      headers: { 'x-amzn-query-error': 'AccessDenied;Sender' },
    });
    const { __type: type, message } = JSON.parse(answer!.body) as { __type: string; message: string };
    expect(type).toBe('com.amazon.coral.service#AccessDeniedException');
    expect(message).toMatch(
      new RegExp(
        `^User: arn:aws:sts::${account}:assumed-role/fixture-nobodyServiceRole\\w+/nobody is not authorized to perform: ` +
          `sqs:sendmessage on resource: ${sqsArn('Outbox')} because no identity-based policy allows the sqs:sendmessage action$`,
      ),
    );
  });

  it('the SDKs read that answer', async () => {
    const credentials = { accessKeyId: 'LOCALnobody', secretAccessKey: 'x' };
    const options = { region: 'us-east-1', credentials, maxAttempts: 1 };
    const sqs = new SQSClient({ ...options, endpoint: cloud.endpoints.sqs });
    const command = new SendMessageCommand({ QueueUrl: url('Outbox'), MessageBody: 'x' });
    await expect(sqs.send(command)).rejects.toMatchObject({
      name: 'AccessDenied',
      message: expect.stringContaining('sqs:sendmessage'),
      $metadata: { httpStatusCode: 403 },
    });
    const secrets = new SecretsManagerClient({ ...options, endpoint: cloud.endpoints.secretsManager });
    await expect(secrets.send(new GetSecretValueCommand({ SecretId: 'known' }))).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: expect.stringContaining('secretsmanager:GetSecretValue'),
      $metadata: { httpStatusCode: 400 },
    });
  });

  it('SQS asks for the single action of a batch', async () => {
    const QueueUrl = url('Outbox');
    const [sent, deleted, changed, received] = await answers(
      cloud,
      'sender',
      sqsCall('SendMessageBatch', { QueueUrl, Entries: [{ Id: '0', MessageBody: 'x' }] }),
      sqsCall('DeleteMessageBatch', { QueueUrl, Entries: [] }),
      sqsCall('ChangeMessageVisibilityBatch', { QueueUrl, Entries: [] }),
      sqsCall('ReceiveMessage', { QueueUrl }),
    );
    expect(sent?.status).toBe(200);
    expect(deleted).toMatchObject({ status: 403, body: expect.stringContaining('sqs:deletemessage on') });
    expect(changed?.body).toContain('sqs:changemessagevisibility on');
    expect(received?.body).toContain('sqs:receivemessage on');
  });

  it('SQS asks for everything that a move task does', async () => {
    const [moved] = await answers(
      cloud,
      'mover',
      sqsCall('StartMessageMoveTask', { SourceArn: sqsArn('DeadLetters') }),
    );
    expect(moved?.body).toContain(`sqs:getqueueattributes on resource: ${sqsArn('DeadLetters')}`);
    const [listed] = await answers(cloud, 'mover', sqsCall('ListQueues', {}));
    expect(listed?.body).toContain('sqs:listqueues on resource: *');
  });

  it('says that it was a Deny, and of which policy', async () => {
    const send = (id: string) => sqsCall('SendMessage', { QueueUrl: url(id), MessageBody: 'x' });
    const [own] = await answers(cloud, 'denied', send('Outbox'));
    expect(own?.body).toContain('with an explicit deny in an identity-based policy');
    const [ofQueue] = await answers(cloud, 'sender', send('Closed'));
    expect(ofQueue?.body).toContain('with an explicit deny in a resource-based policy');
    const [other] = await answers(cloud, 'denied', send('Source'));
    expect(other?.status).toBe(200);
  });

  it('Secrets Manager asks for the whole ARN, however the secret is addressed', async () => {
    const [{ body } = { body: '' }] = await answers(
      cloud,
      'sender',
      secretCall('GetSecretValue', { SecretId: 'known' }),
    );
    const { ARN: arn } = JSON.parse(body) as { ARN: string };
    for (const SecretId of [arn, arn.slice(0, -7), 'known']) {
      const call = secretCall('GetSecretValue', { SecretId });
      expect((await answers(cloud, 'sender', call))[0]?.status).toBe(200);
      const [denied] = await answers(cloud, 'nobody', call);
      expect(denied?.status).toBe(400);
      expect(JSON.parse(denied!.body)).toEqual({
        __type: 'AccessDeniedException',
        message: expect.stringMatching(
          /^User: arn:\S+\/nobody is not authorized to perform: secretsmanager:GetSecretValue on resource: .*because no identity-based policy allows the secretsmanager:GetSecretValue action$/,
        ),
      });
      expect(denied?.body).toContain(`on resource: ${SecretId} because`);
    }
    expect(denials(events)).toContainEqual({
      callerId: 'nobody',
      action: 'secretsmanager:GetSecretValue',
      resource: arn,
    });
  });

  it('Secrets Manager denies what the role does not allow: other actions, other names, names that do not exist', async () => {
    const calls = [
      secretCall('DescribeSecret', { SecretId: 'known' }),
      secretCall('GetSecretValue', { SecretId: 'known/other' }),
      secretCall('GetSecretValue', { SecretId: 'unknown' }),
      secretCall('CreateSecret', { Name: 'new', SecretString: 'x' }),
    ];
    for (const answer of await answers(cloud, 'sender', ...calls))
      expect(answer.body).toContain('AccessDenied');
    expect(cloud.getSecret('new')).toBeUndefined();
  });

  it('SES v2 asks for the identity and for its configuration set', async () => {
    const [sent] = await answers(cloud, 'sender', emailCall('Connections <connections@x.example>'));
    expect(sent?.status).toBe(200);
    const [denied] = await answers(cloud, 'nobody', emailCall('connections@x.example'));
    expect(denied).toMatchObject({ status: 403, headers: { 'x-amzn-errortype': 'AccessDeniedException' } });
    expect((JSON.parse(denied!.body) as { message: string }).message).toMatch(
      /^User `arn:aws:sts::\d+:assumed-role\/fixture-nobodyServiceRole\w+\/nobody' is not authorized to perform `ses:SendEmail' on resource `arn:aws:ses:us-east-1:\d+:identity\/x\.example'$/,
    );
  });

  it.each<[string, JsonObject, string, string]>([
    ['connections@x.example', { ConfigurationSetName: 'other' }, 'ses:SendEmail', 'configuration-set/other'],
    // The condition of the role is about another sender, so nothing allows it.
    ['other@x.example', {}, 'ses:SendEmail', 'identity/x.example'],
    // The address has an identity of its own.
    ['own@x.example', {}, 'ses:SendEmail', 'identity/own@x.example'],
    ['Own <Own@X.example>', {}, 'ses:SendEmail', 'identity/own@x.example'],
    // The nearest domain that is one, and one of the operator's where the template has none.
    ['a@mail.x.example', {}, 'ses:SendEmail', 'identity/x.example'],
    ['a@mail.y.example', {}, 'ses:SendEmail', 'identity/mail.y.example'],
    ['a@x.example', { FromEmailAddressIdentityArn: sesArn('identity/z') }, 'ses:SendEmail', 'identity/z'],
    [
      'connections@x.example',
      { Content: { Raw: { Data: 'QQ==' } } },
      'ses:SendRawEmail',
      'identity/x.example',
    ],
  ])('SES v2 from %s with %j needs %s on %s', async (from, more, action, resource) => {
    const [answer] = await answers(cloud, 'sender', emailCall(from, more));
    expect(answer?.body).toContain(`\`${action}' on resource \`${sesArn(resource)}'`);
  });

  it('SES takes the sender of a raw message from its head', async () => {
    const Data = Buffer.from('To: a@b.example\r\nFrom: Own\r\n <own@x.example>\r\n\r\nFrom: nobody').toString(
      'base64',
    );
    const [v2] = await answers(cloud, 'sender', {
      ...emailCall(''),
      body: { Content: { Raw: { Data } } },
    });
    expect(v2?.body).toContain(sesArn('identity/own@x.example'));
    const [v1] = await answers(
      cloud,
      'sender',
      emailCallV1({ Action: 'SendRawEmail', 'RawMessage.Data': Data }),
    );
    expect(v1?.body).toContain(`\`ses:SendRawEmail' on resource \`${sesArn('identity/own@x.example')}'`);
  });

  it('SES v1 answers in XML', async () => {
    const email = {
      Action: 'SendEmail',
      Source: 'connections@x.example',
      'Destination.ToAddresses.member.1': 'ann@x.example',
      'Message.Subject.Data': 'Hello',
      'Message.Body.Text.Data': 'World',
    };
    const [sent] = await answers(cloud, 'sender', emailCallV1(email));
    expect(sent?.body).toContain('<SendEmailResponse');
    const [denied] = await answers(cloud, 'nobody', emailCallV1(email));
    expect(denied).toMatchObject({ status: 403, headers: { 'content-type': 'text/xml' } });
    expect(denied?.body).toMatch(
      /^<ErrorResponse xmlns="http:\/\/ses\.amazonaws\.com\/doc\/2010-12-01\/"><Error><Type>Sender<\/Type><Code>AccessDenied<\/Code><Message>User `arn:\S+' is not authorized to perform `ses:SendEmail' on resource `\S+'<\/Message><\/Error><RequestId>/,
    );
    expect(events.filter((event) => event.type === 'email.called').at(-1)).toMatchObject({ status: 403 });
  });

  it('SES says of which calls nobody knows what they need', async () => {
    const [answer] = await answers(cloud, 'sender', {
      ...emailCall(''),
      path: '/v2/email/outbound-bulk-emails',
    });
    expect(answer).toMatchObject({
      status: 400,
      body: expect.stringContaining(
        'does not know which permissions POST /v2/email/outbound-bulk-emails needs',
      ),
    });
  });

  it('Lambda asks whether the function may be invoked', async () => {
    const [own, denied, qualified] = await answers(
      cloud,
      'sender',
      invokeCall('target'),
      invokeCall('nobody'),
      invokeCall('target:live'),
    );
    expect(own?.status).toBe(200);
    expect(denied).toMatchObject({ status: 403, headers: { 'x-amzn-errortype': 'AccessDeniedException' } });
    expect((JSON.parse(denied!.body) as { Message: string }).Message).toMatch(
      new RegExp(
        `^User: \\S+/sender is not authorized to perform: lambda:InvokeFunction on resource: ${lambdaArn('nobody')} ` +
          'because no identity-based policy allows the lambda:InvokeFunction action$',
      ),
    );
    expect(qualified?.body).toContain(`${lambdaArn('target:live')} because`);
  });

  it('lets everybody else do everything: they are the administrator of the account', async () => {
    const before = cloud.permissionUsage().denied.length;
    for (const accessKeyId of ['LOCAL', 'LOCALnosuchfunction', 'operator', 'AKIAIOSFODNN7EXAMPLE']) {
      const credentials = { accessKeyId, secretAccessKey: 'x' };
      const options = { region: 'us-east-1', credentials, maxAttempts: 1 };
      const sqs = new SQSClient({ ...options, endpoint: cloud.endpoints.sqs });
      await sqs.send(new SendMessageCommand({ QueueUrl: url('Outbox'), MessageBody: 'x' }));
      const secrets = new SecretsManagerClient({ ...options, endpoint: cloud.endpoints.secretsManager });
      await secrets.send(new GetSecretValueCommand({ SecretId: 'known/other' }));
    }
    const unsigned = await fetch(`${cloud.endpoints.lambda}/2015-03-31/functions/target/invocations`, {
      method: 'POST',
      body: '{}',
    });
    expect(unsigned.status).toBe(200);
    expect(cloud.permissionUsage().denied).toHaveLength(before);
  });

  it('leaves an endpoint beside these to ask by itself', () => {
    const resource = `arn:aws:rds-db:us-east-1:${account}:dbuser:cluster/evergrant`;
    expect(cloud.authorize({ callerId: 'nobody', action: 'rds-db:connect', resource })).toMatchObject({
      allowed: false,
      user: user('nobody'),
      reason: 'because no identity-based policy allows the rds-db:connect action',
    });
    expect(cloud.authorize({ callerId: null, action: 'rds-db:connect', resource })).toEqual({
      allowed: true,
    });
  });

  it('denies again and again, but tells of it once', async () => {
    const call = sqsCall('PurgeQueue', { QueueUrl: url('Outbox') });
    await answers(cloud, 'nobody', call, call);
    const denied = { callerId: 'nobody', action: 'sqs:PurgeQueue', resource: sqsArn('Outbox') };
    expect(denials(events).filter(({ action }) => action === 'sqs:PurgeQueue')).toEqual([denied]);
    expect(cloud.permissionUsage().denied).toContainEqual({
      ...denied,
      callCount: 2,
      message: expect.stringContaining('is not authorized to perform: sqs:PurgeQueue on resource'),
    });
  });
});

describe('what Lambda and EventBridge do', () => {
  afterEach(stopAll);

  it('logs are dropped without the permission to write them, and that is told', async () => {
    const { cloud, events } = await startOnce((stack) => {
      const lambda = addFunction(stack, 'silent', 'calls.handler');
      (lambda.role!.node.defaultChild as CfnRole).managedPolicyArns = [];
    });
    await answers(cloud, 'silent');
    expect(events.filter(({ type }) => type === 'function.log')).toEqual([]);
    expect(denials(events)).toEqual([
      {
        callerId: 'silent',
        action: 'logs:CreateLogStream',
        resource: `arn:aws:logs:us-east-1:${account}:log-group:/aws/lambda/silent:log-stream:local/[$LATEST]`,
      },
    ]);
  });

  it('a rule invokes nothing without the permission of the function for that rule', async () => {
    const { cloud, events } = await startOnce(
      (stack) => {
        const targets = [new LambdaFunction(addFunction(stack, 'scan', 'calls.handler'))];
        new Rule(stack, 'Scan', { schedule: Schedule.rate(Duration.minutes(5)), targets });
        const permission = stack.node
          .findAll()
          .find((each) => (each as CfnResource).cfnResourceType === 'AWS::Lambda::Permission');
        (permission as CfnPermission).sourceArn = `arn:aws:events:us-east-1:${account}:rule/another`;
      },
      { scanIntervalMs: 60_000 },
    );
    expect(denials(events)).toEqual([
      { callerId: 'events.amazonaws.com', action: 'lambda:InvokeFunction', resource: lambdaArn('scan') },
    ]);
    expect(cloud.permissionUsage().denied[0]?.message).toBe(
      `User: events.amazonaws.com is not authorized to perform: lambda:InvokeFunction on resource: ${lambdaArn('scan')} ` +
        'because no resource-based policy allows the lambda:InvokeFunction action',
    );
    expect(events.filter(({ type }) => type === 'rule.fired' || type === 'function.started')).toEqual([]);
  });

  it('a function may be invoked by whom its own policy names', async () => {
    const { cloud } = await startOnce((stack) => {
      const caller = addFunction(stack, 'caller', 'calls.handler');
      addFunction(stack, 'target', 'calls.handler').addPermission('ByCaller', { principal: caller.role! });
    });
    const [answer] = await answers(cloud, 'caller', invokeCall('target'));
    expect(answer?.status).toBe(200);
    expect(cloud.permissionUsage().allowed.filter(({ callCount }) => callCount === 1)).toContainEqual(
      expect.objectContaining({ action: 'lambda:InvokeFunction', resource: lambdaArn('target') }),
    );
  });

  it('a VPC needs the permissions for network interfaces', async () => {
    const inVpc = (managed: boolean) => (stack: Stack) => {
      const lambda = addFunction(stack, 'inside', 'calls.handler');
      (lambda.node.defaultChild as CfnFunction).vpcConfig = {
        subnetIds: ['subnet-0123456789abcdef0'],
        securityGroupIds: ['sg-0123456789abcdef0'],
      };
      const name = 'service-role/AWSLambdaVPCAccessExecutionRole';
      if (managed) lambda.role!.addManagedPolicy(ManagedPolicy.fromAwsManagedPolicyName(name));
    };
    await expect(startOnce(inVpc(false))).rejects.toThrow(
      'inside: The provided execution role does not have permissions to call CreateNetworkInterface on EC2',
    );
    const { cloud } = await startOnce(inVpc(true));
    const ofEc2 = cloud.permissionUsage().allowed.filter(({ action }) => action.startsWith('ec2:'));
    expect(ofEc2).toHaveLength(6);
    expect(ofEc2.every(({ callCount }) => callCount === 1)).toBe(true);
  });
});
