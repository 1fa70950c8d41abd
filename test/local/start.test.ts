import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';

const start = path.join(import.meta.dirname, '..', '..', 'local', 'start.ts');

/** A start under way: what it has printed so far, and how to wait for more. */
interface Started {
  readonly child: ChildProcess;
  output(): string;
  until(text: RegExp): Promise<RegExpExecArray>;
  /** Interrupts it as Ctrl-C does, and waits for its end. */
  interrupt(): Promise<number | null>;
  ended: Promise<number | null>;
}

const running: ChildProcess[] = [];
const directories: string[] = [];
afterEach(async () => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

async function ownDirectory(): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'evergrant-start-'));
  directories.push(directory);
  // As root, PostgreSQL runs under another account, which has to get through.
  await chmod(directory, 0o755);
  return directory;
}

function launch(...options: string[]): Started {
  const child = spawn(process.execPath, [start, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk;
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    child,
    ended,
    output: () => output,
    async until(text) {
      for (;;) {
        const found = text.exec(output);
        if (found) return found;
        if (child.exitCode !== null) throw new Error(`it ended without ${text}:\n${output}`);
        await sleep(50);
      }
    },
    interrupt() {
      child.kill('SIGINT');
      return ended;
    },
  };
}

/** Ids of all processes below a process. */
async function descendants(pid: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const entry of await readdir('/proc')) {
    const stat = /^\d+$/.test(entry) ? await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '') : '';
    const parent = /^\d+ \(.*\) \S (\d+)/s.exec(stat)?.[1];
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  const below = (ancestor: number): number[] =>
    [...parents].filter(([, parent]) => parent === ancestor).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('npm start', () => {
  test('refreshes integrations, stops without a trace, and starts again', { timeout: 120_000 }, async () => {
    const directory = await ownDirectory();
    const first = launch('--directory', directory, '--scan-interval', '1s');
    await first.until(/Evergrant is running/);
    expect(first.output()).toMatch(/psql 'postgresql:/);
    expect(first.output()).toMatch(/inbox +http:/);
    expect(first.output()).toMatch(/_switches\/faults/);
    const provider = (await first.until(/providers +(http:\/\/\S+)\/_switches/))[1];
    await fetch(`${provider}/_switches/faults`, {
      method: 'POST',
      body: JSON.stringify({ account: 'ada@acme-flows.example', times: 1, answer: { status: 503 } }),
    });
    await first.until(/failed +Ada at Acme Calendar: transient, http_503/);
    await first.until(/refreshed /);
    const processes = await descendants(first.child.pid ?? 0);
    expect(processes.length).toBeGreaterThan(3);
    expect(await first.interrupt()).toBe(0);
    expect(first.output()).not.toContain('\u001b[');
    expect(processes.filter(isAlive)).toEqual([]);

    const second = launch('--directory', directory, '--scan-interval', '1s');
    await second.until(/refreshed /);
    expect(await second.interrupt()).toBe(0);
  });

  test('works beside taken ports, and in an existing database', { timeout: 120_000 }, async () => {
    const database = await testDatabase({ empty: true });
    const taken = createServer();
    // Whoever has the inbox's usual port, it is taken.
    await new Promise<void>((resolve) => {
      taken.once('error', () => resolve());
      taken.listen(8005, '127.0.0.1', resolve);
    });
    try {
      const started = launch(
        '--directory',
        await ownDirectory(),
        '--scan-interval',
        '1s',
        '--database-url',
        database.url,
      );
      const inbox = (await started.until(/inbox +http:\/\/127\.0\.0\.1:(\d+)/))[1];
      expect(inbox).not.toBe('8005');
      await started.until(/refreshed /);
      expect(started.output()).not.toContain(database.url);
      expect(await started.interrupt()).toBe(0);
      const [row] = await database.sql<{ count: string }>(
        'SELECT count(*) FROM integrations WHERE status = $1',
        ['connected'],
      );
      expect(row?.count).toBe('5');
    } finally {
      taken.close();
      await database.end();
    }
  });

  test('a folder is for one at a time, and --fresh takes nothing from whoever has it', {
    timeout: 90_000,
  }, async () => {
    const directory = await ownDirectory();
    const first = launch('--directory', directory, '--scan-interval', '1s');
    await first.until(/Evergrant is running/);
    for (const option of ['--fresh', '--scan-interval=1s']) {
      const second = launch('--directory', directory, option);
      expect(await second.ended).toBe(1);
      expect(second.output()).toContain(`already running here, as process ${first.child.pid}`);
    }
    await first.until(/refreshed /);
    expect(await first.interrupt()).toBe(0);
  });

  test('an interrupt while it starts ends it without a complaint', { timeout: 60_000 }, async () => {
    const directory = await ownDirectory();
    const started = launch('--directory', directory);
    await started.until(/synthesizing/);
    const processes = await descendants(started.child.pid ?? 0);
    for (const pid of processes.filter(isAlive)) process.kill(pid, 'SIGINT');
    expect(await started.interrupt()).toBe(0);
    expect(started.output()).toMatch(/stopped/);
    expect(started.output()).not.toMatch(/could not start/);
    expect(processes.filter(isAlive)).toEqual([]);
  });

  test('a database that is not there is named, and nothing is left running', {
    timeout: 60_000,
  }, async () => {
    const started = launch(
      '--directory',
      await ownDirectory(),
      '--database-url',
      'postgres://somebody:a-password@127.0.0.1:1/nowhere?sslmode=disable',
    );
    expect(await started.ended).toBe(1);
    expect(started.output()).toMatch(
      /Evergrant could not start: the database cannot be used: .*ECONNREFUSED/,
    );
    expect(started.output()).not.toContain('a-password');
  });

  test.each([
    [['--help'], 0, /--scan-interval DURATION/],
    [['--scan-interval', '3h'], 2, /--scan-interval must be from 100ms to 60m/],
    [['--database-url', 'localhost'], 2, /--database-url must be a postgres:\/\/ URL/],
    [['--fresh', '--database-url', 'postgres://h/d'], 2, /yours to delete/],
    [['--frehs'], 2, /'--frehs'/],
  ])('%j ends with %i', async (options, code, text) => {
    const started = launch(...options);
    expect(await started.ended).toBe(code);
    expect(started.output()).toMatch(text);
  });
});
