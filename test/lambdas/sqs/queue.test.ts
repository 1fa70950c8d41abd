import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startFauxqs } from 'fauxqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parallelBatches, Queue } from '../../../lambdas/sqs/queue.ts';
import { useTestAccount } from '../../support/aws.ts';
import { startProxy, type TcpProxy } from '../../support/proxy.ts';

let sqs: Awaited<ReturnType<typeof startFauxqs>>;
let proxy: TcpProxy;
beforeEach(async () => {
  useTestAccount();
  sqs = await startFauxqs({ port: 0, logger: false });
  sqs.createQueue('queue');
  proxy = await startProxy(sqs.port);
});
afterEach(async () => {
  await proxy.stop();
  await sqs.stop();
});

/** The queue behind a port of ours. */
function queue(port = proxy.port): Queue {
  process.env.AWS_ENDPOINT_URL_SQS = `http://127.0.0.1:${port}`;
  return new Queue(`http://127.0.0.1:${port}/000000000000/queue`);
}
const messages = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ body: { index }, groupId: 'acme' }));
const ready = () => sqs.inspectQueue('queue')?.messages.ready.length ?? 0;

describe('a queue', () => {
  it('takes all messages', async () => {
    expect(await queue().send(messages(1_005))).toEqual([]);
    expect(ready()).toBe(1_005);
  });

  it('takes messages that are too large to be sent together', async () => {
    const body = { text: 'x'.repeat(400_000) };
    expect(await queue().send(Array.from({ length: 5 }, () => ({ body, groupId: 'acme' })))).toEqual([]);
    expect(ready()).toBe(5);
  });

  it('that is away is not asked for each batch of a crowd', async () => {
    let requests = 0;
    const failing: Server = createServer((_, response) => {
      requests += 1;
      response.writeHead(503).end();
    });
    await new Promise<void>((resolve) => failing.listen(0, '127.0.0.1', resolve));
    const { port } = failing.address() as AddressInfo;
    const refused = await queue(port).send(messages(1_000));
    expect(refused.toSorted((a, b) => a - b)).toEqual(messages(1_000).map((_, index) => index));
    // Each batch under way is tried three times; of the other 84 none.
    expect(requests).toBeGreaterThanOrEqual(parallelBatches);
    expect(requests).toBeLessThanOrEqual(2 * 3 * parallelBatches);
    await new Promise((resolve) => failing.close(resolve));
  });

  it('that hangs is waited for no longer than there is time, and what it took before counts', async () => {
    const wanted = queue();
    expect(await wanted.send(messages(5), 10_000)).toEqual([]);
    proxy.hang();
    const sentAtMs = performance.now();
    expect(await wanted.send(messages(30), 500)).toHaveLength(30);
    await wanted.returnNow(['a-handle'], 500);
    // Three tries of three seconds each otherwise, twice.
    expect(performance.now() - sentAtMs).toBeLessThan(9_000);
    proxy.restore();
    expect(ready()).toBe(5);
    expect(await wanted.send(messages(30), 10_000)).toEqual([]);
    expect(ready()).toBe(35);
  });
});
