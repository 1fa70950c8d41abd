import { vi } from 'vitest';

/** Keeps what this process writes to its streams from the terminal, for a look at it. */
export class Output {
  #stdout: string[] = [];
  #stderr: string[] = [];

  constructor() {
    for (const [stream, chunks] of [
      [process.stdout, () => this.#stdout],
      [process.stderr, () => this.#stderr],
    ] as const) {
      vi.spyOn(stream, 'write').mockImplementation((chunk) => {
        chunks().push(String(chunk));
        return true;
      });
    }
  }

  get stdout(): string {
    return this.#stdout.join('');
  }

  get stderr(): string {
    return this.#stderr.join('');
  }

  get all(): string {
    return this.stdout + this.stderr;
  }

  forget(): void {
    this.#stdout = [];
    this.#stderr = [];
  }
}
