import { styleText } from 'node:util';
import type { Evidence } from './evidence.ts';
import type { Finding, Verdict } from './judge.ts';
import type { Ledger } from './ledger.ts';
import { type FaultKind, faultKinds, type PlannedFault, specOf } from './plan.ts';
import type { Kill } from './processes.ts';
import type { ChaosOptions } from './run.ts';

/** What a run came to. */
export interface ChaosReport {
  readonly seed: number;
  readonly minutes: number;
  readonly integrations: number;
  readonly without: string | null;
  readonly ok: boolean;
  /** Authorizations by users, first ones and later ones. */
  readonly grants: number;
  readonly calls: number;
  readonly refreshed: number;
  readonly lost: number;
  /** Of `lost`: the successor was only in a process that was killed, or in an answer that reached nobody. */
  readonly lostUnavoidable: number;
  readonly lostKilled: number;
  readonly lostAnswers: number;
  readonly duplicateCalls: number;
  readonly reuse: number;
  readonly countersWrong: number;
  readonly statusesWrong: number;
  readonly undecidedFailures: number;
  readonly notificationsExpected: number;
  readonly notificationsMissing: number;
  readonly notificationsDuplicate: number;
  readonly emailsExpected: number;
  readonly emailsMissing: number;
  readonly emailsDuplicate: number;
  readonly emailsInDoubt: number;
  readonly messagesLeft: number;
  /** Messages that had become dead letters, and were replayed once the faults were over. */
  readonly deadLettersReplayed: number;
  readonly leaks: number;
  readonly kills: number;
  readonly killsByPoint: Readonly<Record<string, number>>;
  readonly dbRestarts: number;
  /** By kind: how many were planned, and how often they have happened. */
  readonly faults: Readonly<Record<string, { readonly planned: number; readonly fired: number }>>;
  /** Planned kinds that never happened. */
  readonly neverFired: readonly string[];
  /** From the provider's answer until the new tokens are durable, in milliseconds; `null`: nothing was measured. */
  readonly windowMs: {
    readonly count: number;
    readonly p50: number;
    readonly p99: number;
    readonly longest: number;
  } | null;
  readonly elapsed: Readonly<Record<'startMs' | 'faultsMs' | 'settlingMs' | 'judgingMs', number>>;
  /** Each grant that was lost, with the evidence. */
  readonly losses: readonly {
    readonly integrationId: string;
    readonly provider: string;
    readonly cause: string;
    readonly why: string;
    readonly at: string;
  }[];
  readonly inDoubt: readonly string[];
  readonly findings: readonly Finding[];
}

export function reportOf(run: {
  readonly options: ChaosOptions;
  readonly plan: readonly PlannedFault[];
  readonly evidence: Evidence;
  readonly verdict: Verdict;
  readonly unsettled: readonly string[];
  readonly ledger: Ledger;
  readonly kills: readonly Kill[];
  readonly dbRestarts: number;
  readonly deadLettersReplayed: number;
  readonly fired: ReadonlyMap<FaultKind, number>;
  readonly windowsMs: readonly number[];
  readonly elapsed: ChaosReport['elapsed'];
}): ChaosReport {
  const { options, verdict, evidence, fired } = run;
  const findings = [
    ...run.unsettled.map((what): Finding => ({ kind: 'unsettled', integrationId: null, what, timeline: [] })),
    ...verdict.findings,
  ];
  if (options.without !== null && findings.length === 0) {
    findings.push({
      kind: 'unnoticed',
      integrationId: null,
      what: `${options.without} is switched off, and no promise was broken: the run was too short for what it protects from`,
      timeline: [],
    });
  }
  const count = (kind: Finding['kind']) => findings.filter((finding) => finding.kind === kind).length;
  const planned = faultKinds.filter((kind) => run.plan.some((fault) => fault.kind === kind));
  const faults = Object.fromEntries(
    planned.map((kind) => [
      kind,
      { planned: run.plan.filter((fault) => fault.kind === kind).length, fired: fired.get(kind) ?? 0 },
    ]),
  );
  const { calls } = evidence;
  const byCause = (cause: string) => verdict.losses.filter((loss) => loss.cause === cause).length;
  return {
    seed: options.seed,
    minutes: options.durationMs / 60_000,
    integrations: options.integrations,
    without: options.without,
    ok: findings.length === 0,
    grants: run.ledger.grants,
    calls: calls.length,
    refreshed: calls.filter(({ processedAtMs }) => processedAtMs !== null).length,
    lost: verdict.losses.length,
    lostUnavoidable: byCause('killed') + byCause('answer-lost'),
    lostKilled: byCause('killed'),
    lostAnswers: byCause('answer-lost'),
    duplicateCalls: verdict.duplicateCalls,
    reuse: verdict.reuse,
    countersWrong: count('counter'),
    statusesWrong: count('status'),
    undecidedFailures: verdict.undecidedFailures,
    notificationsExpected: verdict.notificationsExpected,
    notificationsMissing: verdict.notificationsMissing,
    notificationsDuplicate: verdict.notificationsDuplicate,
    emailsExpected: verdict.emailsExpected,
    emailsMissing: verdict.emailsMissing,
    emailsDuplicate: verdict.emailsDuplicate,
    emailsInDoubt: verdict.emailsInDoubt.length,
    messagesLeft: evidence.messagesLeft.reduce((sum, left) => sum + left.count, 0),
    deadLettersReplayed: run.deadLettersReplayed,
    leaks: evidence.leaks.length,
    kills: run.kills.length,
    killsByPoint: Object.fromEntries(
      [...Map.groupBy(run.kills, ({ kind }) => kind)].map(([kind, kills]) => [kind, kills.length]),
    ),
    dbRestarts: run.dbRestarts,
    faults,
    neverFired: planned.filter((kind) => !fired.has(kind)),
    windowMs: measure(run.windowsMs),
    elapsed: run.elapsed,
    losses: verdict.losses.map(({ integrationId, provider, cause, why, atMs }) => ({
      integrationId,
      provider,
      cause,
      why,
      at: new Date(atMs).toISOString(),
    })),
    inDoubt: verdict.emailsInDoubt,
    findings,
  };
}

function measure(windowsMs: readonly number[]): ChaosReport['windowMs'] {
  if (windowsMs.length === 0) return null;
  const sorted = windowsMs.toSorted((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), longest: at(1) };
}

const mostFindings = 20;
const mostTimeline = 30;

/** The report for people. */
export function renderReport(report: ChaosReport, stream: NodeJS.WriteStream): string {
  const bold = (text: string) => styleText('bold', text, { stream });
  const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
  const { windowMs, elapsed } = report;
  const lines: (readonly [string, string])[] = [
    [
      'grants',
      `${report.grants} of ${report.integrations} integrations, ${report.calls} calls, ${report.refreshed} refreshed`,
    ],
    ['lost', `${report.lost}`],
    [
      '  unavoidable',
      `${report.lostUnavoidable}: ${report.lostKilled} only in a process that was killed, ${report.lostAnswers} in an answer that reached nobody`,
    ],
    ['duplicate calls', `${report.duplicateCalls}`],
    ['reuse', `${report.reuse} spent tokens presented`],
    [
      'counters wrong',
      `${report.countersWrong} (${report.undecidedFailures} failures that may or may not count)`,
    ],
    ['statuses wrong', `${report.statusesWrong}`],
    [
      'notifications',
      `${report.notificationsExpected} due, ${report.notificationsMissing} missing, ${report.notificationsDuplicate} too many`,
    ],
    [
      'emails',
      `${report.emailsExpected} due, ${report.emailsMissing} missing, ${report.emailsDuplicate} too many, ${report.emailsInDoubt} in doubt`,
    ],
    ['messages left', `${report.messagesLeft}, ${report.deadLettersReplayed} dead letters replayed`],
    ['tokens seen', `${report.leaks}`],
    [
      'window',
      windowMs === null
        ? 'not measured'
        : `p50 ${windowMs.p50} ms, p99 ${windowMs.p99} ms, longest ${windowMs.longest} ms from the answer until it is durable (${windowMs.count} times)`,
    ],
    ['kills', `${report.kills}`],
    ['database restarts', `${report.dbRestarts}`],
    [
      'time',
      `start ${seconds(elapsed.startMs)}, faults ${seconds(elapsed.faultsMs)}, settling ${seconds(elapsed.settlingMs)}, judging ${seconds(elapsed.judgingMs)}`,
    ],
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  const table = lines.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
  const kinds = Object.entries(report.faults)
    .map(
      ([kind, { planned, fired }]) =>
        `  ${kind.padEnd(26)} ${String(fired).padStart(6)} of ${String(planned).padStart(4)}  ${specOf(kind as FaultKind).what}\n`,
    )
    .join('');
  const never = report.neverFired.length === 0 ? '' : `\nNever happened: ${report.neverFired.join(', ')}.\n`;
  const findings = report.findings
    .slice(0, mostFindings)
    .map((finding) => `${renderFinding(finding, stream)}\n`)
    .join('');
  const more =
    report.findings.length > mostFindings
      ? `… and ${report.findings.length - mostFindings} more: --json lists all.\n`
      : '';
  const verdict = report.ok
    ? styleText('green', '✔ Every promise was kept.', { stream })
    : styleText('red', `✘ ${report.findings.length} promises were broken.`, { stream });
  const replay = `Again: npm run chaos -- --seed ${report.seed} --minutes ${report.minutes} --integrations ${report.integrations}${report.without === null ? '' : ` --without ${report.without}`}`;
  return `\n${bold('Chaos')}, seed ${report.seed}\n\n${table}\n${bold('Faults')} (happened, planned)\n${kinds}${never}\n${findings}${more}${verdict}\n${replay}\n`;
}

function renderFinding({ kind, integrationId, what, timeline }: Finding, stream: NodeJS.WriteStream): string {
  const head = `${styleText('red', '✘', { stream })} ${kind}: ${what}${integrationId === null ? '' : ` (${integrationId})`}`;
  const left = timeline.length - mostTimeline;
  const shown = [...(left > 0 ? [`… ${left} lines before`] : []), ...timeline.slice(-mostTimeline)];
  return [head, ...shown.map((line) => `    ${line}`)].join('\n');
}
