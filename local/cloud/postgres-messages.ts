import type { Duplex } from 'node:stream';

// The part of PostgreSQL's wire protocol that opens a connection (PostgreSQL documentation, "Message Formats").

/** The first packet of a connection, and of what follows a negotiation: it has no type byte. */
export interface OpeningPacket {
  /** A request code, or the protocol's version. */
  code: number;
  /** The packet as it came. */
  bytes: Buffer;
}

export const CANCEL_REQUEST = 80877102;
export const SSL_REQUEST = 80877103;
export const GSS_ENCRYPTION_REQUEST = 80877104;
/** Major version 3, in the upper half of an opening packet's code. */
export const isStartup = ({ code }: OpeningPacket) => code >>> 16 === 3;

export const AUTHENTICATION_CLEARTEXT_PASSWORD = message('R', int32(3));

/** The other side does not speak the protocol, or left in the middle of a message. */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation';
}

/** PostgreSQL's own limits (pqcomm.h, auth.c). */
const MAX_OPENING_BYTES = 10_000;
const MAX_MESSAGE_BYTES = 65_535;

/** Reads the next opening packet. Rejects with `ProtocolViolation`. */
export async function readOpening(stream: Duplex): Promise<OpeningPacket> {
  const head = await take(stream, 8);
  const length = head.readInt32BE(0);
  if (length < 8 || length > MAX_OPENING_BYTES) throw new ProtocolViolation('no opening packet');
  const body = length > 8 ? await take(stream, length - 8) : Buffer.alloc(0);
  return { code: head.readInt32BE(4), bytes: Buffer.concat([head, body]) };
}

/** Reads the next typed message: its type, its content, and all of its bytes. Rejects with `ProtocolViolation`. */
export async function readMessage(stream: Duplex): Promise<{ type: string; content: Buffer; bytes: Buffer }> {
  const head = await take(stream, 5);
  const length = head.readInt32BE(1);
  if (length < 4 || length > MAX_MESSAGE_BYTES) throw new ProtocolViolation('no message');
  const content = length > 4 ? await take(stream, length - 4) : Buffer.alloc(0);
  return { type: String.fromCharCode(head[0] as number), content, bytes: Buffer.concat([head, content]) };
}

/** The parameters of a start-up packet, in their order. Throws `ProtocolViolation`. */
export function startupParameters({ bytes }: OpeningPacket): Map<string, string> {
  const texts = bytes.subarray(8).toString('utf8').split('\0');
  // Each text ends with a zero, and a zero ends the list.
  if (texts.length % 2 !== 0 || texts.pop() !== '' || texts.pop() !== '') {
    throw new ProtocolViolation('no start-up packet');
  }
  const parameters = new Map<string, string>();
  for (let i = 0; i < texts.length; i += 2) parameters.set(texts[i] as string, texts[i + 1] as string);
  return parameters;
}

/** A start-up packet of the same version with these parameters. */
export function startup(code: number, parameters: ReadonlyMap<string, string>): Buffer {
  const texts = [...parameters].flat().map((text) => `${text}\0`);
  const content = Buffer.from(`${texts.join('')}\0`);
  return Buffer.concat([int32(content.length + 8), int32(code), content]);
}

/** An ErrorResponse that ends the connection. */
export function fatalError(sqlState: string, text: string): Buffer {
  const fields = [`SFATAL`, `VFATAL`, `C${sqlState}`, `M${text}`].map((field) => `${field}\0`);
  return message('E', Buffer.from(`${fields.join('')}\0`));
}

function message(type: string, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(content.length + 4), content]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** Takes exactly so many bytes, and leaves what follows in the stream. */
async function take(stream: Duplex, count: number): Promise<Buffer> {
  let taken = Buffer.alloc(0);
  for (;;) {
    // All that is there: a stream that keeps some bytes would announce them again at once, without end.
    const bytes: Buffer | null = stream.read();
    if (bytes !== null) {
      taken = Buffer.concat([taken, bytes]);
      if (taken.length > count) stream.unshift(taken.subarray(count));
      if (taken.length >= count) return taken.subarray(0, count);
    } else if (stream.readableEnded || stream.destroyed) {
      throw new ProtocolViolation('the connection ended in the middle of a message');
    } else {
      await change(stream);
    }
  }
}

function change(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const events = ['readable', 'end', 'close', 'error'];
    const done = () => {
      for (const event of events) stream.off(event, done);
      resolve();
    };
    for (const event of events) stream.on(event, done);
  });
}
