import type { ParseArgsConfig } from 'node:util';
import type { Output } from './output.ts';
import type { Target } from './target.ts';

/** 0: done, or all is well. 1: it did not work. 2: wrong usage. 3: it worked, and what it found is not well. */
export type ExitCode = 0 | 1 | 2 | 3;

/** One command of the operator's command line. */
export interface Command {
  /** Words that call it, such as `status` or `dlq replay`. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Text of `--help`: usage, examples, options. The options that every command has are put below it. */
  readonly help: string;
  /** Options beyond `--stack`, `--local`, `--json` and `--help`, which every command has. */
  readonly options?: NonNullable<ParseArgsConfig['options']>;
  /** Names of the positional arguments, all of them required, such as `integration-id`. */
  readonly arguments?: readonly string[];
  /** Whether it works on a deployed or a local stack, and so takes `--stack` and `--local`; it does unless `false`. */
  readonly needsTarget?: boolean;
  run(context: CommandContext): Promise<ExitCode>;
}

export interface CommandContext {
  /**
   * Values of the command's own options and of those that every command has, as `parseArgs` gives them: lists where an
   * option may be repeated.
   */
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  readonly arguments: readonly string[];
  /** Finds the stack; throws `CliError` that says how to name one. */
  target(): Promise<Target>;
  readonly output: Output;
}

/** Wrong usage: exit code 2, and a hint at `--help`. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** It did not work, for a reason that people can act on: exit code 1, the message alone is printed. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
