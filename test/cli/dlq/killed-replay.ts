/** Replays the dead letters of `google` and sends its own process a signal at the call that `KILL` names. */

import { replayCommand } from '../../../cli/dlq/replay.ts';
import { machine } from '../../../cli/dlq/runtime.ts';
import { createClient } from './harness.ts';

const { ENDPOINT = '', KILL = '', OUTPUTS = '' } = process.env;
const kill = JSON.parse(KILL) as { action: string; moment: string; nth: number; signal: NodeJS.Signals };
const outputs = JSON.parse(OUTPUTS) as Record<string, string>;

let hits = 0;
const sqs = createClient(ENDPOINT, ({ action, moment }) => {
  if (action !== kill.action || moment !== kill.moment) return;
  hits += 1;
  if (hits === kill.nth) process.kill(process.pid, kill.signal);
});
const replay = replayCommand({ ...machine, workers: 1 });
try {
  process.exitCode = await replay.run({
    options: { queue: 'refresh', provider: 'google' },
    arguments: [],
    target: async () => ({ sqs, output: (name: string) => outputs[name] }) as never,
    output: {
      json: false,
      interactive: false,
      line: () => {},
      progress: () => {},
      notice: () => {},
      document: () => {},
      style: (_, text) => text,
      confirm: async () => false,
      canAsk: false,
      ask: async () => null,
    },
  });
} catch (error) {
  process.stderr.write((error as Error).message);
  process.exitCode = 1;
}
