import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { databaseEnv } from '../../lambdas/contract.ts';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';

const synthesize = (given: Record<string, unknown>) => {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const settings = parseSettings(given);
  return Template.fromStack(new EvergrantStack(app, 'Evergrant', { stackName: 'evergrant-prod', settings }));
};

// biome-ignore lint/suspicious/noExplicitAny: templates are JSON of many shapes
const propertiesOf = (template: Template, type: string): any[] =>
  Object.values(template.findResources(type)).map(({ Properties }) => Properties);

/** Our own functions; the CDK adds one that runs the trigger. */
const functionsOf = (template: Template) =>
  propertiesOf(template, 'AWS::Lambda::Function').filter(({ FunctionName }) => FunctionName !== undefined);

const statementsAbout = (template: Template, action: string) =>
  propertiesOf(template, 'AWS::IAM::Policy').flatMap(({ PolicyDocument }) =>
    PolicyDocument.Statement.filter(({ Action }: { Action: string | string[] }) =>
      [Action].flat().includes(action),
    ),
  );

describe('without any settings', () => {
  const template = synthesize({});

  it('a cluster without a VPC is made, and kept', () => {
    template.hasResource('AWS::RDS::DBCluster', {
      Properties: {
        Engine: 'aurora-postgresql',
        WithExpressConfiguration: true,
        DeletionProtection: true,
        BackupRetentionPeriod: 7,
      },
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
    });
    template.resourceCountIs('AWS::EC2::VPC', 0);
    template.resourceCountIs('AWS::EC2::NatGateway', 0);
  });

  it('each function is let in by IAM, as the master user of this cluster, and by nothing else', () => {
    const [clusterId] = Object.keys(template.findResources('AWS::RDS::DBCluster'));
    const functions = functionsOf(template);
    for (const { Environment, VpcConfig } of functions) {
      expect(Environment.Variables[databaseEnv.source]).toEqual({
        'Fn::Join': [
          '',
          [
            'postgres://postgres@',
            { 'Fn::GetAtt': [clusterId, 'Endpoint.Address'] },
            ':',
            { 'Fn::GetAtt': [clusterId, 'Endpoint.Port'] },
            '/postgres',
          ],
        ],
      });
      expect(VpcConfig).toBeUndefined();
    }
    const connecting = statementsAbout(template, 'rds-db:connect');
    expect(connecting).toHaveLength(functions.length);
    for (const { Resource } of connecting) {
      expect(JSON.stringify(Resource)).toMatch(
        new RegExp(`:dbuser:.*"${clusterId}","DBClusterResourceId".*/postgres`),
      );
    }
    expect(JSON.stringify(template.toJSON())).not.toContain('evergrant/prod/database');
  });
});

describe('with an existing database', () => {
  it('functions get the name of the operator’s secret, the usual one or another', () => {
    for (const [given, name] of [
      [{}, 'evergrant/prod/database'],
      [{ databaseSecretName: 'product/postgres' }, 'product/postgres'],
    ] as const) {
      const template = synthesize({ database: 'existing', ...given });
      template.resourceCountIs('AWS::RDS::DBCluster', 0);
      for (const { Environment } of functionsOf(template)) {
        expect(Environment.Variables[databaseEnv.source]).toBe(name);
      }
      template.hasOutput('DatabaseSecret', { Value: name });
    }
  });

  it('the owner’s password may be the migrator’s alone', () => {
    const template = synthesize({ database: 'existing', migratorSecretName: 'product/owner' });
    const functions = Object.values(template.findResources('AWS::Lambda::Function')).filter(
      ({ Properties }) => Properties.FunctionName !== undefined,
    );
    expect(functions).toHaveLength(5);
    for (const { Properties } of functions) {
      const isMigrator = Properties.FunctionName === 'evergrant-prod-migrator';
      const [own, others] = isMigrator
        ? ['product/owner', 'evergrant/prod/database']
        : ['evergrant/prod/database', 'product/owner'];
      expect(Properties.Environment.Variables[databaseEnv.source], Properties.FunctionName).toBe(own);
      const roleId = Properties.Role['Fn::GetAtt'][0];
      const rights = JSON.stringify(
        propertiesOf(template, 'AWS::IAM::Policy').filter(({ Roles }) => Roles[0].Ref === roleId),
      );
      expect(rights, Properties.FunctionName).toContain(`secret:${own}-??????`);
      expect(rights, Properties.FunctionName).not.toContain(`secret:${others}`);
    }
    template.hasOutput('DatabaseSecret', { Value: 'evergrant/prod/database' });
  });

  it('functions stand in the VPC that was given, with the right to', () => {
    const template = synthesize({
      database: 'existing',
      vpcId: 'vpc-0a1b2c3d',
      subnetIds: 'subnet-0a1b2c3d,subnet-1b2c3d4e',
      securityGroupIds: 'sg-0a1b2c3d',
    });
    const functions = functionsOf(template);
    for (const { VpcConfig } of functions) {
      expect(VpcConfig).toEqual({
        SubnetIds: ['subnet-0a1b2c3d', 'subnet-1b2c3d4e'],
        SecurityGroupIds: ['sg-0a1b2c3d'],
      });
    }
    expect(statementsAbout(template, 'ec2:CreateNetworkInterface')).toHaveLength(functions.length);
    template.resourceCountIs('AWS::EC2::VPC', 0);
    template.resourceCountIs('AWS::EC2::SecurityGroup', 0);
  });
});

describe('with a database in a VPC of its own', () => {
  const template = synthesize({ database: 'aurora-in-vpc' });

  it('the cluster is encrypted, protected, unreachable from the internet, and leaves a snapshot', () => {
    template.hasResource('AWS::RDS::DBCluster', {
      Properties: Match.objectLike({
        StorageEncrypted: true,
        DeletionProtection: true,
        EnableIAMDatabaseAuthentication: true,
        ServerlessV2ScalingConfiguration: { MinCapacity: 0.5, MaxCapacity: 8 },
      }),
      DeletionPolicy: 'Snapshot',
    });
    template.hasResourceProperties('AWS::RDS::DBInstance', { PubliclyAccessible: false });
  });

  it('only the functions reach it, and they reach providers through a NAT gateway in each zone', () => {
    template.resourceCountIs('AWS::EC2::NatGateway', 2);
    const ingress = propertiesOf(template, 'AWS::EC2::SecurityGroupIngress');
    expect(ingress).toHaveLength(1);
    const [{ FromPort, SourceSecurityGroupId }] = ingress;
    expect(FromPort).toBe(5432);
    const [functionsGroup] = SourceSecurityGroupId['Fn::GetAtt'];
    for (const { VpcConfig } of functionsOf(template)) {
      expect(VpcConfig.SecurityGroupIds).toEqual([{ 'Fn::GetAtt': [functionsGroup, 'GroupId'] }]);
    }
  });

  it('functions read the password from the cluster’s secret, which is generated', () => {
    for (const { Environment } of functionsOf(template)) {
      expect(Environment.Variables[databaseEnv.source]).toEqual({
        Ref: expect.stringMatching(/^DatabaseClusterSecret/),
      });
    }
    template.hasResourceProperties('AWS::SecretsManager::SecretTargetAttachment', {
      TargetType: 'AWS::RDS::DBCluster',
    });
  });
});
