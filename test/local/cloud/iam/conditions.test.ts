// biome-ignore-all lint/suspicious/noTemplateCurlyInString: IAM's own policy variables.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestContext } from '../../../../local/cloud/iam/conditions.ts';
import { checkCondition, holds } from '../../../../local/cloud/iam/conditions.ts';

const from = 'ses:FromAddress';
const recipients = 'ses:Recipients';
const source = 'aws:SourceArn';
const rule = 'arn:aws:events:us-east-1:000000000000:rule/scan';

const judge = (operator: string, key: string, values: string[], context: RequestContext) => {
  checkCondition({ operator, key, values });
  return holds({ operator, key, values }, context);
};

describe('a condition', () => {
  it.each<[string, string, string[], RequestContext, boolean]>([
    ['StringEquals', from, ['a@x'], { [from]: 'a@x' }, true],
    ['StringEquals', from, ['b@x', 'a@x'], { [from]: 'a@x' }, true],
    ['StringEquals', from, ['A@x'], { [from]: 'a@x' }, false],
    ['StringEquals', from, ['*@x'], { [from]: 'a@x' }, false],
    ['StringEquals', 'SES:fromaddress', ['a@x'], { [from]: 'a@x' }, true],
    ['StringNotEquals', from, ['b@x', 'c@x'], { [from]: 'a@x' }, true],
    ['StringNotEquals', from, ['b@x', 'a@x'], { [from]: 'a@x' }, false],
    ['StringEqualsIgnoreCase', from, ['A@X'], { [from]: 'a@x' }, true],
    ['StringNotEqualsIgnoreCase', from, ['A@X'], { [from]: 'a@x' }, false],
    ['StringLike', from, ['*@x'], { [from]: 'a@x' }, true],
    ['StringLike', from, ['?@y'], { [from]: 'a@x' }, false],
    ['StringNotLike', from, ['*@x'], { [from]: 'a@x' }, false],
    ['StringNotLike', from, ['*@y'], { [from]: 'a@x' }, true],
    ['Bool', 'aws:SecureTransport', ['false'], { 'aws:SecureTransport': 'true' }, false],
    ['Bool', 'aws:SecureTransport', ['True'], { 'aws:SecureTransport': 'true' }, true],
    ['ArnLike', source, ['arn:aws:events:*:*:rule/*'], { [source]: rule }, true],
    ['ArnEquals', source, ['arn:aws:events:*:*:rule/*'], { [source]: rule }, true],
    ['ArnEquals', source, ['arn:aws:events:*'], { [source]: rule }, false],
    ['ArnNotLike', source, [rule], { [source]: rule }, false],
    ['ArnNotEquals', source, [`${rule}2`], { [source]: rule }, true],
    ['Null', source, ['true'], { [source]: rule }, false],
    ['Null', source, ['false'], { [source]: rule }, true],
    ['ForAnyValue:StringEquals', recipients, ['a@x'], { [recipients]: ['a@x', 'b@y'] }, true],
    ['ForAnyValue:StringEquals', recipients, ['c@x'], { [recipients]: ['a@x', 'b@y'] }, false],
    ['ForAllValues:StringLike', recipients, ['*@x'], { [recipients]: ['a@x', 'b@y'] }, false],
    ['ForAllValues:StringLike', recipients, ['*@x', '*@y'], { [recipients]: ['a@x', 'b@y'] }, true],
    ['ForAllValues:StringNotLike', recipients, ['*@z'], { [recipients]: ['a@x', 'b@y'] }, true],
    ['ForAnyValue:StringNotLike', recipients, ['*@x'], { [recipients]: ['a@x', 'b@y'] }, true],
    ['ForAnyValue:StringNotLike', recipients, ['*@x'], { [recipients]: ['a@x'] }, false],
  ])('%s %s %j with %j: %s', (operator, key, values, context, expected) => {
    expect(judge(operator, key, values, context)).toBe(expected);
  });

  it.each([
    ['StringEquals', false],
    ['StringLike', false],
    ['StringEqualsIfExists', true],
    ['StringLikeIfExists', true],
    ['StringNotEquals', true],
    ['StringNotLike', true],
    ['StringNotEqualsIfExists', true],
    ['Bool', false],
    ['BoolIfExists', true],
    ['ArnLike', false],
    ['ArnLikeIfExists', true],
    ['ArnNotEquals', true],
    ['Null', true],
  ])('%s on a key that the request lacks: %s', (operator, expected) => {
    expect(judge(operator, source, ['true'], {})).toBe(expected);
  });

  it.each([
    ['ForAllValues:StringEquals', true],
    ['ForAllValues:StringNotEquals', true],
    ['ForAnyValue:StringEquals', false],
    ['ForAnyValue:StringNotEquals', false],
    ['ForAnyValue:StringEqualsIfExists', true],
  ])('%s on a key of several values that has none: %s', (operator, expected) => {
    expect(judge(operator, recipients, ['a@x'], {})).toBe(expected);
    expect(judge(operator, recipients, ['a@x'], { [recipients]: [] })).toBe(expected);
  });

  it('with a negated operator is the opposite of the other, where there is a value', () => {
    const word = fc.array(fc.constantFrom('a', 'b', '*', '?'), { maxLength: 4 }).map((all) => all.join(''));
    const pairs = fc.constantFrom(
      ['StringEquals', 'StringNotEquals'],
      ['StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase'],
      ['StringLike', 'StringNotLike'],
      ['ArnLike', 'ArnNotLike'],
    );
    fc.assert(
      fc.property(
        pairs,
        fc.array(word, { minLength: 1, maxLength: 3 }),
        word,
        ([plain = '', negated = ''], values, value) => {
          const context = { [from]: value };
          expect(judge(negated, from, values, context)).toBe(!judge(plain, from, values, context));
        },
      ),
    );
  });
});

it.each<[string, string, string[], string]>([
  ['NumericLessThan', source, ['1'], 'operator NumericLessThan'],
  ['DateGreaterThan', source, ['1'], 'operator DateGreaterThan'],
  ['IpAddress', source, ['1'], 'operator IpAddress'],
  ['ForNoValue:StringEquals', source, ['1'], 'operator ForNoValue:StringEquals'],
  ['NullIfExists', source, ['true'], 'operator NullIfExists'],
  ['toString', source, ['1'], 'operator toString'],
  ['StringEquals', 'aws:username', ['1'], 'key aws:username'],
  ['StringEquals', 'ses:FromAdress', ['1'], 'key ses:FromAdress'],
  ['StringEquals', recipients, ['a@x'], 'use ForAnyValue or ForAllValues'],
  ['ForAnyValue:StringEquals', from, ['a@x'], 'ForAnyValue is not for it'],
  ['ForAllValues:StringEquals', from, ['a@x'], 'ForAllValues is not for it'],
  ['StringEquals', from, ['${aws:username}@x'], 'policy variable'],
  ['Bool', 'aws:SecureTransport', ['yes'], 'Bool takes true or false, not yes'],
  ['Null', source, ['yes'], 'Null takes true or false, not yes'],
])('the condition %s %s %j is refused by name', (operator, key, values, message) => {
  expect(() => checkCondition({ operator, key, values })).toThrow(message);
});
