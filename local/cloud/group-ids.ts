/**
 * Group ids of messages on standard queues, which the SQS server takes and forgets. They are kept here by message id,
 * from the send to the delete, and given back to whoever asks for the attribute.
 */
export interface GroupIds {
  /** Notes what a call sent or deleted; returns the answer, with the group ids that it asked for. */
  complete(action: string, request: SqsRequest, answer: string): string;
}

interface Sent {
  MessageGroupId?: string;
}

interface SqsRequest extends Sent {
  Entries?: (Sent & { Id: string; ReceiptHandle?: string })[];
  ReceiptHandle?: string;
  AttributeNames?: string[];
  MessageSystemAttributeNames?: string[];
}

interface SqsAnswer {
  MessageId?: string;
  Successful?: { Id: string; MessageId?: string }[];
  Messages?: { MessageId: string; ReceiptHandle: string; Attributes?: Record<string, string> }[];
}

export function createGroupIds(): GroupIds {
  /** By message id; `handle` is that of the latest receive. */
  const messages = new Map<string, { groupId: string; handle?: string }>();
  /** Message ids by receipt handle. */
  const handles = new Map<string, string>();

  function note(messageId: string | undefined, { MessageGroupId: groupId }: Sent): void {
    if (messageId !== undefined && groupId !== undefined) messages.set(messageId, { groupId });
  }

  function forget(handle: string | undefined): void {
    const messageId = handles.get(handle ?? '');
    if (messageId !== undefined) messages.delete(messageId);
    handles.delete(handle ?? '');
  }

  function received(request: SqsRequest, answer: SqsAnswer): void {
    const wanted = [...(request.AttributeNames ?? []), ...(request.MessageSystemAttributeNames ?? [])];
    for (const message of answer.Messages ?? []) {
      const known = messages.get(message.MessageId);
      if (!known) continue;
      if (known.handle !== undefined) handles.delete(known.handle);
      known.handle = message.ReceiptHandle;
      handles.set(message.ReceiptHandle, message.MessageId);
      if (!wanted.includes('All') && !wanted.includes('MessageGroupId')) continue;
      message.Attributes = { ...message.Attributes, MessageGroupId: known.groupId };
    }
  }

  return {
    complete(action, request, answer) {
      const entries = request.Entries ?? [];
      switch (action) {
        case 'SendMessage':
          if (request.MessageGroupId === undefined) return answer;
          note((JSON.parse(answer) as SqsAnswer).MessageId, request);
          return answer;
        case 'SendMessageBatch': {
          if (entries.every(({ MessageGroupId }) => MessageGroupId === undefined)) return answer;
          const { Successful: sent = [] } = JSON.parse(answer) as SqsAnswer;
          for (const { Id, MessageId } of sent) {
            note(MessageId, entries.find((entry) => entry.Id === Id) ?? {});
          }
          return answer;
        }
        case 'ReceiveMessage': {
          if (messages.size === 0) return answer;
          const document = JSON.parse(answer) as SqsAnswer;
          received(request, document);
          return JSON.stringify(document);
        }
        case 'DeleteMessage':
          forget(request.ReceiptHandle);
          return answer;
        case 'DeleteMessageBatch':
          for (const { ReceiptHandle: handle } of entries) forget(handle);
          return answer;
        default:
          return answer;
      }
    },
  };
}
