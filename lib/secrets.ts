import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { refresherEnv } from '../lambdas/contract.ts';
import { acknowledge } from './acknowledge.ts';
import type { Settings } from './settings.ts';

/** The secrets of one stage. Each grant gives a function the permission and the environment variable together. */
export class Secrets extends Construct {
  readonly tokenKey: ISecret;
  /** Names of the providers' secrets begin with this; the operator creates one per provider. */
  readonly providerPrefix: string;

  constructor(scope: Construct, id: string, { stage, tokenKeySecretName }: Settings) {
    super(scope, id);
    const prefix = `evergrant/${stage}`;
    this.providerPrefix = `${prefix}/providers/`;
    this.tokenKey = tokenKeySecretName
      ? Secret.fromSecretNameV2(this, 'KeptTokenKey', tokenKeySecretName)
      : this.#createTokenKey(`${prefix}/token-key`);
  }

  #createTokenKey(secretName: string): Secret {
    const tokenKey = new Secret(this, 'TokenKey', {
      secretName,
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
    acknowledge(tokenKey, {
      'AwsSolutions-SMG4':
        'An operator rotates the key when there is reason to; the old one has to stay until each row has been sealed anew, which no schedule knows.',
    });
    return tokenKey;
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
    acknowledge(reader.role ?? reader, {
      [`AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:${this.providerPrefix}*]`]:
        'Operators add a provider by adding its secret below this prefix, without a deployment.',
    });
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
