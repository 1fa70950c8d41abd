import { describe, expect, it } from 'vitest';
import type { Change } from '../../../local/chaos/audit.ts';
import type { Member } from '../../../local/chaos/crowd.ts';
import type { Evidence } from '../../../local/chaos/evidence.ts';
import { judge } from '../../../local/chaos/judge.ts';
import { type Grant, Ledger, type TokenCall } from '../../../local/chaos/ledger.ts';
import type { FunctionProcess, Invocation } from '../../../local/chaos/processes.ts';
import type { ChaosProvider } from '../../../local/chaos/provider.ts';

const id = '0b7d3f1e-6a58-4c1b-9d2f-1a2b3c4d5e6f';

/** One integration and what is known of it, changed step by step; at first it is well, and nothing has happened. */
class Story {
  readonly ledger = new Ledger();
  readonly grant: Grant;
  readonly member: Member;
  readonly changes: Change[] = [];
  #nowMs = 1_000_000;
  #held = 't0';
  #current = 't0';

  constructor(graceMs = 0) {
    this.grant = {
      integrationId: id,
      provider: 'p',
      graceMs,
      revokedByUser: false,
      revokedForReuse: false,
      underWay: [],
    };
    this.ledger.issue('t0', this.grant, null);
    this.member = {
      id,
      userId: id,
      email: '',
      provider: {} as ChaosProvider,
      state: 'connected',
      grant: this.grant,
      actions: [],
    };
  }

  /** A call with what the row holds. */
  call(what: Partial<TokenCall> = {}): TokenCall {
    this.#nowMs += 1_000;
    const invocation: Invocation = { requestId: 'r', startedAtMs: 0, endedAtMs: null, killed: null };
    const process: FunctionProcess = { pid: 1, functionId: 'refresher', invocation };
    const token = this.ledger.token(this.#held) ?? null;
    const call = this.ledger.begin({ provider: 'p', token, process, invocation }, this.#nowMs);
    const spends = what.answer === undefined && token?.spentAtMs === null;
    if (spends && token) {
      call.answer = 'refreshed';
      call.processedAtMs = this.#nowMs + 1;
      call.answeredAtMs = this.#nowMs + 2;
      token.spentAtMs = call.processedAtMs;
      token.spentBy.push(call);
      this.#current = `t${call.number + 1}`;
      this.ledger.issue(this.#current, this.grant, call);
    }
    return Object.assign(call, what);
  }

  killed(call: TokenCall): TokenCall {
    const { invocation } = call;
    if (invocation)
      invocation.killed = { atMs: this.#nowMs + 3, pid: 1, functionId: 'refresher', kind: 'kill-refresher' };
    return call;
  }

  /** The row holds what the latest call has brought. */
  stored(): void {
    this.#held = this.#current;
  }

  committed(kind: Change['kind'], permanent: number, transient: number, status = 'connected'): void {
    this.changes.push({
      atMs: this.#nowMs + 5,
      integrationId: id,
      kind,
      permanent,
      transient,
      status,
      held: false,
    });
  }

  /** What is known at the end. */
  evidence(more: Partial<Evidence> = {}): Evidence {
    const works = this.#held === this.#current && !this.grant.revokedByUser && !this.grant.revokedForReuse;
    const last = this.changes.at(-1);
    const row = {
      id,
      status: last?.status ?? 'connected',
      permanent: last?.permanent ?? 0,
      transient: last?.transient ?? 0,
      reason: null,
      refreshToken: this.#held,
    };
    return {
      members: [this.member],
      rows: new Map([[id, row]]),
      changes: this.changes,
      circuits: [],
      calls: this.ledger.calls,
      token: (text) => this.ledger.token(text),
      usable: new Map(row.status === 'connected' ? [[id, works]] : []),
      notifications: [],
      events: [],
      emails: new Map(),
      unsettledEmails: new Map(),
      disturbances: [],
      stored: new Map(),
      queued: new Map(),
      words: [],
      messagesLeft: [],
      leaks: [],
      callTimeoutMs: 4_000,
      ...more,
    };
  }
}

/** Three refusals of a dead grant, with all that users have to be told of them. */
function disconnected(story: Story): Pick<Evidence, 'notifications' | 'emails'> {
  for (const count of [1, 2, 3]) {
    story.call({ answer: 'refused', answeredAtMs: 1, reuse: count === 1 && !story.grant.revokedByUser });
    story.committed('failure', count, 0, count === 3 ? 'needs_reauthorization' : 'connected');
  }
  return {
    notifications: ['integration_warning', 'integration_disconnected'].map((type) => ({
      integrationId: id,
      type,
    })),
    emails: new Map([[id, 1]]),
  };
}

const kinds = (evidence: Evidence) => judge(evidence).findings.map(({ kind }) => kind);

describe('a run in which everything is well', () => {
  it('has no findings', () => {
    const story = new Story();
    story.call();
    story.stored();
    expect(judge(story.evidence())).toMatchObject({ findings: [], losses: [], reuse: 0, duplicateCalls: 0 });
  });

  it('may have grants that users have taken back, when they are told once', () => {
    const story = new Story();
    story.grant.revokedByUser = true;
    const told = disconnected(story);
    expect(judge(story.evidence(told))).toMatchObject({
      findings: [],
      losses: [],
      notificationsExpected: 2,
      emailsExpected: 1,
    });
  });
});

describe('a lost grant', () => {
  it('is unavoidable when its successor was only in a process that was killed', () => {
    const story = new Story();
    story.killed(story.call());
    const told = disconnected(story);
    const { losses, findings, reuse } = judge(story.evidence(told));
    expect(losses.map(({ cause }) => cause)).toEqual(['killed']);
    expect({ findings, reuse }).toEqual({ findings: [], reuse: 1 });
  });

  it('is unavoidable when its answer reached nobody, and there is no grace', () => {
    const story = new Story();
    story.call({ fault: 'provider-reset-after' });
    story.ledger.calls.at(-1)!.answer = 'none';
    story.committed('failure', 0, 1);
    story.call({ answer: 'refused', reuse: true });
    story.committed('failure', 1, 1);
    const { losses } = judge(story.evidence());
    expect(losses.map(({ cause }) => cause)).toEqual(['answer-lost']);
  });

  it('is avoidable when its provider has a grace', () => {
    const story = new Story(60_000);
    story.call({ fault: 'provider-timeout-after' });
    expect(judge(story.evidence()).losses.map(({ cause }) => cause)).toEqual(['avoidable']);
  });

  it('is avoidable when the process lived on', () => {
    const story = new Story();
    story.call();
    const told = disconnected(story);
    expect(judge(story.evidence(told)).losses.map(({ cause }) => cause)).toEqual(['avoidable']);
    expect(kinds(story.evidence(told))).toEqual(['loss', 'reuse']);
  });

  it('is avoidable when the process reported the loss before it was killed', () => {
    const story = new Story();
    const call = story.killed(story.call());
    const words = [{ atMs: call.arrivedAtMs + 2, integrationId: id, word: 'result lost' as const }];
    expect(judge(story.evidence({ words })).losses.map(({ cause }) => cause)).toEqual(['avoidable']);
  });

  it.each(['stored', 'queued'] as const)(
    'is avoidable when it was %s before the process was killed',
    (where) => {
      const story = new Story();
      const call = story.killed(story.call());
      const evidence = story.evidence({ [where]: new Map([[id, call.arrivedAtMs + 2]]) });
      expect(judge(evidence).losses.map(({ cause }) => cause)).toEqual(['avoidable']);
    },
  );
});

describe('broken promises', () => {
  it('are overlapping calls', () => {
    const story = new Story();
    const first = story.call();
    story.stored();
    story.call({ overlaps: first });
    story.stored();
    expect(kinds(story.evidence())).toEqual(['overlap']);
  });

  it('are failures counted twice', () => {
    const story = new Story();
    story.call({ answer: 'passing' });
    story.committed('failure', 0, 1);
    story.committed('failure', 0, 2);
    story.call();
    story.stored();
    story.committed('success', 0, 0);
    expect(kinds(story.evidence())).toEqual(['counter']);
  });

  it('are early failures that no passing call has met', () => {
    const story = new Story();
    story.call({ answer: 'passing' });
    story.committed('early', 0, 0);
    story.committed('early', 0, 0);
    story.call();
    story.stored();
    story.committed('success', 0, 0);
    expect(kinds(story.evidence())).toEqual(['counter']);
  });

  it('are failures counted by two', () => {
    const story = new Story();
    story.call({ answer: 'passing' });
    story.committed('failure', 0, 2);
    story.call();
    story.stored();
    story.committed('success', 0, 0);
    expect(kinds(story.evidence())).toEqual(['counter']);
  });

  it('are failures that were never counted, unless it is known why', () => {
    const story = new Story();
    const failed = story.call({ answer: 'passing' });
    story.call();
    story.stored();
    expect(kinds(story.evidence())).toEqual(['counter']);
    const outage = { kind: 'db-stop', fromMs: failed.arrivedAtMs, toMs: failed.arrivedAtMs + 500 };
    expect(judge(story.evidence({ disturbances: [outage] }))).toMatchObject({
      findings: [],
      undecidedFailures: 1,
    });
    const circuits = [{ atMs: failed.arrivedAtMs - 1, provider: 'p', open: true }];
    expect(judge(story.evidence({ circuits }))).toMatchObject({ findings: [], undecidedFailures: 1 });
    story.killed(failed);
    expect(judge(story.evidence())).toMatchObject({ findings: [], undecidedFailures: 1 });
  });

  it('are notifications that are missing, and those that are too many', () => {
    const story = new Story();
    story.grant.revokedByUser = true;
    const { notifications, emails } = disconnected(story);
    expect(judge(story.evidence({ emails }))).toMatchObject({
      notificationsMissing: 2,
      notificationsDuplicate: 0,
    });
    const twice = { emails, notifications: [...notifications, ...notifications.slice(0, 1)] };
    expect(judge(story.evidence(twice))).toMatchObject({
      notificationsMissing: 0,
      notificationsDuplicate: 1,
    });
  });

  it('are emails that are missing, and those that are too many unless the first was in doubt', () => {
    const story = new Story();
    story.grant.revokedByUser = true;
    const { notifications } = disconnected(story);
    expect(judge(story.evidence({ notifications }))).toMatchObject({ emailsMissing: 1 });
    const twice = { notifications, emails: new Map([[id, 2]]) };
    expect(judge(story.evidence(twice))).toMatchObject({ emailsDuplicate: 1, emailsInDoubt: [] });
    const events = [{ id: 'e', integrationId: id, handled: true }];
    const doubted = { ...twice, events, unsettledEmails: new Map([['e', 1]]) };
    expect(judge(story.evidence(doubted))).toMatchObject({
      findings: [],
      emailsDuplicate: 0,
      emailsInDoubt: [id],
    });
  });

  it('are events that nobody handled, messages that are left, and tokens that were seen', () => {
    const story = new Story();
    const evidence = story.evidence({
      events: [{ id: 'e', integrationId: id, handled: false }],
      messagesLeft: [
        { queue: 'q', count: 1 },
        { queue: 'other', count: 0 },
      ],
      leaks: ['line 7'],
    });
    expect(kinds(evidence)).toEqual(['event', 'queue', 'leak']);
  });

  it('are rows that are gone, and those that should be', () => {
    const story = new Story();
    expect(kinds(story.evidence({ rows: new Map() }))).toEqual(['status']);
    story.member.state = 'deleted';
    expect(kinds(story.evidence())).toEqual(['status']);
    expect(kinds(story.evidence({ rows: new Map(), usable: new Map() }))).toEqual([]);
  });
});
