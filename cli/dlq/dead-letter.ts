import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs';
import { messageGroupId, relayGroupId } from '../../lambdas/contract.ts';
import {
  parseRefreshMessage,
  parseSealedResultMessage,
  parseThresholdEventMessage,
} from '../../lambdas/messages.ts';

export const queueNames = ['refresh', 'threshold', 'sealed'] as const;
/** The queue whose dead letters are meant. */
export type QueueName = (typeof queueNames)[number];

/** A message in a dead-letter queue, as it was received. */
export interface DeadLetter {
  readonly queue: QueueName;
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, MessageAttributeValue>>;
  readonly groupId: string | null;
  /** When it was first sent; moves by SQS into the dead-letter queue keep it. */
  readonly sentAt: Date | null;
  /** Receives since it was last sent, looks at it included. */
  readonly receiveCount: number | null;
  /** The provider as the body names it; `null`: it names none. */
  readonly namedProvider: string | null;
  /** The named provider; else the group id, which is the provider's name as far as SQS takes it. */
  readonly provider: string | null;
  /** What a well-formed message is about. */
  readonly integrationId: string | null;
  readonly eventId: string | null;
  /** Why it is malformed, repeating nothing of the body; `null`: it is well-formed. */
  readonly problem: string | null;
}

export function readDeadLetter(queue: QueueName, message: Message): DeadLetter {
  const body = message.Body ?? '';
  const { MessageGroupId: groupId, SentTimestamp, ApproximateReceiveCount } = message.Attributes ?? {};
  return {
    queue,
    messageId: message.MessageId ?? '',
    receiptHandle: message.ReceiptHandle ?? '',
    body,
    attributes: message.MessageAttributes ?? {},
    groupId: groupId ?? null,
    sentAt: SentTimestamp === undefined ? null : new Date(Number(SentTimestamp)),
    receiveCount: ApproximateReceiveCount === undefined ? null : Number(ApproximateReceiveCount),
    ...readBody(queue, body, groupId ?? null),
  };
}

function readBody(queue: QueueName, body: string, group: string | null) {
  const nothing = { namedProvider: null, integrationId: null, eventId: null };
  if (queue !== 'threshold') {
    const parsed = queue === 'refresh' ? parseRefreshMessage(body) : parseSealedResultMessage(body);
    if (!parsed.ok) return { ...nothing, provider: group, problem: parsed.problem };
    const { integrationId, provider = null } = parsed.message;
    return { ...nothing, integrationId, namedProvider: provider, provider: provider ?? group, problem: null };
  }
  const ownGroup = group === relayGroupId ? null : group;
  const parsed = parseThresholdEventMessage(body);
  if (!parsed.ok) return { ...nothing, provider: ownGroup, problem: parsed.problem };
  const { eventId, provider = null } = parsed.message;
  return { ...nothing, eventId, namedProvider: provider, provider: provider ?? ownGroup, problem: null };
}

/** Which dead letters a command means. */
export interface Selection {
  /** `null`: of all providers, and those of which it is unknown. */
  readonly provider: string | null;
  /** `null`: all. */
  readonly messageId: string | null;
  readonly malformed: 'included' | 'only' | 'left out';
}

export function selects(selection: Selection, letter: DeadLetter): boolean {
  if (selection.messageId !== null && letter.messageId !== selection.messageId) return false;
  if (selection.malformed === 'only' && letter.problem === null) return false;
  if (selection.malformed === 'left out' && letter.problem !== null) return false;
  return selection.provider === null || isOf(letter, selection.provider);
}

/** A group id is the provider's name only as far as SQS takes it. */
function isOf(letter: DeadLetter, provider: string): boolean {
  return letter.namedProvider === null
    ? letter.provider !== null && letter.provider === messageGroupId(provider)
    : letter.namedProvider === provider;
}

/** Dead letters that are alike to an operator. */
export interface Group {
  readonly provider: string | null;
  readonly problem: string | null;
  readonly count: number;
  readonly oldestSentAt: Date | null;
}

/** The most numerous group first. */
export function groupDeadLetters(letters: readonly DeadLetter[]): Group[] {
  const groups = new Map<string, Group>();
  for (const { provider, problem, sentAt } of letters) {
    const key = JSON.stringify([provider, problem]);
    const group = groups.get(key) ?? { provider, problem, count: 0, oldestSentAt: null };
    groups.set(key, {
      ...group,
      count: group.count + 1,
      oldestSentAt: earlier(group.oldestSentAt, sentAt),
    });
  }
  return [...groups.values()].sort(
    (a, b) => b.count - a.count || (a.provider ?? '').localeCompare(b.provider ?? ''),
  );
}

export function oldestOf(letters: readonly DeadLetter[]): Date | null {
  return letters.reduce<Date | null>((oldest, { sentAt }) => earlier(oldest, sentAt), null);
}

function earlier(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b;
  return a < b ? a : b;
}
