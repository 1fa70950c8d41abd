import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { closeCircuit } from '../../../lambdas/postgres/close-circuit.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { openCircuit } from '../../../lambdas/postgres/open-circuit.ts';
import { readProviderStates } from '../../../lambdas/postgres/read-provider-states.ts';
import { recordOutcomes } from '../../../lambdas/postgres/record-outcomes.ts';
import {
  type BatchAnswers,
  type ProviderFailure,
  watchProviders,
} from '../../../lambdas/postgres/watch-providers.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { explain, rowsRead } from '../../support/explain.ts';
import { guardSettings } from '../../support/guard-settings.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const provider = 'acme';
type Kind = 'transient' | 'permanent' | 'operator';
const codes = { transient: 'http_503', permanent: 'invalid_grant', operator: 'invalid_client' };

const failed = (failureClass: Kind, integrationId: string = randomUUID()): ProviderFailure => ({
  integrationId,
  provider,
  failureClass,
  code: codes[failureClass],
});
const many = (count: number, failureClass: Kind) => Array.from({ length: count }, () => failed(failureClass));

const watch = (
  failures: readonly ProviderFailure[],
  answers: Partial<BatchAnswers> = {},
  database: Database = db.database,
) =>
  watchProviders(
    database,
    failures,
    [{ provider, refreshed: 0, pending: 0, retryAfterSeconds: 0, ...answers }],
    guardSettings,
  );

/** As if what is written down had been so much earlier. */
async function ago(seconds: number): Promise<void> {
  for (const [table, column] of [
    ['recent_failures', 'failed_at'],
    ['refresh_outcomes', 'counted_at'],
  ]) {
    await db.sql(`UPDATE evergrant.${table} SET ${column} = ${column} - make_interval(secs => $1)`, [
      seconds,
    ]);
  }
}

const state = async (of = provider) =>
  (await readProviderStates(db.database)).find((each) => each.provider === of);
const refreshed = (count: number, of = provider) =>
  recordOutcomes(db.database, [{ provider: of, refreshed: count, disconnected: 0 }]);

describe('a circuit opens', () => {
  it('when ten integrations fail and nobody is answered, and says why', async () => {
    expect(await watch(many(9, 'transient'))).toEqual([]);
    expect(await watch([failed('transient')])).toEqual([
      {
        provider,
        opened: true,
        circuit_cause: 'outage',
        circuit_code: 'http_503',
        probe_in_seconds: 150,
        failing: 10,
        answered: 0,
        pending: 0,
        held: false,
        refused: 0,
        refreshed: 0,
      },
    ]);
    expect(await state()).toMatchObject({
      circuit_open: true,
      circuit_cause: 'outage',
      circuit_code: 'http_503',
      circuit_failing: 10,
      circuit_opened_at: expect.any(Date),
      circuit_may_probe: false,
      disconnections_held: false,
    });
    // It is told once.
    expect(await watch(many(10, 'transient'))).toEqual([]);
  });

  it('for no integration that fails for ever, however often it is tried', async () => {
    const unlucky = randomUUID();
    for (let i = 0; i < 30; i += 1) expect(await watch([failed('transient', unlucky)])).toEqual([]);
    expect(await watch(Array.from({ length: 30 }, () => failed('transient', unlucky)))).toEqual([]);
    expect(await state()).toBeUndefined();
  });

  it('for no handful that has been failing for long while others are answered', async () => {
    const sick = many(15, 'transient');
    await refreshed(100);
    await watch(sick, { pending: 100 });
    for (let scan = 0; scan < 8; scan += 1) {
      await ago(300);
      await refreshed(2);
      expect(await watch(sick, { refreshed: 1 }), `scan ${scan}`).toEqual([]);
    }
    // Where nobody is answered any more they count: who has not failed before may just not have been tried.
    await ago(400);
    expect(await watch(sick)).toMatchObject([{ opened: true, failing: 15, answered: 0 }]);
  });

  it('when at least half of those that are known to have been tried fail', async () => {
    await refreshed(6);
    expect(await watch([...many(10, 'transient'), ...many(3, 'permanent')], { refreshed: 3 })).toEqual([]);
    expect(await watch(many(2, 'transient'), { refreshed: 3 })).toMatchObject([
      { opened: true, failing: 12, answered: 12 },
    ]);
  });

  it('not for quick refusals while the batch waits for more answers than there are refusals', async () => {
    expect(await watch(many(20, 'transient'), { pending: 21 })).toEqual([]);
    expect(await watch(many(1, 'transient'), { pending: 20 })).toMatchObject([{ opened: true, pending: 20 }]);
  });

  it('by what is within the window only', async () => {
    await watch(many(9, 'transient'));
    await refreshed(50);
    await ago(301);
    expect(await watch(many(9, 'transient'))).toEqual([]);
    expect(await watch(many(1, 'transient'))).toMatchObject([{ opened: true, failing: 10, answered: 0 }]);
  });

  it('not beside many that were refreshed elsewhere, also where nothing new has failed', async () => {
    await refreshed(100);
    expect(await watch(many(12, 'transient'), { pending: 100 })).toEqual([]);
    expect(await watch([])).toEqual([]);
    await watch(many(90, 'transient'), { pending: 100 });
    expect(await watch([])).toMatchObject([{ opened: true, failing: 102, answered: 100 }]);
  });

  it('for the provider that fails, and no other', async () => {
    const other = many(9, 'transient').map((failure) => ({ ...failure, provider: 'other' }));
    const answersOf = (of: string) => ({ provider: of, refreshed: 0, pending: 0, retryAfterSeconds: 0 });
    const acted = await watchProviders(
      db.database,
      [...many(10, 'transient'), ...other],
      [answersOf(provider), answersOf('other')],
      guardSettings,
    );
    expect(acted).toMatchObject([{ provider, opened: true }]);
    expect(await state('other')).toBeUndefined();
  });

  it('with the cause that most of them have', async () => {
    expect(await watch([...many(6, 'operator'), ...many(5, 'transient')])).toMatchObject([
      { opened: true, circuit_cause: 'client_refused', circuit_code: 'invalid_client' },
    ]);
    await db.clear();
    expect(await watch([...many(5, 'operator'), ...many(6, 'transient')])).toMatchObject([
      { opened: true, circuit_cause: 'outage', circuit_code: 'http_503' },
    ]);
  });

  it.each([
    [0, 150],
    [20, 150],
    [600, 600],
    [90_000, 3_600],
  ])('for as long as the provider asks (%i s), within limits (%i s)', async (retryAfterSeconds, seconds) => {
    expect(await watch(many(10, 'transient'), { retryAfterSeconds })).toMatchObject([
      { probe_in_seconds: seconds },
    ]);
    const [row] = await db.sql<{ seconds: number }>(
      'SELECT extract(epoch FROM circuit_probe_at - circuit_opened_at)::float8 AS seconds FROM evergrant.provider_states',
    );
    expect(row?.seconds).toBe(seconds);
  });

  it('not while an operator vouches for the provider, and again afterwards', async () => {
    await closeCircuit(db.database, { provider, trustedSeconds: 3_600 });
    expect(await watch([...many(30, 'transient'), ...many(30, 'permanent')])).toEqual([]);
    expect(await state()).toMatchObject({ circuit_open: false, disconnections_held: false });
    await db.sql(`UPDATE evergrant.provider_states SET trusted_until = now() - interval '1 second'`);
    expect(await watch(many(10, 'transient'))).toMatchObject([{ opened: true }]);
  });

  it('not anew when it is open by hand', async () => {
    await openCircuit(db.database, { provider });
    expect(await watch(many(50, 'transient'))).toEqual([]);
    expect(await state()).toMatchObject({
      circuit_cause: 'by_hand',
      circuit_probe_at: Number.POSITIVE_INFINITY,
    });
  });

  it('in a row that keeps what else is known of the provider', async () => {
    await db.sql(
      `INSERT INTO evergrant.provider_states (provider, calls_per_second, next_call_at, circuit_probes)
       VALUES ($1, 5, now(), ARRAY[gen_random_uuid()])`,
      [provider],
    );
    expect(await watch(many(10, 'transient'))).toMatchObject([{ opened: true }]);
    expect(await state()).toMatchObject({ circuit_open: true, calls_per_second: 5 });
    expect(await db.sql('SELECT circuit_probes FROM evergrant.provider_states')).toEqual([
      { circuit_probes: [] },
    ]);
  });
});

describe('disconnections are held', () => {
  it('when twenty grants are refused for the first time, and a fifth of all', async () => {
    expect(await watch(many(19, 'permanent'))).toEqual([]);
    expect(await watch([failed('permanent')], { refreshed: 81 })).toEqual([]);
    expect(await watch([failed('permanent')], { refreshed: 81 })).toMatchObject([
      { provider, opened: false, held: true, refused: 21, refreshed: 81 },
    ]);
    expect(await state()).toMatchObject({
      circuit_open: false,
      disconnections_held: true,
      disconnections_failing: 21,
    });
    const [row] = await db.sql<{ hours: number }>(
      `SELECT extract(epoch FROM disconnections_held_until - disconnections_held_since)::float8 / 3600 AS hours
       FROM evergrant.provider_states`,
    );
    expect(row?.hours).toBe(12);
    // Not longer by what follows.
    expect(await watch(many(50, 'permanent'))).toEqual([]);
  });

  it('not for quick refusals while the batch waits for many more answers', async () => {
    expect(await watch(many(20, 'permanent'), { pending: 81 })).toEqual([]);
    // Nothing new has failed, but less is waited for.
    expect(await watch([], { pending: 80 })).toMatchObject([{ held: true, refused: 20, pending: 80 }]);
  });

  it('not again for the same grants: a hold ends, and what waited for it happens', async () => {
    const refused = many(40, 'permanent');
    expect(await watch(refused)).toMatchObject([{ held: true }]);
    for (let scan = 0; scan < 8; scan += 1) {
      await ago(300);
      await watch(refused);
    }
    await db.sql(
      `UPDATE evergrant.provider_states SET disconnections_held_until = now() - interval '1 second'`,
    );
    expect(await watch(refused)).toEqual([]);
    expect(await state()).toMatchObject({ disconnections_held: false });
    // Others are another matter.
    expect(await watch(many(20, 'permanent'))).toMatchObject([{ held: true, refused: 20 }]);
  });

  it('beside an open circuit, and one guard leaves the other as it is', async () => {
    await watch(many(10, 'transient'), { retryAfterSeconds: 600 });
    const open = await state();
    expect(await watch(many(20, 'permanent'))).toMatchObject([{ opened: false, held: true }]);
    const both = await state();
    expect(both).toMatchObject({ circuit_open: true, disconnections_held: true });
    expect(both?.circuit_probe_at).toEqual(open?.circuit_probe_at);
    await db.clear();
    await watch(many(20, 'permanent'));
    const held = await state();
    await ago(301);
    expect(await watch(many(10, 'transient'))).toMatchObject([{ opened: true, held: false }]);
    expect((await state())?.disconnections_held_until).toEqual(held?.disconnections_held_until);
  });

  it('both at once where a group says both', async () => {
    expect(await watch([...many(25, 'permanent'), ...many(25, 'transient')])).toMatchObject([
      { opened: true, held: true },
    ]);
  });
});

describe('two groups at once', () => {
  it('lose no evidence: whoever comes next sees what both have written', async () => {
    const connections = Array.from({ length: 4 }, () => db.connection());
    // Four of four each: no group sees ten by itself until the others have committed.
    for (let round = 0; round < 20; round += 1) {
      await db.clear();
      await Promise.all(connections.map((connection) => watch(many(4, 'transient'), {}, connection)));
      const opened = (await state())?.circuit_open ?? false;
      if (!opened) expect(await watch([failed('transient')])).toMatchObject([{ opened: true, failing: 17 }]);
      expect(await db.sql('SELECT FROM evergrant.recent_failures')).toHaveLength(opened ? 16 : 17);
    }
  });

  it('open a circuit once, also where nothing was known of the provider', async () => {
    const connections = Array.from({ length: 6 }, () => db.connection());
    for (let round = 0; round < 10; round += 1) {
      await db.clear();
      const acted = await Promise.all(
        connections.map((connection) =>
          watch([...many(25, 'transient'), ...many(25, 'permanent')], {}, connection),
        ),
      );
      expect(acted.flat().filter(({ opened }) => opened)).toHaveLength(1);
      expect(acted.flat().filter(({ held }) => held)).toHaveLength(1);
    }
  });

  it('do not wait for somebody who is changing the state: the next group decides', async () => {
    await db.sql('INSERT INTO evergrant.provider_states (provider) VALUES ($1)', [provider]);
    await db.inTransaction(async (other) => {
      await other.query('UPDATE evergrant.provider_states SET calls_per_second = 1');
      expect(await watch(many(50, 'transient'))).toEqual([]);
    });
    expect(await watch([failed('transient')])).toMatchObject([{ opened: true, failing: 51 }]);
  });
});

it('failures that nobody looks back at any more go in time', async () => {
  await watch(many(10, 'transient'));
  await ago(13 * 3_600);
  await watch(many(3, 'transient'));
  expect(await db.sql('SELECT FROM evergrant.recent_failures')).toHaveLength(7);
  await watch(many(3, 'transient'));
  expect(await db.sql('SELECT FROM evergrant.recent_failures')).toHaveLength(6);
});

it('reads the failures of the providers concerned, and no others', async () => {
  await db.sql(
    `INSERT INTO evergrant.recent_failures (provider, integration_id, failure_class, code, failed_at)
     SELECT 'p' || n % 40, gen_random_uuid(), 'transient', 'timeout', now() - make_interval(secs => n)
     FROM generate_series(1, 20000) AS n`,
  );
  await db.sql('ANALYZE evergrant.recent_failures');
  const plan = await explain(db, (database) =>
    watchProviders(
      database,
      [{ ...failed('transient'), provider: 'p7' }],
      [{ provider: 'p7', refreshed: 0, pending: 0, retryAfterSeconds: 0 }],
      guardSettings,
    ),
  );
  const onTable = plan.filter(
    (node) => node['Relation Name'] === 'recent_failures' && node['Node Type'] !== 'ModifyTable',
  );
  expect(onTable.map((node) => node['Node Type'])).not.toContain('Seq Scan');
  for (const node of onTable) expect(rowsRead(node)).toBeLessThan(200);
});

it('reads nothing of what a guard that acts already was decided from', async () => {
  await db.sql(
    `INSERT INTO evergrant.recent_failures (failed_at, provider, integration_id, failure_class, code)
     SELECT now() - make_interval(secs => 310 + n % 1_700), $1, gen_random_uuid(), kind, 'x'
     FROM generate_series(1, 3_000) AS n, unnest(ARRAY['permanent', 'transient']) AS kind`,
    [provider],
  );
  await db.sql('VACUUM ANALYZE evergrant.recent_failures');
  const read = async () => {
    const plan = await explain(db, (database) =>
      watch([failed('permanent'), failed('transient')], {}, database),
    );
    return plan
      .filter((node) => node['Relation Name'] === 'recent_failures' && node['Node Type'] !== 'ModifyTable')
      .reduce((sum, node) => sum + rowsRead(node), 0);
  };
  await db.sql('INSERT INTO evergrant.provider_states (provider) VALUES ($1)', [provider]);
  expect(await read()).toBeGreaterThanOrEqual(6_000);
  await db.sql(`UPDATE evergrant.provider_states SET disconnections_held_until = now() + interval '1 hour'`);
  expect(await read()).toBeLessThan(3_200);
  await openCircuit(db.database, { provider });
  expect(await read()).toBeLessThan(200);
  await closeCircuit(db.database, { provider, trustedSeconds: 60 });
  expect(await read()).toBeLessThan(200);
});

/** The rules in a few lines: what each group must decide, given all before it. */
interface Group {
  readonly secondsLater: number;
  readonly failures: readonly { readonly row: number; readonly kind: Kind }[];
  readonly refreshed: number;
  readonly pending: number;
}

function expectedDecisions(groups: readonly Group[]): { opened: boolean; held: boolean }[] {
  const seen: { at: number; row: number; kind: Kind }[] = [];
  let at = 0;
  let open = false;
  let heldUntil = Number.NEGATIVE_INFINITY;
  return groups.map(({ secondsLater, failures, refreshed: answeredNow, pending }) => {
    at += secondsLater;
    seen.push(...failures.map((failure) => ({ ...failure, at })));
    const known = seen.filter((each) => each.at > at - guardSettings.memorySeconds);
    const rows = (wanted: (each: (typeof seen)[number]) => boolean) =>
      new Set(known.filter(wanted).map(({ row }) => row));
    const first = (row: number, refusal: boolean) =>
      Math.min(
        ...known
          .filter((each) => each.row === row && (each.kind === 'permanent') === refusal)
          .map((each) => each.at),
      );
    const recent = at - guardSettings.circuitWindowSeconds;
    const answered = rows((each) => each.kind === 'permanent' && each.at > recent).size + answeredNow;
    const failingRows = [...rows((each) => each.kind !== 'permanent' && each.at > recent)];
    const failing =
      answered > 0 ? failingRows.filter((row) => first(row, false) > recent).length : failingRows.length;
    const refused = [...rows((each) => each.kind === 'permanent')].filter(
      (row) => first(row, true) > at - guardSettings.massRefusalWindowSeconds,
    ).length;
    const opened = !open && failing >= 10 && 2 * failing >= failing + answered + pending;
    const held = at >= heldUntil && refused >= 20 && 5 * refused >= refused + answeredNow + pending;
    open ||= opened;
    if (held) heldUntil = at + guardSettings.disconnectionHoldSeconds;
    return { opened, held };
  });
}

it('decides by its rules, whatever happens', async () => {
  const group = fc.record({
    secondsLater: fc.constantFrom(1, 20, 130, 290, 310, 900, 1_900),
    failures: fc.array(
      fc.record({
        row: fc.integer({ min: 0, max: 40 }),
        kind: fc.constantFrom<Kind>('transient', 'transient', 'permanent', 'permanent', 'operator'),
      }),
      { maxLength: 40 },
    ),
    refreshed: fc.constantFrom(0, 0, 3, 30),
    pending: fc.constantFrom(0, 0, 5, 50),
  });
  const idOf = (row: number) => `00000000-0000-4000-8000-${String(row).padStart(12, '0')}`;
  await fc.assert(
    fc.asyncProperty(fc.array(group, { minLength: 1, maxLength: 6 }), async (groups) => {
      await db.clear();
      const expected = expectedDecisions(groups);
      for (const [index, { secondsLater, failures, refreshed: answered, pending }] of groups.entries()) {
        await ago(secondsLater);
        await db.sql(
          `UPDATE evergrant.provider_states SET disconnections_held_until = disconnections_held_until - make_interval(secs => $1)`,
          [secondsLater],
        );
        const [acted] = await watch(
          failures.map(({ row, kind }) => failed(kind, idOf(row))),
          { refreshed: answered, pending },
        );
        expect({ opened: acted?.opened ?? false, held: acted?.held ?? false }, `group ${index}`).toEqual(
          expected[index],
        );
      }
    }),
    { numRuns: 150 },
  );
}, 60_000);
