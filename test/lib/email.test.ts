import { App } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { notifierEnv } from '../../lambdas/contract.ts';
import { emailMetricsDimension } from '../../lib/email-metrics.ts';
import { EvergrantStack } from '../../lib/evergrant-stack.ts';
import { parseSettings } from '../../lib/settings.ts';

const stackWith = (given: Record<string, unknown>) => {
  const app = new App({ context: { 'aws:cdk:bundling-stacks': [] } });
  const settings = parseSettings({ appBaseUrl: 'https://app.example.com', ...given });
  return new EvergrantStack(app, 'Evergrant', { stackName: 'evergrant-prod', settings });
};
const synthesize = (given: Record<string, unknown>) => Template.fromStack(stackWith(given));
const senderEmail = 'connections@mail.example.com';

describe('emails', () => {
  it('go through a configuration set that counts them and drops those whom nobody should write to again', () => {
    const template = synthesize({ senderEmail });
    template.hasResourceProperties('AWS::SES::ConfigurationSet', {
      Name: 'evergrant-prod',
      SuppressionOptions: { SuppressedReasons: ['BOUNCE', 'COMPLAINT'] },
    });
    template.hasResourceProperties('AWS::SES::ConfigurationSetEventDestination', {
      EventDestination: Match.objectLike({
        Enabled: true,
        MatchingEventTypes: Match.arrayWith(['bounce', 'complaint']),
        CloudWatchDestination: {
          DimensionConfigurations: [
            {
              DimensionName: emailMetricsDimension,
              DimensionValueSource: 'messageTag',
              DefaultDimensionValue: 'evergrant-prod',
            },
          ],
        },
      }),
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'evergrant-prod-notifier',
      Environment: {
        Variables: Match.objectLike({
          [notifierEnv.senderEmail]: senderEmail,
          [notifierEnv.configurationSet]: 'evergrant-prod',
        }),
      },
    });
    // What SES accepts as a name (CloudWatchDimensionConfiguration).
    expect(emailMetricsDimension).toMatch(/^[\w-]+$/);
  });

  it.each([
    ['address', senderEmail],
    ['domain', 'mail.example.com'],
  ])('come from an identity that the stack makes: %s', (senderIdentity, name) => {
    synthesize({ senderEmail, senderIdentity }).hasResourceProperties('AWS::SES::EmailIdentity', {
      EmailIdentity: name,
    });
  });

  it('of a domain name the DNS records to make', () => {
    const outputs = synthesize({ senderEmail, senderIdentity: 'domain' }).findOutputs('*');
    expect(Object.keys(outputs)).toEqual(
      expect.arrayContaining(['SenderDnsRecord1', 'SenderDnsRecord2', 'SenderDnsRecord3']),
    );
  });

  it('may come from an identity that is there already', () => {
    synthesize({ senderEmail, senderIdentity: 'existing' }).resourceCountIs('AWS::SES::EmailIdentity', 0);
  });

  it('without a sender are none, which synth says aloud', () => {
    const stack = stackWith({});
    const template = Template.fromStack(stack);
    for (const type of ['EmailIdentity', 'ConfigurationSet']) {
      template.resourceCountIs(`AWS::SES::${type}`, 0);
    }
    Annotations.fromStack(stack).hasWarning(
      '/Evergrant',
      Match.stringLikeRegexp('No senderEmail is set: users are told in the app only'),
    );
  });
});
