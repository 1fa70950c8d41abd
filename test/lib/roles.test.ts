import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/security.md'), 'utf8');

interface Resource {
  readonly Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: templates are JSON of many shapes
  readonly Properties: Record<string, any>;
}
type Resources = Readonly<Record<string, Resource>>;

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource?: unknown;
  readonly Condition?: unknown;
  readonly Principal?: unknown;
}

const withEmails = { senderEmail: 'product@mail.example.com', appBaseUrl: 'https://app.example.com' };

function synthesize(given: Readonly<Record<string, unknown>>): Resources {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const settings = parseSettings({ ...withEmails, ...given });
  const stack = new EvergrantStack(app, 'Evergrant', { stackName: 'evergrant-prod', settings });
  return Template.fromStack(stack).toJSON().Resources;
}

const ofType = (resources: Resources, type: string) =>
  Object.entries(resources).filter(([, resource]) => resource.Type === type);

/** What a value of the template stands for, as people say it. */
function said(resources: Resources, value: unknown): string {
  if (typeof value === 'string') return value;
  const { Ref, 'Fn::GetAtt': attribute, 'Fn::Join': joined } = value as Record<string, never>;
  if (joined !== undefined) return (joined[1] as unknown[]).map((part) => said(resources, part)).join('');
  const id = Ref ?? attribute?.[0];
  if (id === undefined) return JSON.stringify(value);
  const resource = resources[id];
  if (resource === undefined) return `<${id}>`;
  switch (resource.Type) {
    case 'AWS::SQS::Queue': {
      const names = {
        Refresh: 'refresh queue',
        Threshold: 'threshold event queue',
        SealedResult: 'sealed result queue',
      };
      const which =
        Object.entries(names).find(([prefix]) => String(id).startsWith(prefix))?.[1] ?? String(id);
      return /DeadLetters/.test(id) ? `dead-letter queue of the ${which}` : which;
    }
    case 'AWS::Logs::LogGroup':
      return 'its log group';
    case 'AWS::SecretsManager::Secret':
      return `secret ${resource.Properties.Name}`;
    case 'AWS::SecretsManager::SecretTargetAttachment':
      return 'secret of the cluster';
    case 'AWS::RDS::DBCluster':
      return '<cluster>';
    case 'AWS::SNS::Topic':
      return 'alarm topic';
    case 'AWS::Lambda::Function':
      return `function ${String(resource.Properties.FunctionName).replace('evergrant-prod-', '')}`;
    default:
      return `${resource.Type} ${id}`;
  }
}

function shortened(text: string): string {
  return text
    .replace(/^arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:/, 'secret ')
    .replace(/^arn:<AWS::Partition>:ses:<AWS::Region>:<AWS::AccountId>:/, 'SES ')
    .replace(
      /^arn:<AWS::Partition>:rds-db:<AWS::Region>:<AWS::AccountId>:dbuser:<cluster>/,
      'cluster, as the user ',
    )
    .replace(/^cluster, as the user \//, 'cluster, as the user ')
    .replace(/(?<=^secret .*)-\?{6}$/, '')
    .replaceAll('*', '\\*');
}

/** A line for each thing that a role may do. */
function linesOf(resources: Resources): string[] {
  const lines = new Set<string>();
  for (const [roleId, role] of ofType(resources, 'AWS::IAM::Role')) {
    const holder = ofType(resources, 'AWS::Lambda::Function').find(([, { Properties }]) =>
      JSON.stringify(Properties.Role).includes(`"${roleId}"`),
    );
    const name = String(holder?.[1].Properties.FunctionName ?? 'trigger').replace('evergrant-prod-', '');
    for (const policy of role.Properties.ManagedPolicyArns ?? []) {
      const arn = typeof policy === 'string' ? policy : Object.values(policy).flat(3).at(-1);
      lines.add(`| ${name} | what ${String(arn).replace(/^.*policy\//, '')} allows | |`);
    }
    const statements: Statement[] = [
      ...(role.Properties.Policies ?? []),
      ...ofType(resources, 'AWS::IAM::Policy')
        .filter(([, { Properties }]) => JSON.stringify(Properties.Roles).includes(`"${roleId}"`))
        .map(([, { Properties }]) => Properties),
    ].flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
    for (const { Effect, Action, Resource, Condition } of statements) {
      expect(Effect).toBe('Allow');
      const on = [Resource].flat().map((each) => shortened(said(resources, each)));
      const condition = Condition === undefined ? '' : `, ${conditionText(Condition)}`;
      const actions = [Action].flat().map((action) => `\`${action}\``);
      lines.add(`| ${name} | ${actions.join(', ')} | ${[...new Set(on)].join(', ')}${condition} |`);
    }
  }
  return [...lines];
}

function conditionText(condition: unknown): string {
  return Object.entries(condition as Record<string, Record<string, string>>)
    .flatMap(([operator, of]) => Object.entries(of).map(([key, value]) => `${operator} ${key} ${value}`))
    .join(', ');
}

/** The table that stands under a heading, without its head. */
function tableUnder(heading: string): string[] {
  const [, section = ''] = page.split(`\n### ${heading}\n`);
  return section
    .split(/\n#+ /)[0]!
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2);
}

const ofDatabases = {
  existing: { database: 'existing' },
  'existing, reached from a VPC': {
    database: 'existing',
    vpcId: 'vpc-0a1b2c3d4e5f60718',
    subnetIds: 'subnet-0a1b2c3d4e5f60718',
    securityGroupIds: 'sg-0a1b2c3d4e5f60718',
  },
  aurora: { database: 'aurora' },
  'aurora-in-vpc': { database: 'aurora-in-vpc' },
};

describe('docs/security.md says what each role may do', () => {
  const each = Object.entries(ofDatabases).map(
    ([name, settings]) => [name, linesOf(synthesize(settings))] as const,
  );
  const [[, first]] = each as [(typeof each)[0]];
  const common = first.filter((line) => each.every(([, lines]) => lines.includes(line)));

  it('whatever the database is', () => {
    expect(tableUnder('What each role may do')).toEqual(common);
  });

  it('and what a database adds, the same for all functions', () => {
    const added = each.flatMap(([name, lines]) => {
      const more = lines.filter((line) => !common.includes(line));
      const functions = [...new Set(more.map((line) => line.split(' | ')[0]!.slice(2)))];
      const rights = [...new Set(more.map((line) => line.split(' | ').slice(1).join(' | ')))];
      // Each function gets each of them: none has less, and none more.
      expect(functions.toSorted()).toEqual(['migrator', 'notifier', 'operator', 'refresher', 'scanner']);
      expect(more).toHaveLength(functions.length * rights.length);
      return rights.map((right) => `| \`${name}\` | ${right}`);
    });
    expect(tableUnder('What the database adds to each function')).toEqual(added);
  });
});

describe('nobody else is let in', () => {
  const resources = synthesize({ database: 'existing' });

  it('policies of queues and of the topic allow no principal but the account’s own alarms', () => {
    const statements = [
      ...ofType(resources, 'AWS::SQS::QueuePolicy'),
      ...ofType(resources, 'AWS::SNS::TopicPolicy'),
    ].flatMap(([, { Properties }]) => Properties.PolicyDocument.Statement as Statement[]);
    expect(statements.length).toBeGreaterThanOrEqual(5);
    for (const statement of statements.filter(({ Effect }) => Effect === 'Allow')) {
      expect(statement).toMatchObject({
        Principal: { Service: 'cloudwatch.amazonaws.com' },
        Action: 'sns:Publish',
      });
    }
  });

  it('functions are invoked by the rule alone, and none has an address', () => {
    const permissions = ofType(resources, 'AWS::Lambda::Permission').map(([, { Properties }]) => Properties);
    expect(permissions).toHaveLength(1);
    expect(permissions[0]).toMatchObject({
      Action: 'lambda:InvokeFunction',
      Principal: 'events.amazonaws.com',
      SourceArn: { 'Fn::GetAtt': [expect.stringContaining('Schedule'), 'Arn'] },
    });
    expect(ofType(resources, 'AWS::Lambda::Url')).toEqual([]);
    expect(Object.values(resources).filter(({ Type }) => Type.startsWith('AWS::ApiGateway'))).toEqual([]);
  });

  it('roles are assumed by Lambda alone', () => {
    for (const [, { Properties }] of ofType(resources, 'AWS::IAM::Role')) {
      const statements = Properties.AssumeRolePolicyDocument.Statement as Statement[];
      expect(statements.map(({ Principal }) => Principal)).toEqual([{ Service: 'lambda.amazonaws.com' }]);
    }
  });

  it('no function is told to trust another authority, or to send its traffic through a proxy', () => {
    for (const [, { Properties }] of ofType(resources, 'AWS::Lambda::Function')) {
      expect(Object.keys(Properties.Environment?.Variables ?? {}).join(' ')).not.toMatch(
        /NODE_TLS|NODE_OPTIONS|NODE_EXTRA|PROXY|AWS_ENDPOINT/i,
      );
    }
  });
});
