import { Duration, Fn, RemovalPolicy, Stack } from 'aws-cdk-lib';
import {
  type ISecurityGroup,
  type IVpc,
  Port,
  SecurityGroup,
  type SubnetSelection,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import {
  AuroraPostgresEngineVersion,
  CfnDBCluster,
  ClusterInstance,
  Credentials,
  DatabaseCluster,
  DatabaseClusterEngine,
} from 'aws-cdk-lib/aws-rds';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { databaseEnv } from '../lambdas/contract.ts';
import { acknowledge } from './acknowledge.ts';
import type { Settings } from './settings.ts';

/** Where functions run that a database can be reached from there only. */
export interface Network {
  readonly vpc: IVpc;
  readonly vpcSubnets: SubnetSelection;
  readonly securityGroups: ISecurityGroup[];
}

/** The Postgres beside which the functions work. */
export interface Database extends Construct {
  /** `undefined`: functions reach it from outside of any VPC. */
  readonly network: Network | undefined;
  /** What an operator wants to know of it, for the stack's outputs. */
  readonly outputs: Readonly<Record<string, string>>;
  /**
   * Gives a function the permission to connect, and the environment variable that says where. The migrator connects as
   * the owner of the tables, where others need not.
   */
  grantConnect(client: LambdaFunction, as: 'migrator' | 'other'): void;
}

const backupDays = 7;

export function createDatabase(scope: Construct, id: string, settings: Settings): Database {
  switch (settings.database) {
    case 'existing':
      return new ExistingDatabase(scope, id, settings);
    case 'aurora':
      return new AuroraDatabase(scope, id);
    case 'aurora-in-vpc':
      return new AuroraInVpcDatabase(scope, id);
  }
}

/** The product's own, which the operator's secret points at: it is there before the first deployment. */
class ExistingDatabase extends Construct implements Database {
  readonly network: Network | undefined;
  readonly outputs: Readonly<Record<string, string>>;
  readonly #secrets: Readonly<Record<'migrator' | 'other', ISecret>>;

  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    const secretName = settings.databaseSecretName ?? `evergrant/${settings.stage}/database`;
    const { migratorSecretName } = settings;
    const other = Secret.fromSecretNameV2(this, 'Secret', secretName);
    const migrator = migratorSecretName
      ? Secret.fromSecretNameV2(this, 'MigratorSecret', migratorSecretName)
      : other;
    this.#secrets = { migrator, other };
    this.outputs = { DatabaseSecret: secretName };
    const { vpcId, subnetIds, securityGroupIds } = settings;
    if (!vpcId || !subnetIds || !securityGroupIds) return;
    const vpc = Vpc.fromVpcAttributes(this, 'Vpc', {
      vpcId,
      privateSubnetIds: subnetIds,
      // Which zones they are in is not known at synth and of no interest to functions; there must be as many.
      availabilityZones: subnetIds.map((_, index) => Fn.select(index, Fn.getAzs())),
    });
    acknowledge(vpc, {
      'Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId':
        'Nothing here routes: functions stand in the subnets.',
    });
    this.network = {
      vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
      securityGroups: securityGroupIds.map((groupId) =>
        // The database's own group, which may let these in, is the operator's.
        SecurityGroup.fromSecurityGroupId(this, groupId, groupId, { mutable: false }),
      ),
    };
  }

  grantConnect(client: LambdaFunction, as: 'migrator' | 'other'): void {
    const secret = this.#secrets[as];
    grantRead(secret, client);
    client.addEnvironment(databaseEnv.source, secret.secretName);
  }
}

/**
 * Aurora Serverless by express configuration: without a VPC, reached over the internet with TLS, and let in by IAM
 * alone, so that there is no password (Aurora User Guide, "Create with express configuration").
 */
class AuroraDatabase extends Construct implements Database {
  readonly network = undefined;
  readonly outputs: Readonly<Record<string, string>>;
  readonly #cluster: CfnDBCluster;
  readonly #url: string;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.#cluster = new CfnDBCluster(this, 'Cluster', {
      engine: 'aurora-postgresql',
      withExpressConfiguration: true,
      deletionProtection: true,
      backupRetentionPeriod: backupDays,
    });
    acknowledge(this.#cluster, {
      'CloudFormation-Validate::F3002':
        'The schema that the CDK checks templates against is older than WithExpressConfiguration, which the resource type has.',
      'AwsSolutions-RDS2':
        'Express configuration always encrypts, with a key that AWS owns, and takes no setting of it.',
      'AwsSolutions-RDS11': 'The port is the express configuration’s own and takes no setting.',
      'AwsSolutions-RDS6':
        'IAM is the only way into a cluster of express configuration; there is nothing to switch on.',
    });
    // Grants live in it: neither an update of the stack nor its removal takes it away.
    this.#cluster.applyRemovalPolicy(RemovalPolicy.RETAIN);
    const { attrEndpointAddress: host, attrEndpointPort: port } = this.#cluster;
    // The express configuration's own names of the master user and the database.
    this.#url = `postgres://postgres@${host}:${port}/postgres`;
    this.outputs = { DatabaseCluster: this.#cluster.ref, DatabaseUrl: this.#url };
  }

  grantConnect(client: LambdaFunction): void {
    const { partition, region, account } = Stack.of(this);
    client.addToRolePolicy(
      new PolicyStatement({
        actions: ['rds-db:connect'],
        resources: [
          `arn:${partition}:rds-db:${region}:${account}:dbuser:${this.#cluster.attrDbClusterResourceId}/postgres`,
        ],
      }),
    );
    client.addEnvironment(databaseEnv.source, this.#url);
  }
}

/** Aurora Serverless in a VPC of its own. Functions stand in it as well and reach the internet through its NAT. */
class AuroraInVpcDatabase extends Construct implements Database {
  readonly network: Network;
  readonly outputs: Readonly<Record<string, string>>;
  readonly #secret: ISecret;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const vpc = new Vpc(this, 'Vpc', {
      maxAzs: 2,
      subnetConfiguration: [
        { name: 'Public', subnetType: SubnetType.PUBLIC, cidrMask: 24 },
        { name: 'Functions', subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        { name: 'Database', subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      ],
    });
    const functions = new SecurityGroup(this, 'Functions', { vpc, description: 'Functions of Evergrant' });
    const cluster = new DatabaseCluster(this, 'Cluster', {
      engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_17_7 }),
      writer: ClusterInstance.serverlessV2('Writer'),
      serverlessV2MinCapacity: 0.5,
      serverlessV2MaxCapacity: 8,
      vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
      credentials: Credentials.fromGeneratedSecret('evergrant'),
      defaultDatabaseName: 'evergrant',
      iamAuthentication: true,
      storageEncrypted: true,
      deletionProtection: true,
      backup: { retention: Duration.days(backupDays) },
      // Retaining it would keep the VPC from going; deletion protection has to be taken off by hand before that.
      removalPolicy: RemovalPolicy.SNAPSHOT,
    });
    cluster.connections.allowFrom(functions, Port.tcp(5432), 'Functions of Evergrant');
    acknowledge(vpc, {
      'AwsSolutions-VPC7':
        'Nothing but these functions and their database is in this VPC; whoever wants flow logs adds them with the account’s own policy.',
    });
    acknowledge(cluster, {
      'AwsSolutions-RDS11':
        'Only the functions’ security group reaches the port; another number protects nothing.',
      'AwsSolutions-SMG4':
        'The password is generated, never leaves the secret and opens a database that only the functions reach; functions read the secret again when it changes.',
    });
    const { secret } = cluster;
    if (!secret) throw new Error('The cluster was given generated credentials and has no secret.');
    this.#secret = secret;
    this.network = {
      vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
      securityGroups: [functions],
    };
    this.outputs = { DatabaseCluster: cluster.clusterIdentifier, DatabaseSecret: secret.secretArn };
  }

  grantConnect(client: LambdaFunction): void {
    grantRead(this.#secret, client);
    client.addEnvironment(databaseEnv.source, this.#secret.secretArn);
  }
}

function grantRead(secret: ISecret, reader: LambdaFunction): void {
  reader.addToRolePolicy(
    new PolicyStatement({
      actions: ['secretsmanager:GetSecretValue'],
      resources: [secret.secretFullArn ?? `${secret.secretArn}-??????`],
    }),
  );
}
