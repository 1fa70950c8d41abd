import { ACCOUNT_ID, REGION } from '../intrinsics.ts';
import type { Json } from '../json.ts';
import { isObject } from '../json.ts';
import type { Resource, Template } from '../template.ts';
import { UnsupportedPolicy } from './conditions.ts';
import { evaluate } from './evaluate.ts';
import { AWS_MANAGED_POLICIES } from './managed-policies.ts';
import type { Statement } from './policy.ts';
import { parsePolicy } from './policy.ts';

/** A policy by its logical id, or by its name where AWS keeps it. */
export interface Policy {
  id: string;
  statements: Statement[];
}

/** What a function may do. */
export interface FunctionRole {
  functionId: string;
  roleArn: string;
  /** The function in a session of its role: the user of AWS' error messages. */
  sessionArn: string;
  policies: Policy[];
}

/** Who may do what with one resource. */
export interface ResourcePolicy extends Policy {
  resourceArn: string;
}

export interface AccessSpec {
  roles: FunctionRole[];
  resourcePolicies: ResourcePolicy[];
}

/** The types of resources that are read here. */
export const ACCESS_TYPES =
  /^AWS::(IAM::(Role|Policy|RolePolicy|ManagedPolicy)|SQS::QueuePolicy|Lambda::Permission)$/;

/** The service that invokes functions here besides the functions themselves. */
const EVENT_BRIDGE = 'events.amazonaws.com';

/**
 * Reads the roles of the given functions with every policy on them, and the policies of queues and functions.
 * @throws Error that names the resource, for a function whose role is not in the template, a role that Lambda cannot
 *   assume, a managed policy that nobody knows, and what cannot be judged (`UnsupportedPolicy`).
 */
export function readAccess(template: Template, functionIds: readonly string[]): AccessSpec {
  return {
    roles: functionIds.map((id) => readRole(template.byId(id)!, template)),
    resourcePolicies: template.resources.flatMap((resource) => {
      if (resource.type === 'AWS::SQS::QueuePolicy') return readQueuePolicy(resource, template);
      return resource.type === 'AWS::Lambda::Permission' ? readPermission(resource) : [];
    }),
  };
}

function readRole(lambda: Resource, template: Template): FunctionRole {
  const roleArn = String(lambda.get('Role'));
  const role = template.resources.find(
    ({ id, type }) => type === 'AWS::IAM::Role' && template.attribute(id, 'Arn') === roleArn,
  );
  if (!role)
    throw refuse(lambda, 'Role', `${roleArn} is no role of this stack, so nobody knows what it allows`);
  const roleName = template.attribute(role.id, null)!;
  if (role.propertyNames.includes('PermissionsBoundary')) {
    throw refuse(role, 'PermissionsBoundary', 'the local cloud judges no boundaries');
  }
  checkTrust(role, roleArn);
  return {
    functionId: lambda.id,
    roleArn,
    sessionArn: `arn:aws:sts::${ACCOUNT_ID}:assumed-role/${roleName}/${template.attribute(lambda.id, null)}`,
    policies: [
      ...inlinePolicies(role),
      ...listOf(role.get('ManagedPolicyArns')).map((arn) => managedPolicy(role, String(arn), template)),
      ...attachedPolicies(roleName, template),
    ],
  };
}

/** Lambda takes no role that it cannot assume. */
function checkTrust(role: Resource, roleArn: string): void {
  const document = role.get('AssumeRolePolicyDocument');
  const statements = isObject(document) ? listOf(document.Statement) : [];
  const onThisRole = statements.map((statement) =>
    isObject(statement) ? { ...statement, Resource: roleArn } : statement,
  );
  const trust = parse(
    role,
    'AssumeRolePolicyDocument',
    { Version: '2012-10-17', Statement: onThisRole },
    'resource',
  );
  const principal = { kind: 'service', service: 'lambda.amazonaws.com' } as const;
  const request = { principal, action: 'sts:AssumeRole', resource: roleArn, context: {} };
  if (!evaluate(request, { role: [], resource: trust }).allowed) {
    throw refuse(
      role,
      'AssumeRolePolicyDocument',
      'The role defined for the function cannot be assumed by Lambda',
    );
  }
}

function inlinePolicies(role: Resource): Policy[] {
  return listOf(role.get('Policies')).map((policy, index) => ({
    id: role.id,
    statements: parse(
      role,
      `Policies[${index}]`,
      isObject(policy) ? policy.PolicyDocument : undefined,
      'role',
    ),
  }));
}

function managedPolicy(role: Resource, arn: string, template: Template): Policy {
  const own = template.resources.find(
    ({ id, type }) => type === 'AWS::IAM::ManagedPolicy' && template.attribute(id, null) === arn,
  );
  if (own) return documentOf(own);
  const name = arn.split(':policy/')[1] ?? '';
  const actions = arn.startsWith('arn:aws:iam::aws:') ? AWS_MANAGED_POLICIES[name] : undefined;
  if (!actions) {
    throw refuse(role, 'ManagedPolicyArns', `what ${arn} allows is not known here; write the statements out`);
  }
  const statement = { Effect: 'Allow', Action: [...actions], Resource: '*' };
  return { id: name, statements: parsePolicy({ Version: '2012-10-17', Statement: [statement] }, 'role') };
}

/** Policies that name the role, instead of being named by it. */
function attachedPolicies(roleName: string, template: Template): Policy[] {
  return template.resources
    .filter((resource) => {
      if (resource.type === 'AWS::IAM::RolePolicy') return resource.get('RoleName') === roleName;
      if (resource.type !== 'AWS::IAM::Policy' && resource.type !== 'AWS::IAM::ManagedPolicy') return false;
      return listOf(resource.get('Roles')).includes(roleName);
    })
    .map(documentOf);
}

function documentOf(policy: Resource): Policy {
  return { id: policy.id, statements: parse(policy, 'PolicyDocument', policy.get('PolicyDocument'), 'role') };
}

function readQueuePolicy(policy: Resource, template: Template): ResourcePolicy[] {
  const statements = parse(policy, 'PolicyDocument', policy.get('PolicyDocument'), 'resource');
  return listOf(policy.get('Queues')).map((url) => {
    const queue = template.resources.find(
      ({ id, type }) => type === 'AWS::SQS::Queue' && template.attribute(id, null) === url,
    );
    if (!queue) throw refuse(policy, 'Queues', `${url} is no queue of this stack`);
    return { id: policy.id, resourceArn: template.attribute(queue.id, 'Arn')!, statements };
  });
}

/** The statement that AddPermission writes into a function's policy. Other services than EventBridge invoke nothing here. */
function readPermission(permission: Resource): ResourcePolicy[] {
  const principal = String(permission.get('Principal'));
  const isService = principal.endsWith('.amazonaws.com');
  if (isService && principal !== EVENT_BRIDGE) return [];
  const unknown = permission.propertyNames.find(
    (name) => !['Action', 'FunctionName', 'Principal', 'SourceArn', 'SourceAccount'].includes(name),
  );
  if (unknown) throw refuse(permission, unknown, 'is not known here');
  const name = String(permission.get('FunctionName'));
  const resourceArn = name.startsWith('arn:')
    ? name
    : `arn:aws:lambda:${REGION}:${ACCOUNT_ID}:function:${name}`;
  const sourceArn = permission.get('SourceArn');
  const sourceAccount = permission.get('SourceAccount');
  const statement = {
    Effect: 'Allow',
    Principal: principal === '*' ? '*' : { [isService ? 'Service' : 'AWS']: principal },
    Action: permission.get('Action') ?? null,
    Resource: resourceArn,
    Condition: {
      ...(sourceArn !== undefined && { ArnLike: { 'aws:SourceArn': sourceArn } }),
      ...(sourceAccount !== undefined && { StringEquals: { 'aws:SourceAccount': sourceAccount } }),
    },
  };
  const document = { Version: '2012-10-17', Statement: [statement] };
  return [{ id: permission.id, resourceArn, statements: parse(permission, 'Action', document, 'resource') }];
}

function parse(
  resource: Resource,
  path: string,
  document: Json | undefined,
  kind: 'role' | 'resource',
): Statement[] {
  try {
    return parsePolicy(document, kind);
  } catch (error) {
    if (error instanceof UnsupportedPolicy) throw refuse(resource, path, error.message);
    throw error;
  }
}

function listOf(value: Json | undefined): Json[] {
  return value === undefined ? [] : [value].flat();
}

function refuse({ id, type }: Resource, path: string, reason: string): Error {
  return new Error(`${id} (${type}), ${path}: ${reason}.`);
}
