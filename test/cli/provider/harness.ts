import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { CliError, type Command, UsageError } from '../../../cli/command.ts';
import { providerCommandsWith } from '../../../cli/provider/commands.ts';
import type { Target } from '../../../cli/target.ts';
import { RecordedOutput } from '../connect/harness.ts';

/** Somebody at a terminal who answers in turn; without an answer left, Ctrl-D. */
class AskedOutput extends RecordedOutput {
  readonly questions: { readonly question: string; readonly hidden: boolean }[] = [];
  readonly #answers: string[];
  readonly #agrees: boolean;

  constructor(json: boolean, answers: readonly string[], agrees: boolean) {
    super(json);
    this.#answers = [...answers];
    this.#agrees = agrees;
  }

  override get canAsk(): boolean {
    return true;
  }

  override async ask(question: string, { hidden = false } = {}): Promise<string | null> {
    this.questions.push({ question, hidden });
    return this.#answers.shift() ?? null;
  }

  override async confirm(question: string): Promise<boolean> {
    this.questions.push({ question, hidden: false });
    return this.#agrees;
  }
}

export interface Ended {
  readonly exitCode: number;
  /** `code: message` of the error that ended it. */
  readonly error: string | null;
  readonly stdout: string;
  readonly stderr: string;
  // biome-ignore lint/suspicious/noExplicitAny: read by whoever knows the command
  readonly document: any;
  readonly questions: readonly { readonly question: string; readonly hidden: boolean }[];
}

export interface Given {
  /** What stands on standard input; nothing by default. */
  readonly input?: string;
  /** Instead, somebody at a terminal. */
  readonly answers?: readonly string[];
  readonly agrees?: boolean;
}

/** Runs one of the provider commands: arguments by its own options, errors to exit codes. */
export async function run(target: Target, argv: readonly string[], given: Given = {}): Promise<Ended> {
  const commands = providerCommandsWith(() =>
    given.answers
      ? Object.assign(Readable.from([]), { isTTY: true })
      : Readable.from(given.input === undefined ? [] : [given.input]),
  );
  const [name, ...rest] = argv;
  const command = commands.find((each) => each.name === `provider ${name}`) as Command;
  const { values, positionals } = parseArgs({
    args: rest,
    options: { ...command.options, json: { type: 'boolean' } },
    allowPositionals: true,
  });
  const output = given.answers
    ? new AskedOutput(values.json === true, given.answers, given.agrees ?? true)
    : new RecordedOutput(values.json === true);
  const ended = await command
    .run({
      options: values as Record<string, string | boolean | string[] | undefined>,
      arguments: positionals,
      output,
      target: async () => target,
    })
    .then(
      (exitCode) => ({ exitCode: exitCode as number, error: null }),
      (error: Error) => {
        if (error instanceof UsageError) return { exitCode: 2, error: `usage: ${error.message}` };
        if (error instanceof CliError) return { exitCode: 1, error: `${error.code}: ${error.message}` };
        throw error;
      },
    );
  return {
    ...ended,
    stdout: output.stdout.join('\n'),
    stderr: output.stderr.join('\n'),
    document: output.documents[0],
    questions: output instanceof AskedOutput ? output.questions : [],
  };
}
