import { expect, test } from 'vitest';
import { judgeBatchResponse } from '../../../local/cloud/batch-response.ts';
import type { Json } from '../../../local/cloud/json.ts';

test.each<[Json]>([[null], [{}], [{ batchItemFailures: [] }], [{ batchItemFailures: null }]])(
  '%j is a success',
  (payload) => {
    expect(judgeBatchResponse(payload, ['a', 'b'])).toEqual({ failedMessageIds: [], error: null });
  },
);

test('listed messages fail, once each', () => {
  const batchItemFailures = [{ itemIdentifier: 'b' }, { itemIdentifier: 'b' }];
  expect(judgeBatchResponse({ batchItemFailures }, ['a', 'b'])).toEqual({
    failedMessageIds: ['b'],
    error: null,
  });
});

test.each<[Json]>([
  ['done'],
  [[]],
  [{ batchItemFailures: 'b' }],
  [{ batchItemFailures: [{ itemIdentifier: '' }] }],
  [{ batchItemFailures: [{ itemIdentifier: null }] }],
  [{ batchItemFailures: [{ messageId: 'b' }] }],
  [{ batchItemFailures: [{ itemIdentifier: 'b' }, { itemIdentifier: 'c' }] }],
])('%j fails the whole batch', (payload) => {
  expect(judgeBatchResponse(payload, ['a', 'b'])).toEqual({
    failedMessageIds: ['a', 'b'],
    error: expect.any(String),
  });
});
