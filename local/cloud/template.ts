import type { RawResource } from './assembly.ts';
import { readAssembly } from './assembly.ts';
import { ACCOUNT_ID, createIntrinsics, REGION } from './intrinsics.ts';
import type { Json, JsonObject } from './json.ts';
import { isObject } from './json.ts';
import { secretArn } from './secret-arn.ts';

export interface TemplateOptions {
  /** A cloud assembly directory, such as `cdk.out`. */
  assemblyDir: string;
  stackName: string;
  /** Values for the stack's CloudFormation parameters; the others take their defaults. */
  parameters: Record<string, string>;
  /** Base URL of the SQS server, which queue URLs start with. */
  sqsEndpoint: string;
  /** Where the database cluster listens. */
  databaseEndpoint: { host: string; port: number };
}

/** A resource that exists (its condition holds). Its properties are resolved one by one, when they are needed. */
export interface Resource {
  id: string;
  type: string;
  dependsOn: string[];
  /** Names of its properties. */
  propertyNames: string[];
  /** The property at a dotted path, resolved; undefined when absent. Throws what `Intrinsics.resolve` throws. */
  get(path: string): Json | undefined;
  /** A reference in this resource's raw properties, wherever: the logical ids that it names. */
  references: string[];
}

export interface Template {
  resources: Resource[];
  byId(id: string): Resource | undefined;
  /** Ref (attribute null) or attribute of a resource. */
  attribute(id: string, attribute: string | null): string | undefined;
  /** Directory of the asset that an S3 key names. */
  assetDir(s3Key: string): string | undefined;
  /** Values of the outputs by name, but of those that name a resource which the local cloud knows nothing of. */
  outputs: Record<string, string>;
}

/**
 * Reads one stack of a cloud assembly.
 * @throws Error when there is no such assembly or stack.
 */
export function readTemplate(options: TemplateOptions): Template {
  const { template: raw, assetDirs } = readAssembly(options.assemblyDir, options.stackName);
  const resources = new Map<string, Resource>();
  const intrinsics = createIntrinsics(raw, options.stackName, options.parameters, attribute);
  for (const [id, resource] of Object.entries(raw.Resources)) {
    if (resource.Condition && !intrinsics.isConditionTrue(resource.Condition)) continue;
    resources.set(id, makeResource(id, resource));
  }

  function makeResource(id: string, resource: RawResource): Resource {
    const properties = resource.Properties ?? {};
    return {
      id,
      type: resource.Type,
      dependsOn: [resource.DependsOn ?? []].flat(),
      propertyNames: Object.keys(properties),
      get: (path) => {
        const [head = '', ...rest] = path.split('.');
        const raw = properties[head];
        let value = raw === undefined ? undefined : intrinsics.resolve(raw, { resourceId: id, path: head });
        for (const key of rest) value = isObject(value) ? value[key] : undefined;
        return value;
      },
      references: referencesIn(properties),
    };
  }

  function attribute(id: string, name: string | null): string | undefined {
    const resource = resources.get(id);
    if (!resource) return undefined;
    const find = attributesByType[resource.type];
    return find?.(resource, options)[name ?? 'Ref'];
  }

  function outputs(): Record<string, string> {
    const known = Object.entries(raw.Outputs ?? {}).filter(
      ([, { Value, Condition }]) =>
        (!Condition || intrinsics.isConditionTrue(Condition)) &&
        referencesIn(Value).every((id) => !resources.has(id) || resources.get(id)!.type in attributesByType),
    );
    return Object.fromEntries(
      known.map(([name, { Value }]) => [
        name,
        String(intrinsics.resolve(Value, { resourceId: 'Outputs', path: name })),
      ]),
    );
  }

  return {
    resources: [...resources.values()],
    byId: (id) => resources.get(id),
    attribute,
    assetDir: (s3Key) => assetDirs.get(s3Key),
    outputs: outputs(),
  };
}

type Surroundings = Pick<TemplateOptions, 'stackName' | 'sqsEndpoint' | 'databaseEndpoint'>;

/** What `Ref` and `Fn::GetAtt` give, per supported type. */
const attributesByType: Record<string, (resource: Resource, at: Surroundings) => Record<string, string>> = {
  'AWS::Lambda::Function': (resource, at) => {
    const name = physicalName(resource, 'FunctionName', at, 64);
    return { Ref: name, Arn: arn('lambda', `function:${name}`) };
  },
  'AWS::Lambda::Version': (resource) => {
    const functionArn = arn('lambda', `function:${lambdaNameIn(String(resource.get('FunctionName')))}`);
    return { Ref: `${functionArn}:1`, FunctionArn: `${functionArn}:1`, Version: '1' };
  },
  'AWS::Lambda::Alias': (resource) => {
    const name = lambdaNameIn(String(resource.get('FunctionName')));
    const aliasArn = `${arn('lambda', `function:${name}`)}:${resource.get('Name')}`;
    return { Ref: aliasArn, AliasArn: aliasArn };
  },
  'AWS::SQS::Queue': (resource, at) => {
    const name = physicalName(resource, 'QueueName', at, 80);
    const url = `${at.sqsEndpoint}/${ACCOUNT_ID}/${name}`;
    return { Ref: url, QueueUrl: url, QueueName: name, Arn: arn('sqs', name) };
  },
  'AWS::SecretsManager::Secret': (resource, at) => {
    const ref = secretArn(physicalName(resource, 'Name', at, 512));
    return { Ref: ref, Id: ref };
  },
  'AWS::RDS::DBCluster': (resource, at) => {
    // RDS stores identifiers in lower case.
    const identifier = physicalName(resource, 'DBClusterIdentifier', at, 63).toLowerCase();
    return {
      Ref: identifier,
      DBClusterArn: arn('rds', `cluster:${identifier}`),
      DBClusterResourceId: `cluster-${resource.id.toUpperCase()}`,
      'Endpoint.Address': at.databaseEndpoint.host,
      'Endpoint.Port': String(at.databaseEndpoint.port),
    };
  },
  'AWS::Events::Rule': (resource, at) => {
    const name = physicalName(resource, 'Name', at, 64);
    return { Ref: name, Arn: arn('events', `rule/${name}`) };
  },
  'AWS::Logs::LogGroup': (resource, at) => {
    const name = physicalName(resource, 'LogGroupName', at, 512);
    return { Ref: name, Arn: `${arn('logs', `log-group:${name}`)}:*` };
  },
  'AWS::IAM::Role': (resource, at) => {
    const name = physicalName(resource, 'RoleName', at, 64);
    return { Ref: name, Arn: `arn:aws:iam::${ACCOUNT_ID}:role/${name}` };
  },
  'AWS::IAM::ManagedPolicy': (resource, at) => {
    const name = physicalName(resource, 'ManagedPolicyName', at, 128);
    return { Ref: `arn:aws:iam::${ACCOUNT_ID}:policy/${name}` };
  },
  'AWS::SES::EmailIdentity': (resource) => ({ Ref: String(resource.get('EmailIdentity')) }),
  'AWS::SES::ConfigurationSet': (resource, at) => ({ Ref: physicalName(resource, 'Name', at, 64) }),
};

function physicalName(resource: Resource, property: string, at: Surroundings, maxLength: number): string {
  const given = resource.get(property);
  return typeof given === 'string' ? given : `${at.stackName}-${resource.id}`.slice(-maxLength);
}

function arn(service: string, rest: string): string {
  return `arn:aws:${service}:${REGION}:${ACCOUNT_ID}:${rest}`;
}

/** The function's name in a name, an ARN, or an ARN with a version or alias. */
export function lambdaNameIn(nameOrArn: string): string {
  return nameOrArn.startsWith('arn:')
    ? (nameOrArn.split(':')[6] ?? nameOrArn)
    : (nameOrArn.split(':')[0] ?? nameOrArn);
}

function referencesIn(value: Json): string[] {
  if (Array.isArray(value)) return value.flatMap(referencesIn);
  if (!isObject(value)) return [];
  return Object.entries(value as JsonObject).flatMap(([key, item]) => {
    if (key === 'Ref' && typeof item === 'string') return [item];
    if (key === 'Fn::GetAtt' && Array.isArray(item) && typeof item[0] === 'string') return [item[0]];
    return referencesIn(item);
  });
}
