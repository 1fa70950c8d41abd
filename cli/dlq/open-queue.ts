import type { Target } from '../target.ts';
import type { QueueName } from './dead-letter.ts';
import type { DeadLetterQueue } from './dead-letter-queue.ts';

/** The SDK is loaded only now, so that help and wrong usage are answered at once. */
export async function openQueue(target: Target, name: QueueName): Promise<DeadLetterQueue> {
  const { DeadLetterQueue } = await import('./dead-letter-queue.ts');
  return new DeadLetterQueue(target, name);
}
