import type { CloudEvent } from '../events.ts';
import { ACCOUNT_ID, REGION } from '../intrinsics.ts';
import type { RequestContext } from './conditions.ts';
import type { Decision, Grant, Principal } from './evaluate.ts';
import { evaluate } from './evaluate.ts';
import type { Patterns, Statement } from './policy.ts';
import type { AccessSpec, FunctionRole } from './read-access.ts';

/** A call, by what IAM judges it by. */
export interface Call {
  /** Logical id of the function that calls. Whoever is no function of the stack is the account's administrator. */
  callerId: string | null;
  /** Such as `sqs:SendMessage`. */
  action: string;
  /** An ARN, or `*` for an action that is about no one resource. */
  resource: string;
  /** Values of the condition keys that only the service knows. */
  context?: RequestContext;
}

/** A call that was not allowed, in the words that AWS uses; a service that has words of its own takes the parts. */
export interface Denial {
  allowed: false;
  /** ARN of the role's session, or the service that called. */
  user: string;
  action: string;
  resource: string;
  /** Such as "because no identity-based policy allows the sqs:SendMessage action". */
  reason: string;
}

export type Verdict = { allowed: true } | Denial;

/** One action on one resource that a policy allows. */
export interface PermissionUse {
  /** Logical id of the function whose role has it, or the principal that a resource's policy names. */
  holder: string;
  /** Logical id of the policy. */
  policy: string;
  /** As the policy writes it; what it only leaves out begins with "all but". */
  action: string;
  resource: string;
  /** Calls that needed it: that nothing narrower allowed. */
  callCount: number;
}

/** Calls of one kind that were denied. */
export interface DeniedCalls {
  /** Logical id of the function, or the service. */
  callerId: string;
  action: string;
  resource: string;
  message: string;
  callCount: number;
}

/** What was made of the permissions so far. */
export interface PermissionUsage {
  allowed: PermissionUse[];
  denied: DeniedCalls[];
}

/** IAM of one stack: judges calls and remembers what they needed. */
export interface Authorizer {
  authorize(call: Call): Verdict;
  /** The same for a service of AWS, which needs the permission of the resource. */
  authorizeService(call: Omit<Call, 'callerId'> & { service: string }): Verdict;
  /** Counts a call of Lambda's own that it goes without where the role does not allow it. */
  useIfAllowed(call: Call & { callerId: string }): void;
  usage(): PermissionUsage;
}

/** The sentence that most services answer with. */
export function denialMessage({ user, action, resource, reason }: Denial): string {
  return `User: ${user} is not authorized to perform: ${action} on resource: ${resource} ${reason}`;
}

/** Makes the IAM of a stack. The first denial of each kind of call is an event. */
export function createAuthorizer(access: AccessSpec, onEvent: (event: CloudEvent) => void): Authorizer {
  const roles = new Map(access.roles.map((role) => [role.functionId, role]));
  const uses = new Map<Statement, Map<string, PermissionUse>>();
  for (const role of access.roles) {
    for (const { id, statements } of role.policies) enter(role.functionId, id, statements);
  }
  for (const { id, statements } of access.resourcePolicies) enter(null, id, statements);
  const denied = new Map<string, DeniedCalls>();

  /** Makes an entry for each permission, so that the ones that nobody needs are known too. */
  function enter(functionId: string | null, policy: string, statements: Statement[]): void {
    for (const statement of statements.filter(({ effect }) => effect === 'Allow')) {
      const holder = functionId ?? namesOf(statement);
      const entries = new Map<string, PermissionUse>();
      for (const action of writtenIn(statement.actions)) {
        for (const resource of writtenIn(statement.resources)) {
          entries.set(`${action} ${resource}`, { holder, policy, action, resource, callCount: 0 });
        }
      }
      uses.set(statement, entries);
    }
  }

  function judge(
    principal: Principal,
    role: FunctionRole | null,
    { action, resource, context }: Omit<Call, 'callerId'>,
  ): Decision {
    const decision = evaluate(
      {
        principal,
        action,
        resource,
        context: {
          // The loopback stands for TLS: nobody listens there.
          'aws:SecureTransport': 'true',
          'aws:RequestedRegion': REGION,
          ...(role && { 'aws:PrincipalArn': role.roleArn, 'aws:PrincipalAccount': ACCOUNT_ID }),
          ...context,
        },
      },
      {
        role: role ? role.policies.flatMap(({ statements }) => statements) : [],
        resource: access.resourcePolicies
          .filter(({ resourceArn }) => resourceArn === resource)
          .flatMap(({ statements }) => statements),
      },
    );
    if (decision.allowed) useOf(decision.by).callCount++;
    return decision;
  }

  function verdictOn(
    decision: Decision,
    callerId: string,
    role: FunctionRole | null,
    { action, resource }: Omit<Call, 'callerId'>,
  ): Verdict {
    if (decision.allowed) return { allowed: true };
    const user = role?.sessionArn ?? callerId;
    const denial: Denial = {
      allowed: false,
      user,
      action,
      resource,
      reason: reasonOf(decision, role, action),
    };
    remember(callerId, denial);
    return denial;
  }

  function useOf({ statement, actionPattern, resourcePattern }: Grant): PermissionUse {
    const action = actionPattern ?? writtenIn(statement.actions)[0];
    const resource = resourcePattern ?? writtenIn(statement.resources)[0];
    return uses.get(statement)!.get(`${action} ${resource}`)!;
  }

  function remember(callerId: string, denial: Denial): void {
    const { action, resource } = denial;
    const key = `${callerId} ${action} ${resource}`;
    const known = denied.get(key);
    if (known) {
      known.callCount++;
      return;
    }
    const message = denialMessage(denial);
    denied.set(key, { callerId, action, resource, message, callCount: 1 });
    onEvent({ type: 'access.denied', callerId, action, resource, message });
  }

  return {
    authorize({ callerId, ...call }) {
      const role = callerId === null ? undefined : roles.get(callerId);
      return role
        ? verdictOn(judge(principalOf(role), role, call), role.functionId, role, call)
        : { allowed: true };
    },
    authorizeService: ({ service, ...call }) =>
      verdictOn(judge({ kind: 'service', service }, null, call), service, null, call),
    useIfAllowed({ callerId, ...call }) {
      const role = roles.get(callerId);
      if (role) judge(principalOf(role), role, call);
    },
    usage: () => ({
      allowed: [...uses.values()].flatMap((entries) => [...entries.values()].map((use) => ({ ...use }))),
      denied: [...denied.values()].map((calls) => ({ ...calls })),
    }),
  };
}

function principalOf({ roleArn, sessionArn }: FunctionRole): Principal {
  return { kind: 'role', roleArn, sessionArn, accountId: ACCOUNT_ID };
}

function reasonOf(
  decision: Decision & { allowed: false },
  role: FunctionRole | null,
  action: string,
): string {
  if (decision.explicitly) {
    return `with an explicit deny in ${decision.deniedBy === 'role' ? 'an identity-based' : 'a resource-based'} policy`;
  }
  return `because no ${role ? 'identity-based' : 'resource-based'} policy allows the ${action} action`;
}

function writtenIn({ except, patterns }: Patterns): readonly string[] {
  return except ? [`all but ${patterns.join(', ')}`] : patterns;
}

function namesOf({ principals }: Statement): string {
  return [...(principals?.aws ?? []), ...(principals?.services ?? [])].join(', ');
}
