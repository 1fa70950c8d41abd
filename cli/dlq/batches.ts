import type { DeadLetter } from './dead-letter.ts';

/** Entries of one batch call and messages of one receive, SQS quota. */
export const batchSize = 10;

/** Bytes of one batch call, bodies and attributes together, SQS quota. */
const batchBytes = 1_048_576;

/** Cuts a list into what one batch call takes. */
export function batchesOf<Item>(items: readonly Item[]): Item[][] {
  return Array.from({ length: Math.ceil(items.length / batchSize) }, (_, index) =>
    items.slice(index * batchSize, (index + 1) * batchSize),
  );
}

/** Cuts letters into batches that `sendBack` can send: by number, and by bytes. */
export function sendBatches(letters: readonly DeadLetter[], most: number): DeadLetter[][] {
  const batches: DeadLetter[][] = [];
  let bytes = 0;
  for (const letter of letters) {
    const size = bytesOf(letter);
    const last = batches.at(-1);
    if (last && last.length < Math.min(batchSize, most) && bytes + size <= batchBytes) {
      last.push(letter);
      bytes += size;
    } else {
      batches.push([letter]);
      bytes = size;
    }
  }
  return batches;
}

function bytesOf({ body, attributes }: DeadLetter): number {
  return Object.entries(attributes).reduce(
    (sum, [name, { DataType: type = '', StringValue: text = '', BinaryValue: binary }]) =>
      sum + Buffer.byteLength(name + type + text) + (binary?.length ?? 0),
    Buffer.byteLength(body),
  );
}
