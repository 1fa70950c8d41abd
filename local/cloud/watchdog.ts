import { spawn } from 'node:child_process';

/** Ends the processes entrusted to it as soon as this process is gone, however it went (SIGKILL included). */
export interface Watchdog {
  /** Entrusts a process that leads its own process group (spawned with `detached: true`). */
  guard(pid: number, signal: 'KILL' | 'INT'): void;
  /** Forgets a process that has ended. */
  release(pid: number): void;
  /** Ends what is still guarded, then the watchdog itself. */
  stop(): Promise<void>;
}

const SCRIPT = `
guarded=
while read -r verb pid signal; do
  case $verb in
    guard) guarded="$guarded $signal:$pid" ;;
    release)
      rest=
      for entry in $guarded; do [ "\${entry#*:}" = "$pid" ] || rest="$rest $entry"; done
      guarded=$rest ;;
  esac
done
for entry in $guarded; do kill -s "\${entry%%:*}" -- "-\${entry#*:}" 2>/dev/null; done
`;

/** Starts a watchdog: one small shell process in a session of its own, told by a pipe, acting at the pipe's end. */
export function startWatchdog(): Watchdog {
  const shell = spawn('/bin/sh', ['-c', SCRIPT], {
    cwd: '/',
    detached: true,
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.on('error', () => {});
  shell.stdin.on('error', () => {});
  const ended = new Promise<void>((resolve) => {
    shell.once('exit', () => resolve());
    shell.once('error', () => resolve());
  });
  return {
    guard: (pid, signal) => void shell.stdin.write(`guard ${pid} ${signal}\n`),
    release: (pid) => void (shell.stdin.writable && shell.stdin.write(`release ${pid}\n`)),
    async stop() {
      shell.stdin.end();
      await ended;
    },
  };
}

/** Sends a signal to a process group; a group that is already gone is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
