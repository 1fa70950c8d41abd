import { CliError } from '../command.ts';
import type { Output } from '../output.ts';
import { type DeadLetter, groupDeadLetters } from './dead-letter.ts';
import { deadLettersText, printable } from './printable.ts';
import { interrupted } from './runtime.ts';
import type { TakeOutReport } from './take-out.ts';

export function printGroups(output: Output, letters: readonly DeadLetter[]): void {
  for (const { provider, problem, count } of groupDeadLetters(letters)) {
    const whose = provider === null ? 'of an unknown provider' : printable(provider);
    output.line(`  ${count}  ${whose}${problem === null ? '' : `  malformed: ${printable(problem)}`}`);
  }
}

export function documentOf({
  error: _,
  matched,
  taken,
  seen,
  unseen,
  malformedLeft,
  undeleted,
}: TakeOutReport) {
  return { matched, taken, seen, unseen, malformedLeft, undeleted };
}

/** Throws `CliError` that says how far it came when not all that was selected is taken. */
export function throwIfUnfinished(report: TakeOutReport, done: 'replayed' | 'discarded'): void {
  const { taken, undeleted, refused, end, error } = report;
  const twice =
    undeleted === 0
      ? ''
      : done === 'replayed'
        ? ` ${undeleted} of them could not be deleted here, and are in both queues, which does no harm.`
        : ` ${undeleted} of them could not be deleted, and come back.`;
  const far = `${deadLettersText(taken)} ${done}.${twice}`;
  if (end === 'interrupted') {
    throw interrupted(`${far} The others are where they were: run it again.`);
  }
  if (error !== null) {
    throw new CliError(
      'dead_letters_unfinished',
      `${far} Then it stopped: ${error.name}: ${error.message}. What this command held becomes visible again within minutes; nothing is lost. Mend the cause and run it again.`,
      { cause: error },
    );
  }
  const refusals = Object.entries(refused);
  if (refusals.length > 0) {
    const codes = refusals.map(([code, count]) => `${count} × ${code}`).join(', ');
    throw new CliError(
      'dead_letters_refused',
      `${far} SQS did not accept the others, which stay (${codes}). Run it again; what is refused again must be discarded.`,
    );
  }
  if (undeleted > 0) throw new CliError('dead_letters_undeleted', `${far} Run it again.`);
}

export function messageNotFound(messageId: string): CliError {
  return new CliError(
    'message_not_found',
    `${messageId} is no dead letter that can be seen: it was replayed (which gives it a new id) or discarded, or it is in flight with somebody else and comes back.`,
  );
}
