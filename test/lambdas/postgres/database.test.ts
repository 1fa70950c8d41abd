import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clientConfig, DatabaseUnavailable, PostgresConnection } from '../../../lambdas/postgres/database.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { startProxy, type TcpProxy, through } from '../../support/proxy.ts';

let db: TestDatabase;
let proxy: TcpProxy;
beforeAll(async () => {
  db = await testDatabase();
  proxy = await startProxy(Number(new URL(db.url).port));
});
afterEach(() => proxy.restore());
afterAll(async () => {
  await proxy.stop();
  await db.end();
});

const one = { value: 1 };
const ask = (connection: PostgresConnection) => connection.query('SELECT 1 AS value', []);

describe('a connection', () => {
  it('is opened when first needed and kept', async () => {
    const before = proxy.connections;
    const connection = new PostgresConnection({ url: through(proxy, db.url) });
    expect(proxy.connections).toBe(before);
    for (let i = 0; i < 3; i += 1) expect(await ask(connection)).toEqual([one]);
    expect(proxy.connections).toBe(before + 1);
    await connection.end();
  });

  it('is opened anew when the server ended it between two statements', async () => {
    const connection = db.connection();
    const [session] = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid', []);
    await db.sql('SELECT pg_terminate_backend($1)', [session!.pid]);
    await expect.poll(() => ask(connection).catch((error: Error) => error.name)).toEqual([one]);
  });

  it('is opened anew when the server ended it in the middle of a statement', async () => {
    const connection = db.connection();
    const [session] = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid', []);
    const slow = connection.query('SELECT pg_sleep(20)', []).catch((error: Error) => error);
    await expect
      .poll(() =>
        db.sql('SELECT FROM pg_stat_activity WHERE pid = $1 AND query LIKE $2', [session!.pid, '%sleep%']),
      )
      .toHaveLength(1);
    await db.sql('SELECT pg_terminate_backend($1)', [session!.pid]);
    expect(await slow).toBeInstanceOf(Error);
    await expect.poll(() => ask(connection).catch((error: Error) => error.name)).toEqual([one]);
  });

  it('fails the statement under way, and nothing else, when the network breaks', async () => {
    const connection = new PostgresConnection({ url: through(proxy, db.url) });
    await ask(connection);
    const slow = connection.query('SELECT pg_sleep(20)', []).catch((error: Error) => error);
    await expect
      .poll(() =>
        db.sql(`SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' AND state = 'active'`),
      )
      .not.toHaveLength(0);
    proxy.cut();
    expect(await slow).toBeInstanceOf(Error);
    expect(await ask(connection).catch((error: Error) => error)).toBeInstanceOf(DatabaseUnavailable);
    proxy.restore();
    expect(await ask(connection)).toEqual([one]);
    await connection.end();
  });

  it('survives breaking while nothing is under way', async () => {
    const connection = new PostgresConnection({ url: through(proxy, db.url) });
    await ask(connection);
    proxy.cut();
    proxy.restore();
    await expect.poll(() => ask(connection).catch((error: Error) => error.name)).toEqual([one]);
    await connection.end();
  });

  it('is not used again after a statement timed out: a late answer belongs to nobody', async () => {
    const connection = new PostgresConnection({ url: through(proxy, db.url) });
    await ask(connection);
    const before = proxy.connections;
    const slow = connection.query('SELECT pg_sleep(20)', []).catch((error: Error) => error);
    expect(await slow).toBeInstanceOf(Error);
    expect(await slow).not.toBeInstanceOf(pg.DatabaseError);
    expect(await ask(connection)).toEqual([one]);
    expect(proxy.connections).toBe(before + 1);
    await connection.end();
  });

  it('waits for a statement as long as it is told to', async () => {
    const patient = new PostgresConnection({ url: db.url }, { queryTimeoutMs: 20_000 });
    const hasty = new PostgresConnection({ url: db.url }, { queryTimeoutMs: 200 });
    const slow = (connection: PostgresConnection) =>
      connection.query<{ slept: number }>('SELECT 1 AS slept FROM pg_sleep(6)', []);
    await expect(slow(hasty)).rejects.toThrow('timeout');
    expect(await slow(patient)).toEqual([{ slept: 1 }]);
    await Promise.all([patient.end(), hasty.end()]);
  });

  it('stays in use after the server refused a statement', async () => {
    const before = proxy.connections;
    const connection = new PostgresConnection({ url: through(proxy, db.url) });
    await expect(connection.query('SELECT $1::uuid', ['x'])).rejects.toMatchObject({ code: '22P02' });
    expect(await ask(connection)).toEqual([one]);
    expect(proxy.connections).toBe(before + 1);
    await connection.end();
  });

  it('is opened anew when its server may only be read from, as after a failover', async () => {
    const connection = db.connection();
    await connection.query('SET default_transaction_read_only = on', []);
    await expect(connection.query('CREATE TABLE after_failover ()', [])).rejects.toMatchObject({
      code: '25006',
    });
    await connection.query('CREATE TABLE after_failover ()', []);
  });

  it.each([
    ['nobody listens', (url: URL) => Object.assign(url, { port: '1' })],
    ['there is no such database', (url: URL) => Object.assign(url, { pathname: '/nowhere' })],
    ['there is no such role', (url: URL) => Object.assign(url, { username: 'nobody' })],
  ])('is unavailable when %s, and says no password', async (_, change) => {
    const address = new URL(db.url);
    address.password = 'canary-password';
    const connection = new PostgresConnection({ url: change(address).href });
    const error = (await ask(connection).catch((thrown: Error) => thrown)) as Error;
    expect(error).toBeInstanceOf(DatabaseUnavailable);
    expect(error).toMatchObject({ code: 'database_unavailable' });
    expect(error.message).not.toContain('canary-password');
    await connection.end();
  });
});

describe('TLS', () => {
  it.each([
    ['postgres://u:p@db.example.com/app', { rejectUnauthorized: true }],
    ['postgres://u:p@db.example.com/app?sslmode=require', { rejectUnauthorized: true }],
    ['postgres://u:p@db.example.com/app?sslmode=no-verify', { rejectUnauthorized: true }],
    ['postgres://u:p@db.example.com/app?sslmode=prefer&sslrootcert=/x', { rejectUnauthorized: true }],
    ['postgres://u:p@127.0.0.1/app?sslmode=disable', false],
  ])('of %s is %j', (url, ssl) => {
    expect(clientConfig({ url }).ssl).toEqual(ssl);
    // The driver reads the URL as well, and an ssl parameter there would win.
    expect(new pg.Client(clientConfig({ url })).ssl).toEqual(ssl);
  });

  it.each([
    ['postgres://u:p@db.example.com/app', 'tls'],
    ['postgres://u:p@127.0.0.1/app', 'tls'],
    ['postgres://u:p@127.0.0.1/app?sslmode=disable', 'loopback'],
    ['postgres://u:p@localhost/app?sslmode=disable', 'loopback'],
    ['postgres://u:p@[::1]/app?sslmode=disable', 'loopback'],
    ['postgres://u:p@db.example.com/app?sslmode=disable', 'plain'],
    ['postgres://u:p@127.0.0.1.example.com/app?sslmode=disable', 'plain'],
  ])('on the way of %s: %s', async (url, transport) => {
    const connection = new PostgresConnection({ url });
    expect(connection.transport).toBe(transport);
    await connection.end();
  });

  it('asks for a password where one is made, whatever the URL holds', async () => {
    const client = new pg.Client(
      clientConfig({ url: 'postgres://ever%40grant@db.example:5433/app', password: async () => 'made' }),
    );
    const made = client.password as unknown as () => Promise<string>;
    expect(await made()).toBe('made');
    expect(client).toMatchObject({ host: 'db.example', port: 5433, user: 'ever@grant', database: 'app' });
  });

  it('keeps the other parameters of the URL', () => {
    const { connectionString } = clientConfig({
      url: 'postgres://u:p@host/app?sslmode=disable&application_name=evergrant',
    });
    expect(connectionString).toBe('postgres://u:p@host/app?application_name=evergrant');
  });
});
