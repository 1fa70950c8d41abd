import { PurgeQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { scannerMemoryMb } from '../../lib/timing.ts';
import type { BareScanOrder } from './bare-scan-process.ts';
import { type Measure, ratioOf, sideBySide } from './measure.ts';
import { startPeer } from './peer.ts';
import type { Rig } from './rig.ts';

/** A scan asks for sealed results before it claims, and waits so long for an answer that there are none. */
const pollMs = 1_000;

export const scanThroughput: Measure = {
  name: 'scan',
  key: 'scanVsBare',
  what: 'time of a scan that claims and sends everything, against a bare claim and a bare batch send',
  unit: '×',
  goal: { atMost: 2 },
  async run({ quick, rig: started, onProgress }) {
    const rig = await started();
    const count = quick ? 5_000 : 100_000;
    await rig.connect(count);
    const { cloud, queueIds } = rig.system;
    const queueUrl = cloud.queues[queueIds.refresh]?.url ?? '';
    const sqsEndpoint = cloud.endpoints.sqs;
    const sqs = new SQSClient({
      endpoint: sqsEndpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
    });
    const bare = startPeer(
      'bare-scan-process.ts',
      {
        databaseUrl: rig.databaseUrl,
        sqsEndpoint,
        queueUrl,
      } satisfies BareScanOrder,
      scannerMemoryMb,
    );
    const again = async () => {
      await sqs.send(new PurgeQueueCommand({ QueueUrl: queueUrl }));
      await release(rig);
    };
    const claimed = async () => {
      const [held] = await rig.sql<{ count: number }>(
        'SELECT count(*)::int AS count FROM integrations WHERE refresh_held_until > now()',
      );
      if (held?.count !== count) throw new Error(`${held?.count} of ${count} rows were claimed`);
    };
    try {
      const side = (scan: () => Promise<{ cpuMs: number; durationMs: number }>) => async () => {
        await again();
        const taken = await scan();
        await claimed();
        return taken;
      };
      const ours = side(() => rig.invoke('scanner', {}));
      const reference = side(() => bare.run());
      onProgress('warming up');
      await reference();
      if (!quick) await ours();
      const sides = await sideBySide(quick ? 1 : 5, ours, reference);
      const durations = (runs: readonly { durationMs: number }[]) => runs.map(({ durationMs }) => durationMs);
      const perSecond = (runs: readonly { durationMs: number }[]) =>
        durations(runs).map((ms) => Math.round((count / ms) * 1000));
      const claiming = durations(sides.ours).map((ms) => ms - pollMs);
      return {
        ...ratioOf(durations(sides.ours), durations(sides.reference)),
        facts: {
          rows: count,
          scannedPerSecond: perSecond(sides.ours),
          barePerSecond: perSecond(sides.reference),
          ratioWithoutTheQuestionForSealedResults: Number(
            ratioOf(claiming, durations(sides.reference)).value.toFixed(2),
          ),
          cpuMsPerThousand: sides.ours.map(({ cpuMs }) => Math.round((cpuMs / count) * 1000)),
          bareCpuMsPerThousand: sides.reference.map(({ cpuMs }) => Math.round((cpuMs / count) * 1000)),
        },
      };
    } finally {
      bare.stop();
      await again();
    }
  },
};

async function release(rig: Rig): Promise<void> {
  await rig.sql(
    `UPDATE integrations SET refresh_held_until = NULL, refresh_claim_open = false, expires_at = now() + interval '1 minute'`,
  );
  await rig.sql('VACUUM integrations');
}
