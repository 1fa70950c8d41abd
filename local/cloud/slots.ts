/** A counting semaphore. */
export interface Slots {
  /** Resolves when a slot is free, and takes it. */
  acquire(): Promise<void>;
  release(): void;
  /** Lets everyone through who waits or comes, for the shutdown. */
  open(): void;
}

export function createSlots(count: number): Slots {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    async acquire() {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    release() {
      const next = waiting.shift();
      if (next) next();
      else free++;
    },
    open() {
      free = Number.POSITIVE_INFINITY;
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}
