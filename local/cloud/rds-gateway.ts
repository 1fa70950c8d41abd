import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import tls from 'node:tls';
import pg from 'pg';
import { certify } from './certificates.ts';
import type { CloudEvent } from './events.ts';
import { checkToken } from './iam-token.ts';
import { ACCOUNT_ID, REGION } from './intrinsics.ts';
import type { OpeningPacket } from './postgres-messages.ts';
import {
  AUTHENTICATION_CLEARTEXT_PASSWORD,
  CANCEL_REQUEST,
  fatalError,
  GSS_ENCRYPTION_REQUEST,
  isStartup,
  ProtocolViolation,
  readMessage,
  readOpening,
  SSL_REQUEST,
  startup,
  startupParameters,
} from './postgres-messages.ts';
import type { DatabaseClusterSpec } from './stack.ts';

/** Decides whether a function may do something; `callerId` is its logical id. */
export type Authorize = (callerId: string, action: string, resourceArn: string) => boolean | Promise<boolean>;

/** What a gateway lets functions into. */
export interface ServedCluster {
  cluster: DatabaseClusterSpec;
  /**
   * The Postgres behind it: one on this machine that lets its clients in without TLS and password, such as
   * `startPostgres` gives. The cluster's master user and database are this URL's user and database.
   */
  upstreamUrl: string;
  /** Logical ids of the functions whose credentials are valid. */
  callerIds: string[];
  /** Asked for `rds-db:connect` on the role; by default every function may. */
  authorize?: Authorize;
  onEvent: (event: CloudEvent) => void;
}

/** An endpoint that stands in for that of an Aurora PostgreSQL cluster with IAM authentication. */
export interface RdsGateway {
  host: string;
  port: number;
  /**
   * Begins to let functions in.
   * @returns PEM file of the authority that signed the endpoint's certificate; gone after `stop`.
   * @throws Error that names the cluster when its upstream can't be used.
   */
  serve(served: ServedCluster): Promise<string>;
  /** Breaks every connection, as a failover does; new ones are let in. */
  cutConnections(): void;
  stop(): Promise<void>;
}

const HOST = 'localhost';
const INVALID_AUTHORIZATION = '28000';
const CANNOT_CONNECT_NOW = '57P03';
/** PostgreSQL's default `authentication_timeout`. */
const AUTHENTICATION_TIMEOUT_MS = 60_000;
const CHECK_TIMEOUT_MS = 5_000;

/**
 * Starts a gateway on 127.0.0.1 that refuses everybody until it has a cluster to serve. It speaks the start of
 * PostgreSQL's protocol: TLS, which it insists on, and a password, which has to be an IAM token. Everything after that,
 * and every request to cancel a statement, goes to the upstream and back as it comes.
 */
export async function startRdsGateway(): Promise<RdsGateway> {
  const sockets = new Set<net.Socket>();
  const resources = new AsyncDisposableStack();
  let serving: { served: ServedCluster; upstream: Upstream; tlsServer: tls.Server } | undefined;

  function track(socket: net.Socket): void {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  }

  const server = net.createServer({ noDelay: true }, (socket) => {
    track(socket);
    if (!serving) return void socket.destroy();
    socket.setTimeout(AUTHENTICATION_TIMEOUT_MS, () => socket.destroy());
    const { served } = serving;
    negotiate(socket, serving).catch((error: Error) => breakOff(socket, served, error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  /** From the first packet to TLS, or to the end. */
  async function negotiate(
    socket: net.Socket,
    { served, upstream, tlsServer }: NonNullable<typeof serving>,
  ): Promise<void> {
    let opening = await readOpening(socket);
    if (opening.code === GSS_ENCRYPTION_REQUEST) {
      socket.write('N');
      opening = await readOpening(socket);
    }
    if (opening.code === CANCEL_REQUEST) return passOn(opening, upstream, socket);
    if (opening.code === SSL_REQUEST) {
      // What came along unencrypted must not be taken for part of the encrypted conversation (CVE-2021-23222).
      if (socket.readableLength > 0) throw new ProtocolViolation('data after the request for TLS');
      socket.write('S');
      tlsServer.emit('connection', socket);
      return;
    }
    const parameters = isStartup(opening) ? startupParameters(opening) : new Map<string, string>();
    const user = parameters.get('user') ?? '';
    const reason = 'the connection is not encrypted';
    served.onEvent({ type: 'database.refused', clusterId: served.cluster.id, functionId: null, reason });
    socket.end(
      fatalError(
        INVALID_AUTHORIZATION,
        `no pg_hba.conf entry for host "${socket.remoteAddress}", user "${user}", database "${parameters.get('database') ?? user}", no encryption`,
      ),
    );
  }

  /** From the start-up packet to the open connection, or to the end. */
  async function authenticate(
    client: TLSSocket,
    { served, upstream }: NonNullable<typeof serving>,
  ): Promise<void> {
    const opening = await readOpening(client);
    if (opening.code === CANCEL_REQUEST) return passOn(opening, upstream, client);
    if (!isStartup(opening)) throw new ProtocolViolation('no start-up packet');
    const parameters = startupParameters(opening);
    const user = parameters.get('user') ?? '';
    client.write(AUTHENTICATION_CLEARTEXT_PASSWORD);
    const password = await readMessage(client);
    if (password.type !== 'p') throw new ProtocolViolation('no password');
    const token = password.content.toString('utf8').replace(/\0$/, '');

    const { functionId, reason } = await judge(token, user, served);
    if (reason !== null) {
      served.onEvent({ type: 'database.refused', clusterId: served.cluster.id, functionId, reason });
      client.end(fatalError(INVALID_AUTHORIZATION, `PAM authentication failed for user "${user}"`));
      return;
    }
    const opened = await open(upstream, startup(opening.code, namesUpstream(parameters, served, upstream)));
    client.write(opened.answer);
    if (opened.socket) join(client, opened.socket);
    else client.end();
  }

  /** Who made the token, as far as it is known, and why it does not let them in; null: it does. */
  async function judge(
    token: string,
    user: string,
    { cluster, callerIds, authorize = () => true }: ServedCluster,
  ): Promise<{ functionId: string | null; reason: string | null }> {
    const verdict = checkToken(token, { host: HOST, port, user }, Date.now());
    if (!verdict.ok) return { functionId: null, reason: verdict.reason };
    const { callerId } = verdict;
    if (!callerIds.includes(callerId)) {
      return { functionId: null, reason: 'the access key of the token is unknown' };
    }
    const resourceArn = `arn:aws:rds-db:${REGION}:${ACCOUNT_ID}:dbuser:${cluster.resourceId}/${user}`;
    const isAllowed = await authorize(callerId, 'rds-db:connect', resourceArn);
    return {
      functionId: callerId,
      reason: isAllowed ? null : `${callerId} may not rds-db:connect on ${resourceArn}`,
    };
  }

  /** Opens a connection to the upstream: it, ready to be joined, and what the client has to hear first. */
  async function open(
    upstream: Upstream,
    packet: Buffer,
  ): Promise<{ socket: net.Socket | null; answer: Buffer }> {
    const socket = dial(upstream);
    socket.write(packet);
    const answer: Buffer[] = [];
    try {
      for (;;) {
        const { type, content, bytes } = await readMessage(socket);
        answer.push(bytes);
        if (type === 'R' && content.readInt32BE(0) === 0) return { socket, answer: Buffer.concat(answer) };
        // An error ends the connection, and no authentication but the one above can be made for a client.
        if (type === 'R') throw new ProtocolViolation('the upstream asks for a password');
        if (type === 'E') {
          socket.end();
          return { socket: null, answer: Buffer.concat(answer) };
        }
      }
    } catch {
      socket.destroy();
      return {
        socket: null,
        answer: fatalError(CANNOT_CONNECT_NOW, 'the database system is not accepting connections'),
      };
    }
  }

  function passOn(request: OpeningPacket, upstream: Upstream, client: net.Socket): void {
    const socket = dial(upstream);
    socket.end(request.bytes);
    socket.resume();
    socket.once('close', () => client.end());
  }

  function dial({ host, port }: Upstream): net.Socket {
    const socket = net.connect({ host, port, noDelay: true });
    track(socket);
    return socket;
  }

  return {
    host: HOST,
    port,
    async serve(served) {
      const upstream = readUpstream(served.upstreamUrl);
      await checkUpstream(served, upstream);
      const { authority, certificate, privateKey } = await certify(HOST);
      const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-database-authority-'));
      resources.defer(() => rm(directory, { recursive: true, force: true }));
      const authorityFile = path.join(directory, 'authority.pem');
      await writeFile(authorityFile, authority);
      // It never listens: connections come to it when they ask for TLS.
      const tlsServer = tls.createServer({ key: privateKey, cert: certificate }, (client) => {
        client.on('error', () => {});
        authenticate(client, current).catch((error: Error) => breakOff(client, served, error));
      });
      tlsServer.on('tlsClientError', (_error, client) => client.destroy());
      const current = { served, upstream, tlsServer };
      serving = current;
      return authorityFile;
    },
    cutConnections() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async stop() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
      await resources.disposeAsync();
    },
  };
}

/** Where the upstream is, and what the cluster's master user and database are called there. */
interface Upstream {
  host: string;
  port: number;
  user: string;
  database: string;
}

function readUpstream(url: string): Upstream {
  const { hostname, port, username, pathname } = new URL(url);
  const user = decodeURIComponent(username);
  const database = decodeURIComponent(pathname.slice(1));
  return { host: hostname, port: Number(port || 5432), user, database: database || user };
}

async function checkUpstream({ cluster }: ServedCluster, upstream: Upstream): Promise<void> {
  const client = new pg.Client({ ...upstream, ssl: false, connectionTimeoutMillis: CHECK_TIMEOUT_MS });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
  } catch (error) {
    throw new Error(
      `${cluster.id} (AWS::RDS::DBCluster): the Postgres that stands in for it, at ${upstream.host}:${upstream.port}, ` +
        `must let ${upstream.user} in without TLS and password: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** What the client calls the master user and the cluster's database has the upstream's names; the rest stays. */
function namesUpstream(
  parameters: ReadonlyMap<string, string>,
  { cluster }: ServedCluster,
  upstream: Upstream,
): Map<string, string> {
  const user = parameters.get('user') ?? '';
  const database = parameters.get('database') ?? user;
  return new Map([
    ...parameters,
    ['user', user === cluster.masterUser ? upstream.user : user],
    ['database', database === cluster.database ? upstream.database : database],
  ]);
}

/** Lets two connections speak with each other until one of them ends. */
function join(client: TLSSocket, upstream: net.Socket): void {
  client.setTimeout(0);
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.pipe(to);
    // The pipe carries a proper end over, and nothing else.
    from.once('close', () => {
      if (!from.readableEnded) to.destroy();
    });
  }
}

/** Ends a connection on which something went wrong that the protocol has no answer for. */
function breakOff(socket: net.Socket, { cluster, onEvent }: ServedCluster, error: Error): void {
  socket.destroy();
  onEvent({ type: 'database.refused', clusterId: cluster.id, functionId: null, reason: error.message });
}
