import { CliError, type Command, type CommandContext, type ExitCode } from '../command.ts';
import type { Output } from '../output.ts';
import { groupDeadLetters, type Selection, selects } from './dead-letter.ts';
import type { DeadLetterQueue } from './dead-letter-queue.ts';
import { look, unseenText } from './look.ts';
import { openQueue } from './open-queue.ts';
import { refuseBeside, requiredQueue, textOption, wholeNumberOption } from './options.ts';
import { deadLettersText } from './printable.ts';
import { createProgress } from './progress.ts';
import {
  cancelRedrive,
  followRedrive,
  isActive,
  movedText,
  refuseWhileActive,
  startRedrive,
} from './redrive.ts';
import { documentOf, messageNotFound, printGroups, throwIfUnfinished } from './report.ts';
import { interruptible, type Runtime } from './runtime.ts';
import { shownTask, totalOf } from './shown.ts';
import { replaySelected } from './take-out.ts';

/** SQS quota of its redrive. */
const highestRate = 500;

/** A whole replay looks at so many first, for malformed ones. */
const lookLimit = 1_000;

/** A look that goes through all that can be held at once. */
const searchLimit = 100_000;

export function replayCommand(runtime: Runtime): Command {
  return {
    name: 'dlq replay',
    summary: 'sends dead letters back to their queue: all, or those of a provider',
    help: `Replaying is always safe: a refresh message starts only a claim that a scan has opened, a user is
told of an event once, and a sealed result is stored only where its row still holds the token that
it was obtained with. Mend the cause first, or they come back.

Without --provider and --message SQS's own redrive moves everything. It goes on when this command
is interrupted; \`dlq list\` shows how far it is, --cancel ends it. With one of them, or when
malformed messages are among the dead letters, they are sent one by one and deleted after SQS has
accepted them: an interruption, at worst, leaves a message in both queues. Malformed messages
stay, as they would come straight back.

Usage
  evergrant dlq replay --queue refresh|threshold|sealed [--provider P] [--message ID]
                       [--max-per-second N] [--include-malformed] [--dry-run]
  evergrant dlq replay --queue refresh|threshold|sealed --cancel

Examples
  evergrant dlq replay --queue refresh --dry-run
  evergrant dlq replay --queue refresh --max-per-second 50
  evergrant dlq replay --queue threshold --provider google

Options
  --queue refresh|threshold|sealed   the queue whose dead letters are meant
  --provider P                       only messages about this provider
  --message ID                       only this message
  --max-per-second N                 so many at most, 1 to ${highestRate}; SQS chooses by default
  --include-malformed                also messages that no function can read
  --dry-run                          says what would be replayed, and changes nothing
  --cancel                           ends the redrive that is under way; what was moved stays moved

Exit codes
  0 replayed   1 it did not work, or was interrupted
  3 done but for messages that somebody else holds and that could not be seen`,
    options: {
      queue: { type: 'string' },
      provider: { type: 'string' },
      message: { type: 'string' },
      'max-per-second': { type: 'string' },
      'include-malformed': { type: 'boolean' },
      'dry-run': { type: 'boolean' },
      cancel: { type: 'boolean' },
    },
    async run({ options, output, target }: CommandContext) {
      const name = requiredQueue(options);
      refuseBeside(options, 'cancel', [
        'provider',
        'message',
        'max-per-second',
        'include-malformed',
        'dry-run',
      ]);
      const wanted: Wanted = {
        selection: {
          provider: textOption(options, 'provider'),
          messageId: textOption(options, 'message'),
          malformed: options['include-malformed'] ? 'included' : 'left out',
        },
        maxPerSecond: wholeNumberOption(options, 'max-per-second', 1, highestRate),
      };
      const queue = await openQueue(await target(), name);
      return interruptible(runtime, async (signal) => {
        const parts = { queue, output, runtime, signal };
        if (options.cancel) return cancel(parts);
        if (options['dry-run']) return dryRun(parts, wanted);
        const { provider, messageId } = wanted.selection;
        return provider === null && messageId === null
          ? replayAll(parts, wanted)
          : replayOneByOne(parts, wanted);
      });
    },
  };
}

interface Parts {
  readonly queue: DeadLetterQueue;
  readonly output: Output;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
}

interface Wanted {
  readonly selection: Selection;
  readonly maxPerSecond: number | null;
}

async function cancel({ queue, output, runtime, signal }: Parts): Promise<ExitCode> {
  const task = await cancelRedrive(queue, runtime, signal);
  output.line(
    task === null
      ? `No redrive of the ${queue.name} dead letters is under way.`
      : `The redrive ${isActive(task) ? 'is being cancelled' : 'has ended'}: ${movedText(task)}.`,
  );
  output.document({ queue: queue.name, redrive: task && shownTask(task) });
  return 0;
}

async function dryRun(parts: Parts, wanted: Wanted): Promise<ExitCode> {
  const { queue, output, signal } = parts;
  const { selection, maxPerSecond } = wanted;
  const { letters, unseen } = await look(queue, parts, {
    limit: searchLimit,
    signal,
    enough: (letter) => selection.messageId !== null && selects(selection, letter),
  });
  const matching = letters.filter((letter) => selects(selection, letter));
  const malformed = letters.filter(({ problem }) => problem !== null).length;
  const whole = selection.provider === null && selection.messageId === null;
  const by = whole && (malformed === 0 || selection.malformed === 'included') ? 'redrive' : 'one_by_one';
  const rate = maxPerSecond === null ? '' : `, at most ${maxPerSecond} a second`;
  output.line(
    `Would replay ${deadLettersText(matching.length)} of ${letters.length} seen ${by === 'redrive' ? "by SQS's redrive" : 'one by one'}${rate}${matching.length > 0 ? ':' : '.'}`,
  );
  printGroups(output, matching);
  sayLeftOut(output, letters.length - matching.length, selection, malformed);
  const rest = unseenText(unseen);
  if (rest) output.line(rest);
  output.document({
    queue: queue.name,
    dryRun: true,
    by,
    matched: matching.length,
    seen: letters.length,
    unseen,
    groups: groupDeadLetters(matching).map(({ provider, problem, count }) => ({ provider, problem, count })),
  });
  return 0;
}

function sayLeftOut(output: Output, count: number, { malformed }: Selection, malformedSeen: number): void {
  if (count === 0) return;
  const why =
    malformed === 'left out' && malformedSeen > 0
      ? ` Malformed: ${malformedSeen}, which would come straight back; --include-malformed takes them along.`
      : '';
  output.line(`The other ${count} would stay.${why}`);
}

async function replayAll(parts: Parts, wanted: Wanted): Promise<ExitCode> {
  const { queue, output, runtime, signal } = parts;
  await refuseWhileActive(queue);
  if (wanted.selection.malformed === 'left out') {
    const { counts, letters, unseen } = await look(queue, parts, { limit: lookLimit, signal });
    const malformed = letters.filter(({ problem }) => problem !== null).length;
    if (malformed > 0) {
      output.notice(
        `${malformed} of ${letters.length} seen are malformed and would come straight back, and SQS's redrive leaves none out: replaying the others one by one. --include-malformed takes everything.`,
      );
      return replayOneByOne(parts, wanted);
    }
    if (totalOf(counts) === 0 && letters.length === 0) {
      output.line(`There are no ${queue.name} dead letters.`);
      output.document({ queue: queue.name, by: 'redrive', redrive: null });
      return 0;
    }
    if (unseen > 0) {
      output.notice(
        `None of ${letters.length} seen is malformed; of the ${unseen} others, malformed ones go along and come back.`,
      );
    }
  }
  const started = await startRedrive(queue, wanted.maxPerSecond);
  const progress = createProgress(output, runtime);
  const task = await followRedrive(queue, started, runtime, {
    signal,
    onProgress: (running) => progress(() => `${queue.name}: ${movedText(running)}`),
  });
  output.line(`${deadLettersText(task.moved)} moved back to the ${queue.name} queue.`);
  const { inFlight } = await queue.count();
  if (inFlight > 0) {
    output.line(
      `About ${inFlight} were in flight with somebody else, and stay. Run it again in a few minutes.`,
    );
  }
  output.document({ queue: queue.name, by: 'redrive', redrive: shownTask(task), unseen: inFlight });
  return inFlight > 0 ? 3 : 0;
}

async function replayOneByOne(parts: Parts, { selection, maxPerSecond }: Wanted): Promise<ExitCode> {
  const { queue, output, runtime, signal } = parts;
  const progress = createProgress(output, runtime);
  const report = await replaySelected(queue, runtime, {
    selection,
    maxPerSecond,
    signal,
    onProgress: ({ seen, taken, counts }) =>
      progress(() => `${queue.name}: ${taken} replayed, ${seen} of about ${totalOf(counts)} seen`),
  });
  throwIfUnfinished(report, 'replayed');
  if (selection.messageId !== null && report.matched === 0) {
    if (report.malformedLeft === 0) throw messageNotFound(selection.messageId);
    throw new CliError(
      'message_malformed',
      `${selection.messageId} is malformed and would come straight back: --include-malformed replays it all the same.`,
    );
  }
  output.line(`${deadLettersText(report.taken)} of ${report.seen} seen replayed to the ${queue.name} queue.`);
  if (report.malformedLeft > 0) {
    output.line(
      `${report.malformedLeft} malformed stay, as they would come straight back: \`evergrant dlq discard --queue ${queue.name} --malformed\` deletes them.`,
    );
  }
  const rest = unseenText(report.unseen, report.end);
  if (rest) output.line(rest);
  output.document({ queue: queue.name, by: 'one_by_one', ...documentOf(report) });
  return report.unseen > 0 || report.end === 'in_flight' ? 3 : 0;
}
