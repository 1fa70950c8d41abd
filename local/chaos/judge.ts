import { defaultPolicy } from '../../lambdas/domain/policy.ts';
import type { Change } from './audit.ts';
import type { Member } from './crowd.ts';
import type { Evidence } from './evidence.ts';
import type { Grant, IssuedToken, TokenCall } from './ledger.ts';

/** A promise that was broken. */
export interface Finding {
  readonly kind:
    | 'loss'
    | 'overlap'
    | 'reuse'
    | 'unusable'
    | 'status'
    | 'counter'
    | 'notification'
    | 'email'
    | 'event'
    | 'queue'
    | 'leak'
    | 'unsettled'
    | 'unnoticed';
  /** `null`: it is about no single one. */
  readonly integrationId: string | null;
  readonly what: string;
  /** What happened to the integration, oldest first. */
  readonly timeline: readonly string[];
}

/** A grant whose living token nobody has any more. */
export interface Loss {
  readonly grant: Grant;
  readonly integrationId: string;
  readonly provider: string;
  /**
   * `killed`: the successor was only in a process that was killed. `answer-lost`: the provider has spent the token, and what
   * it answered reached nobody. `avoidable`: the system had the successor, and has lost it.
   */
  readonly cause: 'killed' | 'answer-lost' | 'avoidable';
  readonly why: string;
  readonly atMs: number;
}

export interface Verdict {
  readonly findings: readonly Finding[];
  readonly losses: readonly Loss[];
  readonly duplicateCalls: number;
  readonly reuse: number;
  readonly notificationsExpected: number;
  readonly notificationsMissing: number;
  readonly notificationsDuplicate: number;
  readonly emailsExpected: number;
  readonly emailsMissing: number;
  readonly emailsDuplicate: number;
  /** Integrations whose user got an email twice because nobody could know whether the first was sent. */
  readonly emailsInDoubt: readonly string[];
  /** Failures that were answered and may or may not have been counted, for a reason that is known. */
  readonly undecidedFailures: number;
}

/** How long a result may be under way from the answer to its commit: the life of a function. */
const commitWithinMs = 40_000;

/** Holds everything that is known against what Evergrant promises. Pure. */
export function judge(evidence: Evidence): Verdict {
  return new Judgement(evidence).verdict();
}

class Judgement {
  readonly #evidence: Evidence;
  readonly #findings: Finding[] = [];
  readonly #calls: Map<string, TokenCall[]>;
  readonly #changes: Map<string, Change[]>;
  readonly #members: Map<string, Member>;
  #undecided = 0;

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
    this.#members = new Map(evidence.members.map((member) => [member.id, member]));
    this.#calls = Map.groupBy(
      evidence.calls.filter(({ grant }) => grant !== null),
      ({ grant }) => (grant as Grant).integrationId,
    );
    this.#changes = Map.groupBy(evidence.changes, ({ integrationId }) => integrationId);
  }

  verdict(): Verdict {
    const overlapping = this.#evidence.calls.filter(({ overlaps }) => overlaps !== null);
    for (const call of overlapping)
      this.#find(
        'overlap',
        call.grant?.integrationId ?? null,
        `call ${call.number} began while call ${call.overlaps?.number} for the same grant was under way`,
      );
    const losses = this.#losses();
    for (const loss of losses.filter(({ cause }) => cause === 'avoidable'))
      this.#find('loss', loss.integrationId, `its grant is lost: ${loss.why}`);
    const reuses = this.#reuses(losses);
    this.#statuses(losses);
    const expected = this.#counters();
    const told = this.#told(expected);
    const mailed = this.#mailed(expected);
    for (const event of this.#evidence.events.filter(({ handled }) => !handled))
      this.#find('event', event.integrationId, `the threshold event ${event.id} was never handled`);
    for (const { queue, count } of this.#evidence.messagesLeft.filter((each) => each.count > 0))
      this.#find('queue', null, `${count} messages are left in ${queue}`);
    for (const leak of this.#evidence.leaks) this.#find('leak', null, `a token is in ${leak}`);
    return {
      findings: this.#findings,
      losses,
      duplicateCalls: overlapping.length,
      reuse: reuses,
      undecidedFailures: this.#undecided,
      ...told,
      ...mailed,
    };
  }

  #find(kind: Finding['kind'], integrationId: string | null, what: string): void {
    const timeline = integrationId === null ? [] : this.#timeline(integrationId);
    this.#findings.push({ kind, integrationId, what, timeline });
  }

  /** Grants of which a spent token was presented past its grace, or is all that the row holds. */
  #losses(): Loss[] {
    const losses = new Map<Grant, Loss>();
    for (const call of this.#evidence.calls) {
      if (!call.reuse || call.grant === null || losses.has(call.grant)) continue;
      losses.set(call.grant, this.#lossOf(call.grant, call.token, call.arrivedAtMs));
    }
    for (const [id, works] of this.#evidence.usable) {
      const member = this.#members.get(id);
      if (works || !member || losses.has(member.grant) || member.grant.revokedByUser) continue;
      const stored = this.#evidence.rows.get(id)?.refreshToken;
      const token = stored == null ? null : (this.#evidence.token(stored) ?? null);
      losses.set(member.grant, this.#lossOf(member.grant, token, Number.POSITIVE_INFINITY));
    }
    return [...losses.values()];
  }

  /** `token`: what the row holds instead of its successor. `untilMs`: when it was presented again. */
  #lossOf(grant: Grant, token: IssuedToken | null, untilMs: number): Loss {
    const { integrationId, provider } = grant;
    // Within a grace it may have been spent more than once: the latest had the last word.
    const spent = token?.spentBy.findLast(({ arrivedAtMs }) => arrivedAtMs < untilMs);
    const loss = (cause: Loss['cause'], why: string): Loss => ({
      grant,
      integrationId,
      provider,
      cause,
      why,
      atMs: spent?.processedAtMs ?? 0,
    });
    if (!spent) return loss('avoidable', 'the row does not hold what a call has spent');
    const at = spent.processedAtMs as number;
    const name = `call ${spent.number}`;
    const stored = this.#evidence.stored.get(integrationId);
    if (stored !== undefined && stored >= at && stored < untilMs)
      return loss(
        'avoidable',
        `Postgres has carried out the commit of ${name}, and the row does not have it`,
      );
    const queued = this.#evidence.queued.get(integrationId);
    if (queued !== undefined && queued >= at && queued < untilMs)
      return loss(
        'avoidable',
        `the queue of sealed results took what ${name} brought, and the row does not have it`,
      );
    const until = Math.min(untilMs, at + commitWithinMs);
    if (this.#said(integrationId, 'result lost', at, until))
      return loss('avoidable', `the process that got the answer of ${name} reported that it lost it`);
    if (isAnswerLost(spent) && spent.invocation?.killed == null) {
      // Presented again at once, within the grace, and in vain: who loses two answers in a row goes on in the usual rhythm.
      const isRepeated = (this.#calls.get(integrationId) ?? []).some(
        ({ number, invocation, token: presented }) =>
          number > spent.number && invocation === spent.invocation && presented === spent.token,
      );
      if (isRepeated && spent.grant?.graceMs !== 0)
        return loss(
          'answer-lost',
          `${name} was processed and its answer was lost (${spent.fault}), and so was that of its repetition within the grace`,
        );
      return spent.grant?.graceMs === 0
        ? loss(
            'answer-lost',
            `${name} was processed and its answer was lost (${spent.fault}); there is no grace`,
          )
        : loss(
            'avoidable',
            `the answer of ${name} was lost (${spent.fault}), and the grace was not made use of`,
          );
    }
    if (spent.process === null) return loss('avoidable', `nobody knows which process made ${name}`);
    const killed = spent.invocation?.killed;
    if (killed) {
      return loss(
        'killed',
        `process ${killed.pid} was killed (${killed.kind}) ${sinceWhen(killed.atMs - at)} the provider had processed ${name}`,
      );
    }
    if (this.#said(integrationId, 'timeout', at - this.#evidence.callTimeoutMs, until) && grant.graceMs === 0)
      return loss('answer-lost', `the answer of ${name} came too late for its caller`);
    return loss('avoidable', `${name} was answered, and its process lived on`);
  }

  #said(integrationId: string, word: string, fromMs: number, toMs: number): boolean {
    return this.#evidence.words.some(
      (each) =>
        each.integrationId === integrationId &&
        each.word === word &&
        each.atMs >= fromMs &&
        each.atMs <= toMs,
    );
  }

  /** A spent token may be presented again only where its successor was lost without our fault. */
  #reuses(losses: readonly Loss[]): number {
    const reuses = this.#evidence.calls.filter(({ reuse, process }) => reuse && process !== null);
    const explained = new Set(
      losses.filter(({ cause }) => cause !== 'avoidable').map(({ integrationId }) => integrationId),
    );
    for (const call of reuses) {
      if (call.grant !== null && !explained.has(call.grant.integrationId))
        this.#find('reuse', call.grant.integrationId, `call ${call.number} presented a spent token`);
    }
    return reuses.length;
  }

  #statuses(losses: readonly Loss[]): void {
    const lost = new Set(losses.map(({ grant }) => grant));
    for (const member of this.#evidence.members) {
      const row = this.#evidence.rows.get(member.id);
      if (member.state === 'deleted') {
        if (row) this.#find('status', member.id, 'its user deleted it, and its row is there');
        continue;
      }
      if (!row) {
        this.#find('status', member.id, 'its row is gone, and its user did not delete it');
        continue;
      }
      const dead = member.grant.revokedByUser || lost.has(member.grant);
      const wanted =
        member.state === 'disconnected' ? 'disconnected' : dead ? 'needs_reauthorization' : 'connected';
      if (row.status !== wanted) {
        this.#find('status', member.id, `its status is ${row.status} instead of ${wanted}`);
        continue;
      }
      if (wanted === 'connected' && (row.permanent !== 0 || row.transient !== 0))
        this.#find(
          'counter',
          member.id,
          `it is well, and its counters are ${row.permanent} and ${row.transient}`,
        );
      if (wanted === 'connected' && this.#evidence.usable.get(member.id) === false)
        this.#find('unusable', member.id, 'the provider does not renew its grant with the stored token');
      // Whose disconnection is held goes on being refused.
      const mostRefusals = this.#changes.get(member.id)?.some(({ held }) => held)
        ? Number.POSITIVE_INFINITY
        : defaultPolicy.disconnectThreshold;
      const { disconnectThreshold } = defaultPolicy;
      const fits = row.permanent >= disconnectThreshold && row.permanent <= mostRefusals;
      if (wanted === 'needs_reauthorization' && !fits)
        this.#find(
          'counter',
          member.id,
          `it was disconnected after ${row.permanent} refusals instead of ${disconnectThreshold}`,
        );
    }
  }

  /**
   * Goes through what was committed, change by change: each failure moves one counter by one, from 0 in a new episode, and
   * comes of one call that failed so. What thresholds were crossed on the way is what users had to be told.
   */
  #counters(): Map<string, Expected> {
    const expected = new Map<string, Expected>();
    for (const [id, changes] of this.#changes) {
      const told: Expected = { notifications: new Map(), emails: 0 };
      expected.set(id, told);
      const add = (type: string) => told.notifications.set(type, (told.notifications.get(type) ?? 0) + 1);
      let state = { permanent: 0, transient: 0, emailed: false };
      let newEpisode = false;
      let usedCall = -1;
      for (const change of changes) {
        if (change.kind === 'success') {
          state = { permanent: 0, transient: 0, emailed: false };
          newEpisode = false;
          if (change.permanent !== 0 || change.transient !== 0)
            this.#find('counter', id, 'a success was committed, and a counter is not 0');
        }
        if (change.kind === 'reconnect') newEpisode = true;
        if (change.kind === 'early') {
          const early = this.#callBefore(id, change.atMs);
          if (!early || early.number === usedCall || !this.#mayPass(early, change.atMs))
            this.#find(
              'counter',
              id,
              'an early failure was committed that no passing call of its own has met',
            );
          usedCall = early?.number ?? usedCall;
        }
        if (change.kind !== 'failure') continue;
        if (newEpisode) state = { permanent: 0, transient: 0, emailed: false };
        newEpisode = false;
        const isPermanent = change.permanent === state.permanent + 1 && change.transient === state.transient;
        const isTransient = change.transient === state.transient + 1 && change.permanent === state.permanent;
        if (!isPermanent && !isTransient) {
          this.#find(
            'counter',
            id,
            `a failure moved the counters from ${state.permanent} and ${state.transient} to ${change.permanent} and ${change.transient}`,
          );
        }
        const call = this.#callBefore(id, change.atMs);
        if (!call || call.number === usedCall)
          this.#find('counter', id, 'a failure was counted that no call of its own has met');
        else if (isPermanent && call.answer !== 'refused')
          this.#find('counter', id, `call ${call.number} was not refused, and was counted as a refusal`);
        else if (isTransient && !this.#mayPass(call, change.atMs))
          this.#find(
            'counter',
            id,
            `call ${call.number} was answered (${call.answer}), and counted as a passing failure`,
          );
        usedCall = call?.number ?? usedCall;
        state = { ...state, permanent: change.permanent, transient: change.transient };
        if (isTransient && state.transient === defaultPolicy.rateLimitThreshold)
          add('integration_rate_limit');
        if (!isPermanent) continue;
        const disconnects = state.permanent >= defaultPolicy.disconnectThreshold && !change.held;
        if (state.permanent === defaultPolicy.warningThreshold) add('integration_warning');
        if (disconnects) add('integration_disconnected');
        if (!state.emailed && !change.held) {
          told.emails += 1;
          state.emailed = true;
        }
        if (disconnects !== (change.status === 'needs_reauthorization'))
          this.#find('status', id, `its status is ${change.status} after refusal ${state.permanent}`);
        if (disconnects) newEpisode = true;
      }
      this.#uncounted(id, changes);
    }
    for (const id of this.#calls.keys()) if (!this.#changes.has(id)) this.#uncounted(id, []);
    return expected;
  }

  #callBefore(id: string, atMs: number): TokenCall | undefined {
    return (this.#calls.get(id) ?? []).findLast((each) => each.arrivedAtMs <= atMs);
  }

  /** Whether a caller may have taken a call for a passing failure. */
  #mayPass(call: TokenCall, countedAtMs: number): boolean {
    if (call.answer === 'passing' || call.answer === 'none') return true;
    const id = call.grant?.integrationId ?? '';
    return (
      call.leftAtMs !== null ||
      this.#said(id, 'timeout', call.arrivedAtMs, countedAtMs + commitWithinMs) ||
      this.#said(id, 'network_error', call.arrivedAtMs, countedAtMs + commitWithinMs)
    );
  }

  /** Each failure that a process has heard of is counted, unless it is known why not. */
  #uncounted(id: string, changes: readonly Change[]): void {
    const calls = this.#calls.get(id) ?? [];
    const failures = changes.filter(({ kind }) => kind === 'failure' || kind === 'early');
    for (const [index, call] of calls.entries()) {
      const failed = call.answer === 'refused' || call.answer === 'passing' || call.answer === 'none';
      if (!failed) continue;
      const nextAtMs = calls[index + 1]?.arrivedAtMs ?? Number.POSITIVE_INFINITY;
      if (failures.some(({ atMs }) => atMs >= call.arrivedAtMs && atMs < nextAtMs)) continue;
      // A doubtful call that is made again at once, within the grace, counts as what that comes to.
      const next = calls[index + 1];
      const isRepeated = next?.invocation === call.invocation && next.token === call.token;
      if (call.answer !== 'refused' && isRepeated) continue;
      if (this.#mayBeUncounted(call, nextAtMs)) {
        this.#undecided += 1;
        continue;
      }
      this.#find('counter', id, `call ${call.number} failed (${call.answer}), and that was never counted`);
    }
  }

  #mayBeUncounted(call: TokenCall, nextAtMs: number): boolean {
    if (call.invocation === null || call.invocation.killed !== null) return true;
    const from = call.arrivedAtMs;
    const to = Math.min(nextAtMs, from + commitWithinMs);
    const overlaps = (fromMs: number, toMs: number) => fromMs <= to && toMs >= from;
    const member = this.#members.get(call.grant?.integrationId ?? '');
    if (member?.actions.some((act) => overlaps(act.startedAtMs, act.endedAtMs ?? Number.POSITIVE_INFINITY)))
      return true;
    if (member !== undefined && member.grant !== call.grant) {
      // The user had already connected anew when the call was made with the grant before.
      const replaced = member.actions.some(
        ({ kind, startedAtMs }) => kind === 'reconnect' && startedAtMs <= to,
      );
      if (replaced) return true;
    }
    if (this.#evidence.disturbances.some(({ fromMs, toMs }) => overlaps(fromMs, toMs))) return true;
    return call.answer !== 'refused' && this.#circuitWasOpen(call.provider, from, to);
  }

  #circuitWasOpen(provider: string, fromMs: number, toMs: number): boolean {
    let open = false;
    for (const change of this.#evidence.circuits) {
      if (change.provider !== provider) continue;
      if (open && change.atMs >= fromMs) return true;
      open = change.open;
      if (open && change.atMs >= fromMs && change.atMs <= toMs) return true;
      if (change.atMs > toMs) return false;
    }
    return open;
  }

  #told(expected: ReadonlyMap<string, Expected>) {
    const written = new Map<string, number>();
    for (const { integrationId, type } of this.#evidence.notifications) {
      const key = `${integrationId} ${type}`;
      written.set(key, (written.get(key) ?? 0) + 1);
    }
    let [notificationsExpected, notificationsMissing, notificationsDuplicate] = [0, 0, 0];
    const compare = (id: string, type: string, wanted: number, rows: number) => {
      notificationsExpected += wanted;
      notificationsMissing += Math.max(0, wanted - rows);
      notificationsDuplicate += Math.max(0, rows - wanted);
      if (wanted !== rows) this.#find('notification', id, `${rows} rows of ${type} instead of ${wanted}`);
    };
    for (const [id, { notifications }] of expected) {
      for (const [type, wanted] of notifications) {
        compare(id, type, wanted, written.get(`${id} ${type}`) ?? 0);
        written.delete(`${id} ${type}`);
      }
    }
    for (const [key, rows] of written) {
      const [id = '', type = ''] = key.split(' ');
      compare(id, type, 0, rows);
    }
    return { notificationsExpected, notificationsMissing, notificationsDuplicate };
  }

  #mailed(expected: ReadonlyMap<string, Expected>) {
    const unsettled = new Map<string, number>();
    for (const { id, integrationId } of this.#evidence.events) {
      const count = this.#evidence.unsettledEmails.get(id) ?? 0;
      unsettled.set(integrationId, (unsettled.get(integrationId) ?? 0) + count);
    }
    let [emailsExpected, emailsMissing, emailsDuplicate] = [0, 0, 0];
    const emailsInDoubt: string[] = [];
    for (const id of new Set([...expected.keys(), ...this.#evidence.emails.keys()])) {
      const wanted = expected.get(id)?.emails ?? 0;
      const sent = this.#evidence.emails.get(id) ?? 0;
      emailsExpected += wanted;
      if (sent === wanted) continue;
      if (sent > wanted && sent <= wanted + (unsettled.get(id) ?? 0)) {
        emailsInDoubt.push(id);
        continue;
      }
      emailsMissing += Math.max(0, wanted - sent);
      emailsDuplicate += Math.max(0, sent - wanted);
      this.#find('email', id, `${sent} emails instead of ${wanted}`);
    }
    return { emailsExpected, emailsMissing, emailsDuplicate, emailsInDoubt };
  }

  /** What is known to have happened to an integration, a line each. */
  #timeline(id: string): string[] {
    const lines: { atMs: number; text: string }[] = [];
    const add = (atMs: number | null | undefined, text: string) => {
      if (atMs !== null && atMs !== undefined) lines.push({ atMs, text });
    };
    for (const call of this.#calls.get(id) ?? []) {
      const { number, process, fault, invocation } = call;
      add(
        call.arrivedAtMs,
        `call ${number} by ${process === null ? 'nobody known' : `process ${process.pid}`} at ${call.provider}: ${call.answer}${call.reuse ? ', a spent token' : ''}${fault === null ? '' : ` (${fault})`}`,
      );
      add(call.processedAtMs, `call ${number} spent its token`);
      add(call.answeredAtMs, `call ${number} was answered`);
      add(call.leftAtMs, `the caller of call ${number} left`);
      const killed = invocation?.killed;
      if (killed) add(killed.atMs, `process ${killed.pid} of call ${number} was killed (${killed.kind})`);
    }
    for (const { atMs, kind, permanent, transient, status } of this.#changes.get(id) ?? [])
      add(atMs, `committed: ${kind}, counters ${permanent} and ${transient}, ${status}`);
    for (const { kind, startedAtMs, endedAtMs } of this.#members.get(id)?.actions ?? []) {
      add(startedAtMs, `its user begins: ${kind}`);
      add(endedAtMs, `its user is done: ${kind}`);
    }
    add(this.#evidence.stored.get(id), 'the latest commit of new tokens that Postgres carried out');
    add(this.#evidence.queued.get(id), 'the latest sealed result that its queue took');
    for (const { atMs, integrationId, word } of this.#evidence.words)
      if (integrationId === id) add(atMs, `log: ${word}`);
    return lines
      .toSorted((a, b) => a.atMs - b.atMs)
      .map(({ atMs, text }) => `${new Date(atMs).toISOString().slice(11, 23)}  ${text}`);
  }
}

/** What a killed process has sent before is processed all the same. */
function sinceWhen(ms: number): string {
  return `${Math.abs(Math.round(ms))} ms ${ms < 0 ? 'before' : 'after'}`;
}

/** The provider has processed it, and has kept its answer to itself. */
function isAnswerLost({ fault }: TokenCall): boolean {
  return fault === 'provider-reset-after' || fault === 'provider-timeout-after';
}

/** What the users of an integration had to be told. */
interface Expected {
  readonly notifications: Map<string, number>;
  emails: number;
}
