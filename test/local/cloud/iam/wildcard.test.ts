import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesAction, matchesArn, matchesWildcard } from '../../../../local/cloud/iam/wildcard.ts';

/** The same, by somebody else: V8's regular expressions. */
const byRegularExpression = (pattern: string, text: string) =>
  new RegExp(
    `^${[...pattern].map((each) => ({ '*': '.*', '?': '.' })[each] ?? each.replaceAll(/\W/g, '\\$&')).join('')}$`,
    's',
  ).test(text);

/** Few letters, so that patterns match often enough. */
const some = (letters: string) =>
  fc.array(fc.constantFrom(...letters), { maxLength: 8 }).map((all) => all.join(''));

describe('a pattern', () => {
  it.each([
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['*', 'anything at all', true],
    ['?', '', false],
    ['?', 'a', true],
    ['a*', 'a', true],
    ['a*b', 'ab', true],
    ['a*b', 'axxbxb', true],
    ['a*b', 'axxbx', false],
    ['a*b*c', 'abbbbc', true],
    ['-??????', '-AbC123', true],
    ['-??????', '-AbC12', false],
    ['a.c', 'abc', false],
    ['a', 'A', false],
  ])('"%s" and "%s": %s', (pattern, text, expected) => {
    expect(matchesWildcard(pattern, text)).toBe(expected);
  });

  it('matches as a regular expression does', () => {
    fc.assert(
      fc.property(some('ab*?.'), some('ab.'), (pattern, text) => {
        expect(matchesWildcard(pattern, text)).toBe(byRegularExpression(pattern, text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes no longer for many stars', () => {
    expect(matchesWildcard('*a'.repeat(2_000), 'a'.repeat(3_000))).toBe(true);
    expect(matchesWildcard(`${'a*'.repeat(50)}b`, 'a'.repeat(5_000))).toBe(false);
  });
});

it.each([
  ['sqs:SendMessage', 'sqs:SendMessage', true],
  ['SQS:sendmessage', 'sqs:SendMessage', true],
  ['sqs:*', 'sqs:SendMessage', true],
  ['sqs:Send*', 'sqs:SendMessage', true],
  ['*', 'sqs:SendMessage', true],
  ['sqs:SendMessage', 'sqs:SendMessageBatch', false],
  ['sns:*', 'sqs:SendMessage', false],
])('the action %s and %s: %s', (pattern, action, expected) => {
  expect(matchesAction(pattern, action)).toBe(expected);
});

describe('the ARN', () => {
  const arn = 'arn:aws:logs:us-east-1:000000000000:log-group:/aws/x:log-stream:local/[$LATEST]';

  it.each([
    ['*', true],
    [arn, true],
    ['arn:aws:logs:us-east-1:000000000000:log-group:/aws/x:*', true],
    ['arn:*:logs:*:*:log-group:*', true],
    ['arn:aws:logs:us-east-?:000000000000:log-group:/aws/x:*', true],
    ['arn:aws:logs:us-east-1:000000000000:log-group:/aws/X:*', false],
    ['arn:aws:logs:us-east-1:111111111111:log-group:/aws/x:*', false],
    // No wildcard reaches from one part into the next.
    ['arn:aws:logs:*', false],
    ['arn:aws:*:log-group:/aws/x:*', false],
    ['arn:*', false],
  ])('%s: %s', (pattern, expected) => {
    expect(matchesArn(pattern, arn)).toBe(expected);
  });

  it('of no one resource is matched by * only', () => {
    expect(matchesArn('*', '*')).toBe(true);
    expect(matchesArn('arn:*:*:*:*:*', '*')).toBe(false);
  });
});
