// biome-ignore-all lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders.
import { expect, test } from 'vitest';
import type { RawTemplate } from '../../../local/cloud/assembly.ts';
import { createIntrinsics } from '../../../local/cloud/intrinsics.ts';
import type { Json } from '../../../local/cloud/json.ts';

const template: RawTemplate = {
  Resources: { Topic: { Type: 'AWS::SNS::Topic' } },
  Parameters: { Stage: { Type: 'String', Default: 'dev' }, Name: { Type: 'String' } },
  Conditions: {
    IsDev: { 'Fn::Equals': [{ Ref: 'Stage' }, 'dev'] },
    IsOther: { 'Fn::Not': [{ Condition: 'IsDev' }] },
    Either: {
      'Fn::Or': [{ Condition: 'IsOther' }, { 'Fn::And': [{ Condition: 'IsDev' }, { Condition: 'IsDev' }] }],
    },
  },
  Mappings: { Runtimes: { 'us-east-1': { node: 'nodejs24.x' } } },
};

function resolve(value: Json): Json | undefined {
  const attributes: Record<string, string> = { Queue: 'url', 'Queue.Arn': 'a:b:c' };
  const intrinsics = createIntrinsics(
    template,
    'stack',
    {},
    (id, name) => attributes[name ? `${id}.${name}` : id],
  );
  return intrinsics.resolve(value, { resourceId: 'Fn', path: 'Environment' });
}

test.each<[Json, Json | undefined]>([
  [{ Ref: 'Queue' }, 'url'],
  [{ Ref: 'Stage' }, 'dev'],
  [{ Ref: 'AWS::NoValue' }, undefined],
  [{ a: { Ref: 'AWS::NoValue' }, b: [{ Ref: 'AWS::NoValue' }, 1] }, { b: [1] }],
  [{ 'Fn::GetAtt': ['Queue', 'Arn'] }, 'a:b:c'],
  [{ 'Fn::GetAtt': 'Queue.Arn' }, 'a:b:c'],
  [{ 'Fn::Join': [':', ['x', { Ref: 'AWS::Partition' }, { Ref: 'AWS::URLSuffix' }]] }, 'x:aws:amazonaws.com'],
  [{ 'Fn::Select': [1, { 'Fn::Split': [':', { 'Fn::GetAtt': ['Queue', 'Arn'] }] }] }, 'b'],
  [{ 'Fn::Sub': '${Queue}/${Queue.Arn}/${!Kept}/${AWS::AccountId}' }, 'url/a:b:c/${Kept}/000000000000'],
  [{ 'Fn::Sub': ['${x}-${Stage}', { x: { Ref: 'Queue' } }] }, 'url-dev'],
  [{ 'Fn::If': ['IsDev', 1, 2] }, 1],
  [{ 'Fn::If': ['IsOther', 1, 2] }, 2],
  [{ 'Fn::If': ['Either', 1, 2] }, 1],
  [{ 'Fn::FindInMap': ['Runtimes', { Ref: 'AWS::Region' }, 'node'] }, 'nodejs24.x'],
])('%j is %j', (value, expected) => {
  expect(resolve(value)).toEqual(expected);
});

test.each<[Json, string]>([
  [{ Ref: 'Topic' }, 'Fn, Environment.X: can\'t resolve {"Ref":"Topic"}: AWS::SNS::Topic has no such value'],
  [{ Ref: 'Nothing' }, 'there is no such resource or parameter'],
  [{ Ref: 'Name' }, 'the parameter has no value and no default'],
  [{ 'Fn::ImportValue': 'x' }, "Fn::ImportValue isn't supported"],
  [{ 'Fn::Select': [9, ['a']] }, 'the list is too short'],
  ['{{resolve:ssm:/x}}', 'dynamic references'],
])('%j is refused', (value, message) => {
  expect(() => resolve({ X: value })).toThrow(message);
});
