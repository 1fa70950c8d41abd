import { Random } from './random.ts';

/**
 * What a fault does, and when. Some happen at their moment; those that wait for an event happen at the next event of their
 * kind after it, so that a kill is exact however fast the machine is.
 */
interface FaultSpec {
  readonly group: 'kill' | 'database' | 'queue' | 'provider' | 'users' | 'email' | 'clock';
  /** On the average one in so many seconds. */
  readonly everySeconds: number;
  /** How long it lasts, for those that last. */
  readonly lastsMs?: readonly [least: number, most: number];
  /** For people. */
  readonly what: string;
}

export const faultSpecs = {
  'kill-scanner': { group: 'kill', everySeconds: 60, what: 'a scanner process, at any moment' },
  'kill-refresher': { group: 'kill', everySeconds: 60, what: 'a refresher process, at any moment' },
  'kill-notifier': { group: 'kill', everySeconds: 60, what: 'a notifier process, at any moment' },
  'kill-after-claim': {
    group: 'kill',
    everySeconds: 45,
    what: 'the scanner that has claimed rows, before or right after it hears of it',
  },
  'kill-after-send': {
    group: 'kill',
    everySeconds: 50,
    what: 'the refresher whose request has arrived and is not processed',
  },
  'kill-after-processing': {
    group: 'kill',
    everySeconds: 50,
    what: 'the refresher whose token is spent, before the answer leaves the provider',
  },
  'kill-after-answer': {
    group: 'kill',
    everySeconds: 50,
    what: 'the refresher that the answer has been sent to',
  },
  'kill-before-commit': {
    group: 'kill',
    everySeconds: 50,
    what: 'the refresher whose statement with new tokens has not reached Postgres',
  },
  'kill-after-commit': {
    group: 'kill',
    everySeconds: 50,
    what: 'the refresher whose statement is committed, before it hears of it',
  },
  'kill-before-publish': {
    group: 'kill',
    everySeconds: 40,
    what: 'the refresher that has committed a threshold event, before SQS takes it',
  },
  'kill-between-row-and-mail': {
    group: 'kill',
    everySeconds: 40,
    what: 'the notifier that has written the notification, before it sends the email',
  },
  'kill-after-mail': {
    group: 'kill',
    everySeconds: 60,
    what: 'the notifier that has sent the email, before it writes that down: the email is in doubt',
  },
  'db-stop': {
    group: 'database',
    everySeconds: 75,
    lastsMs: [200, 6_000],
    what: 'Postgres stopped in immediate mode, and started again',
  },
  'db-kill': {
    group: 'database',
    everySeconds: 110,
    lastsMs: [200, 3_000],
    what: 'SIGKILL of the postmaster, and a start with recovery',
  },
  'db-outage': {
    group: 'database',
    everySeconds: 240,
    what: 'Postgres away, from when new tokens are on their way to it, for longer than a refresher lives and an attempt is held',
  },
  'db-pause': {
    group: 'database',
    everySeconds: 60,
    lastsMs: [300, 7_000],
    what: 'all processes of Postgres stopped (SIGSTOP) and continued',
  },
  'db-stall': {
    group: 'database',
    everySeconds: 60,
    lastsMs: [300, 7_000],
    what: 'no byte passes between the functions and Postgres',
  },
  'db-cut-before': {
    group: 'database',
    everySeconds: 20,
    what: 'a connection cut when a statement has been sent, before Postgres gets it',
  },
  'db-cut-after': {
    group: 'database',
    everySeconds: 20,
    what: 'a connection cut when a statement is carried out, before its answer arrives',
  },
  'db-cut-all': { group: 'database', everySeconds: 45, what: 'every connection to Postgres cut at once' },
  'sqs-duplicate': {
    group: 'queue',
    everySeconds: 6,
    what: 'the messages of a batch arrive twice, at once or some seconds apart',
  },
  'sqs-delay': { group: 'queue', everySeconds: 12, what: 'the messages of a batch arrive seconds late' },
  'sqs-reorder': {
    group: 'queue',
    everySeconds: 12,
    what: 'the messages of a batch arrive in another order',
  },
  'sqs-refuse': {
    group: 'queue',
    everySeconds: 60,
    lastsMs: [300, 3_000],
    what: 'SQS answers every send with an error',
  },
  'provider-latency': {
    group: 'provider',
    everySeconds: 45,
    lastsMs: [2_000, 8_000],
    what: 'answers up to two seconds late',
  },
  'provider-429': {
    group: 'provider',
    everySeconds: 120,
    lastsMs: [1_000, 6_000],
    what: 'everybody is told to slow down',
  },
  'provider-5xx': {
    group: 'provider',
    everySeconds: 120,
    lastsMs: [1_000, 6_000],
    what: 'everybody gets 502 with an HTML page',
  },
  'provider-sick-grant': {
    group: 'provider',
    everySeconds: 15,
    lastsMs: [15_000, 60_000],
    what: 'one grant is answered 503 for a while, often enough for the rate limit notification',
  },
  'provider-reset-before': { group: 'provider', everySeconds: 8, what: 'the connection breaks unprocessed' },
  'provider-reset-after': {
    group: 'provider',
    everySeconds: 12,
    what: 'the connection breaks after processing',
  },
  'provider-timeout-before': { group: 'provider', everySeconds: 15, what: 'no answer, nothing processed' },
  'provider-timeout-after': { group: 'provider', everySeconds: 15, what: 'no answer, processed' },
  'provider-garbage': {
    group: 'provider',
    everySeconds: 10,
    what: 'HTTP 200 with a page that has nothing to do with the question',
  },
  'provider-slow-body': { group: 'provider', everySeconds: 8, what: 'an answer that drips in, in time' },
  'user-reconnect': { group: 'users', everySeconds: 3, what: 'a user connects an account anew' },
  'user-return': { group: 'users', everySeconds: 2, what: 'a user who was disconnected connects anew' },
  'user-disconnect': {
    group: 'users',
    everySeconds: 15,
    what: 'a user disconnects an account in the product',
  },
  'user-delete': { group: 'users', everySeconds: 15, what: 'a user deletes an account in the product' },
  'user-revoke': { group: 'users', everySeconds: 5, what: 'a user takes the grant back at the provider' },
  'email-error': {
    group: 'email',
    everySeconds: 60,
    lastsMs: [500, 3_000],
    what: 'SES answers every send with 500: nobody knows whether it has sent',
  },
  clock: {
    group: 'clock',
    everySeconds: 30,
    what: 'functions that start from then on have a clock that is minutes off',
  },
} as const satisfies Record<string, FaultSpec>;

export type FaultKind = keyof typeof faultSpecs;

export const faultKinds = Object.keys(faultSpecs) as FaultKind[];

export function specOf(kind: FaultKind): FaultSpec {
  return faultSpecs[kind];
}

/** One fault of a plan. */
export interface PlannedFault {
  /** After the begin of the faults. */
  readonly atMs: number;
  readonly kind: FaultKind;
  /** 0 for those that do not last. */
  readonly lastsMs: number;
  /** From 0 up to 1: what else is to be chosen when it happens, such as whom it meets. */
  readonly choice: number;
}

/**
 * The faults of a run, in their order; the same seed, length, kinds and density give the same. Each kind comes once at
 * least, if the run is long enough for anything, and in equal parts of the run with a chance moment in each, so that none
 * is left out by bad luck.
 */
export function planFaults(options: {
  readonly seed: number;
  readonly durationMs: number;
  readonly kinds: readonly FaultKind[];
  /** How many times as often as usual. */
  readonly density: number;
  /** Comes five times as often as the others. */
  readonly emphasis?: FaultKind | null;
}): PlannedFault[] {
  const random = new Random(options.seed);
  const faults = options.kinds.flatMap((kind) => {
    const spec = specOf(kind);
    const own = random.fork(kind);
    const density = options.density * (options.emphasis === kind ? 5 : 1);
    const count = Math.max(1, Math.round(((options.durationMs / 1000) * density) / spec.everySeconds));
    const [least, most] = spec.lastsMs ?? [0, 0];
    return Array.from({ length: count }, (_, index) => ({
      atMs: Math.round(((index + own.next()) / count) * options.durationMs * lastMoment),
      kind,
      lastsMs: Math.round(Math.min(own.between(least, most), options.durationMs * longestShare)),
      choice: own.next(),
    }));
  });
  return faults.toSorted((a, b) => a.atMs - b.atMs);
}

/** No fault takes more of a short run than this. */
const longestShare = 1 / 12;

/** Nothing begins in the last twentieth: what waits for an event shall find one. */
const lastMoment = 0.95;
