import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { databaseEnv, refresherEnv } from '../lambdas/contract.ts';

/** The secrets of one stage. Each grant gives a function the permission and the environment variable together. */
export class Secrets extends Construct {
  readonly database: ISecret;
  readonly tokenKey: Secret;
  /** Names of the providers' secrets begin with this; the operator creates one per provider. */
  readonly providerPrefix: string;

  constructor(
    scope: Construct,
    id: string,
    props: { readonly stage: string; readonly databaseSecretName?: string | undefined },
  ) {
    super(scope, id);
    const prefix = `evergrant/${props.stage}`;
    this.providerPrefix = `${prefix}/providers/`;
    // The operator's own, there before the first deployment: migrations run in it.
    this.database = Secret.fromSecretNameV2(
      this,
      'Database',
      props.databaseSecretName ?? `${prefix}/database`,
    );
    this.tokenKey = new Secret(this, 'TokenKey', {
      secretName: `${prefix}/token-key`,
      description: 'Keys that seal tokens at rest: {"current": 64 hex digits, "previous": [...]}',
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ previous: [] }),
        generateStringKey: 'current',
        // 64 lower case hex digits: the 32 bytes of an A256GCM key.
        passwordLength: 64,
        excludePunctuation: true,
        excludeUppercase: true,
        excludeCharacters: 'ghijklmnopqrstuvwxyz',
        requireEachIncludedType: false,
      },
      // Without the key every sealed token is lost, and with it every connection.
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }

  grantDatabase(reader: LambdaFunction): void {
    allowReading(reader, this.database);
    reader.addEnvironment(databaseEnv.secretId, this.database.secretName);
  }

  grantTokenKey(reader: LambdaFunction): void {
    allowReading(reader, this.tokenKey);
    reader.addEnvironment(refresherEnv.tokenKeySecretId, this.tokenKey.secretArn);
  }

  grantProviders(reader: LambdaFunction): void {
    const { partition, region, account } = Stack.of(this);
    reader.addToRolePolicy(
      new PolicyStatement({
        effect: Effect.ALLOW,
        actions: ['secretsmanager:GetSecretValue'],
        resources: [`arn:${partition}:secretsmanager:${region}:${account}:secret:${this.providerPrefix}*`],
      }),
    );
    reader.addEnvironment(refresherEnv.providerSecretPrefix, this.providerPrefix);
  }
}

/** `grantRead` of CDK would add DescribeSecret, which nobody here calls. */
function allowReading(reader: LambdaFunction, { secretFullArn, secretArn }: ISecret): void {
  // Of a secret that is known by its name only, the six characters that Secrets Manager adds are not known.
  const resources = [secretFullArn ?? `${secretArn}-??????`];
  const actions = ['secretsmanager:GetSecretValue'];
  reader.addToRolePolicy(new PolicyStatement({ effect: Effect.ALLOW, actions, resources }));
}
