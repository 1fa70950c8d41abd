import { parseSettings } from '../../lib/settings.ts';
import { refreshBatchSize } from '../../lib/timing.ts';
import { median } from '../cost/fit.ts';
import { type Measure, ratioOf, sideBySide } from './measure.ts';
import { providerNames, type Rig, refreshEvent } from './rig.ts';

const usualMs = 100;
const slowProvider = 'delta';
const others = providerNames.filter((name) => name !== slowProvider);
/** Every twentieth integration of a batch is one of the slow provider. */
const slowEvery = 20;

export const slowProviderTail: Measure = {
  name: 'tail',
  key: 'tailRatio',
  what: `how long others wait for their refresh (p99) while ${100 / slowEvery} % of a batch wait for one that takes 9 s (2 with --quick), against without it`,
  unit: '×',
  goal: { atMost: 1.2 },
  async run({ quick, rig: started, onProgress }) {
    const rig = await started();
    const batches = quick ? 1 : 3;
    const slowMs = quick ? 2_000 : 9_000;
    const ids = await rig.connect(
      batches * refreshBatchSize,
      Array.from({ length: slowEvery }, (_, index) =>
        index === slowEvery - 1 ? slowProvider : others[index % others.length]!,
      ),
    );
    const usual = Object.fromEntries(providerNames.map((name) => [name, usualMs]));
    const side = async (delays: Readonly<Record<string, number>>): Promise<Waited> => {
      const waits: Waited[] = [];
      for (let from = 0; from < ids.length; from += refreshBatchSize) {
        const batch = ids.slice(from, from + refreshBatchSize);
        // After a slow batch connections have been idle for long. So that both sides find theirs open:
        await rig.delay(usual);
        await refreshBatch(rig, batch);
        await rig.delay(delays);
        waits.push(await refreshBatch(rig, batch));
      }
      return { others: waits.flatMap((each) => each.others), slow: waits.flatMap((each) => each.slow) };
    };
    onProgress(`${batches} batches that wait ${slowMs / 1000} s, several times`);
    const { ours, reference } = await sideBySide(
      quick ? 1 : 7,
      () => side({ ...usual, [slowProvider]: slowMs }),
      () => side(usual),
    );
    const p99 = (sides: readonly Waited[]) => sides.map((each) => percentile(each.others, 0.99));
    return {
      ...ratioOf(p99(ours), p99(reference)),
      facts: {
        p99Ms: p99(ours).map(Math.round),
        p99MsWithoutSlowProvider: p99(reference).map(Math.round),
        slowMs,
        medianMs: ours.map((each) => Math.round(median(each.others))),
        medianMsWithoutSlowProvider: reference.map((each) => Math.round(median(each.others))),
        slowestMsOfSlowProvider: ours.map((each) => Math.round(Math.max(...each.slow))),
        callTimeoutMs: parseSettings({ database: 'existing' }).callTimeoutSeconds * 1000,
      },
    };
  },
};

/** By integration, milliseconds from before the invocation to the statement that stored its tokens, by Postgres' clock. */
interface Waited {
  readonly others: readonly number[];
  readonly slow: readonly number[];
}

async function refreshBatch(rig: Rig, ids: readonly string[]): Promise<Waited> {
  await rig.claimAll();
  const [began] = await rig.sql<{ at: string }>('SELECT clock_timestamp()::text AS at');
  await rig.invoke('refresher', refreshEvent(rig, ids));
  const rows = await rig.sql<{ provider: string; waited_ms: number }>(
    `SELECT provider, extract(epoch FROM last_refresh_success - $2::timestamptz)::float8 * 1000 AS waited_ms
     FROM integrations WHERE id = ANY($1::uuid[])`,
    [ids, began?.at],
  );
  const failed = rows.filter(({ waited_ms }) => waited_ms < 0).length;
  if (failed > 0) throw new Error(`${failed} of ${rows.length} integrations were not refreshed`);
  const waits = (slow: boolean) =>
    rows.filter(({ provider }) => (provider === slowProvider) === slow).map(({ waited_ms }) => waited_ms);
  return { others: waits(false), slow: waits(true) };
}

/** The least of the values that this share of them does not exceed. */
export function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? Number.NaN;
}
