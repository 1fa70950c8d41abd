import type { Command, CommandContext } from '../command.ts';
import type { Output } from '../output.ts';
import { groupDeadLetters, oldestOf, queueNames } from './dead-letter.ts';
import type { DeadLetterQueue, MoveTask } from './dead-letter-queue.ts';
import { type Look, look, unseenText } from './look.ts';
import { openQueue } from './open-queue.ts';
import { queueOption, wholeNumberOption } from './options.ts';
import { deadLettersText, durationText, printable } from './printable.ts';
import { isActive, movedText } from './redrive.ts';
import { interruptible, type Runtime } from './runtime.ts';
import { shownTask, totalOf } from './shown.ts';

const defaultLimit = 1_000;

export function listCommand(runtime: Runtime): Command {
  return {
    name: 'dlq list',
    summary: 'dead letters: how many, how old, of which providers, and why',
    help: `Counts the dead letters of all queues and looks at some, to group them by provider and problem. A
look hides messages for the seconds that it takes and changes nothing. SQS counts approximately:
"about" stands where that matters.

Usage
  evergrant dlq list [--queue refresh|threshold|sealed] [--limit N]

Examples
  evergrant dlq list
  evergrant dlq list --queue refresh --limit 5000
  evergrant dlq list --json | jq '.queues[] | {queue, visible}'

Options
  --queue refresh|threshold|sealed   only this queue
  --limit N                          look at so many at most (${defaultLimit}); 0 counts only

Exit codes
  0 it was looked   1 SQS could not be asked`,
    options: { queue: { type: 'string' }, limit: { type: 'string' } },
    async run({ options, output, target }: CommandContext) {
      const only = queueOption(options);
      const limit = wholeNumberOption(options, 'limit', 0, 100_000) ?? defaultLimit;
      const reached = await target();
      await interruptible(runtime, async (signal) => {
        const queues: object[] = [];
        for (const name of only ? [only] : queueNames) {
          const queue = await openQueue(reached, name);
          const found =
            limit > 0
              ? await look(queue, { runtime, output }, { limit, signal })
              : { counts: await queue.count(), letters: [], unseen: 0 };
          const [task = null] = await queue.moveTasks();
          queues.push(documentOf(queue, found, task));
          print({ output, runtime, limit }, queue, found, task);
        }
        output.document({ queues });
      });
      return 0;
    },
  };
}

function documentOf(queue: DeadLetterQueue, { counts, letters, unseen }: Look, task: MoveTask | null) {
  return {
    queue: queue.name,
    url: queue.url,
    ...counts,
    seen: letters.length,
    unseen,
    oldestSentAt: oldestOf(letters)?.toISOString() ?? null,
    groups: groupDeadLetters(letters).map(({ oldestSentAt, ...group }) => ({
      ...group,
      oldestSentAt: oldestSentAt?.toISOString() ?? null,
    })),
    latestRedrive: task && shownTask(task),
  };
}

function print(
  { output, runtime, limit }: { readonly output: Output; readonly runtime: Runtime; readonly limit: number },
  { name }: DeadLetterQueue,
  { counts, letters, unseen }: Look,
  task: MoveTask | null,
): void {
  const oldest = oldestOf(letters);
  const age = (moment: Date | null) =>
    moment === null ? '' : durationText(runtime.now() - moment.getTime());
  const total = Math.max(totalOf(counts), letters.length);
  if (total === 0) {
    output.line(`${output.style('bold', name)}: ${output.style('green', 'no dead letters')}`);
  } else {
    const how = [
      `${unseen > 0 ? 'about ' : ''}${deadLettersText(total)}`,
      counts.inFlight > 0 && `about ${counts.inFlight} of them in flight`,
      oldest && `the oldest ${unseen > 0 ? 'seen ' : ''}was sent ${age(oldest)} ago`,
    ];
    output.line(`${output.style('bold', name)}: ${how.filter(Boolean).join(', ')}`);
  }
  const groups = groupDeadLetters(letters);
  const width = String(groups[0]?.count ?? 0).length;
  for (const { provider, problem, count, oldestSentAt } of groups) {
    const what = [
      provider === null ? 'of an unknown provider' : printable(provider),
      problem === null ? null : output.style('yellow', `malformed: ${printable(problem)}`),
      `oldest ${age(oldestSentAt)}`,
    ];
    output.line(`  ${String(count).padStart(width)}  ${what.filter((part) => part !== null).join('  ')}`);
  }
  if (limit > 0 && unseen > 0) {
    const why =
      letters.length < limit ? unseenText(unseen) : `Seen are ${letters.length}; --limit looks further.`;
    output.line(output.style('dim', `  ${why}`));
  }
  if (task && isActive(task)) output.line(`  A redrive is under way: ${movedText(task)}.`);
  if (task?.status === 'FAILED') {
    output.line(
      output.style(
        'red',
        `  The latest redrive failed: ${movedText(task)}, ${task.failureReason ?? 'unknown'}.`,
      ),
    );
  }
}
