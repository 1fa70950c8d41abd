import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

type Created = (error: Error | null, connection: Duplex) => void;

const options: http.AgentOptions = {
  keepAlive: true,
  // Load balancers forget idle connections after a minute or so, and nobody watches them while a function is frozen. A
  // request on one that the other side has given up is one whose answer is lost.
  timeout: 4_000,
};

/** A connection that is not there by then is given up, and whoever waits for one makes another. */
const connectTimeoutMs = 10_000;

/**
 * Hands a new connection on when it is ready, with TLS when the certificate has been checked. By themselves Node's agents
 * hand it on at once, and the request waits in its buffer, where nobody can tell how far it has come.
 */
function whenReady(connection: Socket, ready: 'connect' | 'secureConnect', created: Created): undefined {
  const slow = setTimeout(() => connection.destroy(new Error('no connection in time')), connectTimeoutMs);
  slow.unref();
  const failed = (error: Error) => {
    clearTimeout(slow);
    created(error, connection);
  };
  connection.once('error', failed);
  connection.once(ready, () => {
    clearTimeout(slow);
    connection.off('error', failed);
    created(null, connection);
  });
}

class PlainConnections extends http.Agent {
  override createConnection(to: http.ClientRequestArgs, created: Created): undefined {
    return whenReady(super.createConnection(to) as Socket, 'connect', created);
  }
}

class SecureConnections extends https.Agent {
  override createConnection(to: https.RequestOptions, created: Created): undefined {
    return whenReady(super.createConnection(to) as Socket, 'secureConnect', created);
  }
}

/** Keeps connections to providers open between requests; a request gets one only when it can carry it. */
export const connections = {
  'http:': new PlainConnections(options),
  'https:': new SecureConnections(options),
} as const;
