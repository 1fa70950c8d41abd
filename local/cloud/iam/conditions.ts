import { matchesArn, matchesWildcard } from './wildcard.ts';

/** What is known of a request beyond its action and resource, by condition key. A list is a key of several values. */
export type RequestContext = Readonly<Record<string, string | readonly string[]>>;

/** One operator with one key: `{"StringEquals": {"ses:FromAddress": ["a@b.example"]}}`. */
export interface Condition {
  readonly operator: string;
  readonly key: string;
  readonly values: readonly string[];
}

/** What a policy says that nobody can judge here. The message names the element. */
export class UnsupportedPolicy extends Error {
  override readonly name = 'UnsupportedPolicy';
}

/** The condition keys that the endpoints fill in, and whether they have one value or several. */
const KEYS: Readonly<Record<string, 'single' | 'multiple'>> = {
  'aws:principalaccount': 'single',
  'aws:principalarn': 'single',
  'aws:requestedregion': 'single',
  'aws:securetransport': 'single',
  'aws:sourceaccount': 'single',
  'aws:sourcearn': 'single',
  'secretsmanager:secretid': 'single',
  'secretsmanager:versionid': 'single',
  'secretsmanager:versionstage': 'single',
  'ses:fromaddress': 'single',
  'ses:recipients': 'multiple',
};

type Match = (wanted: string, actual: string) => boolean;

const equals: Match = (wanted, actual) => wanted === actual;
const equalsIgnoringCase: Match = (wanted, actual) => wanted.toLowerCase() === actual.toLowerCase();

/** Operators by the name that they begin with; a negated one holds where none of its values matches. */
const OPERATORS: Readonly<Record<string, { readonly matches: Match; readonly negated: boolean }>> = {
  StringEquals: { matches: equals, negated: false },
  StringNotEquals: { matches: equals, negated: true },
  StringEqualsIgnoreCase: { matches: equalsIgnoringCase, negated: false },
  StringNotEqualsIgnoreCase: { matches: equalsIgnoringCase, negated: true },
  StringLike: { matches: matchesWildcard, negated: false },
  StringNotLike: { matches: matchesWildcard, negated: true },
  Bool: { matches: equalsIgnoringCase, negated: false },
  // For IAM there is no difference between the two.
  ArnEquals: { matches: matchesArn, negated: false },
  ArnLike: { matches: matchesArn, negated: false },
  ArnNotEquals: { matches: matchesArn, negated: true },
  ArnNotLike: { matches: matchesArn, negated: true },
};

interface ReadOperator {
  readonly quantifier: 'any' | 'all' | null;
  readonly base: string;
  readonly ifExists: boolean;
}

function readOperator(operator: string): ReadOperator {
  const [, quantifier, base = '', ifExists] =
    /^(?:(ForAnyValue|ForAllValues):)?([A-Za-z]+?)(IfExists)?$/.exec(operator) ?? [];
  return {
    quantifier: quantifier === 'ForAnyValue' ? 'any' : quantifier === 'ForAllValues' ? 'all' : null,
    base,
    ifExists: ifExists !== undefined,
  };
}

/**
 * Refuses what cannot be judged, before any request asks.
 * @throws UnsupportedPolicy
 */
export function checkCondition({ operator, key, values }: Condition): void {
  const { base, quantifier, ifExists } = readOperator(operator);
  const isNull = base === 'Null' && quantifier === null && !ifExists;
  if (!isNull && !Object.hasOwn(OPERATORS, base)) {
    throw new UnsupportedPolicy(`the condition operator ${operator} is not known here`);
  }
  const kind = KEYS[key.toLowerCase()];
  if (!kind) throw new UnsupportedPolicy(`the condition key ${key} is not known here`);
  if (!isNull && kind === 'multiple' && quantifier === null) {
    throw new UnsupportedPolicy(
      `the condition key ${key} has several values: use ForAnyValue or ForAllValues`,
    );
  }
  if (kind === 'single' && quantifier !== null) {
    throw new UnsupportedPolicy(
      `the condition key ${key} has one value: ${quantifierName(quantifier)} is not for it`,
    );
  }
  for (const value of values) {
    if (value.includes('${'))
      throw new UnsupportedPolicy(`the policy variable in ${value} is not known here`);
    if ((isNull || base === 'Bool') && !/^(true|false)$/i.test(value)) {
      throw new UnsupportedPolicy(`${operator} takes true or false, not ${value}`);
    }
  }
}

function quantifierName(quantifier: 'any' | 'all'): string {
  return quantifier === 'any' ? 'ForAnyValue' : 'ForAllValues';
}

/**
 * Whether a condition holds for a request. A key that the request lacks fails an operator, unless it is negated or
 * ends in IfExists.
 */
export function holds({ operator, key, values }: Condition, context: RequestContext): boolean {
  const { base, quantifier, ifExists } = readOperator(operator);
  const actual = valuesOf(context, key);
  if (base === 'Null') return values.some((value) => (value.toLowerCase() === 'true') === (actual === null));
  const { matches, negated } = OPERATORS[base]!;
  const fits = (value: string) => values.some((wanted) => matches(wanted, value)) !== negated;
  if (actual === null) return ifExists || quantifier === 'all' || (negated && quantifier === null);
  return quantifier === 'all' ? actual.every(fits) : actual.some(fits);
}

function valuesOf(context: RequestContext, key: string): readonly string[] | null {
  const wanted = key.toLowerCase();
  const found = Object.entries(context).find(([name]) => name.toLowerCase() === wanted)?.[1];
  const values = found === undefined ? [] : [found].flat();
  return values.length > 0 ? values : null;
}
