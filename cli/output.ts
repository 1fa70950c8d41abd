/** Where a command writes. With `--json` exactly one document goes to standard output, and nothing else. */
export interface Output {
  readonly json: boolean;
  /** Standard output is a terminal: colour and progress lines that overwrite themselves are welcome. */
  readonly interactive: boolean;
  /** A line for people on standard output; nothing with `--json`. */
  line(text?: string): void;
  /** What is going on, for anything over a second: standard error, and on a terminal the same line again. */
  progress(text: string): void;
  /** A line for people on standard error, also with `--json`: what they have to do while the command waits for it. */
  notice(text?: string): void;
  /** The one document of `--json`; nothing without it. */
  document(value: unknown): void;
  /** Styles text where colour is welcome. */
  style(format: 'bold' | 'red' | 'green' | 'yellow' | 'dim', text: string): string;
  /** Asks a yes/no question. Without a terminal nobody can answer, which is a `UsageError` that names `--yes`. */
  confirm(question: string): Promise<boolean>;
  /** Whether somebody sits at a terminal who can be asked. */
  readonly canAsk: boolean;
  /**
   * Asks for a line of text; `null`: there is none any more (Ctrl-D). `hidden`: nobody sees what is typed. Only where
   * `canAsk`.
   */
  ask(question: string, options?: { readonly hidden?: boolean }): Promise<string | null>;
}
