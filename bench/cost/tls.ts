import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import tls from 'node:tls';
import { generate } from 'selfsigned';

/** What one new TLS connection costs the client. */
export interface TlsCost {
  readonly cpuMs: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

const connections = 400;

/**
 * Measures TLS handshakes of a Node client, in a process of its own, with a server of this process. Local
 * providers speak plain HTTP, and this is what that leaves out. The certificate is signed by an authority that
 * the client knows; public chains have one or two certificates more.
 */
export async function measureTls(): Promise<TlsCost> {
  const authority = await generate([{ name: 'commonName', value: 'An authority' }], {
    keySize: 2048,
    algorithm: 'sha256',
    extensions: [{ name: 'basicConstraints', cA: true, critical: true }],
  });
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
    ca: { key: authority.private, cert: authority.cert },
  });
  const server = tls.createServer({ key, cert }, (socket) => {
    socket.on('error', () => undefined);
    socket.end('.');
  });
  const plain = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('.');
  });
  try {
    const withTls = await clientCost(await listen(server), authority.cert);
    const without = await clientCost(await listen(plain), null);
    return {
      cpuMs: withTls.cpuMs - without.cpuMs,
      sentBytes: withTls.sentBytes - without.sentBytes,
      receivedBytes: withTls.receivedBytes - without.receivedBytes,
    };
  } finally {
    server.close();
    plain.close();
  }
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Runs in the child: connects again and again, and prints the cost per connection. */
const client = `
import net from 'node:net';
import tls from 'node:tls';
const { port, ca, connections } = JSON.parse(process.argv[1]);
const secureContext = ca === null ? null : tls.createSecureContext({ ca });
async function connect() {
  const raw = net.connect(port, '127.0.0.1');
  const socket = ca === null ? raw : tls.connect({ socket: raw, servername: 'localhost', secureContext });
  socket.resume();
  await new Promise((resolve, reject) => socket.once('close', resolve).once('error', reject));
  return [raw.bytesWritten, raw.bytesRead];
}
for (let count = 0; count < 50; count += 1) await connect();
const before = process.cpuUsage();
let sent = 0;
let received = 0;
for (let count = 0; count < connections; count += 1) {
  const [out, back] = await connect();
  sent += out;
  received += back;
}
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({
  cpuMs: (user + system) / 1000 / connections,
  sentBytes: sent / connections,
  receivedBytes: received / connections,
}));`;

async function clientCost(port: number, ca: string | null): Promise<TlsCost> {
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', client, JSON.stringify({ port, ca, connections })],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the TLS client ended with ${code}`);
  return JSON.parse(output) as TlsCost;
}
