import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { InvocationMetrics } from '../../../lambdas/observability/metrics.ts';

/** A time that is not this machine's. */
const nowMs = Date.now() - 3_600_000 + 0.4;

interface Line {
  readonly _aws: {
    readonly Timestamp: number;
    readonly CloudWatchMetrics: readonly { readonly Dimensions: readonly string[][] }[];
  };
  readonly [name: string]: unknown;
}

let written: string[];
beforeEach(() => {
  written = [];
  vi.stubEnv('POWERTOOLS_SERVICE_NAME', 'acme');
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      written.push(String(chunk));
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

function flushed(metrics: InvocationMetrics): Line[] {
  metrics.flush(nowMs);
  vi.restoreAllMocks();
  return written.flatMap((text) => text.trim().split('\n')).map((line) => JSON.parse(line));
}

it.each([99, 100, 101, 200, 250])(
  'writes %i values of a name, each once and at the time that it is given',
  (count) => {
    const metrics = new InvocationMetrics();
    for (let value = 1; value <= count; value += 1)
      metrics.milliseconds('CallDuration', value, { provider: 'slack' });
    const lines = flushed(metrics);
    expect(lines.flatMap(({ CallDuration }) => CallDuration)).toEqual(
      Array.from({ length: count }, (_, index) => index + 1),
    );
    for (const { _aws, provider, service } of lines) {
      expect(_aws.Timestamp).toBe(Math.round(nowMs));
      expect({ provider, service }).toEqual({ provider: 'slack', service: 'acme' });
      expect(_aws.CloudWatchMetrics[0]?.Dimensions).toEqual([['service', 'provider']]);
    }
    expect(lines).toHaveLength(Math.ceil(count / 100));
  },
);

it('adds up what is counted, by dimensions, and begins anew', () => {
  const metrics = new InvocationMetrics();
  for (let call = 0; call < 150; call += 1) metrics.count('Refreshed', 2, { provider: 'slack' });
  metrics.count('Refreshed', 1, { provider: 'hubspot' });
  metrics.count('Refreshed', 1);
  metrics.flush(nowMs);
  metrics.flush(nowMs);
  metrics.count('Refreshed', 5, { provider: 'slack' });
  expect(flushed(metrics).map(({ provider, Refreshed }) => [provider, Refreshed])).toEqual([
    ['slack', 300],
    ['hubspot', 1],
    [undefined, 1],
    ['slack', 5],
  ]);
});

it('writes nothing where nothing was collected', () => {
  const metrics = new InvocationMetrics();
  metrics.flush(nowMs);
  expect(written).toEqual([]);
});
