import type { Command, CommandContext } from '../command.ts';
import type { Output } from '../output.ts';
import { type DeadLetter, queueNames, selects } from './dead-letter.ts';
import { look } from './look.ts';
import { openQueue } from './open-queue.ts';
import { queueOption, textOption, wholeNumberOption } from './options.ts';
import { deadLettersText, durationText, printable, printableBody } from './printable.ts';
import { messageNotFound } from './report.ts';
import { interruptible, type Runtime } from './runtime.ts';
import { shownLetter } from './shown.ts';

const defaultLimit = 10;

/** A look that searches goes through all that can be held at once. */
const searchLimit = 100_000;

export function showCommand(runtime: Runtime): Command {
  return {
    name: 'dlq show',
    summary: 'dead letters in full: body, problem, provider, how often received',
    help: `Shows messages in full and leaves them where they are. A body that Evergrant did not write is
shown up to 500 characters, without what looks like a token or a secret; of a sealed result only
the length of what is sealed is shown. \`dlq discard --save\` keeps bodies whole.

Usage
  evergrant dlq show [--queue refresh|threshold|sealed] [--provider P] [--malformed] [--message ID]
                     [--limit N]

Examples
  evergrant dlq show
  evergrant dlq show --queue threshold --provider google --limit 3
  evergrant dlq show --message 5f0c7e2a-8a51-4c39-9e2b-6f0d5a3b1c44

Options
  --queue refresh|threshold|sealed   only this queue
  --provider P                       only messages about this provider
  --malformed                        only messages that no function can read
  --message ID                       only this message
  --limit N                          show so many of a queue at most (${defaultLimit})

Exit codes
  0 shown   1 there is no such message, or SQS could not be asked`,
    options: {
      queue: { type: 'string' },
      provider: { type: 'string' },
      malformed: { type: 'boolean' },
      message: { type: 'string' },
      limit: { type: 'string' },
    },
    async run({ options, output, target }: CommandContext) {
      const only = queueOption(options);
      const limit = wholeNumberOption(options, 'limit', 1, searchLimit) ?? defaultLimit;
      const selection = {
        provider: textOption(options, 'provider'),
        messageId: textOption(options, 'message'),
        malformed: options.malformed ? ('only' as const) : ('included' as const),
      };
      const searches = selection.provider !== null || selection.messageId !== null || options.malformed;
      const reached = await target();
      await interruptible(runtime, async (signal) => {
        const queues: object[] = [];
        let shown = 0;
        for (const name of only ? [only] : queueNames) {
          const queue = await openQueue(reached, name);
          let matches = 0;
          const { letters, unseen } = await look(
            queue,
            { runtime, output },
            {
              limit: searches ? searchLimit : limit,
              signal,
              enough: (letter) => {
                if (selects(selection, letter)) matches += 1;
                return matches >= (selection.messageId === null ? limit : 1);
              },
            },
          );
          const found = letters.filter((letter) => selects(selection, letter)).slice(0, limit);
          shown += found.length;
          queues.push({
            queue: name,
            seen: letters.length,
            unseen,
            messages: found.map(shownLetter),
          });
          for (const letter of found) print(output, runtime, letter);
          if (found.length === 0) {
            output.line(`${output.style('bold', name)}: none among ${deadLettersText(letters.length)} seen.`);
          } else if (unseen > 0) {
            output.line(output.style('dim', `${name}: about ${unseen} more were not looked at.`));
          }
          if (selection.messageId !== null && found.length > 0) break;
        }
        if (selection.messageId !== null && shown === 0) throw messageNotFound(selection.messageId);
        output.document({ queues });
      });
      return 0;
    },
  };
}

function print(output: Output, runtime: Runtime, letter: DeadLetter): void {
  const { queue, messageId, sentAt, receiveCount, groupId, provider, integrationId, eventId, problem } =
    letter;
  output.line(`${output.style('bold', queue)}  ${messageId}`);
  const fact = (name: string, value: string | null) => {
    if (value !== null) output.line(`  ${name.padEnd(12)}${value}`);
  };
  fact('sent', sentAt && `${sentAt.toISOString()}, ${durationText(runtime.now() - sentAt.getTime())} ago`);
  fact('received', receiveCount === null ? null : `${receiveCount} times, this look included`);
  fact('provider', provider === null ? 'unknown' : printable(provider));
  fact('group', groupId && printable(groupId));
  fact('integration', integrationId);
  fact('event', eventId);
  fact('malformed', problem && output.style('yellow', printable(problem)));
  fact('body', printableBody(letter));
  const names = Object.keys(letter.attributes);
  fact('attributes', names.length > 0 ? printable(names.join(', ')) : null);
  output.line();
}
