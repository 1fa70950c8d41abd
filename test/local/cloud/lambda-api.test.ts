import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LambdaApi, type LambdaApiActions, startLambdaApi } from '../../../local/cloud/lambda-api.ts';

let api: LambdaApi;
let payload: unknown;
beforeAll(async () => {
  const actions = {
    authorize: () => ({ allowed: true }),
    functionIdOf: (name: string) => name,
    invoke: async () => ({ ok: true, requestId: 'request-1', payload }),
  };
  api = await startLambdaApi(() => actions as unknown as LambdaApiActions);
});
afterAll(() => api.stop());

const invoke = () =>
  fetch(`${api.endpoint}/2015-03-31/functions/any/invocations`, { method: 'POST', body: '{}' });

test('a path that is no percent-encoding is bad input', async () => {
  const response = await fetch(`${api.endpoint}/_switches/%zz`);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ message: expect.stringContaining('percent-encoded') });
});

test('a payload that cannot be written is an error of its own, and the next request is answered', async () => {
  payload = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`);
  expect((await invoke()).status).toBe(500);
  payload = { fine: true };
  expect(await (await invoke()).json()).toEqual({ fine: true });
});
