import type { Socket } from 'node:net';

/**
 * Breaks a connection with a reset. One that is ending already is only destroyed: libuv refuses to reset it
 * (`uv_tcp_close_reset`), and Node would then neither close it nor ever get to its own end.
 */
export function breakConnection(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
