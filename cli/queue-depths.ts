import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import type { Target } from './target.ts';

/** A queue of the pipeline with its dead letters. Counts are approximate, as SQS says. */
export interface QueueDepth {
  readonly queue: 'refresh' | 'threshold' | 'sealed';
  /** Messages that wait for a consumer. */
  readonly visible: number;
  /** Messages that a consumer has, or that wait until they become visible again. */
  readonly inFlight: number;
  readonly deadLetters: number;
}

const outputsOf = {
  refresh: { queue: 'RefreshQueueUrl', deadLetters: 'RefreshDeadLetterQueueUrl' },
  threshold: { queue: 'ThresholdQueueUrl', deadLetters: 'ThresholdDeadLetterQueueUrl' },
  sealed: { queue: 'SealedResultQueueUrl', deadLetters: 'SealedResultDeadLetterQueueUrl' },
} as const;

/** Reads how full one queue and the dead-letter queue behind it are. Throws what the SDK throws. */
export async function readQueueDepth(target: Target, queue: QueueDepth['queue']): Promise<QueueDepth> {
  const [own, dead] = await Promise.all([
    countMessages(target, outputsOf[queue].queue),
    countMessages(target, outputsOf[queue].deadLetters),
  ]);
  return {
    queue,
    visible: own.visible,
    inFlight: own.inFlight,
    // One that somebody is looking at right now is still a dead letter.
    deadLetters: dead.visible + dead.inFlight,
  };
}

async function countMessages(target: Target, output: string): Promise<{ visible: number; inFlight: number }> {
  const { Attributes = {} } = await target.sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: target.output(output),
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    }),
  );
  return {
    visible: Number(Attributes.ApproximateNumberOfMessages ?? 0),
    inFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0),
  };
}
