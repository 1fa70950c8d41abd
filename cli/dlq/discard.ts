import { type Command, type CommandContext, type ExitCode, UsageError } from '../command.ts';
import type { Output } from '../output.ts';
import { groupDeadLetters, type Selection, selects } from './dead-letter.ts';
import type { DeadLetterQueue } from './dead-letter-queue.ts';
import { look, unseenText } from './look.ts';
import { openQueue } from './open-queue.ts';
import { refuseBeside, requiredQueue, textOption } from './options.ts';
import { deadLettersText } from './printable.ts';
import { createProgress } from './progress.ts';
import { documentOf, messageNotFound, printGroups, throwIfUnfinished } from './report.ts';
import { interruptible, type Runtime } from './runtime.ts';
import { SaveFile } from './save-file.ts';
import { shownLetter, totalOf } from './shown.ts';
import { discardSelected } from './take-out.ts';

/** A look that goes through all that can be held at once. */
const searchLimit = 100_000;

export function discardCommand(runtime: Runtime): Command {
  return {
    name: 'dlq discard',
    summary: 'deletes dead letters for good, and keeps them in a file if asked to',
    help: `Deletes dead letters. Whoever is asked to confirm sees them counted first, and exactly those are
deleted. Each is printed as a line of JSON before it is deleted, others' bodies shortened and
without what looks like a secret; with --save they go whole into a file instead, which is on disk
before anything is deleted.

A discarded refresh message does no harm: the next scan asks anew for whatever is due. A discarded
threshold event stays in the outbox and is published again by itself, at the latest after a day.

A sealed result is the only copy of a user's new tokens, and once it is gone only the user can
reconnect. Replay it instead, also when its user has reconnected meanwhile: then it is void, and
the replay lets its integration go on, which otherwise is held for 14 days. What has to go before
its cause is mended goes into a file, with --save.

Usage
  evergrant dlq discard --queue refresh|threshold|sealed
                        (--provider P | --malformed | --message ID | --all)
                        [--save FILE] [--dry-run] [--yes]

Examples
  evergrant dlq discard --queue refresh --malformed --save malformed.jsonl
  evergrant dlq discard --queue refresh --provider acme --dry-run
  evergrant dlq discard --queue threshold --all --yes
  evergrant dlq discard --queue sealed --malformed --save not-ours.jsonl

Options
  --queue refresh|threshold|sealed   the queue whose dead letters are meant
  --provider P                       only messages about this provider
  --malformed                        only messages that no function can read
  --message ID                       only this message
  --all                              everything
  --save FILE                        keep the messages in this new file, one JSON document a line
  --dry-run                          says what would be deleted, and changes nothing
  --yes                              asks nothing

Exit codes
  0 discarded   1 it did not work, or was interrupted
  3 done but for messages that somebody else holds and that could not be seen`,
    options: {
      queue: { type: 'string' },
      provider: { type: 'string' },
      malformed: { type: 'boolean' },
      message: { type: 'string' },
      all: { type: 'boolean' },
      save: { type: 'string' },
      'dry-run': { type: 'boolean' },
      yes: { type: 'boolean' },
    },
    async run({ options, output, target }: CommandContext): Promise<ExitCode> {
      const name = requiredQueue(options);
      const selection: Selection = {
        provider: textOption(options, 'provider'),
        messageId: textOption(options, 'message'),
        malformed: options.malformed ? 'only' : 'included',
      };
      refuseBeside(options, 'all', ['provider', 'message', 'malformed']);
      refuseBeside(options, 'dry-run', ['yes', 'save']);
      if (!options.all && !options.malformed && selection.provider === null && selection.messageId === null) {
        throw new UsageError(
          'Say what to delete: --provider, --malformed or --message; --all for everything.',
        );
      }
      const savePath = textOption(options, 'save');
      const queue = await openQueue(await target(), name);
      const parts = { queue, output, runtime, selection };
      if (options['dry-run']) return dryRun(parts);
      if (options.yes) return discard(parts, savePath, null);
      const { matching, seen, unseen } = await search(parts);
      if (matching.length === 0) return nothingMatches(parts, seen, unseen);
      printGroups(output, matching);
      const grants = name === 'sealed' ? matching.filter(({ problem }) => problem === null).length : 0;
      const warning =
        grants === 0 ? '' : ` ${grants} may be the only copy of a user's grant, which a replay stores.`;
      const question = `Delete ${deadLettersText(matching.length)} of ${seen} seen in the ${name} dead-letter queue for good?${warning}`;
      if (!(await output.confirm(question))) {
        output.line('Nothing was deleted.');
        output.document({ queue: name, matched: matching.length, taken: 0, seen, unseen });
        return 0;
      }
      return discard(parts, savePath, new Set(matching.map(({ messageId }) => messageId)));
    },
  };
}

interface Parts {
  readonly queue: DeadLetterQueue;
  readonly output: Output;
  readonly runtime: Runtime;
  readonly selection: Selection;
}

async function search(parts: Parts) {
  const { queue, runtime, selection } = parts;
  const { letters, unseen } = await interruptible(runtime, (signal) =>
    look(queue, parts, {
      limit: searchLimit,
      signal,
      enough: (letter) => selection.messageId !== null && selects(selection, letter),
    }),
  );
  const matching = letters.filter((letter) => selects(selection, letter));
  if (selection.messageId !== null && matching.length === 0) throw messageNotFound(selection.messageId);
  return { matching, seen: letters.length, unseen };
}

async function dryRun(parts: Parts): Promise<ExitCode> {
  const { queue, output } = parts;
  const { matching, seen, unseen } = await search(parts);
  output.line(`Would delete ${deadLettersText(matching.length)} of ${seen} seen:`);
  printGroups(output, matching);
  const rest = unseenText(unseen);
  if (rest) output.line(rest);
  output.document({
    queue: queue.name,
    dryRun: true,
    matched: matching.length,
    seen,
    unseen,
    groups: groupDeadLetters(matching).map(({ provider, problem, count }) => ({ provider, problem, count })),
  });
  return 0;
}

function nothingMatches({ queue, output }: Parts, seen: number, unseen: number): ExitCode {
  const rest = unseenText(unseen);
  output.line(`None of ${deadLettersText(seen)} seen is meant.${rest ? ` ${rest}` : ''}`);
  output.document({ queue: queue.name, matched: 0, taken: 0, seen, unseen });
  return unseen > 0 ? 3 : 0;
}

/** Deletes what is selected; of that, only what was confirmed, if somebody was asked. */
async function discard(
  { queue, output, runtime, selection }: Parts,
  savePath: string | null,
  confirmed: ReadonlySet<string> | null,
): Promise<ExitCode> {
  const file = savePath === null ? null : await SaveFile.create(savePath);
  const progress = createProgress(output, runtime);
  const shown: object[] = [];
  try {
    const report = await interruptible(runtime, (signal) =>
      discardSelected(queue, runtime, {
        selection,
        only: confirmed,
        signal,
        async save(letters) {
          if (file) return file.append(letters);
          for (const letter of letters) {
            if (output.json) shown.push(shownLetter(letter));
            else output.line(JSON.stringify(shownLetter(letter)));
          }
        },
        onProgress: ({ seen, taken, counts }) =>
          progress(() => `${queue.name}: ${taken} deleted, ${seen} of about ${totalOf(counts)} seen`),
      }),
    );
    throwIfUnfinished(report, 'discarded');
    if (selection.messageId !== null && report.matched === 0) throw messageNotFound(selection.messageId);
    const kept = file && report.taken > 0 ? `, kept in ${file.path}` : '';
    const rest = unseenText(report.unseen, report.end);
    // Standard output has the messages, for whoever reads them line by line.
    output.notice(`${deadLettersText(report.taken)} discarded${kept}.${rest ? ` ${rest}` : ''}`);
    output.document({
      queue: queue.name,
      ...documentOf(report),
      ...(file ? { savedTo: file.path } : { messages: shown }),
    });
    return report.unseen > 0 || report.end === 'in_flight' ? 3 : 0;
  } finally {
    await file?.close();
  }
}
