import { refreshBatchSize } from '../../lib/timing.ts';
import { type PostgresTraffic, watchPostgresTraffic } from '../cost/observe.ts';
import type { Measure, MeasureContext } from './measure.ts';
import { endProcesses } from './processes.ts';
import { refreshAll } from './refresh-throughput.ts';
import { providerNames, type Rig } from './rig.ts';

const databaseSecret = 'evergrant/local/database';
/** How long the providers take to answer: results come all at once, and spread over many commits. */
const delaysMs = [0, 150] as const;

/** What went over the refresher's connections while it refreshed. */
interface Counted {
  readonly callMs: number;
  readonly refreshes: number;
  readonly statements: number;
  readonly mostConnections: number;
}

export const statementsPerRefresh: Measure = {
  name: 'statements',
  key: 'statementsPerRefresh',
  what: 'database statements for one refresh in full batches, everything included, the worse of a quick and a usual provider',
  unit: '',
  goal: { atMost: 0.1 },
  async run(context) {
    const counted = await counts(context);
    const perRefresh = counted.map(({ statements, refreshes }) => statements / refreshes);
    return {
      value: Math.max(...perRefresh),
      spread: null,
      facts: Object.fromEntries(
        counted.map(({ callMs, refreshes, statements }, index) => [
          `providerAnsweringIn${callMs}Ms`,
          {
            statementsPerRefresh: perRefresh[index],
            statements,
            refreshes,
            batches: refreshes / refreshBatchSize,
          },
        ]),
      ),
    };
  },
};

export const mostConnections: Measure = {
  name: 'connections',
  key: 'connections',
  what: 'database connections that a refresher has open at once, at most',
  unit: '',
  goal: { atMost: 1 },
  async run(context) {
    const counted = await counts(context);
    return {
      value: Math.max(...counted.map((each) => each.mostConnections)),
      spread: null,
      facts: Object.fromEntries(
        counted.map((each) => [`providerAnsweringIn${each.callMs}Ms`, each.mostConnections]),
      ),
    };
  },
};

const known = new WeakMap<Rig, Promise<readonly Counted[]>>();

/** Both figures are of one run. */
async function counts(context: MeasureContext): Promise<readonly Counted[]> {
  const rig = await context.rig();
  const counted = known.get(rig) ?? count(rig, context);
  known.set(rig, counted);
  return counted;
}

async function count(rig: Rig, { quick, onProgress }: MeasureContext): Promise<readonly Counted[]> {
  const ids = await rig.connect((quick ? 5 : 50) * refreshBatchSize);
  const { cloud } = rig.system;
  const before = cloud.getSecret(databaseSecret);
  if (before === undefined) throw new Error(`there is no secret ${databaseSecret}`);
  const counted: Counted[] = [];
  try {
    for (const callMs of delaysMs) {
      onProgress(`counting, providers answering in ${callMs} ms`);
      await rig.delay(Object.fromEntries(providerNames.map((name) => [name, callMs])));
      const traffic = await watchPostgresTraffic(Number(new URL(rig.databaseUrl).port));
      try {
        cloud.putSecret(databaseSecret, behind(traffic, rig.databaseUrl));
        await endProcesses(rig, 'refresher');
        await refreshAll(rig, ids);
        const { statements, mostConnections: connections } = traffic;
        counted.push({ callMs, refreshes: ids.length, statements, mostConnections: connections });
      } finally {
        await traffic.stop();
      }
    }
  } finally {
    cloud.putSecret(databaseSecret, before);
    await endProcesses(rig, 'refresher');
  }
  return counted;
}

function behind({ port }: PostgresTraffic, databaseUrl: string): { url: string; directUrl: string } {
  const url = new URL(databaseUrl);
  url.port = String(port);
  return { url: url.href, directUrl: url.href };
}
