import { describe, expect, test } from 'vitest';
import { renderHistory } from '../../cli/history/render.ts';
import { renderKeys } from '../../cli/key/commands.ts';
import { usesOf } from '../../cli/key/key-use.ts';
import type { QueueDepth } from '../../cli/queue-depths.ts';
import { obstacleTo, outcomeOf, unfinished, whyNotClaimed } from '../../cli/refresh/outcome.ts';
import { renderScan } from '../../cli/scan/command.ts';
import { problemsOf } from '../../cli/status/health.ts';
import { renderStatus } from '../../cli/status/render.ts';
import { judgeAccount, judgeEventSources, judgeStack } from '../../cli/verify/aws-checks.ts';
import { renderChecks } from '../../cli/verify/render.ts';
import type { StatusReport } from '../../lambdas/operator/reports.ts';
import { tokenKey } from '../../lambdas/sealing/token-keys.ts';
import { at, heldDisconnections, integration, now, openCircuit, provider, statusReport } from './reports.ts';

const plain = (_: string, text: string) => text;

const queues = (deadLetters = 0, sealed: Partial<QueueDepth> = {}): QueueDepth[] => [
  { queue: 'refresh', visible: 0, inFlight: 3, deadLetters },
  { queue: 'threshold', visible: 0, inFlight: 0, deadLetters: 0 },
  { queue: 'sealed', visible: 0, inFlight: 0, deadLetters: 0, ...sealed },
];

function status(report: StatusReport, depths = queues()): { problems: string[]; text: string } {
  const problems = problemsOf(report, depths, 5);
  return {
    problems: problems.map(({ code }) => code),
    text: renderStatus(report, depths, problems, plain).join('\n'),
  };
}

describe('status', () => {
  test('says in the first line that all is well', () => {
    const { problems, text } = status(statusReport());
    expect(problems).toEqual([]);
    expect(text).toMatch(
      /^All is well: 1,204 connected integrations, and no token has expired; the last scan was 2 min ago\.\n/,
    );
    expect(text).toContain('Last scan  2 min ago: 17 claimed in 84 ms\n');
  });

  test('says in the first line which promises are broken', () => {
    const { problems, text } = status(
      statusReport({
        providers: [provider({ expired: 2 }), provider({ provider: 'globex-crm', connected: 7, expired: 1 })],
        lastScan: { ...statusReport().lastScan!, startedAt: at(-15 * 60 - 1) },
      }),
      queues(4),
    );
    expect(problems).toEqual(['expired_while_connected', 'scanner_silent', 'dead_letters']);
    expect(text.split('\n')[0]).toBe(
      '3 things are not well: 3 connected integrations have an expired token; the last scan was 15 min ago, and they should be 5 min apart; 4 dead letters wait.',
    );
    expect(text).toContain('evergrant dlq list');
  });

  test.each([
    [
      { visible: 2, inFlight: 1 },
      ['sealed_results_waiting'],
      'One thing is not well: 3 results that Postgres did not take wait sealed for a scan.',
    ],
    [
      { visible: 1 },
      ['sealed_results_waiting'],
      'One thing is not well: 1 result that Postgres did not take waits sealed for a scan.',
    ],
    [
      { deadLetters: 1 },
      ['sealed_dead_letters'],
      'One thing is not well: 1 sealed result cannot be stored, and its integration is held until a replay (evergrant dlq list --queue sealed).',
    ],
  ])('new tokens that are not stored are not well: %j', (sealed, codes, first) => {
    const { problems, text } = status(statusReport(), queues(0, sealed));
    expect(problems).toEqual(codes);
    expect(text.split('\n')[0]).toBe(first);
  });

  test('sealed results and other dead letters are told apart, and all queues stand in one table', () => {
    const { problems, text } = status(statusReport(), queues(4, { visible: 7, deadLetters: 2 }));
    expect(problems).toEqual(['sealed_results_waiting', 'sealed_dead_letters', 'dead_letters']);
    expect(text.split('\n')[0]).toMatch(/2 sealed results cannot be stored, .*; 4 dead letters wait\.$/);
    expect(text).toMatch(/\nsealed results +7 +0 +2\n/);
  });

  test('attempts that end by our own fault are not well, before any token expires', () => {
    const providers = [provider(), provider({ provider: 'globex', withoutResult: 3 })];
    const { problems, text } = status(statusReport({ providers }));
    expect(problems).toEqual(['operator_fault']);
    expect(text.split('\n')[0]).toBe(
      'One thing is not well: the latest attempts of 3 connected integrations ended by our own fault (globex: evergrant provider check <name> names it).',
    );
  });

  test('an outage is one line, and not our own fault', () => {
    const { problems, text } = status(
      statusReport({ providers: [provider({ withoutResult: 1200 })], circuits: [openCircuit()] }),
    );
    expect(problems).toEqual(['provider_outage']);
    expect(text.split('\n')[0]).toBe(
      'One thing is not well: acme-calendar has been out of order for 12 min (http_503), and its integrations wait.',
    );
    expect(text).toContain(`
acme-calendar: circuit open for 12 min: an outage; 34 integrations failed, most with http_503.
    A few integrations try again in 2 min; when they get through, all others follow by themselves.
`);
  });

  test.each([
    [
      openCircuit({ cause: 'client_refused', code: 'invalid_client', meaning: 'Check the client id.' }),
      'client_refused',
      /has refused our client for 12 min \(invalid_client\)/,
      /Check the client id\. evergrant provider check acme-calendar tells more\./,
    ],
    [
      openCircuit({ cause: 'by_hand', code: null, failing: null, nextTryAt: null }),
      'circuit_by_hand',
      /has not been called for 12 min, as an operator opened its circuit/,
      /circuit open for 12 min, by hand\.\n {4}Nobody calls it until somebody closes it: evergrant provider close acme-calendar/,
    ],
    [
      openCircuit({ nextTryAt: at(-5) }),
      'provider_outage',
      /has been out of order for/,
      /try again with the next scan/,
    ],
  ])('why a circuit is open, and what comes next: %j', (circuit, code, first, below) => {
    const { problems, text } = status(statusReport({ circuits: [circuit] }));
    expect(problems).toEqual([code]);
    expect(text.split('\n')[0]).toMatch(first);
    expect(text).toMatch(below);
  });

  test('held disconnections are not well, and say what to look at', () => {
    const { problems, text } = status(statusReport({ disconnectionsHeld: [heldDisconnections()] }));
    expect(problems).toEqual(['disconnections_held']);
    expect(text).toContain(`
acme-calendar: disconnections held for 2 h, as 41 grants were refused within minutes; they go on in 10 h.
    Look whether`);
    expect(text).toContain('evergrant provider close acme-calendar');
  });

  test('three scan intervals to the second are not silence yet', () => {
    const lastScan = { ...statusReport().lastScan!, startedAt: at(-15 * 60) };
    expect(status(statusReport({ lastScan })).problems).toEqual([]);
    expect(problemsOf(statusReport({ lastScan }), [], 4).map(({ code }) => code)).toEqual(['scanner_silent']);
  });

  test('a stack that has not scanned yet', () => {
    const { problems, text } = status(statusReport({ lastScan: null, providers: [] }));
    expect(problems).toEqual(['scanner_silent']);
    expect(text).toMatch(/^One thing is not well: no scan has ended well yet\.\n/);
    expect(text).toContain('No integrations yet');
    expect(text).toContain('Last scan  none yet');
  });

  test('aligns a table of providers, and tells who cannot be refreshed', () => {
    const { text } = status(
      statusReport({
        providers: [
          provider({ failingTransient: 12, needsReauthorization: 5 }),
          provider({ provider: 'x', connected: 7, withoutRefreshToken: 2, lastSuccess: null }),
        ],
      }),
    );
    const [titles = '', first = '', second = ''] = text.split('\n').slice(2);
    expect(first).toMatch(/^acme-calendar +1,204 +0 +3 +2 +12 +0 +5 {2}12 s ago$/);
    expect(second).toMatch(/^x +7 +0 +3 +2 +0 +0 +0 {2}never$/);
    const endOf = (title: string) => titles.indexOf(title) + title.length;
    expect(first.slice(0, endOf('Connected'))).toMatch(/1,204$/);
    expect(second.slice(0, endOf('Connected'))).toMatch(/ 7$/);
    expect(first.slice(0, endOf('To reconnect'))).toMatch(/ 5$/);
    expect(text).toContain('2 connected integrations without a refresh token (2 at x)');
  });

  test('lists the worst failing integrations, and events that wait', () => {
    const { problems, text } = status(
      statusReport({
        failing: [
          {
            id: '0b64a2f8-41f7-4f0e-9c3e-0f1d4f5b6a7c',
            provider: 'acme-calendar',
            consecutiveFailures: 2,
            consecutiveTransientFailures: 1,
            lastFailure: at(-60),
            expiresAt: at(-240),
            heldUntil: at(120),
          },
        ],
        failingCount: 8,
        eventsWaiting: { count: 3, oldest: at(-7200) },
      }),
    );
    expect(problems).toEqual([]);
    expect(text).toMatch(
      /0b64a2f8-\S+ {2}acme-calendar {2}2 refused, 1 passing {2}60 s ago {2}expired 4 min ago {2}in 2 min\n… and 7 more\n/,
    );
    expect(text).toContain('3 events not told yet, the oldest since 2 h');
  });
});

describe('scan', () => {
  const report = { dryRun: false, claimed: 3, enqueued: 2, released: 1, left: 0, eventsRelayed: 4 };

  test('tells what was given up and published again', () => {
    expect(renderScan(report)).toEqual([
      'Claimed 3 integrations and asked the refreshers for 2; nothing is left.',
      '1 claim given up: the refresh queue refused the message. The next scan tries again.',
      '4 threshold events published again.',
    ]);
  });
});

describe('history', () => {
  test('shows how the row stands, and its entries', () => {
    const text = renderHistory(
      {
        integrationId: '0b64a2f8-41f7-4f0e-9c3e-0f1d4f5b6a7c',
        integration: integration({
          status: 'needs_reauthorization',
          disconnectReason: 'invalid_grant',
          consecutiveFailures: 3,
          heldUntil: at(60),
          doubtfulSince: at(-120),
        }),
        entries: [
          { at: at(-900), what: 'connected', detail: 'The user connected it.' },
          { at: at(-60), what: 'failed', detail: 'The provider refused it.' },
        ],
        circuit: openCircuit(),
        meanings: { invalid_grant: 'The provider calls the grant invalid.' },
      },
      plain,
    ).join('\n');
    expect(text).toMatch(/^Integration 0b64a2f8-\S+\nProvider +acme-calendar\n/);
    expect(text).toMatch(/\nStatus +needs_reauthorization \(invalid_grant\)\n/);
    expect(text).toMatch(
      /\nCircuit +open since 2026-11-23 18:09:05Z \(http_503\): acme-calendar is not called; a few integrations try again after 2026-11-23 18:22:35Z\n/,
    );
    expect(text).toMatch(/\nClaim +none is open; not claimed again before 2026-11-23 18:22:05Z\n/);
    expect(text).toMatch(/\nRefresh token +sealed with key NzbLsXh8/);
    expect(text).toMatch(
      /\nAnswer lost +the refresh token may have been spent by a call whose answer was lost at 2026-11-23 18:19:05Z\n/,
    );
    expect(text).not.toContain('Grant expires');
    expect(text).toMatch(
      /\n2026-11-23 18:06:05Z {2}connected {2}The user connected it\.\n2026-11-23 18:20:05Z {2}failed {5}The provider refused it\.\n\ninvalid_grant: The provider calls the grant invalid\.$/,
    );
  });

  test.each([
    [
      {},
      /\nClaim +scheduled, as its token is short-lived; scans leave it alone until 2026-11-23 18:22:05Z\n/,
    ],
    [{ claimOpen: true }, /\nClaim +open: a refresher has been asked; not claimed again before/],
    [{ attempting: true, lastRefreshAttempt: at(-5) }, /\nClaim +none is open; not claimed again before/],
    [{ lastRefreshAttempt: at(-5) }, /\nClaim +none is open; not claimed again before/],
    [{ heldUntil: null }, /\nClaim +none is open\n/],
  ])('of a row that is held after a success: %j', (overrides, expected) => {
    const text = renderHistory(
      {
        integrationId: 'x',
        integration: integration({ heldUntil: at(60), ...overrides }),
        entries: [],
        circuit: null,
        meanings: {},
      },
      plain,
    ).join('\n');
    expect(text).toMatch(expected);
  });

  test('of a row that is gone', () => {
    const text = renderHistory(
      {
        integrationId: 'x',
        integration: null,
        entries: [{ at: now, what: 'warned', detail: 'Told.' }],
        circuit: null,
        meanings: {},
      },
      plain,
    ).join('\n');
    expect(text).toContain('There is no such row any more');
    expect(text).toContain('warned');
  });
});

describe('refresh', () => {
  test.each([
    [
      { status: 'needs_reauthorization', disconnectReason: 'invalid_grant' },
      'not_connected',
      /\(invalid_grant\)/,
    ],
    [{ refreshToken: 'absent' as const, accessToken: 'absent' as const }, 'no_token', /no token/],
  ])('cannot be asked for: %j', (overrides, code, text) => {
    expect(obstacleTo(integration(overrides))).toEqual({ code, message: expect.stringMatching(text) });
  });

  test('can be asked for whatever else holds', () => {
    expect(obstacleTo(integration({ heldUntil: at(60), consecutiveFailures: 2 }))).toBeNull();
    expect(obstacleTo(integration({ refreshToken: 'absent' }))).toBeNull();
  });

  test.each([
    [{ heldUntil: at(60), claimOpen: true }, 'held', /until 2026-11-23 18:22:05Z: a scan has claimed it/],
    [{ heldUntil: at(60) }, 'held', /an attempt is under way, or has just failed/],
    [{}, 'busy', /Try again/],
    [{ status: 'disconnected' }, 'not_connected', /disconnected/],
  ])('was not claimed: %j', (overrides, code, text) => {
    expect(whyNotClaimed(integration(overrides))).toEqual({ code, message: expect.stringMatching(text) });
  });

  const before = integration();
  const waiting = integration({ claimOpen: true, heldUntil: at(270) });
  const started = integration({ heldUntil: at(45), lastRefreshAttempt: now, attempting: true });

  test('is under way', () => {
    expect(outcomeOf(before, waiting, null)).toBeNull();
    expect(outcomeOf(before, started, null)).toBeNull();
    expect(outcomeOf(before, started, openCircuit())).toBeNull();
  });

  test('was given back without a call', () => {
    expect(outcomeOf(before, integration(), null)).toEqual({
      code: 'not_applied',
      message: expect.stringMatching(/gave it back without calling the provider/),
    });
  });

  test.each([
    [openCircuit(), /is open \(http_503\)\. A few integrations try again after 2026-11-23 18:22:35Z/],
    [
      openCircuit({ cause: 'by_hand', code: null, nextTryAt: null }),
      /is open \(an operator opened it\)\. Nobody calls it until evergrant provider close acme-calendar\./,
    ],
  ])('ended while the circuit was open, and counts against nobody: %j', (circuit, text) => {
    const ended = integration({ lastRefreshAttempt: now, heldUntil: at(150) });
    const outcome = outcomeOf(before, ended, circuit);
    expect(outcome).toEqual({ code: 'not_counted', message: expect.stringMatching(text) });
    expect(outcome?.message).toMatch(/^It failed, which counts against nobody/);
  });

  test.each([
    [{ lastRefreshSuccess: at(1), expiresAt: at(3600) }, 'refreshed', /now expires at 2026-11-23 19:21:05Z/],
    [
      { lastFailureAt: at(1), consecutiveFailures: 2, heldUntil: at(300) },
      'failed',
      /The provider refused it, 2 in a row\. The next attempt comes after 2026-11-23 18:26:05Z/,
    ],
    [
      { lastFailureAt: at(1), consecutiveTransientFailures: 1 },
      'failed',
      /It failed for a passing reason, 1 in a row/,
    ],
    [
      { lastFailureAt: at(1), consecutiveTransientFailures: 0 },
      'failed',
      /It failed for a passing reason, which does not count/,
    ],
    [
      {
        lastFailureAt: at(1),
        consecutiveFailures: 3,
        status: 'needs_reauthorization',
        disconnectReason: 'invalid_grant',
      },
      'disconnected',
      /disconnected now \(invalid_grant\)/,
    ],
    [
      { status: 'needs_reauthorization', disconnectReason: 'access_token_ended' },
      'disconnected',
      /has ended and nothing renews it/,
    ],
    [{ refreshToken: 'absent' as const, heldUntil: null }, 'not_applied', /found nothing to renew/],
    [{ status: 'disconnected' }, 'not_applied', /somebody changed it/],
    [{ heldUntil: at(300) }, 'not_applied', /our own fault/],
  ])('ended: %j', (overrides, code, text) => {
    const ended = integration({ lastRefreshAttempt: now, ...overrides });
    expect(outcomeOf(before, ended, null)).toEqual({ code, message: expect.stringMatching(text) });
  });

  test('tells a request that nobody took from an attempt without an end', () => {
    expect(unfinished(before, waiting, null, 60).message).toMatch(
      /^No attempt has started within 60 s\. The request/,
    );
    expect(unfinished(before, waiting, openCircuit(), 60).message).toMatch(/circuit is open \(http_503\)/);
    expect(unfinished(before, started, null, 60).message).toMatch(/still under way/);
  });
});

describe('key status', async () => {
  const current = await tokenKey(new Uint8Array(32).fill(1));
  const previous = await tokenKey(new Uint8Array(32).fill(2));
  const keys = { current, previous: [previous] };

  test('joins the keys of the secret with what they seal', () => {
    const uses = usesOf(keys, {
      keys: [
        { keyId: previous.id, tokens: 3 },
        { keyId: current.id, tokens: 1200 },
      ],
      plain: 4,
    });
    expect(uses.map(({ role, tokens }) => [role, tokens])).toEqual([
      ['current', 1200],
      ['previous', 3],
    ]);
    const text = renderKeys(uses, 4, () => 0).join('\n');
    expect(text).toContain(`${current.id}  current    1,200`);
    expect(text).toContain('4 tokens in plain text.');
    expect(text).not.toContain('key forget');
  });

  test('tells what nobody can open, and which key can go', () => {
    const uses = usesOf(keys, { keys: [{ keyId: 'lost', tokens: 6 }], plain: 0 });
    expect(uses.filter(({ role }) => role === 'unknown')).toEqual([
      { keyId: 'lost', role: 'unknown', tokens: 6 },
    ]);
    const text = renderKeys(uses, 0, () => 0).join('\n');
    expect(text).toContain('Nobody can open 6 tokens');
    expect(text).toContain(`can go now: evergrant key forget ${previous.id}`);
    const soon = renderKeys(uses, 0, (keyId) => (keyId === previous.id ? 480_000 : 0)).join('\n');
    expect(soon).toContain(`can go in 8 min: evergrant key forget ${previous.id}`);
  });
});

describe('verify', () => {
  test.each([
    ['UPDATE_COMPLETE', 'ok'],
    ['UPDATE_ROLLBACK_COMPLETE', 'warning'],
    ['UPDATE_COMPLETE_CLEANUP_IN_PROGRESS', 'warning'],
    ['UPDATE_ROLLBACK_FAILED', 'failed'],
    ['ROLLBACK_COMPLETE', 'failed'],
    ['DELETE_FAILED', 'failed'],
  ])('a stack that is %s: %s', (stackStatus, state) => {
    expect(judgeStack(stackStatus, undefined).state).toBe(state);
  });

  test.each([
    [[], 'failed'],
    [[{ State: 'Enabled', UUID: 'u' }], 'ok'],
    [[{ State: 'Disabled', UUID: 'u' }], 'failed'],
    [[{ State: 'Updating', UUID: 'u' }], 'warning'],
    [
      [
        { State: 'Enabled', UUID: 'u' },
        { State: 'Disabled', UUID: 'v' },
      ],
      'failed',
    ],
  ])('event sources %j: %s', (mappings, state) => {
    expect(judgeEventSources(mappings, 'f').state).toBe(state);
  });

  const sending = { SendingEnabled: true, ProductionAccessEnabled: true, EnforcementStatus: 'HEALTHY' };
  test.each([
    [sending, 'ok', /out of the sandbox/],
    [{ ...sending, ProductionAccessEnabled: false }, 'failed', /sandbox/],
    [{ ...sending, SendingEnabled: false }, 'failed', /paused/],
    [{ ...sending, EnforcementStatus: 'SHUTDOWN' }, 'failed', /paused/],
    [{ ...sending, EnforcementStatus: 'PROBATION' }, 'warning', /review/],
  ])('an SES account %j: %s', (account, state, text) => {
    expect(judgeAccount(account)).toMatchObject({ state, found: expect.stringMatching(text) });
  });

  test('puts the fix below each line, and ends with a sentence', () => {
    const lines = renderChecks(
      [
        { code: 'a', title: 'A', state: 'ok', found: 'it is.', fix: null },
        { code: 'b', title: 'B', state: 'warning', found: 'perhaps.', fix: 'Look.' },
        { code: 'c', title: 'C', state: 'failed', found: 'it is not.', fix: 'Mend.' },
        { code: 'd', title: 'D', state: 'not_checked', found: 'unknown.', fix: 'Allow.' },
      ],
      plain,
    );
    expect(lines).toEqual([
      '✓ A: it is.',
      '! B: perhaps.',
      '    Look.',
      '✗ C: it is not.',
      '    Mend.',
      '- D: unknown.',
      '    Allow.',
      '',
      '1 of 4 checks failed; 1 to think about and 1 not checked.',
    ]);
  });
});
