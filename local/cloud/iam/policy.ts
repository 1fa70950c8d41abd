import type { Json, JsonObject } from '../json.ts';
import { isObject } from '../json.ts';
import type { Condition } from './conditions.ts';
import { checkCondition, UnsupportedPolicy } from './conditions.ts';

/** Patterns that a statement is about, or (`except`) the patterns of all that it is not about. */
export interface Patterns {
  readonly except: boolean;
  readonly patterns: readonly string[];
}

/** Whom a statement of a resource policy is about. */
export interface Principals {
  /** `*`, ARNs and account ids. */
  readonly aws: readonly string[];
  /** Such as `events.amazonaws.com`. */
  readonly services: readonly string[];
}

/** One statement of a policy document, its condition operators and keys all known. */
export interface Statement {
  readonly effect: 'Allow' | 'Deny';
  readonly actions: Patterns;
  readonly resources: Patterns;
  readonly conditions: readonly Condition[];
  /** null in a policy that belongs to its principal, a role's. */
  readonly principals: Principals | null;
}

const ELEMENTS = new Set([
  'Sid',
  'Effect',
  'Principal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
]);

/**
 * Reads a policy document whose intrinsics are resolved. `kind` says whether it belongs to a role or to a resource;
 * only the latter name principals.
 * @throws UnsupportedPolicy for what AWS would refuse and for what cannot be judged here.
 */
export function parsePolicy(document: Json | undefined, kind: 'role' | 'resource'): Statement[] {
  if (!isObject(document)) throw new UnsupportedPolicy('there is no policy document');
  if (document.Version !== '2012-10-17') {
    throw new UnsupportedPolicy(`Version is ${document.Version}; write 2012-10-17`);
  }
  return listOf(document.Statement).map((statement) => parseStatement(statement, kind));
}

function parseStatement(statement: Json, kind: 'role' | 'resource'): Statement {
  if (!isObject(statement)) throw new UnsupportedPolicy('a statement is no object');
  const unknown = Object.keys(statement).find((element) => !ELEMENTS.has(element));
  if (unknown) throw new UnsupportedPolicy(`the element ${unknown} is not known here`);
  const { Effect: effect } = statement;
  if (effect !== 'Allow' && effect !== 'Deny') {
    throw new UnsupportedPolicy(`Effect is ${effect}; it must be Allow or Deny`);
  }
  return {
    effect,
    actions: patternsOf(statement, 'Action', isAction),
    resources: patternsOf(statement, 'Resource', isArnPattern),
    conditions: conditionsOf(statement.Condition),
    principals: principalsOf(statement, kind),
  };
}

function patternsOf(
  statement: JsonObject,
  element: 'Action' | 'Resource',
  isValid: (pattern: string) => boolean,
): Patterns {
  const { [element]: only, [`Not${element}`]: except } = statement;
  const patterns = listOf(only ?? except).map(String);
  if (patterns.length === 0 || (only !== undefined && except !== undefined)) {
    throw new UnsupportedPolicy(`exactly one of ${element} and Not${element} is needed`);
  }
  for (const pattern of patterns) {
    if (pattern.includes('${'))
      throw new UnsupportedPolicy(`the policy variable in ${pattern} is not known here`);
    if (!isValid(pattern)) throw new UnsupportedPolicy(`${pattern} is no ${element.toLowerCase()}`);
  }
  return { except: only === undefined, patterns };
}

function isAction(pattern: string): boolean {
  return pattern === '*' || /^[a-z0-9-]+:[\w*?]+$/i.test(pattern);
}

function isArnPattern(pattern: string): boolean {
  return pattern === '*' || (pattern.startsWith('arn:') && pattern.split(':').length >= 6);
}

function conditionsOf(block: Json | undefined): Condition[] {
  if (block === undefined) return [];
  if (!isObject(block)) throw new UnsupportedPolicy('Condition is no object');
  return Object.entries(block).flatMap(([operator, keys]) => {
    if (!isObject(keys)) throw new UnsupportedPolicy(`Condition.${operator} is no object`);
    return Object.entries(keys).map(([key, values]) => {
      const condition = { operator, key, values: listOf(values).map(String) };
      checkCondition(condition);
      return condition;
    });
  });
}

function principalsOf({ Principal: principal }: JsonObject, kind: 'role' | 'resource'): Principals | null {
  if (kind === 'role') {
    if (principal !== undefined) throw new UnsupportedPolicy('a policy of a role has no Principal');
    return null;
  }
  if (principal === '*') return { aws: ['*'], services: [] };
  if (!isObject(principal)) throw new UnsupportedPolicy('a policy of a resource needs a Principal');
  const unknown = Object.keys(principal).find((type) => type !== 'AWS' && type !== 'Service');
  if (unknown) throw new UnsupportedPolicy(`principals of type ${unknown} are not known here`);
  return { aws: listOf(principal.AWS).map(String), services: listOf(principal.Service).map(String) };
}

function listOf(value: Json | undefined): Json[] {
  return value === undefined ? [] : [value].flat();
}
