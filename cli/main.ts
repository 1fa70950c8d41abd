import { readArguments } from './arguments.ts';
import { type Command, UsageError } from './command.ts';
import { explain } from './failures.ts';
import { helpText } from './help.ts';
import type { Target } from './target.ts';
import { Terminal } from './terminal.ts';

/** What a shell takes for "ended by Ctrl-C". */
const interruptedExitCode = 130;

/** Does what the arguments say. Returns the exit code of the process. */
export async function main(argv: readonly string[], commands: readonly Command[]): Promise<number> {
  // Needed before the arguments are understood, as they may not be.
  const output = new Terminal(argv.includes('--json'));
  endQuietlyWithoutReader();
  process.once('SIGINT', () => {
    if (!output.documentWritten) {
      output.document({ error: { code: 'interrupted', message: 'It was interrupted.' } });
    }
    output.endProgress();
    process.exit(interruptedExitCode);
  });

  let target: Promise<Target> | undefined;
  let local = false;
  try {
    const request = readArguments(argv, commands);
    if (request.kind === 'help') {
      const text = helpText(request.topic, commands);
      if (output.json) output.document({ help: text });
      else process.stdout.write(text);
      return 0;
    }
    const { command, options } = request;
    local = options.local === true;
    return await command.run({
      options,
      arguments: request.arguments,
      output,
      target() {
        output.progress(local ? 'looking for the local system' : 'reading the outputs of the stack');
        target ??= import('./open-target.ts').then(({ openTarget }) => openTarget(options));
        return target;
      },
    });
  } catch (error) {
    const { code, message, exitCode, unexpected } = explain(error, { local });
    if (output.json && !output.documentWritten) output.document({ error: { code, message } });
    else {
      output.notice(`evergrant: ${message}`);
      if (error instanceof UsageError) output.notice(`Try: evergrant ${helpWords(argv, commands)}--help`);
    }
    if (unexpected) output.notice((error as Error).stack ?? '');
    return exitCode;
  } finally {
    output.endProgress();
  }
}

/** The reader may go away (`| head`). What is under way is still brought to its end; nothing is said of it. */
function endQuietlyWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

/** The words of the command that was meant, as far as they name one. */
function helpWords(argv: readonly string[], commands: readonly Command[]): string {
  const words = argv.filter((argument) => !argument.startsWith('-'));
  const named = [words.slice(0, 2).join(' '), words[0] ?? ''].find((name) =>
    commands.some((command) => command.name === name || command.name.startsWith(`${name} `)),
  );
  return named ? `${named} ` : '';
}
