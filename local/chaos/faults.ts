import { setTimeout as sleep } from 'node:timers/promises';
import { defaultPolicy } from '../../lambdas/domain/policy.ts';
import type { LocalSystem } from '../system.ts';
import type { Crowd } from './crowd.ts';
import type { ChaosDatabase } from './database.ts';
import type { Disturbance } from './evidence.ts';
import type { Grant, TokenCall } from './ledger.ts';
import type { FaultKind, PlannedFault } from './plan.ts';
import type { GateStatement, Interference, PostgresGate } from './postgres-gate.ts';
import type { Processes } from './processes.ts';
import type { CallFault, ProviderAnswer } from './provider.ts';
import type { Send, SendFault } from './queue-faults.ts';
import { Random } from './random.ts';
import type { StatementKind } from './statements.ts';

export interface FaultParts {
  readonly database: ChaosDatabase;
  readonly gate: PostgresGate;
  readonly processes: Processes;
  readonly system: LocalSystem;
  readonly crowd: Crowd;
  readonly providerNames: readonly string[];
  /** How long Postgres stays away when it is to outlast everything that is held. */
  readonly longOutageMs: number;
  /** The queue of sealed results refuses everything. */
  readonly refusesSealedResults: boolean;
}

/** What somebody gets for a while, and until it has met a few: on a busy machine nothing may happen meanwhile. */
interface Spell {
  readonly untilMs: number;
  hitsLeft: number;
}

/** What providers answer to everybody. */
interface Condition extends Spell {
  readonly kind: 'provider-429' | 'provider-5xx' | 'provider-latency';
  readonly provider: string;
}

const cutStatements: readonly StatementKind[] = [
  'claim',
  'start',
  'store',
  'record-failures',
  'write-notification',
  'claim-email',
  'record-email',
];

const page = '<!doctype html><title>Welcome</title><p>Have a nice day.';
const tooMany: ProviderAnswer = {
  status: 429,
  headers: { 'retry-after': '1' },
  body: JSON.stringify({ error: 'rate_limit_exceeded' }),
};
const badGateway: ProviderAnswer = {
  status: 502,
  headers: { 'content-type': 'text/html' },
  body: '<html><h1>502 Bad Gateway</h1>',
};
const garbage: ProviderAnswer = { status: 200, headers: { 'content-type': 'text/html' }, body: page };
const unavailable: ProviderAnswer = {
  status: 503,
  body: JSON.stringify({ error: 'temporarily_unavailable' }),
};

/** Carries a plan out. Faults that wait for an event are armed, and taken by whoever meets the event. */
export class Faults {
  readonly #armed = new Map<FaultKind, PlannedFault[]>();
  readonly #random: Random;
  readonly #working = new Set<Promise<void>>();
  #parts: FaultParts | null = null;
  #databaseTurn: Promise<void> = Promise.resolve();
  #databaseIsBusy = false;
  #conditions: Condition[] = [];
  #sick: (Spell & { readonly grant: Grant })[] = [];
  #refusesSends: Spell[] = [];
  /** Calls that go well before the next one is broken, by provider. */
  readonly #spared = new Map<string, number>();
  #clockOffsetMs = 0;
  #over = false;

  readonly fired = new Map<FaultKind, number>();
  readonly disturbances: Disturbance[] = [];

  constructor(seed: number) {
    this.#random = new Random(seed).fork('faults');
  }

  open(parts: FaultParts): void {
    this.#parts = parts;
  }

  /** Carries out what is planned, until its end or until the signal. */
  async play(plan: readonly PlannedFault[], signal: AbortSignal): Promise<void> {
    const startedAtMs = performance.now();
    for (const fault of plan) {
      const waitMs = fault.atMs - (performance.now() - startedAtMs);
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const work = this.#begin(fault).finally(() => this.#working.delete(work));
      this.#working.add(work);
    }
  }

  /** Ends all faults, and waits for those that last. */
  async end(): Promise<void> {
    this.#over = true;
    this.#armed.clear();
    this.#conditions = [];
    this.#sick = [];
    this.#refusesSends = [];
    this.#clockOffsetMs = 0;
    await Promise.all([...this.#working]);
    await this.#databaseTurn;
    this.#parts?.gate.release();
    this.#parts?.system.cloud.setEmailFault(null);
  }

  /** Milliseconds that the clock of a function that starts now is off. */
  clockOffsetMs(): number {
    if (this.#clockOffsetMs !== 0) this.#count('clock');
    return this.#clockOffsetMs;
  }

  ofStatement(statement: GateStatement): Interference | null {
    const { kind, process } = statement;
    if (process !== null) {
      const kill = (fault: FaultKind, at: Interference['at']): Interference => ({
        at,
        act: () => void this.#kill(process, fault),
      });
      const turn = (fault: FaultKind) => (this.#take(fault)?.choice ?? 0) < 0.5;
      if (kind === 'claim' && this.#has('kill-after-claim') && this.#isOf(process, 'scanner'))
        return kill('kill-after-claim', turn('kill-after-claim') ? 'answer' : 'passed');
      if (kind === 'store' && this.#take('kill-before-commit')) return kill('kill-before-commit', 'arrival');
      if (kind === 'store' && this.#take('kill-after-commit')) return kill('kill-after-commit', 'answer');
      if (kind === 'write-notification' && this.#has('kill-between-row-and-mail'))
        return kill('kill-between-row-and-mail', turn('kill-between-row-and-mail') ? 'answer' : 'passed');
      if (kind === 'record-email' && this.#take('kill-after-mail')) return kill('kill-after-mail', 'arrival');
    }
    // At the worst moment: new tokens are in a process and nowhere else.
    if (kind === 'store' && !this.#databaseIsBusy && this.#take('db-outage')) {
      const parts = this.#parts;
      if (parts)
        void this.#inDatabaseTurn('db-outage', () => parts.database.crash('SIGQUIT', parts.longOutageMs));
      return { at: 'arrival' };
    }
    for (const fault of ['db-cut-before', 'db-cut-after'] as const) {
      const [next] = this.#armed.get(fault) ?? [];
      if (!next || cutStatements[Math.floor(next.choice * cutStatements.length)] !== kind) continue;
      this.#take(fault);
      this.#count(fault);
      this.#disturbed(fault);
      return { at: fault === 'db-cut-before' ? 'arrival' : 'answer' };
    }
    return null;
  }

  ofCall(call: TokenCall): CallFault | null {
    for (const [kind, killAt] of [
      ['kill-after-send', 'arrival'],
      ['kill-after-processing', 'processing'],
      ['kill-after-answer', 'answer'],
    ] as const) {
      if (this.#take(kind)) return { kind, killAt };
    }
    const spared = this.#spared.get(call.provider) ?? 0;
    this.#spared.set(call.provider, spared - 1);
    for (const [kind, fault] of spared > 0 ? [] : onceFaults) {
      if (!this.#take(kind)) continue;
      this.#spared.set(call.provider, sparedCalls);
      this.#count(kind);
      return { kind, ...fault };
    }
    if (meets(this.#sick.find((each) => each.grant === call.grant && isOn(each)))) {
      this.#count('provider-sick-grant');
      return { kind: 'provider-sick-grant', unprocessed: unavailable };
    }
    const condition = this.#conditions.find((each) => each.provider === call.provider && isOn(each));
    if (!meets(condition)) return { kind: null, delayMs: this.#random.between(5, 60) };
    this.#count(condition.kind);
    switch (condition.kind) {
      case 'provider-429':
        return { kind: condition.kind, unprocessed: tooMany };
      case 'provider-5xx':
        return { kind: condition.kind, unprocessed: badGateway };
      case 'provider-latency':
        return { kind: condition.kind, delayMs: this.#random.between(100, 2_000) };
    }
  }

  killCaller(call: TokenCall, kind: FaultKind): void {
    if (call.process) this.#kill(call.process, kind);
  }

  ofSend(send: Send): SendFault {
    const parts = this.#parts;
    if (parts === null) return 'pass';
    const { queueIds } = parts.system;
    const { queues } = parts.system.cloud;
    const queueId = Object.keys(queues).find((id) => queues[id]?.url === send.queueUrl) ?? '';
    if (parts.refusesSealedResults && isSealedResultQueue(queueId)) return 'refuse';
    if (
      queueId === queueIds.threshold &&
      send.callerId === parts.system.functionId('refresher') &&
      this.#has('kill-before-publish')
    ) {
      const process = parts.processes.behind(send.call.socket);
      if (process) {
        this.#take('kill-before-publish');
        this.#kill(process, 'kill-before-publish');
        return 'drop';
      }
    }
    if (meets(this.#refusesSends.find(isOn))) {
      this.#count('sqs-refuse');
      return 'refuse';
    }
    const within = (most: number) => 1 + Math.floor(this.#random.next() * most);
    if (this.#take('sqs-duplicate')) {
      this.#count('sqs-duplicate');
      return { duplicateWithinSeconds: this.#random.next() < 0.5 ? 0 : within(6) };
    }
    for (const kind of ['sqs-delay', 'sqs-reorder'] as const) {
      if (!this.#take(kind)) continue;
      this.#count(kind);
      return {
        delayWithinSeconds: kind === 'sqs-delay' ? within(15) : 3,
        random: kind === 'sqs-delay' ? () => 1 : () => this.#random.next(),
      };
    }
    return 'pass';
  }

  async #begin(fault: PlannedFault): Promise<void> {
    const parts = this.#parts;
    if (parts === null) throw new Error('there is nothing to break yet');
    const { crowd, gate, database } = parts;
    const { kind, lastsMs, choice } = fault;
    const member = () => crowd.pick(choice);
    switch (kind) {
      case 'kill-scanner':
      case 'kill-refresher':
      case 'kill-notifier':
        return this.#killSomebody(kind, parts, choice);
      case 'db-stop':
        return this.#inDatabaseTurn(kind, () => database.crash('SIGQUIT', lastsMs));
      case 'db-kill':
        return this.#inDatabaseTurn(kind, () => database.crash('SIGKILL', lastsMs));
      case 'db-pause':
        return this.#inDatabaseTurn(kind, () => database.pause(lastsMs));
      case 'db-stall':
        return this.#inDatabaseTurn(kind, async () => {
          gate.hold();
          await sleep(lastsMs);
          gate.release();
        });
      case 'db-cut-all':
        this.#count(kind);
        this.#disturbed(kind);
        gate.cutAll();
        return;
      case 'sqs-refuse':
        this.#refusesSends.push({ untilMs: Date.now() + lastsMs, hitsLeft: 1 });
        return;
      case 'provider-429':
      case 'provider-5xx':
      case 'provider-latency': {
        const provider = parts.providerNames[Math.floor(choice * parts.providerNames.length)] as string;
        this.#conditions.push({ kind, provider, untilMs: Date.now() + lastsMs, hitsLeft: 3 });
        return;
      }
      case 'provider-sick-grant': {
        const grant = member()?.grant;
        if (grant)
          this.#sick.push({
            grant,
            untilMs: Date.now() + lastsMs,
            hitsLeft: defaultPolicy.rateLimitThreshold,
          });
        return;
      }
      case 'user-reconnect':
        return this.#user(kind, member(), (each) => crowd.reconnect(each));
      case 'user-disconnect':
        return this.#user(kind, member(), (each) => crowd.disconnect(each));
      case 'user-delete':
        return this.#user(kind, member(), (each) => crowd.delete(each));
      case 'user-revoke':
        return this.#user(kind, member(), (each) => crowd.revoke(each));
      case 'user-return': {
        const gone = await crowd.disconnected().catch(() => []);
        return this.#user(kind, gone[Math.floor(choice * gone.length)], (each) => crowd.reconnect(each));
      }
      case 'email-error':
        this.#count(kind);
        parts.system.cloud.setEmailFault({ status: 500, body: { __type: 'InternalServiceErrorException' } });
        await sleep(lastsMs);
        parts.system.cloud.setEmailFault(null);
        return;
      case 'clock':
        this.#clockOffsetMs = Math.round((choice - 0.5) * 2 * mostClockOffsetMs);
        return;
      default: {
        const waiting = this.#armed.get(kind) ?? [];
        waiting.push(fault);
        this.#armed.set(kind, waiting);
      }
    }
  }

  async #user<Member>(
    kind: FaultKind,
    member: Member | null | undefined,
    act: (member: Member) => Promise<void>,
  ): Promise<void> {
    if (member === null || member === undefined) return;
    this.#count(kind);
    await act(member);
  }

  /** One that works, if there is one soon. */
  async #killSomebody(kind: FaultKind, parts: FaultParts, choice: number): Promise<void> {
    const functionId = parts.system.functionId(kind.replace('kill-', ''));
    for (let tries = 0; tries < 500 && !this.#over; tries += 1) {
      const busy = parts.processes.busy(functionId);
      const chosen = busy[Math.floor(choice * busy.length)];
      if (chosen) {
        // Anywhere in its work, and not always at its begin.
        await sleep(choice * 1_000);
        if (chosen.invocation !== null && !this.#over) {
          this.#kill(chosen, kind);
          return;
        }
      }
      await sleep(20);
    }
  }

  #kill(process: Parameters<Processes['kill']>[0], kind: FaultKind): void {
    if (this.#parts?.processes.kill(process, kind)) this.#count(kind);
  }

  /** One after the other: a server that is away can be neither stopped nor paused. */
  #inDatabaseTurn(kind: FaultKind, work: () => Promise<void>): Promise<void> {
    this.#databaseTurn = this.#databaseTurn.then(async () => {
      if (this.#over) return;
      this.#count(kind);
      const disturbance = { kind, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY };
      this.disturbances.push(disturbance);
      this.#databaseIsBusy = true;
      await work().finally(() => {
        this.#databaseIsBusy = false;
      });
      disturbance.toMs = Date.now() + afterwardsMs;
    });
    return this.#databaseTurn;
  }

  #disturbed(kind: FaultKind): void {
    this.disturbances.push({ kind, fromMs: Date.now(), toMs: Date.now() + 1_000 });
  }

  #isOf(process: { readonly functionId: string }, stage: string): boolean {
    return process.functionId === this.#parts?.system.functionId(stage);
  }

  #has(kind: FaultKind): boolean {
    return (this.#armed.get(kind)?.length ?? 0) > 0;
  }

  #take(kind: FaultKind): PlannedFault | undefined {
    return this.#armed.get(kind)?.shift();
  }

  #count(kind: FaultKind): void {
    this.fired.set(kind, (this.fired.get(kind) ?? 0) + 1);
  }
}

function isOn({ untilMs, hitsLeft }: Spell): boolean {
  return untilMs > Date.now() || hitsLeft > 0;
}

/** Counts what it meets. */
function meets<Kind extends Spell>(spell: Kind | undefined): spell is Kind {
  if (spell) spell.hitsLeft -= 1;
  return spell !== undefined;
}

/** Statements that were under way when Postgres came back go on for so long. */
const afterwardsMs = 6_000;

const mostClockOffsetMs = 10 * 60_000;

export function isSealedResultQueue(queueId: string): boolean {
  return /sealed/i.test(queueId) && !/dead/i.test(queueId);
}

/** While a circuit is open only probes are made, and what has gathered meanwhile must not meet all of them. */
const sparedCalls = 5;

/** What happens to a single call. */
const onceFaults: readonly (readonly [kind: FaultKind, fault: Omit<CallFault, 'kind'>])[] = [
  ['provider-reset-before', { unprocessed: 'reset' }],
  ['provider-reset-after', { lost: 'reset' }],
  ['provider-timeout-before', { unprocessed: 'silence' }],
  ['provider-timeout-after', { lost: 'silence' }],
  ['provider-garbage', { unprocessed: garbage }],
  ['provider-slow-body', { dripMs: 1_500 }],
];
