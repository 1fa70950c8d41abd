import { rmSync } from 'node:fs';
import { App, Validations } from 'aws-cdk-lib';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import manifest from '../../cdk.json' with { type: 'json' };
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';

const email = { senderEmail: 'connections@example.com', appBaseUrl: 'https://app.example.com' };
const vpc = {
  database: 'existing',
  vpcId: 'vpc-0a1b2c3d',
  subnetIds: 'subnet-0a1b2c3d,subnet-1b2c3d4e',
  securityGroupIds: 'sg-0a1b2c3d',
};

function violations(given: Record<string, unknown>, spoil?: (stack: EvergrantStack) => void): string {
  const app = new App({ context: { ...manifest.context, 'aws:cdk:bundling-stacks': [] } });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
  const settings = parseSettings(given);
  const stack = new EvergrantStack(app, 'Evergrant', { stackName: `evergrant-${settings.stage}`, settings });
  spoil?.(stack);
  try {
    app.synth();
    return '';
  } catch (error) {
    return String(error);
  } finally {
    rmSync(app.outdir, { recursive: true, force: true });
  }
}

describe('the checks of cdk-nag and CloudFormation', () => {
  it.each<[string, Record<string, unknown>]>([
    ['no settings at all', {}],
    ['an existing database and emails', { database: 'existing', ...email, alarmEmail: 'ops@example.com' }],
    ['an existing database in a VPC', vpc],
    ['a database in a VPC of its own', { database: 'aurora-in-vpc', ...email, senderIdentity: 'domain' }],
    ['another stage', { stage: 'dev', ...email, senderIdentity: 'existing' }],
  ])('find nothing that is not acknowledged: %s', (_, given) => {
    expect(violations(given)).toBe('');
  });

  it('find what is not meant so', () => {
    const found = violations({}, (stack) => {
      new Queue(stack, 'Plain', { enforceSSL: false });
    });
    expect(found).toContain('ValidationFailed');
  });
});
