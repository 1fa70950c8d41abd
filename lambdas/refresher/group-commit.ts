/**
 * Group commit: while one write is in flight, the items that arrive gather for the next one. A lone item is
 * written at once, a crowd in few statements, and nobody waits for a batch to fill or end.
 */
export class GroupCommit<Item, Result> {
  readonly #write: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #mustSplit: (error: unknown) => boolean;
  readonly #maxGroup: number;
  #waiting: Waiting<Item, Result>[] = [];
  #writing = false;

  /**
   * `write` returns one result per item, in their order. `mustSplit` tells whether an error may be the fault
   * of a single item: then the group is written by halves, and these by theirs, and only the faulty one fails.
   */
  constructor(
    write: (items: readonly Item[]) => Promise<readonly Result[]>,
    options: { readonly mustSplit: (error: unknown) => boolean; readonly maxGroup?: number },
  ) {
    this.#write = write;
    this.#mustSplit = options.mustSplit;
    this.#maxGroup = options.maxGroup ?? 500;
  }

  /** Resolves when the item is written; rejects with what its write threw. */
  commit(item: Item): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.push({ item, resolve, reject });
    if (!this.#writing) void this.#drain();
    return promise;
  }

  async #drain(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      await this.#writeGroup(this.#waiting.splice(0, this.#maxGroup));
    }
    this.#writing = false;
  }

  async #writeGroup(group: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#write(group.map(({ item }) => item));
      for (const [index, { resolve }] of group.entries()) resolve(results[index] as Result);
    } catch (error) {
      if (group.length > 1 && this.#mustSplit(error)) {
        const middle = group.length >> 1;
        await this.#writeGroup(group.slice(0, middle));
        await this.#writeGroup(group.slice(middle));
        return;
      }
      for (const { reject } of group) reject(error);
    }
  }
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}
