import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { changeCircuit, readGuards } from '../../../lambdas/operator/provider-guards.ts';
import { status } from '../../../lambdas/operator/status.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const open = () => changeCircuit(db.database, { ask: 'open_circuit', provider: 'acme' });
const close = () => changeCircuit(db.database, { ask: 'close_circuit', provider: 'acme' });
const nothing = { circuit: null, disconnectionsHeld: null, trustedUntil: null };

it('a circuit that is opened and closed by hand', async () => {
  const opened = await open();
  expect(opened).toMatchObject({ provider: 'acme', before: nothing });
  expect(opened.after).toEqual({
    circuit: {
      provider: 'acme',
      cause: 'by_hand',
      code: null,
      meaning: null,
      failing: null,
      openedAt: expect.stringMatching(/Z$/),
      nextTryAt: null,
    },
    disconnectionsHeld: null,
    trustedUntil: null,
  });
  expect(await readGuards(db.database)).toEqual([{ provider: 'acme', ...opened.after }]);
  const closed = await close();
  expect(closed.before).toEqual(opened.after);
  expect(closed.after).toMatchObject({ circuit: null, disconnectionsHeld: null });
  const trustedMs = Date.parse(closed.after.trustedUntil ?? '') - Date.parse(closed.now);
  expect(trustedMs).toBeGreaterThan(3_590_000);
});

it('the status tells what the guards did, in words', async () => {
  await db.sql(`INSERT INTO evergrant.provider_states (provider, circuit_open, circuit_cause, circuit_code,
      circuit_failing, circuit_opened_at, circuit_probe_at, disconnections_held_since, disconnections_held_until,
      disconnections_failing)
    VALUES ('acme', true, 'client_refused', 'invalid_client', 34, '2026-05-01T10:00:00Z', '2026-05-01T10:05:00Z',
            '2026-05-01T10:00:00Z', now() + interval '1 hour', 41),
           ('calm', false, NULL, NULL, NULL, NULL, NULL, '2026-05-01T10:00:00Z', now() - interval '1 hour', 41)`);
  const report = await status(db.database, { refreshWindowSeconds: 600, attemptHoldSeconds: 45 });
  expect(report.circuits).toEqual([
    {
      provider: 'acme',
      cause: 'client_refused',
      code: 'invalid_client',
      meaning: expect.stringMatching(/does not accept our client/),
      failing: 34,
      openedAt: '2026-05-01T10:00:00.000Z',
      nextTryAt: '2026-05-01T10:05:00.000Z',
    },
  ]);
  expect(report.disconnectionsHeld).toEqual([
    {
      provider: 'acme',
      since: '2026-05-01T10:00:00.000Z',
      until: expect.stringMatching(/Z$/),
      refused: 41,
    },
  ]);
});

it('a database that is some migrations behind has no guards, and still a status', async () => {
  const behind = await testDatabase();
  try {
    const down = path.join(
      import.meta.dirname,
      '../../../migrations/0007_provider_guards_and_lapses.down.sql',
    );
    await behind.sql(await readFile(down, 'utf8'));
    const report = await status(behind.database, { refreshWindowSeconds: 600, attemptHoldSeconds: 45 });
    expect(report).toMatchObject({ circuits: [], disconnectionsHeld: [] });
  } finally {
    await behind.end();
  }
});
