import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  databaseEnv,
  functionEnv,
  notifierEnv,
  operatorEnv,
  refresherEnv,
  scannerEnv,
} from '../../lambdas/contract.ts';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';
import { timingOf } from '../../lib/timing.ts';

interface Resource {
  Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: templates are JSON of many shapes, and each test asks for its own
  Properties: Record<string, any>;
  DependsOn?: string | string[];
  DeletionPolicy?: string;
}

const synthesize = (given: Record<string, unknown> = {}) => {
  // Bundling is the business of the tests that run the bundles.
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const settings = parseSettings({
    database: 'existing',
    senderEmail: 'product@mail.example.com',
    appBaseUrl: 'https://app.example.com',
    ...given,
  });
  return Template.fromStack(new EvergrantStack(app, 'Evergrant', { stackName: 'evergrant-prod', settings }));
};

let template: Template;
let resources: Record<string, Resource>;
const timing = timingOf(parseSettings({}));
beforeAll(() => {
  template = synthesize();
  resources = template.toJSON().Resources;
});

const ofType = (type: string) => Object.entries(resources).filter(([, resource]) => resource.Type === type);

const stages = ['scanner', 'refresher', 'notifier', 'migrator', 'operator'] as const;
function functionOf(stage: (typeof stages)[number]): [id: string, resource: Resource] {
  const found = ofType('AWS::Lambda::Function').filter(([, { Properties }]) =>
    JSON.stringify(Properties.FunctionName ?? '').includes(stage),
  );
  expect(found).toHaveLength(1);
  return found[0]!;
}
const variablesOf = (stage: (typeof stages)[number]): Record<string, unknown> =>
  functionOf(stage)[1].Properties.Environment.Variables;

/** A queue that feeds or is polled, by the id of its construct. */
const queueOf = (construct: string): Resource => {
  const found = ofType('AWS::SQS::Queue').filter(([id]) => id.startsWith(`${construct}Queue`));
  expect(found).toHaveLength(1);
  return found[0]![1];
};

describe('queues', () => {
  it('are encrypted and take TLS only', () => {
    const queues = ofType('AWS::SQS::Queue');
    expect(queues).toHaveLength(6);
    for (const [id, { Properties }] of queues) {
      // Absent means encrypted by SQS (the service's default); it may never be switched off.
      expect(Properties.SqsManagedSseEnabled ?? true).toBe(true);
      template.hasResourceProperties('AWS::SQS::QueuePolicy', {
        Queues: [{ Ref: id }],
        PolicyDocument: {
          Statement: Match.arrayWith([
            Match.objectLike({
              Effect: 'Deny',
              Action: 'sqs:*',
              Condition: { Bool: { 'aws:SecureTransport': 'false' } },
              Principal: { AWS: '*' },
              Resource: { 'Fn::GetAtt': [id, 'Arn'] },
            }),
          ]),
        },
      });
    }
  });

  it('have behind them dead-letter queues that keep for 14 days', () => {
    const deadLetterIds: string[] = [];
    for (const [, { Properties }] of ofType('AWS::SQS::Queue')) {
      if (!Properties.RedrivePolicy) continue;
      expect(Properties.RedrivePolicy.maxReceiveCount).toBeGreaterThanOrEqual(5);
      deadLetterIds.push(Properties.RedrivePolicy.deadLetterTargetArn['Fn::GetAtt'][0]);
    }
    expect(new Set(deadLetterIds).size).toBe(3);
    for (const id of deadLetterIds) {
      expect(resources[id]!.Properties).toMatchObject({ MessageRetentionPeriod: 14 * 86_400 });
      expect(resources[id]!.Properties).not.toHaveProperty('RedrivePolicy');
    }
  });

  it('keep a message until it has had all its receives', () => {
    for (const [, { Properties }] of ofType('AWS::SQS::Queue')) {
      if (!Properties.RedrivePolicy) continue;
      expect(Properties.MessageRetentionPeriod).toBeGreaterThan(
        Properties.RedrivePolicy.maxReceiveCount * Properties.VisibilityTimeout,
      );
    }
  });

  it('keep sealed results as long as SQS can, and bear a row that is locked in many scans', () => {
    const { MessageRetentionPeriod, VisibilityTimeout, RedrivePolicy } = queueOf('SealedResult').Properties;
    expect(MessageRetentionPeriod).toBe(14 * 86_400);
    expect(VisibilityTimeout).toBe(timing.sealedResultVisibility);
    expect(variablesOf('scanner')).toMatchObject({
      [scannerEnv.sealedResultVisibilitySeconds]: String(VisibilityTimeout),
      [scannerEnv.sealedResultRetentionSeconds]: String(MessageRetentionPeriod),
    });
    // Each scan receives once what a product's transaction keeps from its row: five hours, with one every five minutes.
    expect(RedrivePolicy.maxReceiveCount).toBeGreaterThanOrEqual(60);
  });

  it('feed functions with partial batch responses and bounded concurrency', () => {
    const mappings = ofType('AWS::Lambda::EventSourceMapping');
    expect(mappings).toHaveLength(2);
    const byFunction = Object.fromEntries(
      mappings.map(([, { Properties }]) => [Properties.FunctionName.Ref, Properties]),
    );
    for (const [stage, concurrency, batch] of [
      ['refresher', 5, { BatchSize: 200, MaximumBatchingWindowInSeconds: 1 }],
      ['notifier', 2, { BatchSize: 1 }],
    ] as const) {
      const [id, { Properties }] = functionOf(stage);
      const mapping = byFunction[id]!;
      expect(mapping).toMatchObject({ ...batch, FunctionResponseTypes: ['ReportBatchItemFailures'] });
      expect(mapping.ScalingConfig.MaximumConcurrency).toBe(concurrency);
      const queueId = mapping.EventSourceArn['Fn::GetAtt'][0];
      expect(resources[queueId]!.Properties.VisibilityTimeout).toBeGreaterThanOrEqual(
        6 * Properties.Timeout + (mapping.MaximumBatchingWindowInSeconds ?? 0),
      );
    }
  });
});

describe('in a new account', () => {
  it('ten concurrent executions are enough, and none is reserved', () => {
    const fromQueues = ofType('AWS::Lambda::EventSourceMapping').map(
      ([, { Properties }]) => Properties.ScalingConfig.MaximumConcurrency as number,
    );
    const scanner = 1;
    const byHand = 2;
    expect(fromQueues.reduce((sum, each) => sum + each, scanner + byHand)).toBeLessThanOrEqual(10);
    for (const [, { Properties }] of ofType('AWS::Lambda::Function')) {
      expect(Properties).not.toHaveProperty('ReservedConcurrentExecutions');
    }
  });
});

describe('functions', () => {
  it('run on Node 24, for as long as they may', () => {
    const timeouts = {
      scanner: timing.scannerTimeout,
      refresher: timing.refresherTimeout,
      notifier: timing.notifierTimeout,
      migrator: timing.migratorTimeout,
      operator: timing.operatorTimeout,
    };
    for (const stage of stages) {
      expect(functionOf(stage)[1].Properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        Handler: 'index.handler',
        Timeout: timeouts[stage],
      });
    }
  });

  it('have exactly the environment of the contract', () => {
    const common = [...Object.values(functionEnv), ...Object.values(databaseEnv), 'POWERTOOLS_SERVICE_NAME'];
    const expected = {
      scanner: [...common, ...Object.values(scannerEnv)],
      refresher: [...common, ...Object.values(refresherEnv)],
      notifier: [...common, ...Object.values(notifierEnv)],
      migrator: common,
      operator: [...common, ...Object.values(operatorEnv)],
    };
    for (const stage of stages) {
      const names = Object.keys(variablesOf(stage)).filter((name) => !name.startsWith('AWS_'));
      expect(names.toSorted(), stage).toEqual(expected[stage].toSorted());
    }
  });

  it('are told the timeout that Lambda gives them', () => {
    for (const { Properties } of Object.values(template.findResources('AWS::Lambda::Function'))) {
      const told = Properties.Environment?.Variables?.[functionEnv.timeoutSeconds];
      if (told !== undefined) expect(told).toBe(String(Properties.Timeout));
    }
    for (const stage of stages) expect(variablesOf(stage)).toHaveProperty(functionEnv.timeoutSeconds);
  });

  it('have no secret in their environment, only names of secrets', () => {
    for (const stage of stages) {
      const variables = variablesOf(stage);
      const text = JSON.stringify(variables);
      expect(text).not.toMatch(/resolve:secretsmanager|postgres(ql)?:\/\//);
      for (const [name, value] of Object.entries(variables)) {
        if (/secret/i.test(name) && name !== refresherEnv.providerSecretPrefix) {
          expect(name).toMatch(/_ID$/);
          expect(JSON.stringify(value)).toMatch(/Ref|evergrant\//);
        }
      }
    }
  });

  it('get the settings', () => {
    template = synthesize({
      warningThreshold: 4,
      disconnectThreshold: 7,
      rateLimitThreshold: 9,
      disconnectOnInvalidRefreshToken: true,
      callTimeoutSeconds: 3,
      tokensAtRest: 'plain',
      refreshWindowSeconds: 1200,
      productName: 'Flows',
    });
    resources = template.toJSON().Resources;
    expect(variablesOf('refresher')).toMatchObject({
      [refresherEnv.warningThreshold]: '4',
      [refresherEnv.disconnectThreshold]: '7',
      [refresherEnv.rateLimitThreshold]: '9',
      [refresherEnv.disconnectOnInvalidRefreshToken]: 'true',
      [refresherEnv.callTimeoutMs]: '3000',
      [refresherEnv.tokensAtRest]: 'plain',
    });
    expect(variablesOf('scanner')).toMatchObject({ [scannerEnv.refreshWindowSeconds]: '1200' });
    expect(variablesOf('notifier')).toMatchObject({ [notifierEnv.productName]: 'Flows' });
    expect(variablesOf('operator')).toMatchObject({
      [operatorEnv.refreshWindowSeconds]: '1200',
      [operatorEnv.scanIntervalSeconds]: '300',
      [operatorEnv.senderEmail]: 'product@mail.example.com',
    });
    template = synthesize();
    resources = template.toJSON().Resources;
  });

  it('send no email without a sender', () => {
    const without = synthesize({ senderEmail: undefined });
    expect(JSON.stringify(without.toJSON())).not.toContain('ses:SendEmail');
    expect(JSON.stringify(without.toJSON())).not.toContain(notifierEnv.senderEmail);
  });
});

describe('roles', () => {
  const statementsOf = (stage: (typeof stages)[number]) => {
    const roleId = functionOf(stage)[1].Properties.Role['Fn::GetAtt'][0];
    const inline = (resources[roleId]!.Properties.Policies ?? []).flatMap(
      (policy: { PolicyDocument: { Statement: unknown[] } }) => policy.PolicyDocument.Statement,
    );
    const attached = ofType('AWS::IAM::Policy')
      .filter(([, { Properties }]) => JSON.stringify(Properties.Roles).includes(roleId))
      .flatMap(([, { Properties }]) => Properties.PolicyDocument.Statement);
    expect(resources[roleId]!.Properties).not.toHaveProperty('ManagedPolicyArns');
    return [...inline, ...attached] as {
      Action: string | string[];
      Resource: unknown;
      Condition?: unknown;
    }[];
  };
  const actionsOf = (stage: (typeof stages)[number]) =>
    new Set(statementsOf(stage).flatMap(({ Action }) => Action));

  it('are one per function', () => {
    const roles = stages.map((stage) => JSON.stringify(functionOf(stage)[1].Properties.Role));
    expect(new Set(roles).size).toBe(stages.length);
  });

  it('allow no wildcard but below the providers’ prefix', () => {
    for (const stage of stages) {
      for (const { Action, Resource } of statementsOf(stage)) {
        for (const action of [Action].flat()) expect(action, stage).not.toContain('*');
        for (const resource of [Resource].flat()) {
          const text = JSON.stringify(resource);
          if (text.includes('*')) {
            expect(['refresher', 'operator']).toContain(stage);
            expect(text).toContain('secret:evergrant/prod/providers/*');
          }
          // Secrets Manager appends a hyphen and six characters to the name of a secret.
          if (text.includes('?')) expect(text).toMatch(/[^?]-\?{6}"/);
        }
      }
    }
  });

  it('allow each function what it does and no more', () => {
    const always = ['logs:CreateLogStream', 'logs:PutLogEvents'];
    const read = ['secretsmanager:GetSecretValue'];
    const send = ['sqs:SendMessage'];
    const poll = ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:ReceiveMessage'];
    const consume = [...poll, 'sqs:GetQueueAttributes'];
    const expected = {
      scanner: [...always, ...read, ...send, ...poll],
      refresher: [...always, ...read, ...send, ...consume],
      notifier: [...always, ...read, ...consume, 'ses:SendEmail'],
      migrator: [...always, ...read],
      operator: [...always, ...read],
    };
    for (const stage of stages) {
      expect([...actionsOf(stage)].toSorted(), stage).toEqual([...new Set(expected[stage])].toSorted());
    }
  });

  it('let the scanner receive and delete nothing but sealed results, and the refresher send them and what it schedules', () => {
    const queuesOf = (stage: (typeof stages)[number], action: string) =>
      statementsOf(stage)
        .filter(({ Action }) => [Action].flat().includes(action))
        .flatMap(({ Resource }) => [Resource].flat() as { 'Fn::GetAtt': [string, string] }[])
        .map((arn) => arn['Fn::GetAtt'][0].replace(/Queue\w*$/, ''));
    for (const action of ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility']) {
      expect(queuesOf('scanner', action), action).toEqual(['SealedResult']);
    }
    expect(queuesOf('scanner', 'sqs:SendMessage').toSorted()).toEqual(['Refresh', 'Threshold']);
    expect(queuesOf('refresher', 'sqs:SendMessage').toSorted()).toEqual([
      'Refresh',
      'SealedResult',
      'Threshold',
    ]);
    for (const action of ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility']) {
      expect(queuesOf('refresher', action), action).toEqual(['Refresh']);
    }
  });

  it('let who opens tokens read the token key, and who calls providers or checks them the providers’ secrets', () => {
    const [[tokenKeyId] = ['']] = ofType('AWS::SecretsManager::Secret');
    for (const stage of stages) {
      const resourcesText = JSON.stringify(statementsOf(stage).map(({ Resource }) => Resource));
      const callsOrChecks = stage === 'refresher' || stage === 'operator';
      expect(resourcesText.includes(tokenKeyId), stage).toBe(callsOrChecks || stage === 'scanner');
      expect(resourcesText.includes('/providers/'), stage).toBe(callsOrChecks);
    }
  });

  it('let the notifier send from the one address', () => {
    const sending = statementsOf('notifier').find(({ Action }) => [Action].flat().includes('ses:SendEmail'));
    expect(sending).toMatchObject({
      Condition: { StringEquals: { 'ses:FromAddress': 'product@mail.example.com' } },
    });
    expect(JSON.stringify(sending!.Resource)).toContain('identity/product@mail.example.com');
  });
});

describe('secrets', () => {
  it('outlive the stack, the token key above all', () => {
    for (const [, resource] of ofType('AWS::SecretsManager::Secret')) {
      expect(resource.DeletionPolicy).toBe('Retain');
    }
  });

  it('of the token key are generated as 64 hex digits', () => {
    template.hasResourceProperties('AWS::SecretsManager::Secret', {
      Name: 'evergrant/prod/token-key',
      GenerateSecretString: Match.objectLike({
        GenerateStringKey: 'current',
        PasswordLength: 64,
        ExcludePunctuation: true,
        ExcludeUppercase: true,
        ExcludeCharacters: 'ghijklmnopqrstuvwxyz',
      }),
    });
  });

  it('of the token key may be one that is there already', () => {
    const kept = synthesize({ tokenKeySecretName: 'evergrant/old/token-key' });
    kept.resourceCountIs('AWS::SecretsManager::Secret', 0);
    expect(JSON.stringify(kept.toJSON())).toContain('secret:evergrant/old/token-key');
    kept.hasOutput('TokenKeySecret', { Value: 'evergrant/old/token-key' });
  });

  it('hold no value in the template', () => {
    for (const [, { Properties }] of ofType('AWS::SecretsManager::Secret')) {
      expect(Properties).not.toHaveProperty('SecretString');
    }
  });
});

describe('the order of a deployment', () => {
  it('has the migrations before whatever uses the schema', () => {
    const triggers = ofType('Custom::Trigger');
    expect(triggers).toHaveLength(1);
    const [triggerId, trigger] = triggers[0]!;
    const [migratorId] = functionOf('migrator');
    // A version of the function: a new migration is a new version, and the trigger runs it.
    const version = resources[trigger.Properties.HandlerArn.Ref]!;
    expect(version).toMatchObject({
      Type: 'AWS::Lambda::Version',
      Properties: { FunctionName: { Ref: migratorId } },
    });
    expect(trigger.Properties).toMatchObject({ InvocationType: 'RequestResponse' });
    const waiting = [
      ...(['scanner', 'refresher', 'notifier'] as const).map((stage) => functionOf(stage)),
      ...ofType('AWS::Lambda::EventSourceMapping'),
      ...ofType('AWS::Events::Rule'),
    ];
    expect(waiting).toHaveLength(6);
    for (const [id, { DependsOn }] of waiting) {
      expect([DependsOn].flat(), id).toContain(triggerId);
    }
  });
});

describe('the operator function', () => {
  /** Logical ids that must be there before a resource is created. */
  const neededBy = (id: string, seen = new Set<string>()): Set<string> => {
    const { DependsOn = [], Properties } = resources[id]!;
    const named = [...JSON.stringify(Properties).matchAll(/"(?:Ref|Fn::GetAtt)":\[?"(\w+)"/g)].map(
      ([, name]) => name!,
    );
    for (const name of [DependsOn, named].flat()) {
      if (seen.has(name) || !(name in resources)) continue;
      seen.add(name);
      neededBy(name, seen);
    }
    return seen;
  };

  it('waits for no migration: it is there to say what hinders one', () => {
    const [[triggerId] = ['']] = ofType('Custom::Trigger');
    expect(neededBy(functionOf('scanner')[0])).toContain(triggerId);
    expect(neededBy(functionOf('operator')[0])).not.toContain(triggerId);
  });

  it('is an output, for the command line to find it', () => {
    expect(template.toJSON().Outputs.OperatorFunction.Value).toEqual({ Ref: functionOf('operator')[0] });
  });

  it('is invoked by nobody but the command line', () => {
    const [id] = functionOf('operator');
    for (const type of ['AWS::Lambda::Permission', 'AWS::Lambda::EventSourceMapping', 'AWS::Events::Rule']) {
      expect(JSON.stringify(ofType(type))).not.toContain(id);
    }
  });
});

describe('the schedule', () => {
  it('is the scan interval, and a late scan is not made up for', () => {
    const [id] = functionOf('scanner');
    template.hasResourceProperties('AWS::Events::Rule', {
      ScheduleExpression: 'rate(5 minutes)',
      State: 'ENABLED',
      Targets: [
        Match.objectLike({
          Arn: { 'Fn::GetAtt': [id, 'Arn'] },
          RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 300 },
        }),
      ],
    });
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      FunctionName: { Ref: id },
      MaximumRetryAttempts: 0,
    });
  });

  it('may be switched off while another refresher runs', () => {
    synthesize({ scanning: 'false' }).hasResourceProperties('AWS::Events::Rule', { State: 'DISABLED' });
  });

  it('may be every minute', () => {
    synthesize({ scanIntervalMinutes: 1 }).hasResourceProperties('AWS::Events::Rule', {
      ScheduleExpression: 'rate(1 minute)',
    });
  });
});

describe('logs', () => {
  it('are kept as long as set, in a group of each function’s own', () => {
    for (const stage of stages) {
      const group = functionOf(stage)[1].Properties.LoggingConfig.LogGroup.Ref;
      expect(resources[group]!.Properties).toMatchObject({ RetentionInDays: 30 });
    }
  });
});
