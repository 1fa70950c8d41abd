import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { styleText } from 'node:util';
import { UsageError } from './command.ts';
import type { Output } from './output.ts';

/** A step that is over sooner than this is not announced. */
const announceAfterMs = { terminal: 200, elsewhere: 1_000 } as const;

/** Between two lines of progress where lines cannot be overwritten. */
const repeatAfterMs = 10_000;
const frameMs = 100;
const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** Writes to this process's standard output and standard error. */
export class Terminal implements Output {
  readonly json: boolean;
  readonly interactive = process.stdout.isTTY === true;
  #written = false;
  #progress: { text: string; readonly startedAtMs: number; readonly timer: NodeJS.Timeout } | undefined;
  #shown = { text: '', atMs: Number.NEGATIVE_INFINITY };
  #lineIsOpen = false;

  constructor(json: boolean) {
    this.json = json;
  }

  /** Whether the one document of `--json` is out. */
  get documentWritten(): boolean {
    return this.#written;
  }

  line(text = ''): void {
    if (this.json) return;
    this.endProgress();
    process.stdout.write(`${text}\n`);
  }

  document(value: unknown): void {
    if (!this.json) return;
    this.endProgress();
    this.#written = true;
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  notice(text = ''): void {
    this.endProgress();
    process.stderr.write(`${text}\n`);
  }

  progress(text: string): void {
    if (this.#progress) {
      this.#progress.text = text;
      return;
    }
    const timer = setInterval(() => this.#showProgress(), frameMs);
    timer.unref();
    this.#progress = { text, startedAtMs: performance.now(), timer };
  }

  /** Takes the line of progress away. */
  endProgress(): void {
    clearInterval(this.#progress?.timer);
    this.#progress = undefined;
    if (this.#lineIsOpen) process.stderr.write('\r\x1b[K');
    this.#lineIsOpen = false;
  }

  style(format: Parameters<Output['style']>[0], text: string): string {
    return styleText(format, text, { stream: process.stdout });
  }

  get canAsk(): boolean {
    return process.stdin.isTTY === true;
  }

  async confirm(question: string): Promise<boolean> {
    if (!this.canAsk) {
      throw new UsageError(`Nobody can be asked here: "${question}" Add --yes to agree beforehand.`);
    }
    const answer = await this.ask(`${question} [y/N]`);
    return /^y(es)?$/i.test(answer?.trim() ?? '');
  }

  async ask(
    question: string,
    { hidden = false }: { readonly hidden?: boolean } = {},
  ): Promise<string | null> {
    this.endProgress();
    // What is typed is shown by readline and not by the terminal, so that it can also not be shown.
    if (hidden) process.stderr.write(`${question} `);
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    const prompt = createInterface({
      input: process.stdin,
      output: hidden ? nowhere : process.stderr,
      terminal: true,
    });
    const answer = await new Promise<string | null>((resolve) => {
      prompt.once('close', () => resolve(null));
      prompt.on('SIGINT', () => {
        process.stderr.write('\n');
        process.emit('SIGINT');
      });
      prompt.question(hidden ? '' : `${question} `, resolve);
    });
    prompt.close();
    if (answer === null || hidden) process.stderr.write('\n');
    return answer;
  }

  #showProgress(): void {
    if (!this.#progress) return;
    const { text, startedAtMs } = this.#progress;
    const now = performance.now();
    const elapsedMs = now - startedAtMs;
    if (process.stderr.isTTY) {
      if (elapsedMs < announceAfterMs.terminal) return;
      const frame = frames[Math.floor(elapsedMs / frameMs) % frames.length];
      const width = Math.max(20, (process.stderr.columns ?? 80) - 3);
      process.stderr.write(`\r\x1b[K${frame} ${text.slice(0, width)}`);
      this.#lineIsOpen = true;
    } else if (
      elapsedMs >= announceAfterMs.elsewhere &&
      text !== this.#shown.text &&
      now - this.#shown.atMs >= repeatAfterMs
    ) {
      process.stderr.write(`${text}\n`);
      this.#shown = { text, atMs: now };
    }
  }
}
