import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  disconnect,
  follow,
  mayHaveArrived,
  type SentRequest,
} from '../../../lambdas/providers/sent-request.ts';
import { granted, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';

let endpoint: TokenEndpoint;
beforeEach(async () => {
  endpoint = await startTokenEndpoint(() => granted());
});
afterEach(() => endpoint.stop());

const request = (): SentRequest => ({ taken: false, connection: null });
/** Until a connection whose exchange has ended may carry the next. */
const returned = () => sleep(50);
const send = async (sent: SentRequest) => (await follow(sent, () => fetch(endpoint.url))).text();

it('knows nothing of a request that the client never took, so it may have arrived', () => {
  expect(mayHaveArrived(request())).toBe(true);
});

it('follows the requests that are under way at once each by itself', async () => {
  const reached = request();
  const refused = request();
  const gone = await startTokenEndpoint(() => granted());
  await gone.stop();
  await Promise.all([send(reached), follow(refused, () => fetch(gone.url)).catch(() => null)]);
  expect([mayHaveArrived(reached), mayHaveArrived(refused)]).toEqual([true, false]);
});

it('leaves a connection alone that carries another request by now', async () => {
  const first = request();
  await send(first);
  await returned();
  const second = request();
  const arrived = Promise.withResolvers<void>();
  const answering = Promise.withResolvers<void>();
  endpoint.answer = async () => {
    arrived.resolve();
    await answering.promise;
    return granted();
  };
  const answer = send(second);
  await arrived.promise;
  expect(second.connection === first.connection).toBe(true);
  await disconnect(first);
  answering.resolve();
  expect(await answer).toContain('access_token');
});

it('leaves a connection alone that carries a request by now which nobody follows', async () => {
  const first = request();
  await send(first);
  await returned();
  const arrived = Promise.withResolvers<void>();
  const answering = Promise.withResolvers<void>();
  endpoint.answer = async () => {
    arrived.resolve();
    await answering.promise;
    return granted();
  };
  const answer = fetch(endpoint.url).then((response) => response.text());
  await arrived.promise;
  await disconnect(first);
  answering.resolve();
  expect(await answer).toContain('access_token');
});

it('closes the connection of a request that is under way', async () => {
  endpoint.answer = () => undefined;
  const sent = request();
  const answer = send(sent).catch(() => 'closed');
  await expect.poll(() => sent.connection).not.toBeNull();
  await disconnect(sent);
  expect(sent.connection?.closed).toBe(true);
  expect(await answer).toBe('closed');
});
