import type { OpenCircuit, StatusReport } from '../../lambdas/operator/reports.ts';
import type { QueueDepth } from '../queue-depths.ts';
import { counted, duration, listed, relative } from '../words.ts';

/** A promise that is broken. */
export interface Problem {
  readonly code:
    | 'expired_while_connected'
    | 'provider_outage'
    | 'client_refused'
    | 'circuit_by_hand'
    | 'disconnections_held'
    | 'operator_fault'
    | 'scanner_silent'
    | 'sealed_results_waiting'
    | 'sealed_dead_letters'
    | 'dead_letters';
  /** Without a full stop: it becomes part of a sentence. */
  readonly message: string;
}

/** So many scan intervals without a scan that ended well mean that the scanner is silent; as the alarm has it. */
const silentAfterIntervals = 3;

/** Which promises are broken. */
export function problemsOf(
  report: StatusReport,
  queues: readonly QueueDepth[],
  scanIntervalMinutes: number,
): Problem[] {
  const problems: Problem[] = [];
  const expired = sum(report.providers.map((provider) => provider.expired));
  if (expired > 0) {
    problems.push({
      code: 'expired_while_connected',
      message: `${counted(expired, 'connected integration')} ${expired === 1 ? 'has' : 'have'} an expired token`,
    });
  }
  problems.push(...report.circuits.map((circuit) => circuitProblem(circuit, report.now)));
  if (report.disconnectionsHeld.length > 0) {
    const names = report.disconnectionsHeld.map(({ provider }) => provider);
    problems.push({
      code: 'disconnections_held',
      message: `disconnections are held at ${listed(names)}, where implausibly many grants were refused at once`,
    });
  }
  // While a circuit is open, attempts end without a result by design.
  const withCircuit = new Set(report.circuits.map(({ provider }) => provider));
  const faulty = report.providers.filter(
    ({ provider, withoutResult }) => withoutResult > 0 && !withCircuit.has(provider),
  );
  if (faulty.length > 0) {
    problems.push({
      code: 'operator_fault',
      message: `the latest attempts of ${counted(sum(faulty.map((each) => each.withoutResult)), 'connected integration')} ended by our own fault (${faulty.map((each) => each.provider).join(', ')}: evergrant provider check <name> names it)`,
    });
  }
  const silentMs = report.lastScan
    ? Date.parse(report.now) - Date.parse(report.lastScan.startedAt)
    : Number.POSITIVE_INFINITY;
  if (silentMs > silentAfterIntervals * scanIntervalMinutes * 60_000) {
    problems.push({
      code: 'scanner_silent',
      message: report.lastScan
        ? `the last scan was ${duration(silentMs)} ago, and they should be ${duration(scanIntervalMinutes * 60_000)} apart`
        : 'no scan has ended well yet',
    });
  }
  problems.push(...sealedResultProblems(queues));
  const deadLetters = sum(queues.map(({ queue, deadLetters }) => (queue === 'sealed' ? 0 : deadLetters)));
  if (deadLetters > 0) {
    problems.push({
      code: 'dead_letters',
      message: `${counted(deadLetters, 'dead letter')} ${deadLetters === 1 ? 'waits' : 'wait'}`,
    });
  }
  return problems;
}

/** Each may be the only copy of a grant. */
function sealedResultProblems(queues: readonly QueueDepth[]): Problem[] {
  const problems: Problem[] = [];
  for (const { visible, inFlight, deadLetters } of queues.filter(({ queue }) => queue === 'sealed')) {
    const waiting = visible + inFlight;
    if (waiting > 0) {
      problems.push({
        code: 'sealed_results_waiting',
        message: `${counted(waiting, 'result')} that Postgres did not take ${waiting === 1 ? 'waits' : 'wait'} sealed for a scan`,
      });
    }
    if (deadLetters > 0) {
      problems.push({
        code: 'sealed_dead_letters',
        message: `${counted(deadLetters, 'sealed result')} cannot be stored, and ${deadLetters === 1 ? 'its integration is' : 'their integrations are'} held until a replay (evergrant dlq list --queue sealed)`,
      });
    }
  }
  return problems;
}

function circuitProblem({ provider, cause, code, openedAt }: OpenCircuit, now: string): Problem {
  const lasting = openedAt === null ? '' : ` for ${duration(Date.parse(now) - Date.parse(openedAt))}`;
  const why = code === null ? '' : ` (${code})`;
  switch (cause) {
    case 'outage':
      return {
        code: 'provider_outage',
        message: `${provider} has been out of order${lasting}${why}, and its integrations wait`,
      };
    case 'client_refused':
      return {
        code: 'client_refused',
        message: `${provider} has refused our client${lasting}${why}, and its integrations wait`,
      };
    case 'by_hand':
      return {
        code: 'circuit_by_hand',
        message: `${provider} has not been called${lasting}, as an operator opened its circuit, and its integrations wait`,
      };
  }
}

/** The first line: how it is, in a sentence. */
export function verdictOf(report: StatusReport, problems: readonly Problem[]): string {
  if (problems.length > 0) {
    const count = problems.length === 1 ? 'One thing is' : `${problems.length} things are`;
    return `${count} not well: ${problems.map(({ message }) => message).join('; ')}.`;
  }
  const connected = sum(report.providers.map((provider) => provider.connected));
  const tokens =
    connected === 0
      ? 'no integration is connected yet'
      : connected === 1
        ? '1 connected integration, and its token has not expired'
        : `${counted(connected, 'connected integration')}, and no token has expired`;
  return `All is well: ${tokens}; the last scan was ${relative(report.lastScan?.startedAt ?? null, report.now).replace('now', 'just now')}.`;
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
