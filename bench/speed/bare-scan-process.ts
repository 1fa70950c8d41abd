import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import pg from 'pg';
import { serveOrders } from './peer.ts';

export interface BareScanOrder {
  readonly databaseUrl: string;
  readonly sqsEndpoint: string;
  readonly queueUrl: string;
}

const chunkSize = 1_000;
const sentAtOnce = 10;
const inFlight = 16;

/**
 * A scan without what makes it safe: due rows are marked a thousand at a time and their messages sent by batches of ten,
 * sixteen under way, while the next thousand is marked. Nobody else is left alone, nothing is given up, no guard is asked.
 */
serveOrders<BareScanOrder>(async ({ databaseUrl, sqsEndpoint, queueUrl }) => {
  const database = new pg.Client({ connectionString: databaseUrl });
  await database.connect();
  const sqs = new SQSClient({
    endpoint: sqsEndpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  });
  const send = async (rows: readonly { id: string; provider: string }[]) => {
    let next = 0;
    const worker = async () => {
      for (;;) {
        const from = next;
        next += sentAtOnce;
        const batch = rows.slice(from, from + sentAtOnce);
        if (batch.length === 0) return;
        await sqs.send(
          new SendMessageBatchCommand({
            QueueUrl: queueUrl,
            Entries: batch.map(({ id, provider }, index) => ({
              Id: String(index),
              MessageBody: JSON.stringify({ version: 1, integrationId: id, provider }),
              MessageGroupId: provider,
            })),
          }),
        );
      }
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
  };
  return async () => {
    let sending: Promise<void> = Promise.resolve();
    for (;;) {
      const { rows } = await database.query<{ id: string; provider: string }>({
        name: 'claim',
        text: `UPDATE integrations SET refresh_held_until = now() + interval '270 seconds'
               WHERE id IN (
                 SELECT id FROM integrations
                 WHERE status = 'connected' AND refresh_token IS NOT NULL
                   AND expires_at <= now() + interval '10 minutes'
                   AND (refresh_held_until IS NULL OR refresh_held_until <= now())
                 ORDER BY expires_at LIMIT ${chunkSize}
               )
               RETURNING id, provider`,
      });
      await sending;
      sending = send(rows);
      if (rows.length < chunkSize) break;
    }
    await sending;
  };
});
