import type { Json } from './json.ts';
import { isObject } from './json.ts';

/** Which messages of a batch stay in the queue, and why if that is the whole batch's fault. */
export interface BatchVerdict {
  failedMessageIds: string[];
  error: string | null;
}

/** Reads a `ReportBatchItemFailures` response as Lambda does: anything irregular in it fails the whole batch. */
export function judgeBatchResponse(payload: Json, messageIds: string[]): BatchVerdict {
  const whole = (error: string): BatchVerdict => ({ failedMessageIds: messageIds, error });
  if (payload === null) return { failedMessageIds: [], error: null };
  if (!isObject(payload)) return whole('The response is no object.');
  const failures = payload.batchItemFailures ?? [];
  if (!Array.isArray(failures)) return whole('batchItemFailures is no list.');
  const failed = new Set<string>();
  for (const failure of failures) {
    const identifier = isObject(failure) ? failure.itemIdentifier : undefined;
    if (typeof identifier !== 'string' || identifier === '')
      return whole('An itemIdentifier is missing or empty.');
    if (!messageIds.includes(identifier))
      return whole(`The itemIdentifier ${identifier} is not in the batch.`);
    failed.add(identifier);
  }
  return { failedMessageIds: [...failed], error: null };
}
