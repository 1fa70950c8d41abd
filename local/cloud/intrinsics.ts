import type { RawTemplate } from './assembly.ts';
import type { Json, JsonObject } from './json.ts';
import { isObject } from './json.ts';

export const REGION = 'us-east-1';
export const ACCOUNT_ID = '000000000000';

/** Where a value stands, for errors: the resource and the path inside it. */
export interface Place {
  resourceId: string;
  path: string;
}

/** What `Ref` (attribute null) or `Fn::GetAtt` of a resource gives; undefined when it isn't known here. */
export type AttributeLookup = (resourceId: string, attribute: string | null) => string | undefined;

/** Resolves the intrinsic functions of one template. */
export interface Intrinsics {
  /** @throws Error that names the resource and the path of what can't be resolved. */
  resolve(value: Json, place: Place): Json | undefined;
  isConditionTrue(name: string): boolean;
}

export function createIntrinsics(
  template: RawTemplate,
  stackName: string,
  parameters: Record<string, string>,
  attributeOf: AttributeLookup,
): Intrinsics {
  const pseudoParameters: Record<string, string> = {
    'AWS::Region': REGION,
    'AWS::AccountId': ACCOUNT_ID,
    'AWS::Partition': 'aws',
    'AWS::URLSuffix': 'amazonaws.com',
    'AWS::StackName': stackName,
    'AWS::StackId': `arn:aws:cloudformation:${REGION}:${ACCOUNT_ID}:stack/${stackName}/local`,
  };
  const conditions = new Map<string, boolean>();

  function isConditionTrue(name: string): boolean {
    let result = conditions.get(name);
    if (result === undefined) {
      const place = { resourceId: 'Conditions', path: name };
      const definition = template.Conditions?.[name];
      if (definition === undefined) throw unresolvable(place, name, 'there is no such condition');
      result = isTrue(definition, place);
      conditions.set(name, result);
    }
    return result;
  }

  function isTrue(value: Json, place: Place): boolean {
    if (isObject(value) && typeof value.Condition === 'string') return isConditionTrue(value.Condition);
    const resolved = resolve(value, place);
    return resolved === true || resolved === 'true';
  }

  function reference(name: string, place: Place): Json | undefined {
    if (name === 'AWS::NoValue') return undefined;
    const value =
      pseudoParameters[name] ??
      parameters[name] ??
      template.Parameters?.[name]?.Default ??
      attributeOf(name, null);
    if (value !== undefined) return value;
    if (template.Parameters?.[name])
      throw unresolvable(place, { Ref: name }, 'the parameter has no value and no default');
    throw unresolvable(place, { Ref: name }, describe(name));
  }

  function attribute(resourceId: string, name: string, place: Place): string {
    const value = attributeOf(resourceId, name);
    if (value === undefined)
      throw unresolvable(place, { 'Fn::GetAtt': [resourceId, name] }, describe(resourceId));
    return value;
  }

  function describe(resourceId: string): string {
    const type = template.Resources[resourceId]?.Type;
    return type ? `${type} has no such value in the local cloud` : 'there is no such resource or parameter';
  }

  function text(value: Json | undefined, place: Place): string {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return String(value);
    throw unresolvable(place, value ?? null, 'a string is needed here');
  }

  function list(value: Json, place: Place): Json[] {
    const resolved = resolve(value, place);
    if (Array.isArray(resolved)) return resolved;
    throw unresolvable(place, value, 'a list is needed here');
  }

  function substitute(argument: Json, place: Place): string {
    const [format, variables] = Array.isArray(argument) ? argument : [argument, {}];
    return text(format, place).replaceAll(/\$\{(!?)([^}]+)\}/g, (_, literal: string, name: string) => {
      if (literal) return `\${${name}}`;
      const variable = isObject(variables) ? variables[name] : undefined;
      if (variable !== undefined) return text(resolve(variable, place), place);
      const dot = name.indexOf('.');
      if (dot < 0) return text(reference(name, place), place);
      return attribute(name.slice(0, dot), name.slice(dot + 1), place);
    });
  }

  const functions: Record<string, (argument: Json, place: Place) => Json | undefined> = {
    Ref: (argument, place) => reference(text(argument, place), place),
    'Fn::GetAtt': (argument, place) => {
      const [resourceId, ...rest] =
        typeof argument === 'string' ? argument.split('.') : list(argument, place);
      return attribute(text(resourceId, place), rest.map((part) => text(part, place)).join('.'), place);
    },
    'Fn::Join': (argument, place) => {
      const [separator, parts] = pair(argument, place);
      return list(parts, place)
        .map((part) => text(part, place))
        .join(text(separator, place));
    },
    'Fn::Split': (argument, place) => {
      const [separator, source] = pair(argument, place);
      return text(resolve(source, place), place).split(text(separator, place));
    },
    'Fn::Select': (argument, place) => {
      const [index, items] = pair(argument, place);
      const item = list(items, place)[Number(text(resolve(index, place), place))];
      if (item === undefined) throw unresolvable(place, { 'Fn::Select': argument }, 'the list is too short');
      return item;
    },
    'Fn::Sub': substitute,
    'Fn::If': (argument, place) => {
      if (!Array.isArray(argument) || argument.length !== 3)
        throw unresolvable(place, argument, 'not a valid Fn::If');
      const [name, whenTrue, whenFalse] = argument as [Json, Json, Json];
      return resolve(isConditionTrue(text(name, place)) ? whenTrue : whenFalse, place);
    },
    'Fn::Equals': (argument, place) => {
      const [left, right] = pair(argument, place);
      return JSON.stringify(resolve(left, place)) === JSON.stringify(resolve(right, place));
    },
    'Fn::And': (argument, place) => Array.isArray(argument) && argument.every((item) => isTrue(item, place)),
    'Fn::Or': (argument, place) => Array.isArray(argument) && argument.some((item) => isTrue(item, place)),
    'Fn::Not': (argument, place) =>
      Array.isArray(argument) && argument[0] !== undefined && !isTrue(argument[0], place),
    'Fn::FindInMap': (argument, place) => {
      const [map, first, second] = list(argument, place).map((part) => text(part, place));
      const value = template.Mappings?.[map ?? '']?.[first ?? '']?.[second ?? ''];
      if (value === undefined)
        throw unresolvable(place, { 'Fn::FindInMap': argument }, 'there is no such mapping');
      return value;
    },
  };

  function pair(argument: Json, place: Place): [Json, Json] {
    const [first, second] = Array.isArray(argument) ? argument : [];
    if (first === undefined || second === undefined)
      throw unresolvable(place, argument, 'two arguments are needed');
    return [first, second];
  }

  function resolve(value: Json, place: Place): Json | undefined {
    if (typeof value === 'string' && value.includes('{{resolve:')) {
      throw unresolvable(place, value, 'dynamic references are resolved by CloudFormation only');
    }
    if (Array.isArray(value)) {
      return value
        .map((item, index) => resolve(item, { ...place, path: `${place.path}[${index}]` }))
        .filter((item): item is Json => item !== undefined);
    }
    if (!isObject(value)) return value;
    const [name, ...others] = Object.keys(value);
    if (name !== undefined && others.length === 0) {
      const argument = value[name] as Json;
      if (Object.hasOwn(functions, name)) return functions[name]?.(argument, place);
      if (name.startsWith('Fn::'))
        throw unresolvable(place, value, `${name} isn't supported by the local cloud`);
    }
    return resolveProperties(value, place);
  }

  function resolveProperties(value: JsonObject, place: Place): JsonObject {
    const resolved: JsonObject = {};
    for (const [key, item] of Object.entries(value)) {
      const result = resolve(item, { ...place, path: place.path ? `${place.path}.${key}` : key });
      if (result !== undefined) resolved[key] = result;
    }
    return resolved;
  }

  return { resolve, isConditionTrue };
}

function unresolvable(place: Place, value: Json, reason: string): Error {
  return new Error(`${place.resourceId}, ${place.path}: can't resolve ${JSON.stringify(value)}: ${reason}.`);
}
