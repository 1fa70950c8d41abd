/** A statement of the functions that faults and the judgement care about. */
export type StatementKind =
  | 'claim'
  | 'start'
  | 'store'
  | 'record-failures'
  | 'write-notification'
  | 'claim-email'
  | 'record-email'
  | 'release-email'
  | 'other';

/** By a part of the text that no other statement has. */
const marks: readonly (readonly [kind: StatementKind, mark: RegExp])[] = [
  ['store', /SET access_token = r\.access_token/],
  ['record-failures', /SET consecutive_failures =\s+CASE WHEN d\.failure_class/],
  ['claim', /SET refresh_claim = i\.refresh_claim \+ 1,\s+refresh_claim_open = true,\s+refresh_held_until/],
  [
    'start',
    /SET refresh_claim = i\.refresh_claim \+ \(NOT i\.refresh_claim_open\)::int,\s+refresh_claim_open = false,\s+refresh_held_until/,
  ],
  ['write-notification', /INSERT INTO notifications/],
  ['claim-email', /SET email_held_until = now\(\) \+/],
  ['release-email', /SET email_held_until = now\(\)\s+WHERE/],
  ['record-email', /SET email_outcome = /],
];

export function kindOf(statement: string): StatementKind {
  // A refresher has the server plan what it will commit with; that is no commit.
  if (statement.startsWith('EXPLAIN ')) return 'other';
  return marks.find(([, mark]) => mark.test(statement))?.[0] ?? 'other';
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** The ids in the first parameter of a Bind message (PostgreSQL documentation, "Message Formats"), its type and length left out. */
export function idsOfBind(content: Buffer): string[] {
  let at = content.indexOf(0) + 1;
  at = content.indexOf(0, at) + 1;
  at += 2 + 2 * content.readInt16BE(at);
  if (content.readInt16BE(at) === 0) return [];
  const length = content.readInt32BE(at + 2);
  if (length < 0) return [];
  return content.toString('latin1', at + 6, at + 6 + length).match(uuid) ?? [];
}

/** One message of the protocol. */
export interface Message {
  readonly type: string;
  readonly content: Buffer;
  readonly bytes: Buffer;
}

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0);
  /** The first packet of a client has no type. */
  #awaitsOpening: boolean;

  constructor(side: 'client' | 'server') {
    this.#awaitsOpening = side === 'client';
  }

  push(chunk: Buffer): Message[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Message[] = [];
    for (;;) {
      const head = this.#awaitsOpening ? 0 : 1;
      if (this.#rest.length < head + 4) return messages;
      const length = head + this.#rest.readInt32BE(head);
      if (this.#rest.length < length) return messages;
      const bytes = this.#rest.subarray(0, length);
      messages.push({
        type: this.#awaitsOpening ? 'opening' : String.fromCharCode(bytes[0] as number),
        content: bytes.subarray(head + 4),
        bytes,
      });
      this.#rest = this.#rest.subarray(length);
      this.#awaitsOpening = false;
    }
  }
}
