import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { heapFlags } from '../../local/cloud/execution-environment.ts';

/** What one run of a peer took. */
export interface PeerReport {
  readonly cpuMs: number;
  readonly durationMs: number;
}

/** Another way to refresh, in a process of its own, that the functions are compared with. */
export interface Peer {
  /** All of its order once. */
  run(): Promise<PeerReport>;
  stop(): void;
}

/**
 * Forks a file of this folder. It gets the order as its first message, and does it once for each message after that.
 * `memoryMb`: of the function that it is compared with, so that neither collects more garbage.
 */
export function startPeer(file: string, order: object, memoryMb: number): Peer {
  const child = fork(path.join(import.meta.dirname, file), { execArgv: heapFlags(memoryMb) });
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)));
  });
  // Nobody waits for it between two runs.
  ended.catch(() => undefined);
  child.send(order);
  return {
    async run() {
      const report = once(child, 'message') as Promise<[PeerReport]>;
      child.send('run');
      const [taken] = await Promise.race([report, ended]);
      return taken;
    },
    stop() {
      if (child.connected) child.disconnect();
    },
  };
}

/** For a peer's process: does what it is told, and says what it took. */
export function serveOrders<Order>(prepare: (order: Order) => Promise<() => Promise<void>>): void {
  process.once('message', async (order: Order) => {
    const prepared = prepare(order);
    process.on('message', async () => {
      const work = await prepared;
      const beganAtMs = performance.now();
      const before = process.cpuUsage();
      await work();
      const { user, system } = process.cpuUsage(before);
      process.send?.({
        cpuMs: (user + system) / 1000,
        durationMs: performance.now() - beganAtMs,
      } satisfies PeerReport);
    });
  });
  process.on('disconnect', () => process.exit());
}
