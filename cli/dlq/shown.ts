import type { DeadLetter } from './dead-letter.ts';
import type { Counts, MoveTask } from './dead-letter-queue.ts';
import { printableBody } from './printable.ts';

/** A dead letter as `--json` and the lines of `dlq discard` show it. */
export function shownLetter(letter: DeadLetter) {
  return {
    queue: letter.queue,
    messageId: letter.messageId,
    sentAt: letter.sentAt?.toISOString() ?? null,
    receiveCount: letter.receiveCount,
    provider: letter.provider,
    groupId: letter.groupId,
    integrationId: letter.integrationId,
    eventId: letter.eventId,
    problem: letter.problem,
    /** Of others' bodies the beginning, without what looks like a secret. */
    body: printableBody(letter),
    /** Their values may be anything. */
    attributeNames: Object.keys(letter.attributes),
  };
}

export function totalOf({ visible, inFlight }: Counts): number {
  return visible + inFlight;
}

export function shownTask(task: MoveTask) {
  return {
    status: task.status,
    moved: task.moved,
    toMove: task.toMove,
    startedAt: task.startedAt?.toISOString() ?? null,
    failureReason: task.failureReason,
  };
}
