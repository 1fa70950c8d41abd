import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import { Signer } from '@aws-sdk/rds-signer';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type LocalCloud, startCloud } from '../../../local/cloud/cloud.ts';
import type { CloudEvent } from '../../../local/cloud/events.ts';
import { type RdsGateway, startRdsGateway } from '../../../local/cloud/rds-gateway.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { startProxy, type TcpProxy, through } from '../../support/proxy.ts';
import { synthesize, withDatabase } from './fixture.ts';

const cluster = { id: 'Database', resourceId: 'cluster-X', masterUser: 'master', database: 'main' };

let db: TestDatabase;
let proxy: TcpProxy;
let gateway: RdsGateway;
let authorityFile: string;
let events: CloudEvent[] = [];
/** What the gateway asks of the evaluator of permissions, and what that answers. */
let asked: string[] = [];
let isAllowed = true;

beforeAll(async () => {
  db = await testDatabase({ empty: true });
  proxy = await startProxy(Number(new URL(db.url).port));
  gateway = await startRdsGateway();
  authorityFile = await gateway.serve({
    cluster,
    upstreamUrl: through(proxy, db.url),
    callerIds: ['scanner'],
    authorize: (...question) => {
      asked.push(question.join(' '));
      return isAllowed;
    },
    onEvent: (event) => events.push(event),
  });
});
afterEach(async () => {
  proxy.restore();
  events = [];
  asked = [];
  isAllowed = true;
  for (const client of opened.splice(0)) await client.end().catch(() => {});
});
afterAll(async () => {
  await gateway?.stop();
  await proxy?.stop();
  await db?.end();
});

function sign(accessKeyId = 'LOCALscanner', secretAccessKey = 'local', username = 'master'): Promise<string> {
  return new Signer({
    hostname: gateway.host,
    port: gateway.port,
    username,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey, sessionToken: 'local' },
  }).getAuthToken();
}

const opened: pg.Client[] = [];
async function connect(config: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({
    host: gateway.host,
    port: gateway.port,
    user: 'master',
    database: 'main',
    password: () => sign(),
    ssl: { rejectUnauthorized: true, ca: readFileSync(authorityFile, 'utf8') },
    ...config,
  });
  client.on('error', () => {});
  opened.push(client);
  await client.connect();
  return client;
}

const refused = { code: '28000', severity: 'FATAL', message: 'PAM authentication failed for user "master"' };
const reasons = () => events.map((event) => (event.type === 'database.refused' ? event.reason : event.type));

describe('a connection with a valid token', () => {
  it('is the upstream’s, under the names that the cluster has for it', async () => {
    const client = await connect({ application_name: 'evergrant' });
    const { rows } = await client.query(
      'SELECT current_user AS role, current_database() AS name, application_name AS app FROM pg_stat_activity WHERE pid = pg_backend_pid()',
    );
    expect(rows).toEqual([{ role: 'postgres', name: new URL(db.url).pathname.slice(1), app: 'evergrant' }]);
    expect(asked).toEqual([
      'scanner rds-db:connect arn:aws:rds-db:us-east-1:000000000000:dbuser:cluster-X/master',
    ]);
    expect(events).toEqual([]);
  });

  it('carries large results and large parameters, whole', async () => {
    const client = await connect();
    const large = 'x'.repeat(5_000_000);
    const { rows } = await client.query('SELECT $1::text || $1 AS twice', [large]);
    expect(rows[0].twice).toHaveLength(10_000_000);
    const statement = 'SELECT n, md5(n::text) FROM generate_series(1, 100000) AS n';
    expect((await client.query(statement)).rows).toEqual(await db.sql(statement));
  });

  it('stands beside others, each a session of its own', async () => {
    const [one, other] = await Promise.all([connect(), connect()]);
    await one.query(`SET application_name = 'one'`);
    const slow = one.query(`SELECT pg_sleep(0.2), current_setting('application_name') AS name`);
    expect((await other.query(`SELECT current_setting('application_name') AS name`)).rows).toEqual([
      { name: '' },
    ]);
    expect((await slow).rows[0].name).toBe('one');
  });

  it('hears the upstream’s own errors', async () => {
    await expect(connect({ database: 'nowhere' })).rejects.toMatchObject({
      code: '3D000',
      message: 'database "nowhere" does not exist',
    });
    await expect(
      connect({ user: 'nobody', password: () => sign('LOCALscanner', 'local', 'nobody') }),
    ).rejects.toMatchObject({ code: '28000', message: 'role "nobody" does not exist' });
    const client = await connect();
    await expect(client.query('SELECT 1 / 0')).rejects.toMatchObject({ code: '22012' });
    expect((await client.query('SELECT 1 AS value')).rows).toEqual([{ value: 1 }]);
  });

  it('ends at the upstream when the client ends it', async () => {
    const client = await connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await client.end();
    const backend = () => db.sql('SELECT FROM pg_stat_activity WHERE pid = $1', [rows[0]!.pid]);
    await expect.poll(backend).toEqual([]);
  });

  it('ends at the client when the upstream ends it, with what that says', async () => {
    const client = await connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const slow = client.query('SELECT pg_sleep(20)').catch((error: Error) => error);
    await db.sql('SELECT pg_terminate_backend($1)', [rows[0]!.pid]);
    expect(await slow).toMatchObject({ code: '57P01' });
  });
});

describe('a request to cancel', () => {
  const request = (client: pg.Client) => {
    const { processID, secretKey } = client as pg.Client & { processID: number; secretKey: number };
    const packet = Buffer.alloc(16);
    for (const [index, value] of [16, 80877102, processID, secretKey].entries()) {
      packet.writeInt32BE(value, index * 4);
    }
    return packet;
  };

  it.each(['plain', 'encrypted'])('that is %s ends the statement under way, and no more', async (way) => {
    const client = await connect();
    const slow = client.query('SELECT pg_sleep(20)').catch((error: Error) => error);
    await expect
      .poll(() =>
        db.sql(`SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' AND state = 'active'`),
      )
      .not.toEqual([]);
    let socket: net.Socket = net.connect(gateway.port, '127.0.0.1');
    if (way === 'encrypted') socket = await startTls(socket);
    socket.end(request(client));
    socket.resume();
    expect(await slow).toMatchObject({ code: '57014' });
    if (!socket.closed) await once(socket, 'close');
    expect((await client.query('SELECT 1 AS value')).rows).toEqual([{ value: 1 }]);
  });
});

/** Asks for TLS as a client does. */
async function startTls(socket: net.Socket): Promise<tls.TLSSocket> {
  socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
  expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toBe('S');
  const encrypted = tls.connect({ socket, servername: 'localhost', ca: readFileSync(authorityFile) });
  await once(encrypted, 'secureConnect');
  return encrypted;
}

describe('is refused', () => {
  it('a token for another role', async () => {
    await expect(connect({ password: () => sign('LOCALscanner', 'local', 'admin') })).rejects.toMatchObject(
      refused,
    );
    expect(reasons()).toEqual(['the token has another DBUser']);
  });

  it('a token that has expired', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 15 * 60_000 - 1_000 });
    const old = await sign();
    vi.useRealTimers();
    await expect(connect({ password: old })).rejects.toMatchObject(refused);
    expect(reasons()).toEqual(['the token has expired']);
  });

  it('a forged signature', async () => {
    await expect(connect({ password: () => sign('LOCALscanner', 'guessed') })).rejects.toMatchObject(refused);
    expect(reasons()).toEqual(['the signature of the token is wrong']);
  });

  it('a caller that is no function of the stack', async () => {
    await expect(connect({ password: () => sign('LOCALstranger') })).rejects.toMatchObject(refused);
    expect(asked).toEqual([]);
    expect(reasons()).toEqual(['the access key of the token is unknown']);
  });

  it('a password', async () => {
    await expect(connect({ password: 'postgres' })).rejects.toMatchObject(refused);
  });

  it('a function that may not connect', async () => {
    isAllowed = false;
    await expect(connect()).rejects.toMatchObject(refused);
    expect(events).toEqual([
      {
        type: 'database.refused',
        clusterId: 'Database',
        functionId: 'scanner',
        reason: expect.stringContaining('scanner may not rds-db:connect on arn:aws:rds-db:'),
      },
    ]);
  });

  it('a connection without TLS, before any password is asked for', async () => {
    const password = vi.fn(sign);
    await expect(connect({ ssl: false, password })).rejects.toMatchObject({
      code: '28000',
      message: 'no pg_hba.conf entry for host "127.0.0.1", user "master", database "main", no encryption',
    });
    expect(password).not.toHaveBeenCalled();
  });

  it.each([
    ['something else than PostgreSQL', 'GET / HTTP/1.1\r\n\r\n'],
    ['a packet without end', '\x7f\x7f\x7f\x7f'],
    ['what comes along with the request for TLS', '\x00\x00\x00\x08\x04\xd2\x16\x2f\x00\x00\x00\x10'],
  ])('%s', async (_, bytes) => {
    const socket = net.connect(gateway.port, '127.0.0.1');
    socket.end(Buffer.from(bytes, 'latin1'));
    expect(await text(socket)).toBe('');
    await expect.poll(() => events).toHaveLength(1);
  });

  it('by the client: a server whose authority it does not know', async () => {
    await expect(connect({ ssl: { rejectUnauthorized: true } })).rejects.toMatchObject({
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
    await expect(
      connect({ host: '127.0.0.1', ssl: { ca: readFileSync(authorityFile) } }),
    ).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });
});

describe('when the upstream is away', () => {
  const away = { code: '57P03', message: 'the database system is not accepting connections' };

  it('new connections are told so', async () => {
    proxy.cut();
    await expect(connect()).rejects.toMatchObject(away);
    proxy.restore();
    await connect();
  });

  it('open connections break', async () => {
    const client = await connect();
    const slow = client.query('SELECT pg_sleep(20)').catch((error: Error) => error);
    proxy.cut();
    expect(await slow).toBeInstanceOf(Error);
  });

  it('at the start, the cluster is named', async () => {
    const own = await startRdsGateway();
    const upstreamUrl = 'postgres://postgres@127.0.0.1:1/postgres';
    const serving = own.serve({ cluster, upstreamUrl, callerIds: [], onEvent: () => {} });
    await expect(serving).rejects.toThrow(
      /^Database \(AWS::RDS::DBCluster\): .* 127\.0\.0\.1:1, .*ECONNREFUSED/,
    );
    await own.stop();
  });
});

it('can be cut, and lets in who comes after that', async () => {
  const client = await connect();
  const slow = client.query('SELECT pg_sleep(20)').catch((error: Error) => error);
  gateway.cutConnections();
  expect(await slow).toBeInstanceOf(Error);
  await expect
    .poll(
      () => db.sql(`SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' AND state = 'active'`),
      { timeout: 15_000 },
    )
    .toEqual([]);
  expect((await (await connect()).query('SELECT 1 AS value')).rows).toEqual([{ value: 1 }]);
});

it('leaves nothing when it stops: no connection, no port, no file', async () => {
  const own = await startRdsGateway();
  const file = await own.serve({ cluster, upstreamUrl: db.url, callerIds: ['scanner'], onEvent: () => {} });
  const idle = net.connect(own.port, '127.0.0.1');
  await once(idle, 'connect');
  const half = await new Promise<tls.TLSSocket>((resolve) => {
    const socket = net.connect(own.port, '127.0.0.1');
    socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
    socket.once('data', () => {
      const encrypted = tls.connect({ socket, servername: 'localhost', ca: readFileSync(file) });
      encrypted.once('secureConnect', () => resolve(encrypted));
    });
  });
  for (const socket of [idle, half]) socket.on('error', () => {}).resume();
  const ended = Promise.all([once(idle, 'close'), once(half, 'close')]);
  expect(existsSync(file)).toBe(true);
  await own.stop();
  await ended;
  expect(existsSync(path.dirname(file))).toBe(false);
  const late = net.connect(own.port, '127.0.0.1');
  expect((await once(late, 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
});

describe('a stack that creates its database', () => {
  let cloud: LocalCloud;
  let assembly: ReturnType<typeof synthesize>;
  const seen: CloudEvent[] = [];
  beforeAll(async () => {
    assembly = synthesize(withDatabase);
    cloud = await startCloud({
      assemblyDir: assembly.assemblyDir,
      stackName: 'fixture',
      secrets: {},
      databases: { upstreamUrl: db.url },
      onEvent: (event) => seen.push(event),
    });
    // Bundling takes its time on a busy machine.
  }, 120_000);
  afterAll(async () => {
    await cloud?.stop();
    assembly?.remove();
  });

  async function ask(event: Record<string, string> = {}): Promise<object> {
    const result = await cloud.invoke('query', event);
    if (!result.ok) throw new Error(result.errorMessage);
    return result.payload as object;
  }

  it('lets its functions in with their own credentials, over verified TLS', async () => {
    expect(cloud.unsupported).toEqual([]);
    expect(await ask({ statement: 'SELECT current_database() AS name' })).toEqual({
      rows: [{ name: new URL(db.url).pathname.slice(1) }],
    });
  });

  it('refuses a role that the token was not made for', async () => {
    expect(await ask({ user: 'postgres', signedFor: 'admin' })).toEqual({
      code: '28000',
      message: 'PAM authentication failed for user "postgres"',
    });
    expect(seen).toContainEqual({
      type: 'database.refused',
      clusterId: 'Database',
      functionId: null,
      reason: 'the token has another DBUser',
    });
  });

  it('has its connections cut by a switch', async () => {
    const slow = ask({ statement: 'SELECT pg_sleep(20)' });
    await expect
      .poll(() =>
        db.sql(`SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' AND state = 'active'`),
      )
      .not.toEqual([]);
    await fetch(`${cloud.endpoints.lambda}/_switches/database/cut`, { method: 'POST' });
    expect(await slow).toMatchObject({ message: expect.stringMatching(/terminated|ECONNRESET/) });
    expect(await ask()).toEqual({ rows: [{ value: 1 }] });
  });

  it('needs a Postgres that stands in', async () => {
    const { assemblyDir } = assembly;
    await expect(startCloud({ assemblyDir, stackName: 'fixture', secrets: {} })).rejects.toThrow(
      'Database (AWS::RDS::DBCluster) needs a Postgres that stands in for it: give databases.upstreamUrl.',
    );
  });
});
