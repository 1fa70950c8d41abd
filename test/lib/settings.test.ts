import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSettings, SettingsError, settingsFromContext, settingsSchema } from '../../lib/settings.ts';

const messageOf = (given: Record<string, unknown>) => {
  try {
    parseSettings(given);
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return (error as Error).message;
  }
  throw new Error(`accepted ${JSON.stringify(given)}`);
};
const lineOf = (given: Record<string, unknown>, name: string) =>
  messageOf(given)
    .split('\n')
    .find((line) => line.startsWith(`- ${name}: `) || line.startsWith(`- ${name}.`));

describe('settings', () => {
  it('have the promised defaults', () => {
    expect(parseSettings({})).toMatchObject({
      scanIntervalMinutes: 5,
      refreshWindowSeconds: 600,
      callTimeoutSeconds: 10,
      warningThreshold: 2,
      disconnectThreshold: 3,
      rateLimitThreshold: 5,
      disconnectOnInvalidRefreshToken: false,
      tokensAtRest: 'sealed',
      database: 'aurora',
    });
  });

  it('may come as text, as `cdk -c name=value` gives them', () => {
    expect(
      parseSettings({
        scanIntervalMinutes: '1',
        disconnectOnInvalidRefreshToken: 'true',
        logRetentionDays: '90',
        callTimeoutSeconds: '20',
      }),
    ).toMatchObject({
      scanIntervalMinutes: 1,
      disconnectOnInvalidRefreshToken: true,
      logRetentionDays: 90,
      callTimeoutSeconds: 20,
    });
    expect(parseSettings({ disconnectOnInvalidRefreshToken: 'false' })).toMatchObject({
      disconnectOnInvalidRefreshToken: false,
    });
  });

  it.each<[string, unknown, RegExp]>([
    ['stage', 'Prod', /lower case/],
    ['stage', '', /lower case/],
    ['stage', 'a'.repeat(21), /20/],
    ['database', 'mysql', /aurora/],
    ['databaseSecretName', 'a b', /name of a secret/],
    ['databaseSecretName', 'product/postgres', /database=existing/],
    ['migratorSecretName', 'a b', /name of a secret/],
    ['migratorSecretName', 'product/owner', /database=existing/],
    ['vpcId', 'vpc', /id of a VPC/],
    ['vpcId', 'vpc-0a1b2c3d', /database=existing/],
    ['subnetIds', '', /subnet-/],
    ['subnetIds', [], /subnet-|>=1/],
    ['securityGroupIds', 'sg-0a1b2c3d, sg-1b2c3d4e', /commas/],
    ['senderIdentity', 'mailbox', /address/],
    ['scanIntervalMinutes', 0, /1/],
    ['scanIntervalMinutes', 61, /60/],
    ['scanIntervalMinutes', 2.5, /whole number/],
    ['scanIntervalMinutes', 'often', /number/],
    ['scanIntervalMinutes', '', /whole number/],
    ['scanIntervalMinutes', true, /whole number/],
    ['reconnectPath', '/../x', /path/],
    ['reconnectPath', '//evil.example', /path/],
    ['refreshWindowSeconds', 300, /scan interval/],
    ['refreshWindowSeconds', 10, /60/],
    ['retryDelaySeconds', 0, /1/],
    ['callTimeoutSeconds', 2, /3/],
    ['callTimeoutSeconds', 61, /60/],
    ['warningThreshold', 0, /1/],
    ['warningThreshold', 3, /below disconnectThreshold/],
    ['disconnectThreshold', 2, /below disconnectThreshold/],
    ['rateLimitThreshold', -1, /1/],
    ['lapseWarningDays', 0, /1/],
    ['lapseWarningDays', 91, /90/],
    ['disconnectOnInvalidRefreshToken', 'maybe', /true/],
    ['tokensAtRest', 'encrypted', /sealed/],
    ['senderEmail', 'nobody', /email/],
    ['productName', '', /empty/],
    ['appBaseUrl', 'app.example.com', /http/],
    ['appBaseUrl', 'ftp://app.example.com', /http/],
    ['appBaseUrl', 'javascript:alert(1)', /http/],
    ['reconnectPath', 'integrations', /"\/"/],
    ['maxConcurrency', 1, /2/],
    ['logRetentionDays', 31, /30, 60/],
  ])('name a bad %s (%j) and what it must be', (name, value, fix) => {
    const given = { [name]: value };
    // Two thresholds that contradict each other are named by the one to lower.
    const named = name === 'disconnectThreshold' ? 'warningThreshold' : name;
    expect(lineOf(given, named)).toMatch(fix);
  });

  it('name all that is bad at once', () => {
    const message = messageOf({ stage: 'X', scanIntervalMinutes: 0, senderEmail: 'x', appBaseUrl: '' });
    for (const name of ['stage', 'scanIntervalMinutes', 'senderEmail', 'appBaseUrl']) {
      expect(message).toContain(`- ${name}: `);
    }
  });

  it('want an address for the button of an email', () => {
    expect(lineOf({ senderEmail: 'a@example.com' }, 'appBaseUrl')).toMatch(/needed with senderEmail/);
  });

  it('place functions in a VPC with all that belongs to it, or not at all', () => {
    const vpc = {
      vpcId: 'vpc-0a1b2c3d',
      subnetIds: 'subnet-0a1b2c3d,subnet-1b2c3d4e',
      securityGroupIds: ['sg-0a1b2c3d4e5f60718'],
    };
    expect(parseSettings({ database: 'existing', ...vpc })).toMatchObject({
      subnetIds: ['subnet-0a1b2c3d', 'subnet-1b2c3d4e'],
      securityGroupIds: ['sg-0a1b2c3d4e5f60718'],
    });
    for (const name of Object.keys(vpc)) {
      expect(lineOf({ database: 'existing', ...vpc, [name]: undefined }, 'vpcId')).toMatch(/all three/);
    }
  });

  it('stand in the deploy guide, all of them and no others, with their defaults', () => {
    const guide = readFileSync(path.join(import.meta.dirname, '..', '..', 'docs', 'deploy.md'), 'utf8');
    const table = guide.slice(guide.indexOf('## Settings'), guide.indexOf('## After the deployment'));
    const rows = [...table.matchAll(/^\| (`.+?) \| (.+?) \|/gm)];
    const named = rows.flatMap(([, names = '']) => [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name));
    expect(named.toSorted()).toEqual(Object.keys(settingsSchema.shape).toSorted());
    const defaults: Record<string, unknown> = parseSettings({});
    for (const [, name = '', written = ''] of rows) {
      const value = defaults[name.replaceAll('`', '')];
      if (value !== undefined) expect(written.replaceAll('`', ''), name).toBe(String(value));
    }
  });

  it.each(['README.md', 'docs/deploy.md'])('are usable as %s shows them', (file) => {
    const text = readFileSync(path.join(import.meta.dirname, '../..', file), 'utf8').replaceAll(/\\\n/g, ' ');
    const commands = text.split('\n').filter((line) => /^ *npx cdk deploy .*-c /.test(line));
    expect(commands).not.toHaveLength(0);
    for (const command of commands) {
      const given = [...command.matchAll(/-c (\w+)=(?:"([^"]*)"|(\S+))/g)];
      parseSettings(Object.fromEntries(given.map(([, name, quoted, plain]) => [name, quoted ?? plain])));
    }
  });

  it('name what is no setting at all', () => {
    expect(lineOf({ scanInterval: 5 }, 'scanInterval')).toContain('is no setting');
  });

  it('are the plain names of a context; the CDK has its own', () => {
    const context = { stage: 'dev', 'aws:cdk:bundling-stacks': [], '@aws-cdk/core:checkSecretUsage': true };
    expect(settingsFromContext(context).stage).toBe('dev');
    expect(() => settingsFromContext({ ...context, scanIntervalMinute: '1' })).toThrow('scanIntervalMinute');
  });

  it('may be anything: never throw but with all named', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(parseSettings({})), 'alarmEmail', 'senderEmail'),
        fc.jsonValue(),
        (name, value) => {
          try {
            parseSettings({ [name]: value });
          } catch (error) {
            expect(error).toBeInstanceOf(SettingsError);
          }
        },
      ),
    );
  });
});
