import net from 'node:net';

/** Stands between a client and a server, and can take the server away. */
export interface TcpProxy {
  readonly port: number;
  /** Breaks every connection; new ones are broken as well, until `restore`. */
  cut(): void;
  /** Swallows what clients send from now on, as a network does that drops packets; until `restore`. */
  hang(): void;
  restore(): void;
  /** Connections that were accepted so far. */
  readonly connections: number;
  stop(): Promise<void>;
}

export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<net.Socket>();
  let state: 'open' | 'cut' | 'hanging' = 'open';
  let connections = 0;
  const server = net.createServer((client) => {
    connections += 1;
    if (state === 'cut') {
      client.resetAndDestroy();
      return;
    }
    const upstream = net.connect(targetPort, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => state !== 'hanging' && to.write(chunk));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const breakAll = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as net.AddressInfo).port,
    cut() {
      state = 'cut';
      breakAll();
    },
    hang() {
      state = 'hanging';
    },
    restore() {
      if (state === 'hanging') breakAll();
      state = 'open';
    },
    get connections() {
      return connections;
    },
    stop: () =>
      new Promise((resolve) => {
        breakAll();
        server.close(() => resolve());
      }),
  };
}

/** A URL of a server behind a proxy. */
export function through(proxy: TcpProxy, url: string): string {
  const address = new URL(url);
  address.port = String(proxy.port);
  return address.href;
}
