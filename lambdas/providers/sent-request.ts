import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';

/** How far one request has come, as the HTTP client itself tells. */
export interface SentRequest {
  /** The client has taken the request; what it tells of its way from then on is complete. */
  taken: boolean;
  /** The connection that its first byte was given to; `null`: none yet. */
  connection: Socket | null;
}

const current = new AsyncLocalStorage<SentRequest>();
const byRequest = new WeakMap<object, SentRequest>();
/** Whose a connection is: one that is kept alive is the next request's when an exchange has ended. */
const carried = new WeakMap<Socket, SentRequest>();

/**
 * Diagnostics channels of undici, which is Node's `fetch` (undici's docs, api/DiagnosticsChannel.md). The code of an error
 * cannot say as much: `ECONNRESET` is that of a handshake of TLS that broke off as well as of a connection that broke
 * with the request in it, and a deadline may pass in either.
 */
subscribe('undici:request:create', (message) => {
  const sent = current.getStore();
  if (sent === undefined) return;
  sent.taken = true;
  byRequest.set((message as { request: object }).request, sent);
});
subscribe('undici:client:sendHeaders', (message) => {
  const { request, socket } = message as { request: object; socket: Socket };
  const sent = byRequest.get(request);
  if (sent !== undefined) sent.connection = socket;
  if (sent === undefined) carried.delete(socket);
  else carried.set(socket, sent);
});

/** Runs `work` and follows the one request that it makes with `fetch`. */
export function follow<Result>(sent: SentRequest, work: () => Promise<Result>): Promise<Result> {
  return current.run(sent, work);
}

/**
 * Whether the request may have reached its server. It surely has not while no connection has been given any of it: a name
 * that is not found, a connection that is refused or not made in time, a handshake of TLS that fails or breaks off.
 */
export function mayHaveArrived({ taken, connection }: SentRequest): boolean {
  return !taken || connection !== null;
}

/** Resolves when the connection that carries the request is closed on our side, if one does. */
export async function disconnect(sent: SentRequest): Promise<void> {
  const { connection } = sent;
  if (connection === null || connection.closed || carried.get(connection) !== sent) return;
  const closed = once(connection, 'close');
  connection.destroy();
  await closed.catch(() => undefined);
}
