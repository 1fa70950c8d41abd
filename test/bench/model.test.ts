import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assumptions } from '../../bench/cost/assumptions.ts';
import {
  batchMs,
  type DatabaseMode,
  databaseModes,
  type Estimate,
  estimate,
  lambdaCpuMs,
  slowCallEndsMs,
} from '../../bench/cost/model.ts';
import { costUsd, prices } from '../../bench/cost/prices.ts';
import { basis, plain, stack } from './fixture.ts';

const load = (integrations: number, database: DatabaseMode = 'existing', providers = 10) => ({
  integrations,
  refreshesPerHour: 1,
  providers,
  database,
});
const quantity = (of: Estimate, what: string) => of.lines.find((line) => line.what === what)?.quantity;

describe('120,000 integrations an hour, by hand', () => {
  // 86.4 million refreshes in 8,640 scans: 10,000 a scan, which are 100 batches of 100.
  const it120 = estimate(load(120_000), basis);

  it('refreshes and batches', () => {
    expect(it120.refreshesPerMonth).toBe(86_400_000);
    expect(it120.messagesPerInvocation).toBe(100);
    expect(quantity(it120, 'Lambda: refresher, requests')).toBe(864_000);
    expect(quantity(it120, 'Lambda: scanner, requests')).toBe(8_640);
    expect(it120.refreshesPerSecond).toBeCloseTo(33.333, 3);
  });

  it('what functions are billed for', () => {
    // CPU: 10 ms, and for each message 1 ms and 1 ms of TLS, on half a core; the calls take 200 ms.
    expect(it120.billedMs.refresher).toBeCloseTo(200 + 2 * (10 + 200), 9);
    expect(quantity(it120, 'Lambda: refresher, duration')).toBeCloseTo(864_000 * 0.62 * 0.5, 6);
    // CPU: 10 ms and 100 ms for each thousand, on half a core.
    expect(it120.billedMs.scanner).toBeCloseTo(2 * (10 + 10 * 100), 9);
    expect(it120.workOffSeconds).toBeCloseTo((100 * 0.62) / 10, 9);
  });

  it('a scan asks for sealed results before it claims', () => {
    const asking = { ...basis, assumptions: { ...plain, emptyReceiveMs: 1_000 } };
    expect(estimate(load(0), asking).billedMs.scanner).toBeCloseTo(2 * 10 + 1_000, 9);
    expect(estimate(load(120_000), asking).billedMs.scanner).toBeCloseTo(it120.billedMs.scanner + 1_000, 9);
  });

  it('SQS: three tenths of a request for a refresh, the empty polls of two queues, and one question in a scan', () => {
    const polls = 2 * 5 * ((720 * 3600) / 20);
    expect(quantity(it120, 'SQS: requests')).toBeCloseTo(86_400_000 * 0.3 + polls + 8_640, 3);
  });

  it('logs, metrics and secrets', () => {
    const bytes = 8_640 * 700 + 864_000 * (800 + 100 * 300);
    expect(quantity(it120, 'Logs: ingestion')).toBeCloseTo(bytes / 1e9, 9);
    expect(quantity(it120, 'Logs: storage')).toBeCloseTo(bytes / 1e9, 9);
    expect(quantity(it120, 'Metrics')).toBe(5 + 10 * 5 + 4);
    expect(quantity(it120, 'Secrets')).toBe(12);
    // The scanner reads one secret, ten refreshers two and one for each provider, after each scan.
    expect(quantity(it120, 'Secrets: reads')).toBe(8_640 * (1 + 10 * 12));
  });

  it('traffic: 500 bytes of request and 1,500 of TLS', () => {
    expect(quantity(it120, 'Data transfer to providers')).toBeCloseTo((86_400_000 * 2_000) / 1e9, 6);
    expect(it120.databaseGb.sent).toBeCloseTo(86.4, 6);
  });

  it('statements: gathered as measured, and one for each result', () => {
    const scans = 8_640 * 2 + 86_400;
    const seconds = 720 * 3600;
    expect(it120.statementsPerSecond.measured).toBeCloseTo((scans + 864_000 * 4) / seconds, 9);
    expect(it120.statementsPerSecond.most).toBeCloseTo((scans + 864_000 + 86_400_000) / seconds, 9);
  });

  it('Aurora: one write for 4 KB of log, and capacity for 120,000 KiB', () => {
    const aurora = estimate(load(120_000, 'aurora'), basis);
    // 33.3 × 0.2 ms are 0.0067 vCPU, and 117 MiB fit into half of 2 GiB: the minimum it is.
    expect(aurora.acu).toBe(0.5);
    expect(quantity(aurora, 'Aurora: capacity')).toBe(360);
    expect(quantity(aurora, 'Aurora: I/O')).toBe(86_400_000);
    expect(quantity(aurora, 'Aurora: storage')).toBeCloseTo(120_000 / 2 ** 20, 9);
  });

  it('in a VPC: two gateways with an address each, and what passes them', () => {
    const vpc = estimate(load(120_000, 'aurora-vpc'), basis);
    expect(quantity(vpc, 'NAT gateways')).toBe(1_440);
    expect(quantity(vpc, 'Public addresses of the NAT gateways')).toBe(1_440);
    expect(quantity(vpc, 'NAT gateways: data')).toBeCloseTo((86_400_000 * (2_000 + 4_000 + 250)) / 1e9, 6);
  });
});

describe('failures, by hand', () => {
  it('a dead grant: three refreshes, three events with a message each, one email', () => {
    const changed = { ...basis, assumptions: { ...plain, deadGrantShare: 0.01 } };
    const without = estimate(load(120_000), basis);
    const withDead = estimate(load(120_000), changed);
    expect(quantity(withDead, 'SES: emails')).toBe(1_200);
    expect(quantity(withDead, 'Lambda: notifier, requests')).toBe(3_600);
    const more = quantity(withDead, 'SQS: requests')! - quantity(without, 'SQS: requests')!;
    expect(more).toBeCloseTo(3_600 * 0.3 + 3_600 * 3, 3);
  });

  it('a transient failure: one more refresh, with a longer line', () => {
    const changed = { ...basis, assumptions: { ...plain, transientShare: 0.5 } };
    const more =
      quantity(estimate(load(120_000), changed), 'Logs: ingestion')! -
      quantity(estimate(load(120_000), basis), 'Logs: ingestion')!;
    // As many batches more as 43.2 million refreshes fill, and 200 bytes for each failure.
    expect(more).toBeCloseTo((432_000 * (800 + 100 * 300) + 43_200_000 * 200) / 1e9, 6);
  });
});

describe('few integrations', () => {
  it('share Lambda’s pollers: 12 in a scan come in five batches', () => {
    const few = estimate(load(144), basis);
    expect(few.messagesPerInvocation).toBeCloseTo(12 / 5, 9);
    expect(quantity(few, 'Lambda: refresher, requests')).toBeCloseTo(8_640 * 5, 6);
  });

  it('less than one in a scan come alone', () => {
    expect(estimate(load(3), basis).messagesPerInvocation).toBeCloseTo(1, 9);
  });
});

describe('idle', () => {
  it.each(databaseModes)('%s: no refreshes, no emails, no provider', (mode) => {
    const idle = estimate(load(0, mode, 0), basis);
    const whats = idle.lines.map(({ what }) => what);
    expect(whats.filter((what) => /refresher|notifier|SES|providers/.test(what))).toEqual([]);
    expect(quantity(idle, 'Secrets')).toBe(2);
    expect(quantity(idle, 'Metrics')).toBe(5);
    expect(idle.costPerMillionUsd).toBeNull();
    expect(idle.workOffSeconds).toBe(0);
  });

  it('Aurora is awake all the time, at its minimum', () => {
    const idle = estimate(load(0, 'aurora', 0), basis);
    expect(idle.lines.find(({ what }) => what === 'Aurora: capacity')?.usd).toBeCloseTo(43.2, 9);
  });
});

describe('time', () => {
  it('CPU time grows with what is missing to a core, and not beyond a core', () => {
    expect(lambdaCpuMs(100, 256, plain)).toBe(400);
    expect(lambdaCpuMs(100, 1024, plain)).toBe(100);
    expect(lambdaCpuMs(100, 4096, plain)).toBe(100);
    expect(lambdaCpuMs(100, 512, assumptions)).toBeCloseTo((100 * 1.5 * 1769) / 512, 9);
  });

  it('a batch lasts as long as a slow call, if that is the longest', () => {
    const always = { ...plain, slowShare: 1 };
    // It begins halfway through 100 ms of work, and 10 ms of work of its own end it.
    expect(batchMs(10, 100, 10, always)).toBe(slowCallEndsMs(1000, 100, 10));
    expect(slowCallEndsMs(1000, 100, 10)).toBe(1055);
    // With seconds of work for the others, nobody waits for it.
    expect(batchMs(10, 5000, 10, always)).toBe(5200);
  });

  it('a slow call is likelier in a larger batch', () => {
    const sometimes = { ...plain, slowShare: 0.01 };
    expect(batchMs(1, 0, 0, sometimes)).toBeCloseTo(200 + 0.01 * 800, 9);
    expect(batchMs(100, 0, 0, sometimes)).toBeCloseTo(200 + (1 - 0.99 ** 100) * 800, 9);
  });

  it('secrets are read once in five minutes, however often scans are, and once in a scan that is rarer', () => {
    const every = (scanIntervalMinutes: number) => ({ ...basis, stack: { ...stack, scanIntervalMinutes } });
    const reads = (of: Estimate) => quantity(of, 'Secrets: reads');
    expect([1, 5, 10].map((minutes) => reads(estimate(load(0, 'existing', 0), every(minutes))))).toEqual([
      8_640, 8_640, 4_320,
    ]);
  });
});

describe('always', () => {
  const anyBasis = { ...basis, assumptions };
  const mode = fc.constantFrom(...databaseModes);
  const integrations = fc.integer({ min: 0, max: 5_000_000 });

  it('the lines make the total, and the free tiers no more than it', () => {
    fc.assert(
      fc.property(integrations, mode, fc.integer({ min: 0, max: 500 }), (count, database, providers) => {
        const { lines, totalUsd, freeUsd } = estimate(load(count, database, providers), anyBasis);
        expect(totalUsd).toBeCloseTo(
          lines.reduce((sum, { usd }) => sum + usd, 0),
          6,
        );
        expect(freeUsd).toBeLessThanOrEqual(totalUsd + 1e-9);
        expect(lines.every(({ usd, quantity: of }) => of > 0 && usd > 0 && Number.isFinite(usd))).toBe(true);
      }),
    );
  });

  it('more integrations cost more', () => {
    fc.assert(
      fc.property(integrations, fc.integer({ min: 1, max: 1_000_000 }), mode, (count, more, database) => {
        const smaller = estimate(load(count, database), anyBasis);
        const larger = estimate(load(count + more, database), anyBasis);
        expect(larger.totalUsd).toBeGreaterThan(smaller.totalUsd);
      }),
    );
  });

  it('each database mode costs more than the one before', () => {
    fc.assert(
      fc.property(integrations, (count) => {
        const [existing, aurora, vpc] = databaseModes.map(
          (each) => estimate(load(count, each), anyBasis).totalUsd,
        );
        expect(aurora).toBeGreaterThan(existing!);
        expect(vpc).toBeGreaterThan(aurora!);
      }),
    );
  });

  it('every price is used by some estimate', () => {
    const used = new Set(
      [
        estimate(load(1_000_000, 'aurora-vpc'), { ...anyBasis, stack: { ...stack, compositeAlarms: 1 } }),
        estimate(load(1_000_000, 'aurora'), { ...anyBasis, auroraStorage: 'io-optimized' }),
      ].flatMap(({ lines }) => lines.map(({ price }) => price)),
    );
    expect(Object.keys(prices).filter((id) => !used.has(id as keyof typeof prices))).toEqual([]);
  });
});

describe('prices', () => {
  it('fall by tiers: 300,000 metrics by hand', () => {
    expect(costUsd(prices.customMetrics, 300_000)).toBeCloseTo(3_000 + 24_000 + 2_500, 6);
    expect(costUsd(prices.customMetrics, 59)).toBeCloseTo(17.7, 9);
    expect(costUsd(prices.sqsRequests, 216_000_000)).toBeCloseTo(86.4, 9);
  });

  it('a tiered price begins with its first tier', () => {
    for (const { usd, tiers } of Object.values(prices)) if (tiers) expect(tiers[0]?.usd).toBe(usd);
  });
});
