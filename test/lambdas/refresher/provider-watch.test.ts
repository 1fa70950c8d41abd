import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Failure, Outcome } from '../../../lambdas/domain/outcome.ts';
import { InvocationMetrics } from '../../../lambdas/observability/metrics.ts';
import { type Database, DatabaseUnavailable } from '../../../lambdas/postgres/database.ts';
import type { StartedAttempt } from '../../../lambdas/postgres/start-attempts.ts';
import { ProviderWatch } from '../../../lambdas/refresher/provider-watch.ts';
import type { FailureOfAttempt } from '../../../lambdas/refresher/result-store.ts';
import { guardSettings } from '../../support/guard-settings.ts';
import { silentLogger } from '../../support/silent-logger.ts';

const down: Failure = {
  kind: 'transient',
  code: 'http_503',
  httpStatus: 503,
  providerCode: null,
  retryAfterSeconds: null,
  doubtful: false,
};
const refused: Failure = {
  kind: 'permanent',
  code: 'invalid_grant',
  httpStatus: 400,
  providerCode: null,
  invalidRefreshToken: true,
};
const refreshed = { kind: 'refreshed', tokens: {} } as Outcome;

function attempts(count: number, provider = 'acme'): StartedAttempt[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${provider}-${index}`,
    provider,
    token: 'sealed',
    token_column: 'refresh_token',
    claim: '1',
    variables: null,
    probe: false,
    expires_in_seconds: 60,
    now_seconds: 0,
    lifetime_seconds: 3_600,
  }));
}

/** Whether a failure waits is decided by the batch alone. */
const unasked: Database = { query: () => Promise.reject(new Error('nobody asks')) };

function watchOf(
  started: readonly StartedAttempt[],
  remainingMs = 40_000,
  database = unasked,
): ProviderWatch {
  return new ProviderWatch(
    {
      database,
      settings: {
        guards: guardSettings,
      },
      logger: silentLogger(),
      metrics: new InvocationMetrics(),
      remainingMs: () => remainingMs,
    },
    started,
  );
}

/** Whether it has resolved, without any time having passed. */
async function isOver(work: Promise<void>): Promise<boolean> {
  let over = false;
  void work.then(() => {
    over = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return over;
}

describe('a failure waits', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('until all have come that may be part of an outage, and all that wait are released together', async () => {
    const [first, second, ...others] = attempts(20);
    const watch = watchOf([first!, second!, ...others]);
    watch.learned(first!, down);
    const waiting = [watch.decided(first!, down)];
    watch.learned(second!, down);
    waiting.push(watch.decided(second!, down));
    // Half of them: elsewhere so many may have been answered that it is no outage yet.
    for (const attempt of others.slice(0, 17)) watch.learned(attempt, down);
    expect(await Promise.all(waiting.map(isOver))).toEqual([false, false]);
    watch.learned(others[17]!, down);
    expect(await Promise.all(waiting.map(isOver))).toEqual([true, true]);
    expect(await isOver(watch.decided(others[17]!, down))).toBe(true);
  });

  it.each([
    ['tokens', refreshed],
    ['refusals of grants', refused],
  ])('until its provider has answered so many with %s that it is up', async (_, answer) => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    for (const attempt of others.slice(0, 10)) watch.learned(attempt, answer);
    expect(await isOver(waiting)).toBe(false);
    watch.learned(others[10]!, answer);
    expect(await isOver(waiting)).toBe(true);
  });

  it('until too few are left to tell: those that are not called after all count for neither side', async () => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    for (const attempt of others.slice(0, 10)) watch.notCalled(attempt);
    expect(await isOver(waiting)).toBe(false);
    watch.notCalled(others[10]!);
    expect(await isOver(waiting)).toBe(true);
  });

  it('as a refusal until all have come that may be part of a mass refusal', async () => {
    const [first, ...others] = attempts(40);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, refused);
    const waiting = watch.decided(first!, refused);
    for (const attempt of others.slice(0, 38)) watch.learned(attempt, refused);
    expect(await isOver(waiting)).toBe(false);
    watch.learned(others[38]!, refused);
    expect(await isOver(waiting)).toBe(true);
  });

  it('as a refusal until so many are refreshed that it is its user’s doing, whatever else fails', async () => {
    const [first, ...others] = attempts(200);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, refused);
    const waiting = watch.decided(first!, refused);
    // Of those that the provider did not answer nobody knows whether they would be refused.
    for (const attempt of others.slice(0, 60)) watch.learned(attempt, down);
    for (const attempt of others.slice(60, 172)) watch.learned(attempt, refreshed);
    // 1 refused, 112 refreshed, 27 pending: 28 of 140 would be a fifth.
    expect(await isOver(waiting)).toBe(false);
    watch.learned(others[172]!, refreshed);
    expect(await isOver(waiting)).toBe(true);
  });

  it('not as a refusal where the batch has too few of its provider', async () => {
    const [first, ...others] = attempts(19);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, refused);
    expect(await isOver(watch.decided(first!, refused))).toBe(true);
  });

  it('for a second at most', async () => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others]);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    await vi.advanceTimersByTimeAsync(999);
    expect(await isOver(waiting)).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await isOver(waiting)).toBe(true);
  });

  it('for its own provider alone', async () => {
    const [first, ...others] = attempts(20);
    const few = attempts(3, 'other');
    const watch = watchOf([first!, ...others, ...few]);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    for (const attempt of few) watch.learned(attempt, down);
    expect(await isOver(watch.decided(few[0]!, down))).toBe(true);
    expect(await isOver(waiting)).toBe(false);
  });

  it('not when it says nothing of its provider', async () => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others]);
    const ours: Failure = {
      kind: 'operator',
      code: 'token_key_unknown',
      httpStatus: null,
      providerCode: null,
      fix: '',
    };
    watch.learned(first!, ours);
    expect(await isOver(watch.decided(first!, ours))).toBe(true);
  });

  it('no longer than leaves time for a look', async () => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others], 5_300);
    watch.learned(first!, down);
    const waiting = watch.decided(first!, down);
    await vi.advanceTimersByTimeAsync(299);
    expect(await isOver(waiting)).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await isOver(waiting)).toBe(true);
  });

  it('not at all when the time of the function is short', async () => {
    const [first, ...others] = attempts(20);
    const watch = watchOf([first!, ...others], 4_000);
    watch.learned(first!, down);
    expect(await isOver(watch.decided(first!, down))).toBe(true);
  });
});

describe('a look at providers', () => {
  /** What a statement was given: integrations, then by provider what is refreshed and pending. */
  interface Look {
    readonly integrations: unknown;
    readonly providers: unknown;
    readonly refreshed: unknown;
    readonly pending: unknown;
    readonly retryAfter: unknown;
  }
  /** Takes down what it is asked for; the statement itself is tested against Postgres. */
  function listening(answer: () => Promise<never[]> = () => Promise.resolve([])) {
    const looks: Look[] = [];
    const database: Database = {
      query: (_, [integrations, , , , providers, refreshed, pending, retryAfter] = []) => {
        looks.push({ integrations, providers, refreshed, pending, retryAfter });
        return answer();
      },
    };
    return { looks, database };
  }
  const group = (attempts: readonly StartedAttempt[], failure: Failure) =>
    attempts.map((attempt) => ({ attempt, failure }) as FailureOfAttempt);

  it('has all that the batch has learned of the provider, and is not repeated', async () => {
    const { looks, database } = listening();
    const [a, b, c, d] = attempts(4) as [StartedAttempt, StartedAttempt, StartedAttempt, StartedAttempt];
    const [other] = attempts(1, 'other') as [StartedAttempt];
    const watch = watchOf([a, b, c, d, other], 40_000, database);
    for (const attempt of [a, b]) watch.learned(attempt, refused);
    watch.learned(other, down);
    watch.learned(c, refreshed);
    await watch.watch(group([a], refused));
    await watch.watch(group([a], refused));
    expect(looks).toEqual([
      { integrations: [a.id, b.id], providers: ['acme'], refreshed: [1], pending: [1], retryAfter: [0] },
    ]);
    await watch.watch(group([other], down));
    expect(looks[1]).toMatchObject({
      integrations: [other.id],
      providers: ['other'],
      refreshed: [0],
      pending: [0],
    });
  });

  it('comes with each group, also where nothing new has been learned: less may be pending', async () => {
    const { looks, database } = listening();
    const [a, b, c] = attempts(3) as [StartedAttempt, StartedAttempt, StartedAttempt];
    const watch = watchOf([a, b, c], 40_000, database);
    for (const attempt of [a, b]) watch.learned(attempt, refused);
    await watch.watch(group([a], refused));
    watch.notCalled(c);
    await watch.watch(group([b], refused));
    expect(looks[1]).toMatchObject({ integrations: [], providers: ['acme'], refreshed: [0], pending: [0] });
  });

  it('that fails leaves what it had to the next: a group that Postgres was away for comes again', async () => {
    let failsBy: Error | null = new DatabaseUnavailable('away');
    const { looks, database } = listening(() => (failsBy ? Promise.reject(failsBy) : Promise.resolve([])));
    const [a, b, c] = attempts(3) as [StartedAttempt, StartedAttempt, StartedAttempt];
    const watch = watchOf([a, b, c], 40_000, database);
    for (const attempt of [a, b, c]) watch.learned(attempt, refused);
    await watch.watch(group([a], refused));
    await watch.watch(group([a], refused));
    // What Postgres refuses for its values would spoil each look.
    failsBy = Object.assign(new pg.DatabaseError('no such value', 1, 'error'), { code: '22003' });
    await watch.watch(group([a], refused));
    failsBy = null;
    await watch.watch(group([a], refused));
    await watch.watch(group([b], refused));
    const sets = looks.map(({ integrations }) => new Set(integrations as string[]));
    expect(sets).toEqual([
      new Set([a.id, b.id, c.id]),
      new Set([a.id, b.id, c.id]),
      new Set([a.id, b.id, c.id]),
      new Set([b.id, c.id]),
    ]);
  });

  it('goes by what most of the batch were asked to wait, whenever they were looked at', async () => {
    const { looks, database } = listening();
    const [a, b] = attempts(2) as [StartedAttempt, StartedAttempt];
    const watch = watchOf([a, b], 40_000, database);
    for (const attempt of [a, b]) watch.learned(attempt, { ...down, retryAfterSeconds: 800 } as Failure);
    await watch.watch(group([a], down));
    await watch.watch(group([b], down));
    expect(looks.map(({ retryAfter }) => retryAfter)).toEqual([[800], [800]]);
  });
});
