import { CfnResource } from 'aws-cdk-lib';
import { type CfnRole, ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import { expect, it } from 'vitest';
import { createAuthorizer } from '../../../../local/cloud/iam/authorizer.ts';
import { readStack } from '../../../../local/cloud/stack.ts';
import { readTemplate } from '../../../../local/cloud/template.ts';
import { sqsArn } from '../access-fixture.ts';
import { addFunction, grant, synthesize } from '../fixture.ts';

/** No template here has a database cluster. */
const databaseEndpoint = { host: 'localhost', port: 1 };

const sendAnywhere = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'sqs:SendMessage', Resource: '*' }],
};

it('policies are read wherever they are attached', () => {
  const own = synthesize((stack) => {
    const sender = (id: string) => addFunction(stack, id, 'calls.handler');
    const inline = sender('inline').role!.node.defaultChild as CfnRole;
    inline.policies = [{ policyName: 'Own', policyDocument: sendAnywhere }];
    new CfnResource(stack, 'Naming', {
      type: 'AWS::IAM::ManagedPolicy',
      properties: { PolicyDocument: sendAnywhere, Roles: [sender('named').role!.roleName] },
    });
    const managed = new CfnResource(stack, 'Named', {
      type: 'AWS::IAM::ManagedPolicy',
      properties: { PolicyDocument: sendAnywhere },
    });
    sender('naming').role!.addManagedPolicy(ManagedPolicy.fromManagedPolicyArn(stack, 'ByArn', managed.ref));
    new CfnResource(stack, 'Own', {
      type: 'AWS::IAM::RolePolicy',
      properties: { PolicyDocument: sendAnywhere, PolicyName: 'Own', RoleName: sender('own').role!.roleName },
    });
    grant(sender('default'), ['sqs:SendMessage'], ['*']);
    sender('nothing');
  });
  try {
    const { assemblyDir } = own;
    const options = {
      assemblyDir,
      stackName: 'fixture',
      parameters: {},
      sqsEndpoint: 'http://sqs',
      databaseEndpoint,
    };
    const { access, unsupported } = readStack(readTemplate(options));
    const iam = createAuthorizer(access, () => {});
    const allowed = (callerId: string) =>
      iam.authorize({ callerId, action: 'sqs:SendMessage', resource: sqsArn('Outbox') }).allowed;
    for (const callerId of ['inline', 'named', 'naming', 'own', 'default']) {
      expect(allowed(callerId), callerId).toBe(true);
    }
    expect(allowed('nothing')).toBe(false);
    expect(unsupported).toEqual([]);
  } finally {
    own.remove();
  }
});
