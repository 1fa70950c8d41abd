import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpsServer, createServer as createTlsServer } from 'node:https';
import {
  type AddressInfo,
  createServer,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net';
import { tmpdir } from 'node:os';
import path, { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { generate } from 'selfsigned';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sendTokenRequest } from '../../../lambdas/providers/call.ts';
import type { TokenRequest } from '../../../lambdas/providers/request.ts';
import { certify, type ServerCertificate } from '../../../local/cloud/certificates.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';

let endpoint: TokenEndpoint;
const servers: Server[] = [];
beforeEach(async () => {
  endpoint = await startTokenEndpoint(() => granted());
});
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await endpoint.stop();
});

const lost = (reason: 'timeout' | 'network_error') => ({ kind: 'no_response', reason, mayHaveArrived: true });

async function addressOf(server: Server, scheme: 'http' | 'https'): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
}

/** For `localhost`. */
async function trustedCertificate() {
  const authority = await generate([{ name: 'commonName', value: 'An authority' }], {
    extensions: [{ name: 'basicConstraints', cA: true, critical: true }],
  });
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
    ca: { key: authority.private, cert: authority.cert },
  });
  return { key, cert, authority: authority.cert };
}

function call(changes: Partial<TokenRequest> = {}, { timeoutMs = 5_000 } = {}) {
  const request: TokenRequest = {
    url: endpoint.url,
    method: 'POST',
    headers: {
      accept: 'application/json',
      authorization: 'Basic aWQ6c2VjcmV0',
      'content-type': 'application/x-www-form-urlencoded',
      'user-agent': 'Acme/1',
    },
    body: 'grant_type=refresh_token&refresh_token=%C3%A4',
    ...changes,
  };
  return sendTokenRequest(request, timeoutMs);
}

describe('the request', () => {
  it('is sent as it was built', async () => {
    await call();
    expect(endpoint.calls).toHaveLength(1);
    expect(endpoint.calls[0]).toMatchObject({
      method: 'POST',
      path: '/token',
      headers: {
        accept: 'application/json',
        authorization: 'Basic aWQ6c2VjcmV0',
        'content-type': 'application/x-www-form-urlencoded',
        'user-agent': 'Acme/1',
      },
      body: 'grant_type=refresh_token&refresh_token=%C3%A4',
    });
    expect(endpoint.calls[0]!.headers).not.toHaveProperty('cookie');
  });

  it('may have no body', async () => {
    await call({ method: 'GET', url: `${endpoint.url}?a=b+c`, headers: {}, body: null });
    expect(endpoint.calls[0]).toMatchObject({ method: 'GET', path: '/token?a=b+c', body: '' });
    expect(endpoint.calls[0]!.headers).not.toHaveProperty('content-type');
  });
});

describe('the answer', () => {
  it('is handed on as it came', async () => {
    endpoint.answer = () => ({ ...refused('invalid_grant', 400), headers: { 'retry-after': '7' } });
    const answer = await call();
    expect(answer).toMatchObject({ kind: 'response', status: 400, body: '{"error":"invalid_grant"}' });
    expect(answer.kind === 'response' && answer.headers.get('retry-after')).toBe('7');
  });

  it.each([301, 302, 303, 307, 308])(
    '%i is not followed: our credentials go nowhere else',
    async (status) => {
      const other = await startTokenEndpoint(() => granted());
      endpoint.answer = () => ({ status, headers: { location: other.url } });
      expect(await call()).toMatchObject({ kind: 'response', status });
      expect(other.calls).toEqual([]);
      await other.stop();
    },
  );

  it.each([302, 307, 308])('%i is not followed within the same host either', async (status) => {
    endpoint.answer = () => ({ status, headers: { location: '/elsewhere' } });
    expect(await call()).toMatchObject({ kind: 'response', status });
    expect(endpoint.calls.map(({ path }) => path)).toEqual(['/token']);
  });

  it.each([204, 401, 500])('may be empty (%i)', async (status) => {
    endpoint.answer = () => ({ status });
    expect(await call()).toMatchObject({ kind: 'response', status, body: '' });
  });

  it('may be compressed', async () => {
    endpoint.answer = () => ({
      headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
      body: gzipSync(JSON.stringify({ access_token: 'x' })),
    });
    expect(await call()).toMatchObject({ body: '{"access_token":"x"}' });
  });

  const answer = Buffer.from('{"access_token":"x"}');
  it.each([
    ['deflate', deflateSync(answer)],
    ['deflate', deflateRawSync(answer)],
    ['x-gzip', gzipSync(answer)],
    ['GZIP', gzipSync(answer)],
    ['br', brotliCompressSync(answer)],
    ['zstd', zstdCompressSync(answer)],
    ['deflate, gzip', gzipSync(deflateSync(answer))],
    ['identity', answer],
    ['utf-8', answer],
    ['gzip', gzipSync(answer).subarray(0, -8)],
  ])('may be packed in any usual way, or say so without being (%s, %#)', async (encoding, body) => {
    endpoint.answer = () => ({ headers: { 'content-encoding': encoding }, body });
    expect(await call()).toMatchObject({ kind: 'response', body: answer.toString() });
  });

  it('may name a packing and be empty', async () => {
    endpoint.answer = () => ({ status: 401, headers: { 'content-encoding': 'gzip' } });
    expect(await call()).toMatchObject({ kind: 'response', status: 401, body: '' });
  });

  it('has headers of any case', async () => {
    endpoint.answer = () => ({ ...granted(), headers: { 'X-Reason': 'one' } });
    const given = await call();
    expect(given.kind === 'response' && [given.headers.get('X-REASON'), given.headers.get('x-none')]).toEqual(
      ['one', null],
    );
  });

  it('of any bytes is text', async () => {
    endpoint.answer = () => ({ body: Buffer.from([0xff, 0xfe, 0x00, 0x80]) });
    expect(await call()).toMatchObject({ kind: 'response', body: expect.any(String) });
  });

  it('too large to be one is cut off and not kept', async () => {
    endpoint.answer = () => ({ body: 'x'.repeat(300 * 1024) });
    expect(await call()).toMatchObject({ kind: 'response', status: 200, body: null });
    endpoint.answer = () => ({ body: 'x'.repeat(200 * 1024) });
    expect(await call()).toMatchObject({ kind: 'response', body: expect.stringMatching(/^x+$/) });
  });

  const large = Buffer.alloc(50_000_000, 'x');
  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['gzip, gzip', (data: Buffer) => gzipSync(gzipSync(data))],
  ])('too large once unpacked is cut off as well (%s)', async (encoding, pack) => {
    const body = pack(large);
    expect(body.length).toBeLessThan(large.length / 100);
    endpoint.answer = () => ({ headers: { 'content-encoding': encoding }, body });
    const unpackedBefore = process.memoryUsage().arrayBuffers;
    expect(await call({}, { timeoutMs: 60_000 })).toMatchObject({ kind: 'response', body: null });
    // Far from the whole was ever unpacked.
    expect(process.memoryUsage().arrayBuffers - unpackedBefore).toBeLessThan(large.length / 2);
  });

  it('packed many times over is none', async () => {
    endpoint.answer = () => ({
      headers: { 'content-encoding': Array.from({ length: 20 }, () => 'gzip').join(', ') },
      body: gzipSync('{}'),
    });
    expect(await call()).toEqual({ kind: 'no_response', reason: 'network_error', mayHaveArrived: true });
  });

  it('with headers beyond 16 KiB is none', async () => {
    endpoint.answer = () => ({ ...granted(), headers: { 'x-large': 'x'.repeat(64 * 1024) } });
    expect(await call()).toEqual({ kind: 'no_response', reason: 'network_error', mayHaveArrived: true });
  });

  it('that never begins, or ends, is a timeout', async () => {
    endpoint.answer = () => undefined;
    expect(await call({}, { timeoutMs: 1_000 })).toEqual(lost('timeout'));
    endpoint.answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"access_token":');
      return undefined;
    };
    expect(await call({}, { timeoutMs: 1_000 })).toEqual(lost('timeout'));
  });

  it('that drips for ever is a timeout', async () => {
    const timers: NodeJS.Timeout[] = [];
    endpoint.answer = (_, response) => {
      response.writeHead(200);
      timers.push(setInterval(() => response.write(' '), 10));
      return undefined;
    };
    expect(await call({}, { timeoutMs: 1_000 })).toEqual(lost('timeout'));
    for (const timer of timers) clearInterval(timer);
  });

  it('whose headers drip for ever is a timeout', async () => {
    const timers: NodeJS.Timeout[] = [];
    endpoint.answer = (_, { socket }) => {
      socket?.write('HTTP/1.1 200 OK\r\n');
      timers.push(setInterval(() => socket?.write('x: y\r\n'), 10));
      return undefined;
    };
    expect(await call({}, { timeoutMs: 150 })).toEqual({
      kind: 'no_response',
      reason: 'timeout',
      mayHaveArrived: true,
    });
    for (const timer of timers) clearInterval(timer);
  });

  it('that is announced for ever (1xx) is a timeout', async () => {
    const timers: NodeJS.Timeout[] = [];
    endpoint.answer = (_, { socket }) => {
      timers.push(setInterval(() => socket?.write('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'), 10));
      return undefined;
    };
    expect(await call({}, { timeoutMs: 150 })).toEqual({
      kind: 'no_response',
      reason: 'timeout',
      mayHaveArrived: true,
    });
    for (const timer of timers) clearInterval(timer);
  });

  it('that breaks off is a network error', async () => {
    endpoint.answer = (_, response) => {
      response.destroy();
      return undefined;
    };
    expect(await call()).toEqual(lost('network_error'));
    endpoint.answer = (_, response) => {
      response.socket?.resetAndDestroy();
      return undefined;
    };
    expect(await call()).toEqual(lost('network_error'));
    endpoint.answer = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"access_token":');
      setTimeout(() => response.destroy(), 20);
      return undefined;
    };
    expect(await call()).toEqual(lost('network_error'));
  });

  it('that cannot be unpacked is a network error', async () => {
    endpoint.answer = () => ({ headers: { 'content-encoding': 'gzip' }, body: 'not packed' });
    expect(await call()).toEqual(lost('network_error'));
  });

  it('that cannot be unpacked is over at once, and its connection carries the next call', async () => {
    endpoint.answer = () => ({ headers: { 'content-encoding': 'gzip' }, body: 'not packed' });
    // Whoever waited for the connection to be closed would wait for longer than this.
    expect(await call({}, { timeoutMs: 1_500 })).toEqual(lost('network_error'));
    await sleep(50);
    endpoint.answer = () => granted();
    expect(await call()).toMatchObject({ kind: 'response', status: 200 });
    expect(new Set(endpoint.calls.map(({ port }) => port)).size).toBe(1);
  });

  it('that is not HTTP is a network error', async () => {
    endpoint.answer = (_, response) => {
      response.socket?.end('SSH-2.0-OpenSSH\r\n\r\n');
      return undefined;
    };
    expect(await call()).toEqual(lost('network_error'));
  });

  it('that is lost on a connection which has carried others is lost as well', async () => {
    await call();
    endpoint.answer = (_, response) => {
      response.socket?.resetAndDestroy();
      return undefined;
    };
    expect(await call()).toEqual(lost('network_error'));
  });
});

describe('a request that surely never left us', () => {
  const unsent = (reason: 'timeout' | 'network_error') => ({
    kind: 'no_response',
    reason,
    mayHaveArrived: false,
  });

  it.each(['http', 'https'])('found nobody at its address (%s)', async (scheme) => {
    const url = endpoint.url.replace('http:', `${scheme}:`);
    await endpoint.stop();
    expect(await call({ url })).toEqual(unsent('network_error'));
  });

  it('has an address of a name that nobody has', async () => {
    expect(await call({ url: 'https://nowhere.invalid/token' })).toEqual(unsent('network_error'));
  });

  it('met a server whose certificate is not trusted', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }]);
    let requests = 0;
    const server = createHttpsServer({ key, cert }, (_, response) => {
      requests += 1;
      response.end();
    });
    expect(await call({ url: await addressOf(server, 'https') })).toEqual(unsent('network_error'));
    expect(requests).toBe(0);
  });

  it('met a server without TLS', async () => {
    const url = endpoint.url.replace('http:', 'https:');
    expect(await call({ url })).toEqual(unsent('network_error'));
    expect(endpoint.calls).toEqual([]);
  });

  it('met a server that broke the handshake of TLS off, though the code of the error is that of a broken call', async () => {
    const server = createServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
    expect(await call({ url: await addressOf(server, 'https') })).toEqual(unsent('network_error'));
  });

  it('met a server that does not answer the handshake of TLS in time', async () => {
    const server = createServer(() => undefined);
    expect(await call({ url: await addressOf(server, 'https') }, { timeoutMs: 100 })).toEqual(
      unsent('timeout'),
    );
  });

  it('has an address that is none', async () => {
    expect(await call({ url: 'not an address' })).toEqual(unsent('network_error'));
  });
});

describe('over TLS', () => {
  it('what is sent is told from what is not as well', async () => {
    // The authority has to be known when the process starts, so the client runs in one of its own.
    const { key, cert, authority } = await trustedCertificate();
    const server = createHttpsServer({ key, cert }, (_, response) => response.socket?.destroy());
    const url = (await addressOf(server, 'https')).replace('127.0.0.1', 'localhost');
    const folder = mkdtempSync(path.join(tmpdir(), 'evergrant-call-'));
    const caFile = path.join(folder, 'authority.pem');
    writeFileSync(caFile, authority);
    try {
      const module = pathToFileURL(
        path.join(import.meta.dirname, '..', '..', '..', 'lambdas', 'providers', 'call.ts'),
      );
      const script = `import { sendTokenRequest } from '${module}';
        console.log(JSON.stringify(await sendTokenRequest(
          { url: '${url}', method: 'POST', headers: {}, body: 'a=b' }, 20_000)));`;
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '--eval', script],
        { env: { ...process.env, NODE_EXTRA_CA_CERTS: caFile } },
      );
      expect(JSON.parse(stdout)).toEqual(lost('network_error'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a connection', () => {
  it('whose exchange did not end is closed when the call is over', async () => {
    let opened: Socket | null = null;
    endpoint.answer = (_, response) => {
      opened = response.socket;
      return undefined;
    };
    await call({}, { timeoutMs: 1_000 });
    await expect.poll(() => opened?.destroyed).toBe(true);
    // Whoever calls again at once is alone.
    endpoint.answer = () => granted();
    expect(await call()).toMatchObject({ kind: 'response' });
    expect(endpoint.mostAtOnce).toBe(1);
  });

  /** Ports that calls came from. */
  const ports = () => endpoint.calls.map(({ port }) => port);
  /** Until a connection whose exchange has ended may carry the next. */
  const returned = () => sleep(50);

  it('carries one call after the other', async () => {
    for (let count = 0; count < 3; count += 1) {
      expect(await call()).toMatchObject({ kind: 'response', status: 200 });
      await returned();
    }
    expect(new Set(ports()).size).toBe(1);
  });

  it('is each call’s own while they are under way', async () => {
    endpoint.answer = async () => {
      await sleep(50);
      return granted();
    };
    await Promise.all([call(), call(), call()]);
    expect(new Set(ports()).size).toBe(3);
  });

  it('that brings what nobody has asked for is given up, and nobody takes it for an answer', async () => {
    endpoint.answer = (_, response) => {
      const { socket } = response;
      response.end('{}');
      setTimeout(() => socket?.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"another"'), 20);
      return undefined;
    };
    expect(await call()).toMatchObject({ body: '{}' });
    await returned();
    endpoint.answer = () => ({ body: '"mine"' });
    expect(await call()).toMatchObject({ body: '"mine"' });
    expect(new Set(ports()).size).toBe(2);
  });

  it('that answers twice at once is given up', async () => {
    endpoint.answer = (_, response) => {
      const one = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}';
      response.socket?.write(one + one.replace('{}', '[]'));
      return undefined;
    };
    expect((await call()).kind).toMatch(/response/);
    await returned();
    endpoint.answer = () => ({ body: '"mine"' });
    expect(await call()).toMatchObject({ body: '"mine"' });
    expect(new Set(ports()).size).toBe(2);
  });

  it('that nobody has used for some seconds is closed, before the other side gives it up', async () => {
    let opened: Socket | null = null;
    endpoint.answer = (_, response) => {
      opened = response.socket;
      return granted();
    };
    await call();
    const answeredAtMs = performance.now();
    await expect.poll(() => opened?.readableEnded, { timeout: 10_000 }).toBe(true);
    expect(performance.now() - answeredAtMs).toBeGreaterThan(2_000);
  });

  it('that the other side has closed meanwhile carries nothing', async () => {
    endpoint.answer = (_, response) => {
      const { socket } = response;
      response.end('{}');
      setTimeout(() => socket?.end(), 10);
      return undefined;
    };
    await call();
    await returned();
    endpoint.answer = () => granted();
    expect(await call()).toMatchObject({ kind: 'response', status: 200 });
  });
});

describe('TLS', () => {
  let certificate: ServerCertificate;
  let folder: string;
  let server: Server;
  let port: number;
  let requests: string[];
  beforeAll(async () => {
    certificate = await certify('localhost');
    folder = await mkdtemp(join(tmpdir(), 'evergrant-tls-'));
    await writeFile(join(folder, 'authority.pem'), certificate.authority);
    server = createTlsServer(
      { key: certificate.privateKey, cert: certificate.certificate },
      (request, response) => {
        requests.push(`${request.method} ${request.headers.authorization}`);
        response.end('{}');
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });
  beforeEach(() => {
    requests = [];
  });

  it('of an authority that nobody knows ends before anything of ours is sent', async () => {
    expect(await call({ url: `https://localhost:${port}/token` })).toEqual({
      kind: 'no_response',
      reason: 'network_error',
      mayHaveArrived: false,
    });
    expect(requests).toEqual([]);
  });

  /** With the authority known, as Node takes it at its start. */
  const callWithAuthority = async (url: string) => {
    const module = join(import.meta.dirname, '../../../lambdas/providers/call.ts');
    const script = `import { sendTokenRequest } from ${JSON.stringify(module)};
      const headers = { authorization: 'Basic canary' };
      const answer = await sendTokenRequest({ url: ${JSON.stringify(url)}, method: 'POST', headers, body: 'a=b' }, 20_000);
      console.log(JSON.stringify(answer));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: join(folder, 'authority.pem') },
    });
    return JSON.parse(stdout);
  };

  it('of a known authority serves the name that it certifies, and no other', async () => {
    expect(await callWithAuthority(`https://localhost:${port}/token`)).toMatchObject({
      status: 200,
      body: '{}',
    });
    expect(requests).toEqual(['POST Basic canary']);
    // Whoever makes a name lead somewhere else has no certificate of it there.
    expect(await callWithAuthority(`https://127.0.0.1:${port}/token`)).toEqual({
      kind: 'no_response',
      reason: 'network_error',
      mayHaveArrived: false,
    });
    expect(requests).toHaveLength(1);
  });

  it('that the other side does not speak ends before anything of ours is sent', async () => {
    const received: Buffer[] = [];
    const sockets: Socket[] = [];
    const plain = createTcpServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk);
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
      });
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(plain.address() as AddressInfo).port}/token`;
    expect(await call({ url })).toEqual({
      kind: 'no_response',
      reason: 'network_error',
      mayHaveArrived: false,
    });
    const text = Buffer.concat(received).toString('latin1');
    expect(text).not.toMatch(/POST|Basic|refresh_token/);
    for (const socket of sockets) socket.destroy();
    plain.close();
  });

  it('that is never answered is a timeout', async () => {
    const sockets: Socket[] = [];
    const silent = createTcpServer((socket) => {
      socket.on('error', () => {});
      sockets.push(socket);
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/token`;
    expect(await call({ url }, { timeoutMs: 150 })).toEqual({
      kind: 'no_response',
      reason: 'timeout',
      mayHaveArrived: false,
    });
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
});
