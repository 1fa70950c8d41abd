import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { CloudEvent } from '../cloud/events.ts';
import type { FaultKind } from './plan.ts';

/** One invocation of a function by one process. */
export interface Invocation {
  readonly requestId: string;
  readonly startedAtMs: number;
  endedAtMs: number | null;
  /** The harness killed the process under it. */
  killed: Kill | null;
}

/** One process of a function. */
export interface FunctionProcess {
  readonly pid: number;
  readonly functionId: string;
  invocation: Invocation | null;
}

export interface Kill {
  readonly atMs: number;
  readonly pid: number;
  readonly functionId: string;
  readonly kind: FaultKind;
}

/** The function processes of a run: which of them is behind a connection, and what became of them. */
export class Processes {
  readonly kills: Kill[] = [];
  readonly #byPid = new Map<number, FunctionProcess>();
  readonly #ofSocket = new WeakMap<Socket, FunctionProcess | null>();
  readonly #ofRequest = new Map<string, FunctionProcess>();
  /** Connections of those that were killed: what they have sent before arrives all the same. */
  readonly #ofDeadPort = new Map<number, FunctionProcess>();
  /** Those that have asked Postgres to start an attempt on an integration, the latest ones. */
  readonly #starters = new Map<string, FunctionProcess[]>();
  #pidByPort = new Map<number, number>();
  #readAtMs = 0;

  /** To be told of everything that happens in the cloud. */
  take(event: CloudEvent): void {
    if (event.type === 'function.started' && event.pid !== null) {
      const known = event.coldStart ? undefined : this.#byPid.get(event.pid);
      const process = known ?? { pid: event.pid, functionId: event.functionId, invocation: null };
      process.invocation = {
        requestId: event.requestId,
        startedAtMs: Date.now(),
        endedAtMs: null,
        killed: null,
      };
      this.#byPid.set(event.pid, process);
      this.#ofRequest.set(event.requestId, process);
    }
    if (event.type === 'function.ended') {
      const process = this.#ofRequest.get(event.requestId);
      this.#ofRequest.delete(event.requestId);
      if (process?.invocation?.requestId !== event.requestId) return;
      process.invocation.endedAtMs = Date.now();
      // What a killed process has sent may be read after its end, and belongs to that invocation.
      if (process.invocation.killed === null) process.invocation = null;
      if (!event.ok && /^Sandbox\.Timedout|^Runtime\.ExitError/.test(event.errorType))
        this.#byPid.delete(process.pid);
    }
  }

  /** Those that work, of one function or of all. */
  busy(functionId?: string): FunctionProcess[] {
    return [...this.#byPid.values()].filter(
      (each) => each.invocation !== null && (functionId === undefined || each.functionId === functionId),
    );
  }

  /**
   * The process at the other end of a connection on this machine; `null`: none of a function. To be asked first when the
   * connection is new: whoever has left cannot be found any more.
   */
  behind(socket: Socket): FunctionProcess | null {
    const known = this.#ofSocket.get(socket);
    if (known !== undefined) return known;
    const { remotePort } = socket;
    if (remotePort === undefined) return null;
    let pid = performance.now() - this.#readAtMs < freshMs ? this.#pidByPort.get(remotePort) : undefined;
    if (pid === undefined) {
      this.#pidByPort = portsOf([...this.#byPid.keys()]);
      this.#readAtMs = performance.now();
      pid = this.#pidByPort.get(remotePort);
    }
    const living = pid === undefined ? undefined : this.#byPid.get(pid);
    const found = living ?? this.#ofDeadPort.get(remotePort) ?? null;
    this.#ofSocket.set(socket, found);
    return found;
  }

  /** A process has asked Postgres to start attempts. */
  asksToStart(process: FunctionProcess | null, integrationIds: readonly string[]): void {
    if (process === null) return;
    for (const id of integrationIds) {
      const known = this.#starters.get(id) ?? [];
      if (known.at(-1) !== process) this.#starters.set(id, [...known, process].slice(-mostStarters));
    }
  }

  /**
   * Who calls for an integration. A port that was reset may be somebody else's within milliseconds, and only who has asked
   * for the attempt can make its call.
   */
  caller(socket: Socket, integrationId: string | null): FunctionProcess | null {
    const found = this.behind(socket);
    if (found === null || integrationId === null) return found;
    const starters = this.#starters.get(integrationId) ?? [found];
    return starters.includes(found) ? found : (starters.at(-1) ?? found);
  }

  /** SIGKILL, and no word before it. Returns whether there was anything to kill. */
  kill(process: FunctionProcess, kind: FaultKind): boolean {
    const atMs = Date.now();
    let ports: Iterable<number> = [];
    try {
      // It does nothing more, and until its end it can still be seen what it has done.
      globalThis.process.kill(-process.pid, 'SIGSTOP');
      ports = portsOf([process.pid]).keys();
      globalThis.process.kill(-process.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      return false;
    }
    for (const port of ports) this.#ofDeadPort.set(port, process);
    const { pid, functionId } = process;
    const kill = { atMs, pid, functionId, kind };
    this.kills.push(kill);
    if (process.invocation) process.invocation.killed ??= kill;
    this.#byPid.delete(pid);
    return true;
  }
}

const mostStarters = 3;

/** A port that was reset may soon be somebody else’s. */
const freshMs = 50;

/** Local TCP ports of processes, by port. */
function portsOf(pids: readonly number[]): Map<number, number> {
  if (pids.length === 0) return new Map();
  return process.platform === 'linux' ? portsFromProc(pids) : portsFromLsof(pids);
}

function portsFromProc(pids: readonly number[]): Map<number, number> {
  const portByInode = new Map<string, number>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(file, 'utf8').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      const port = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16);
      if (fields[9] !== undefined && fields[9] !== '0') portByInode.set(fields[9], port);
    }
  }
  const ports = new Map<number, number>();
  for (const pid of pids) {
    let descriptors: string[] = [];
    try {
      descriptors = readdirSync(`/proc/${pid}/fd`);
    } catch {
      // It has ended.
    }
    for (const descriptor of descriptors) {
      let target = '';
      try {
        target = readlinkSync(`/proc/${pid}/fd/${descriptor}`);
      } catch {
        // It was closed meanwhile.
      }
      const port = portByInode.get(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? '');
      if (port !== undefined) ports.set(port, pid);
    }
  }
  return ports;
}

/** `lsof -F` prints a line "p<pid>" for each process, and below it "n<local>-><remote>" for each connection. */
function portsFromLsof(pids: readonly number[]): Map<number, number> {
  let output = '';
  try {
    output = execFileSync('lsof', ['-nP', '-a', '-p', pids.join(','), '-iTCP', '-Fpn'], { encoding: 'utf8' });
  } catch (error) {
    // It fails when one of the processes has ended, and prints the others.
    output = (error as { stdout?: string }).stdout ?? '';
  }
  const ports = new Map<number, number>();
  let pid = 0;
  for (const line of output.split('\n')) {
    if (line.startsWith('p')) pid = Number(line.slice(1));
    const port = /^n.*:(\d+)->/.exec(line)?.[1];
    if (port !== undefined) ports.set(Number(port), pid);
  }
  return ports;
}
