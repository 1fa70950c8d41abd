import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { at, fitLine, median } from '../../bench/cost/fit.ts';
import { metricsOfLine } from '../../bench/cost/measure.ts';
import {
  childrenOf,
  countStatements,
  cpuMs,
  watchHttpTraffic,
  watchPostgresTraffic,
} from '../../bench/cost/observe.ts';

const resources: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of resources.splice(0).toReversed()) await stop();
});

describe('lines through points', () => {
  it('meet points on a line', () => {
    const line = fitLine([1, 4, 9].map((units) => ({ units, value: 3 + 2 * units })));
    expect(line.base).toBeCloseTo(3, 9);
    expect(line.perUnit).toBeCloseTo(2, 9);
    expect(at(line, 10)).toBeCloseTo(23, 9);
  });

  it('begin at nothing rather than below', () => {
    expect(
      fitLine([
        { units: 1, value: 1 },
        { units: 2, value: 4 },
      ]),
    ).toEqual({ base: 0, perUnit: 9 / 5 });
  });

  it('need two numbers of units', () => {
    expect(() =>
      fitLine([
        { units: 1, value: 1 },
        { units: 1, value: 2 },
      ]),
    ).toThrow(RangeError);
  });

  it('the median is the middle', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
  });
});

describe('statements on the wire', () => {
  it('are counted through a real Postgres, with the bytes', async () => {
    const target = new URL(inject('postgresUrl'));
    const traffic = await watchPostgresTraffic(Number(target.port));
    resources.push(() => traffic.stop());
    target.port = String(traffic.port);
    const client = new pg.Client({ connectionString: target.href });
    await client.connect();
    resources.push(() => client.end());
    await client.query('SELECT 1');
    await client.query('SELECT $1::text', ['E'.repeat(10_000)]);
    await client.query('SELECT $1::int', [2]);
    expect(traffic.statements).toBe(3);
    expect(traffic.sentBytes).toBeGreaterThan(10_000);
    expect(traffic.receivedBytes).toBeGreaterThan(10_000);
  });

  it('come over so many connections at once, at most', async () => {
    const target = new URL(inject('postgresUrl'));
    const traffic = await watchPostgresTraffic(Number(target.port));
    resources.push(() => traffic.stop());
    target.port = String(traffic.port);
    const connect = async () => {
      const client = new pg.Client({ connectionString: target.href });
      await client.connect();
      return client;
    };
    expect(traffic.mostConnections).toBe(0);
    for (let count = 0; count < 3; count += 1) await (await connect()).end();
    // The proxy hears of an end a moment later.
    expect(traffic.mostConnections).toBeLessThanOrEqual(2);
    const several = await Promise.all([connect(), connect(), connect()]);
    for (const client of several) await client.end();
    expect(traffic.mostConnections).toBeGreaterThanOrEqual(3);
    expect(traffic.mostConnections).toBeLessThanOrEqual(4);
  });

  it('are found however the bytes are cut', () => {
    const message = (type: string, body: string) => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(4 + body.length);
      return Buffer.concat([Buffer.from(type), length, Buffer.from(body)]);
    };
    const bytes = Buffer.concat([
      message('', 'a start-up, which has no type: EQEQ'),
      message('P', 'EQ'),
      message('E', 'portal'),
      message('S', ''),
      message('Q', 'SELECT'),
    ]);
    for (const size of [1, 2, 3, 5, 7, bytes.length]) {
      let statements = 0;
      const count = countStatements(() => {
        statements += 1;
      });
      for (let start = 0; start < bytes.length; start += size) count(bytes.subarray(start, start + size));
      expect(statements, `in pieces of ${size}`).toBe(2);
    }
  });
});

it('requests are counted by server, action and caller', async () => {
  const server = createServer((_, response) => response.end('four'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  resources.push(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  const { port } = server.address() as AddressInfo;
  const traffic = watchHttpTraffic();
  resources.push(() => traffic.stop());
  const call = (action: string, caller: string) =>
    fetch(`http://127.0.0.1:${port}`, {
      method: 'POST',
      body: 'x'.repeat(1000),
      headers: {
        'x-amz-target': `AmazonSQS.${action}`,
        authorization: `AWS4-HMAC-SHA256 Credential=LOCAL${caller}/20260101/us-east-1/sqs/aws4_request`,
      },
    }).then((response) => response.text());
  await call('SendMessageBatch', 'Scanner');
  await call('SendMessageBatch', 'Refresher');
  await call('ReceiveMessage', '');
  expect(traffic.requests(port)).toBe(3);
  expect(traffic.requests(port, 'SendMessageBatch')).toBe(2);
  expect(traffic.requests(port, 'SendMessageBatch', 'Scanner')).toBe(1);
  expect(traffic.requests(port + 1)).toBe(0);
  expect(traffic.bytes(port).received).toBeGreaterThan(3_000);
});

describe.runIf(process.platform === 'linux')('CPU time', () => {
  it('grows with work', () => {
    const before = cpuMs(process.pid);
    const until = performance.now() + 60;
    while (performance.now() < until);
    expect(cpuMs(process.pid) - before).toBeGreaterThan(5);
  });

  it('of a process that is gone is none', () => {
    expect(cpuMs(2 ** 22 + 1)).toBe(0);
  });

  it('a process is among the children of its parent', () => {
    expect(childrenOf(process.ppid)).toContain(process.pid);
  });
});

it('a metric is a name with a combination of dimensions, in each set of them', () => {
  const line = JSON.stringify({
    _aws: {
      Timestamp: 1,
      CloudWatchMetrics: [
        {
          Namespace: 'Evergrant',
          Dimensions: [['service', 'provider']],
          Metrics: [
            { Name: 'Refreshed', Unit: 'Count' },
            { Name: 'TokenEndpointDuration', Unit: 'Milliseconds' },
          ],
        },
      ],
    },
    service: 'evergrant-prod',
    provider: 'acme',
    Refreshed: 3,
    TokenEndpointDuration: [1, 2, 3],
  });
  expect(metricsOfLine(line)).toEqual([
    'Refreshed,provider=acme,service=evergrant-prod',
    'TokenEndpointDuration,provider=acme,service=evergrant-prod',
  ]);
  expect(metricsOfLine('{"message":"refreshed"}')).toEqual([]);
  expect(metricsOfLine('REPORT RequestId')).toEqual([]);
});
