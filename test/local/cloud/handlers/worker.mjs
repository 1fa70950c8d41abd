import { setTimeout as sleep } from 'node:timers/promises';

export async function partial({ Records }) {
  console.log(JSON.stringify({ batch: Records.map(({ body }) => body), records: Records }));
  if (Records.some(({ body }) => body === 'throw')) throw new Error('the batch is bad');
  if (Records.some(({ body }) => body === 'unknown'))
    return { batchItemFailures: [{ itemIdentifier: 'nobody' }] };
  const failed = Records.filter(({ body }) => body.startsWith('poison'));
  return { batchItemFailures: failed.map(({ messageId }) => ({ itemIdentifier: messageId })) };
}

export async function collect({ Records }) {
  console.log(JSON.stringify({ size: Records.length }));
}

export async function slow() {
  await sleep(150);
}
