import { setTimeout as sleep } from 'node:timers/promises';
import { refreshBatchSize, refresherMemoryMb } from '../../lib/timing.ts';
import type { FloorOrder } from './floor-process.ts';
import { type Measure, ratioOf } from './measure.ts';
import { startPeer } from './peer.ts';

export const endToEnd: Measure = {
  name: 'end-to-end',
  key: 'endToEndVsFloor',
  what: 'integrations per second from the begin of a scan to the last commit, everything on this machine, against the floor',
  unit: '×',
  goal: null,
  async run({ quick, rig: started, onProgress, signal }) {
    const count = quick ? 2_000 : 100_000;
    const rig = await started();
    await rig.delay({});
    const ids = await rig.connect(count);
    const floor = startPeer(
      'floor-process.ts',
      {
        databaseUrl: rig.databaseUrl,
        tokenKeySecret: rig.tokenKeySecret,
        tokenEndpoint: rig.tokenEndpoint('alpha'),
        batchSize: refreshBatchSize,
        ids,
      } satisfies FloorOrder,
      refresherMemoryMb,
    );
    const ours: number[] = [];
    const reference: number[] = [];
    const left = async () =>
      (
        await rig.sql<{ left: boolean }>(
          `SELECT EXISTS (SELECT FROM integrations WHERE expires_at < now() + interval '30 minutes') AS left`,
        )
      )[0]?.left ?? true;
    try {
      for (let repetition = 0; repetition < (quick ? 1 : 2); repetition += 1) {
        onProgress('the floor');
        reference.push((count / (await floor.run()).durationMs) * 1000);
        onProgress('a scan, and all that follows');
        await rig.sql(
          `UPDATE integrations SET refresh_held_until = NULL, expires_at = now() + interval '1 minute'`,
        );
        rig.system.cloud.startPolling();
        const beganAtMs = performance.now();
        const failed = new AbortController();
        const scan = rig.invoke('scanner', {});
        scan.catch((error) => failed.abort(error));
        while (await left()) {
          signal.throwIfAborted();
          failed.signal.throwIfAborted();
          await sleep(100);
        }
        ours.push((count / (performance.now() - beganAtMs)) * 1000);
        await scan;
      }
    } finally {
      floor.stop();
    }
    return {
      ...ratioOf(ours, reference),
      facts: {
        integrations: count,
        refreshedPerSecond: ours.map(Math.round),
        floorPerSecond: reference.map(Math.round),
      },
    };
  },
};
