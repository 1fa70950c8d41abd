import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import net from 'node:net';

/** Counts the requests that HTTP servers of this process receive, and the bytes on their sockets. */
export interface HttpTraffic {
  /** Requests to a service so far whose action (`x-amz-target` without its prefix) and caller fit. */
  requests(port: number, action?: string, caller?: string): number;
  /** Bytes that a server has received and sent so far, of all callers or of one. */
  bytes(port: number, caller?: string): { received: number; sent: number };
  stop(): void;
}

export function watchHttpTraffic(): HttpTraffic {
  const sockets = new Map<net.Socket, { port: number; caller: string }>();
  const counts = new Map<string, { port: number; action: string; caller: string; count: number }>();
  const onRequest = (message: unknown) => {
    const { request } = message as { request: IncomingMessage };
    const port = request.socket.localPort ?? 0;
    const action = String(request.headers['x-amz-target'] ?? '').replace(/^.*\./, '');
    // The access key of a local function is LOCAL and its logical id.
    const caller = /Credential=LOCAL(\w*)\//.exec(request.headers.authorization ?? '')?.[1] ?? '';
    sockets.set(request.socket, { port, caller });
    const key = JSON.stringify([port, action, caller]);
    const entry = counts.get(key) ?? { port, action, caller, count: 0 };
    entry.count += 1;
    counts.set(key, entry);
  };
  subscribe('http.server.request.start', onRequest);
  return {
    requests: (port, action, caller) =>
      [...counts.values()]
        .filter((entry) => entry.port === port)
        .filter((entry) => action === undefined || entry.action === action)
        .filter((entry) => caller === undefined || entry.caller === caller)
        .reduce((sum, { count }) => sum + count, 0),
    bytes(port, caller) {
      const fitting = [...sockets]
        .filter(([, owner]) => owner.port === port && (caller === undefined || owner.caller === caller))
        .map(([socket]) => socket);
      return {
        received: fitting.reduce((sum, socket) => sum + socket.bytesRead, 0),
        sent: fitting.reduce((sum, socket) => sum + socket.bytesWritten, 0),
      };
    },
    stop: () => unsubscribe('http.server.request.start', onRequest),
  };
}

/** Stands between clients and a Postgres without TLS, and counts what passes. */
export interface PostgresTraffic {
  readonly port: number;
  /** Statements (Execute and Query messages of the protocol) so far. */
  readonly statements: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** The most clients that were connected at once so far. */
  readonly mostConnections: number;
  stop(): Promise<void>;
}

export async function watchPostgresTraffic(targetPort: number): Promise<PostgresTraffic> {
  const sockets = new Set<net.Socket>();
  const counted = { statements: 0, sentBytes: 0, receivedBytes: 0, connections: 0, mostConnections: 0 };
  const server = net.createServer({ noDelay: true }, (client) => {
    counted.connections += 1;
    counted.mostConnections = Math.max(counted.mostConnections, counted.connections);
    client.once('close', () => {
      counted.connections -= 1;
    });
    const upstream = net.connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    const count = countStatements(() => {
      counted.statements += 1;
    });
    client.on('data', (chunk) => {
      counted.sentBytes += chunk.length;
      count(chunk);
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      counted.receivedBytes += chunk.length;
      client.write(chunk);
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    get statements() {
      return counted.statements;
    },
    get sentBytes() {
      return counted.sentBytes;
    },
    get receivedBytes() {
      return counted.receivedBytes;
    },
    get mostConnections() {
      return counted.mostConnections;
    },
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/**
 * Reads the messages of one client (PostgreSQL documentation, "Message Formats"): the first has no type, each later
 * one a type and a length that counts itself. Calls back at each Execute and Query, in whatever chunks they come.
 */
export function countStatements(onStatement: () => void): (chunk: Buffer) => void {
  let pending = Buffer.alloc(0);
  let started = false;
  return (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    for (;;) {
      const typeBytes = started ? 1 : 0;
      if (pending.length < typeBytes + 4) return;
      const length = typeBytes + pending.readInt32BE(typeBytes);
      if (pending.length < length) return;
      const type = started ? String.fromCharCode(pending[0]!) : '';
      if (type === 'E' || type === 'Q') onStatement();
      started = true;
      pending = pending.subarray(length);
    }
  };
}

/** Milliseconds that a process has computed so far, with all of its threads; 0 when it is gone. Linux only. */
export function cpuMs(pid: number): number {
  try {
    return (
      readdirSync(`/proc/${pid}/task`).reduce(
        (sum, task) =>
          sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]),
        0,
      ) / 1e6
    );
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return 0;
    throw error;
  }
}

/** The processes that a process has started and that still run. Linux only. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // The name in parentheses may hold anything, spaces too; the parent is the second field after it.
        return (
          Number(
            readFileSync(`/proc/${name}/stat`, 'utf8')
              .replace(/^.*\) /s, '')
              .split(' ')[1],
          ) === pid
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}
