import type { RequestContext } from './conditions.ts';
import { holds } from './conditions.ts';
import type { Patterns, Principals, Statement } from './policy.ts';
import { matchesAction, matchesArn } from './wildcard.ts';

/** Who asks: a role in a session of one function, or a service of AWS on its own behalf. */
export type Principal =
  | {
      readonly kind: 'role';
      readonly roleArn: string;
      readonly sessionArn: string;
      readonly accountId: string;
    }
  | { readonly kind: 'service'; readonly service: string };

/** May this principal do this to that? */
export interface AccessRequest {
  readonly principal: Principal;
  /** Such as `sqs:SendMessage`. */
  readonly action: string;
  /** An ARN, or `*` for an action that is about no one resource. */
  readonly resource: string;
  readonly context: RequestContext;
}

/** The policies that one request is judged by; both belong to the account that everything runs in. */
export interface Policies {
  /** Those of the principal's role. */
  readonly role: readonly Statement[];
  /** Those of the resource. */
  readonly resource: readonly Statement[];
}

/** The statement of an answer and, of an Allow, the patterns that matched: null where the statement says what not. */
export interface Grant {
  readonly statement: Statement;
  readonly actionPattern: string | null;
  readonly resourcePattern: string | null;
}

export type Decision =
  | { readonly allowed: true; readonly by: Grant }
  /** Nothing allows it. */
  | { readonly allowed: false; readonly explicitly: false }
  /** A Deny applies, whatever else allows it. */
  | { readonly allowed: false; readonly explicitly: true; readonly deniedBy: 'role' | 'resource' };

/**
 * Judges a request as IAM does inside of one account: a Deny decides, otherwise any Allow of the role's or the
 * resource's policies, otherwise it is denied. Where several statements allow it, the narrowest one is said to: the
 * wider ones would not be missed.
 */
export function evaluate(request: AccessRequest, policies: Policies): Decision {
  for (const deniedBy of ['role', 'resource'] as const) {
    if (policies[deniedBy].some((statement) => statement.effect === 'Deny' && applies(statement, request))) {
      return { allowed: false, explicitly: true, deniedBy };
    }
  }
  const grants = [...policies.role, ...policies.resource]
    .filter((statement) => statement.effect === 'Allow' && applies(statement, request))
    .flatMap((statement) => grantsOf(statement, request));
  const [first, ...others] = grants;
  if (!first) return { allowed: false, explicitly: false };
  return {
    allowed: true,
    by: others.reduce((best, grant) => (width(grant) < width(best) ? grant : best), first),
  };
}

function applies(statement: Statement, { principal, action, resource, context }: AccessRequest): boolean {
  return (
    isAbout(statement.actions, (pattern) => matchesAction(pattern, action)) &&
    isAbout(statement.resources, (pattern) => matchesArn(pattern, resource)) &&
    (statement.principals === null || names(statement.principals, principal, statement.effect)) &&
    statement.conditions.every((condition) => holds(condition, context))
  );
}

function isAbout({ except, patterns }: Patterns, matches: (pattern: string) => boolean): boolean {
  return patterns.some(matches) !== except;
}

/**
 * Whether a resource policy means this principal. An account means everybody in it, but an Allow for the account only
 * leaves the answer to the policies of its roles.
 */
function names({ aws, services }: Principals, principal: Principal, effect: Statement['effect']): boolean {
  if (principal.kind === 'service') return aws.includes('*') || services.includes(principal.service);
  const { roleArn, sessionArn, accountId } = principal;
  if (['*', roleArn, sessionArn].some((name) => aws.includes(name))) return true;
  const account = [accountId, `arn:aws:iam::${accountId}:root`];
  return effect === 'Deny' && account.some((name) => aws.includes(name));
}

function grantsOf(statement: Statement, { action, resource }: AccessRequest): Grant[] {
  const matching = ({ except, patterns }: Patterns, matches: (pattern: string) => boolean) =>
    except ? [null] : patterns.filter(matches);
  const resourcePatterns = matching(statement.resources, (pattern) => matchesArn(pattern, resource));
  return matching(statement.actions, (pattern) => matchesAction(pattern, action)).flatMap((actionPattern) =>
    resourcePatterns.map((resourcePattern) => ({ statement, actionPattern, resourcePattern })),
  );
}

/** The less a pattern spells out, the wider it is; what it only leaves out is the widest. */
function width({ actionPattern, resourcePattern }: Grant): number {
  const literal = (pattern: string | null) => pattern?.replaceAll(/[*?]/g, '').length ?? -1;
  return -(literal(actionPattern) + literal(resourcePattern));
}
