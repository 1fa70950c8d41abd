import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type GateStatement,
  type Interference,
  type PostgresGate,
  startPostgresGate,
} from '../../../local/chaos/postgres-gate.ts';
import { Processes } from '../../../local/chaos/processes.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

describe('the gate in front of Postgres', () => {
  let db: TestDatabase;
  let gate: PostgresGate;
  let client: pg.Client;
  let interference: Interference | null;
  let answered: [kind: string, ids: readonly string[], committed: boolean][];

  beforeAll(async () => {
    db = await testDatabase({ empty: true });
    await db.sql('CREATE TABLE notifications (id text)');
  });
  afterAll(() => db.end());

  beforeEach(async () => {
    interference = null;
    answered = [];
    await db.sql('TRUNCATE notifications');
    const port = Number(new URL(db.url).port);
    gate = await startPostgresGate({
      targetPort: port,
      processes: new Processes(),
      interfere: ({ kind }: GateStatement) => (kind === 'write-notification' ? interference : null),
      onAnswered: ({ kind, ids }, committed) => void answered.push([kind, ids, committed]),
    });
    client = new pg.Client({ connectionString: db.url.replace(`:${port}/`, `:${gate.port}/`) });
    client.on('error', () => undefined);
    await client.connect();
  });
  afterEach(async () => {
    await client.end().catch(() => undefined);
    await gate.stop();
  });

  const id = '0b7d3f1e-6a58-4c1b-9d2f-1a2b3c4d5e6f';
  const write = () => client.query('INSERT INTO notifications VALUES ($1)', [id]);
  const written = async () => (await db.sql('SELECT * FROM notifications')).length;

  it('lets statements pass, and knows them and whether they were carried out', async () => {
    await write();
    await expect(client.query('INSERT INTO notifications VALUES ($1::int / 0)', [1])).rejects.toThrow();
    expect(await written()).toBe(1);
    expect(answered).toEqual([
      ['write-notification', [id], true],
      ['write-notification', [], false],
    ]);
  });

  it('breaks the connection before a statement arrives', async () => {
    interference = { at: 'arrival' };
    await expect(write()).rejects.toThrow();
    expect(await written()).toBe(0);
    expect(answered).toEqual([]);
  });

  it('breaks it when the statement is carried out, before its answer arrives', async () => {
    interference = { at: 'answer' };
    await expect(write()).rejects.toThrow();
    expect(await written()).toBe(1);
    expect(answered).toEqual([['write-notification', [id], true]]);
  });

  it('acts right after the answer', async () => {
    const acted = Promise.withResolvers<void>();
    interference = { at: 'passed', act: acted.resolve };
    await write();
    await acted.promise;
    expect(await written()).toBe(1);
  });

  it('holds all bytes until they may pass', async () => {
    gate.hold();
    let done = false;
    const writing = write().then(() => {
      done = true;
    });
    expect(await written()).toBe(0);
    expect(done).toBe(false);
    gate.release();
    await writing;
    expect(await written()).toBe(1);
  });

  it('cuts every connection, and lets new ones in', async () => {
    const cut = new Promise((resolve) => client.once('end', resolve));
    gate.cutAll();
    await cut;
    const port = Number(new URL(db.url).port);
    const another = new pg.Client({ connectionString: db.url.replace(`:${port}/`, `:${gate.port}/`) });
    await another.connect();
    await another.end();
  });
});
