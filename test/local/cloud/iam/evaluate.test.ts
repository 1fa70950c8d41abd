// biome-ignore-all lint/suspicious/noTemplateCurlyInString: IAM's own policy variables.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AccessRequest, Decision, Principal } from '../../../../local/cloud/iam/evaluate.ts';
import { evaluate } from '../../../../local/cloud/iam/evaluate.ts';
import type { Statement } from '../../../../local/cloud/iam/policy.ts';
import { parsePolicy } from '../../../../local/cloud/iam/policy.ts';
import type { Json, JsonObject } from '../../../../local/cloud/json.ts';

const accountId = '000000000000';
const roleArn = `arn:aws:iam::${accountId}:role/worker`;
const sessionArn = `arn:aws:sts::${accountId}:assumed-role/worker/worker`;
const worker: Principal = { kind: 'role', roleArn, sessionArn, accountId };
const eventBridge: Principal = { kind: 'service', service: 'events.amazonaws.com' };
const queue = (name: string) => `arn:aws:sqs:us-east-1:${accountId}:${name}`;

const policyOf = (kind: 'role' | 'resource', ...statements: JsonObject[]) =>
  parsePolicy({ Version: '2012-10-17', Statement: statements }, kind);
const allow = (action: Json, resource: Json, more: JsonObject = {}): JsonObject => ({
  Effect: 'Allow',
  Action: action,
  Resource: resource,
  ...more,
});
const deny = (action: Json, resource: Json, more: JsonObject = {}): JsonObject => ({
  ...allow(action, resource, more),
  Effect: 'Deny',
});

const send = (more: Partial<AccessRequest> = {}): AccessRequest => ({
  principal: worker,
  action: 'sqs:SendMessage',
  resource: queue('work'),
  context: { 'aws:SecureTransport': 'true' },
  ...more,
});

function judge(request: AccessRequest, role: JsonObject[], resource: JsonObject[] = []): Decision {
  return evaluate(request, { role: policyOf('role', ...role), resource: policyOf('resource', ...resource) });
}

const implicitly = { allowed: false, explicitly: false };

describe('inside of one account', () => {
  it('what nothing allows is denied', () => {
    expect(judge(send(), [])).toEqual(implicitly);
    expect(judge(send(), [allow('sqs:ReceiveMessage', '*')])).toEqual(implicitly);
    expect(judge(send(), [allow('sqs:SendMessage', queue('other'))])).toEqual(implicitly);
  });

  it('the role allows, or the resource', () => {
    const own = allow('sqs:SendMessage', queue('work'));
    expect(judge(send(), [own])).toMatchObject({ allowed: true, by: { actionPattern: 'sqs:SendMessage' } });
    expect(judge(send(), [], [{ ...own, Principal: { AWS: roleArn } }])).toMatchObject({ allowed: true });
  });

  it('a Deny decides, of the role or of the resource', () => {
    const allowed = allow('sqs:*', '*');
    const denied = deny('sqs:SendMessage', '*');
    expect(judge(send(), [allowed, denied])).toEqual({ allowed: false, explicitly: true, deniedBy: 'role' });
    expect(judge(send(), [denied, allowed])).toMatchObject({ explicitly: true });
    expect(judge(send(), [allowed], [{ ...denied, Principal: '*' }])).toEqual({
      allowed: false,
      explicitly: true,
      deniedBy: 'resource',
    });
  });

  it('a Deny for what comes without TLS leaves what comes with it', () => {
    const withoutTls = deny('sqs:*', queue('work'), {
      Principal: { AWS: '*' },
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    });
    const allowed = [allow('sqs:SendMessage', queue('work'))];
    expect(judge(send(), allowed, [withoutTls])).toMatchObject({ allowed: true });
    const plain = send({ context: { 'aws:SecureTransport': 'false' } });
    expect(judge(plain, allowed, [withoutTls])).toMatchObject({ explicitly: true });
  });

  it('all conditions of a statement have to hold', () => {
    const Condition = {
      StringEquals: { 'ses:FromAddress': 'a@x.example' },
      Bool: { 'aws:SecureTransport': 'true' },
    };
    const statement = allow('ses:SendEmail', '*', { Condition });
    const request = { action: 'ses:SendEmail', resource: '*' };
    const withAddress = (address: string, tls: string) =>
      send({ ...request, context: { 'ses:FromAddress': address, 'aws:SecureTransport': tls } });
    expect(judge(withAddress('a@x.example', 'true'), [statement]).allowed).toBe(true);
    expect(judge(withAddress('b@x.example', 'true'), [statement]).allowed).toBe(false);
    expect(judge(withAddress('a@x.example', 'false'), [statement]).allowed).toBe(false);
  });

  it('NotAction and NotResource are about everything else', () => {
    const butReceiving = { Effect: 'Allow', NotAction: 'sqs:Receive*', Resource: '*' };
    expect(judge(send(), [butReceiving])).toMatchObject({ allowed: true, by: { actionPattern: null } });
    expect(judge(send({ action: 'sqs:ReceiveMessage' }), [butReceiving])).toEqual(implicitly);
    const butOne = { Effect: 'Allow', Action: '*', NotResource: [queue('work'), queue('more')] };
    expect(judge(send(), [butOne])).toEqual(implicitly);
    expect(judge(send({ resource: queue('third') }), [butOne])).toMatchObject({ allowed: true });
  });

  it('the narrowest of several grants is the one that is needed', () => {
    const wide = allow('*', '*');
    const narrow = allow(['sqs:Send*', 'sqs:SendMessage'], [queue('*'), queue('work')]);
    for (const statements of [
      [wide, narrow],
      [narrow, wide],
    ]) {
      expect(judge(send(), statements)).toMatchObject({
        by: { actionPattern: 'sqs:SendMessage', resourcePattern: queue('work') },
      });
    }
    expect(judge(send({ action: 'sqs:PurgeQueue' }), [wide, narrow])).toMatchObject({
      by: { actionPattern: '*', resourcePattern: '*' },
    });
  });
});

describe('the principal of a resource policy', () => {
  const allowed = (principal: Json, request: AccessRequest) =>
    judge(request, [], [allow('sqs:SendMessage', '*', { Principal: principal })]).allowed;
  const denied = (principal: Json) =>
    !judge(send(), [allow('*', '*')], [deny('sqs:SendMessage', '*', { Principal: principal })]).allowed;

  it.each<[Json, boolean, boolean]>([
    ['*', true, true],
    [{ AWS: '*' }, true, true],
    [{ AWS: roleArn }, true, true],
    [{ AWS: sessionArn }, true, true],
    [{ AWS: [`${roleArn}2`, roleArn] }, true, true],
    [{ AWS: `${roleArn}2` }, false, false],
    // An Allow for the account leaves the answer to the roles' policies; a Deny for it is one for everybody there.
    [{ AWS: accountId }, false, true],
    [{ AWS: `arn:aws:iam::${accountId}:root` }, false, true],
    [{ AWS: '111111111111' }, false, false],
    [{ Service: 'events.amazonaws.com' }, false, false],
  ])('%j: allowed %s, denied %s', (principal, isAllowed, isDenied) => {
    expect(allowed(principal, send())).toBe(isAllowed);
    expect(denied(principal)).toBe(isDenied);
  });

  it('may be a service', () => {
    const request = send({ principal: eventBridge });
    expect(allowed({ Service: 'events.amazonaws.com' }, request)).toBe(true);
    expect(allowed({ Service: ['sns.amazonaws.com', 'events.amazonaws.com'] }, request)).toBe(true);
    expect(allowed({ Service: 'sns.amazonaws.com' }, request)).toBe(false);
    expect(allowed({ AWS: roleArn }, request)).toBe(false);
    expect(allowed('*', request)).toBe(true);
  });
});

describe('whatever the policies', () => {
  const actions = ['sqs:SendMessage', 'sqs:ReceiveMessage', 'ses:SendEmail'];
  const resources = [queue('a'), queue('b'), 'arn:aws:ses:us-east-1:000000000000:identity/a'];
  const action = fc.constantFrom('*', 'sqs:*', 'sqs:S?nd*', 'SQS:sendmessage', ...actions);
  const resource = fc.constantFrom('*', queue('*'), queue('?'), 'arn:aws:ses:*:*:identity/*', ...resources);
  const some = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 3 });
  const statement = fc
    .record({
      effect: fc.constantFrom('Allow', 'Allow', 'Deny'),
      action: some(action),
      resource: some(resource),
    })
    .map(
      ({ effect, ...rest }): JsonObject => ({ Effect: effect, Action: rest.action, Resource: rest.resource }),
    );
  const statements = fc.array(statement, { maxLength: 5 });
  const request = fc
    .record({ action: fc.constantFrom(...actions), resource: fc.constantFrom(...resources) })
    .map((wanted) => send(wanted));
  const check = (property: (request: AccessRequest, statements: JsonObject[], other: JsonObject) => void) =>
    fc.assert(fc.property(request, statements, statement, property), { numRuns: 500 });
  const outcome = (decision: Decision) => [decision.allowed, 'explicitly' in decision && decision.explicitly];

  it('the order of statements is no matter', () => {
    check((wanted, given) => {
      expect(outcome(judge(wanted, given.toReversed()))).toEqual(outcome(judge(wanted, given)));
    });
  });

  it('one more Allow takes nothing away, one more Deny gives nothing', () => {
    check((wanted, given, other) => {
      const before = judge(wanted, given);
      const after = judge(wanted, [...given, other]);
      if (other.Effect === 'Allow') expect(before.allowed && !after.allowed).toBe(false);
      else expect(!before.allowed && after.allowed).toBe(false);
    });
  });

  it('a Deny that applies decides, and says so', () => {
    check((wanted, given) => {
      const denies = given.some(
        (each) => each.Effect === 'Deny' && judge(wanted, [{ ...each, Effect: 'Allow' }]).allowed,
      );
      expect(outcome(judge(wanted, given))[1]).toBe(denies);
    });
  });

  it('a statement is the sum of its actions and resources, one by one', () => {
    check((wanted, given) => {
      const apart = given.flatMap((each) =>
        (each.Action as string[]).flatMap((Action) =>
          (each.Resource as string[]).map((Resource) => ({ ...each, Action, Resource })),
        ),
      );
      expect(outcome(judge(wanted, apart))).toEqual(outcome(judge(wanted, given)));
    });
  });

  it('what a statement is about and what its opposite is about make everything, without overlap', () => {
    check((wanted, _, { Action, Resource }) => {
      const about = (each: JsonObject) => judge(wanted, [{ Effect: 'Allow', ...each }]).allowed;
      expect(about({ NotAction: Action!, Resource: '*' })).toBe(!about({ Action: Action!, Resource: '*' }));
      expect(about({ Action: '*', NotResource: Resource! })).toBe(
        !about({ Action: '*', Resource: Resource! }),
      );
    });
  });

  it('without the permission that was needed, another allows the call or none does', () => {
    check((wanted, given) => {
      const before = evaluate(wanted, { role: policyOf('role', ...given), resource: [] });
      if (!before.allowed) return;
      const { actionPattern, resourcePattern } = before.by;
      const without = given.flatMap((each) =>
        (each.Action as string[]).flatMap((Action) =>
          (each.Resource as string[])
            .filter((Resource) => Action !== actionPattern || Resource !== resourcePattern)
            .map((Resource) => ({ ...each, Action, Resource })),
        ),
      );
      const after = judge(wanted, without);
      if (!after.allowed) return;
      // And then a wider one, or one as wide: the narrowest is gone.
      const letters = ({ actionPattern: a, resourcePattern: r }: typeof before.by) =>
        `${a}${r}`.replaceAll(/[*?]/g, '').length;
      expect(letters(after.by)).toBeLessThanOrEqual(letters(before.by));
    });
  });
});

describe('a policy is refused by what is wrong with it', () => {
  const good = allow('sqs:SendMessage', '*');

  it.each<[string, Json, string]>([
    ['no document', null, 'there is no policy document'],
    ['an old version', { Version: '2008-10-17', Statement: [] }, 'Version is 2008-10-17'],
    ['a statement that is none', { Version: '2012-10-17', Statement: ['x'] }, 'a statement is no object'],
  ])('%s', (_, document, message) => {
    expect(() => parsePolicy(document, 'role')).toThrow(message);
  });

  it.each<[string, JsonObject, string]>([
    ['Effect', { ...good, Effect: 'allow' }, 'Effect is allow'],
    ['NotPrincipal', { ...good, NotPrincipal: '*' }, 'the element NotPrincipal'],
    ['a Principal in a role', { ...good, Principal: '*' }, 'has no Principal'],
    ['no Action', { Effect: 'Allow', Resource: '*' }, 'exactly one of Action and NotAction'],
    ['both', { ...good, NotAction: 'sqs:*' }, 'exactly one of Action and NotAction'],
    ['no Resource', { Effect: 'Allow', Action: '*' }, 'exactly one of Resource and NotResource'],
    ['an action without service', { ...good, Action: 'SendMessage' }, 'SendMessage is no action'],
    [
      'a resource that is no ARN',
      { ...good, Resource: 'https://sqs/queue' },
      'https://sqs/queue is no resource',
    ],
    ['half an ARN', { ...good, Resource: 'arn:aws:sqs:*' }, 'arn:aws:sqs:* is no resource'],
    ['a variable', { ...good, Resource: queue('${aws:PrincipalTag/x}') }, 'policy variable'],
    ['an unknown operator', { ...good, Condition: { NumericEquals: { a: '1' } } }, 'operator NumericEquals'],
    ['an unknown key', { ...good, Condition: { StringEquals: { 'a:b': '1' } } }, 'key a:b'],
  ])('%s', (_, statement, message) => {
    expect(() => policyOf('role', statement)).toThrow(message);
  });

  it.each<[string, JsonObject, string]>([
    ['no Principal', good, 'needs a Principal'],
    ['federated principals', { ...good, Principal: { Federated: 'x' } }, 'principals of type Federated'],
  ])('of a resource: %s', (_, statement, message) => {
    expect(() => policyOf('resource', statement)).toThrow(message);
  });

  it('one value stands for a list of one', () => {
    const [one]: Statement[] = policyOf('role', good);
    expect(one).toMatchObject({ actions: { except: false, patterns: ['sqs:SendMessage'] }, conditions: [] });
  });
});
