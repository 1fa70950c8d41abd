import type { Database } from './database.ts';
import type { QueueWithDeadLetters } from './dead-letter-queue.ts';
import type { Secrets } from './secrets.ts';
import type { Settings } from './settings.ts';
import type { Timing } from './timing.ts';

/** What the stages of the pipeline are built from. */
export interface StageProps {
  readonly database: Database;
  readonly secrets: Secrets;
  readonly settings: Settings;
  readonly timing: Timing;
  readonly refreshQueue: QueueWithDeadLetters;
  readonly thresholdQueue: QueueWithDeadLetters;
  readonly sealedResultQueue: QueueWithDeadLetters;
}
