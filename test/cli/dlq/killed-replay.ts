/** Replays the dead letters of `google` and kills its own process at the call that `KILL` names. */

import { replayCommand } from '../../../cli/dlq/replay.ts';
import { machine } from '../../../cli/dlq/runtime.ts';
import { createClient } from './harness.ts';

const { ENDPOINT = '', KILL = '', OUTPUTS = '' } = process.env;
const kill = JSON.parse(KILL) as { action: string; moment: string; nth: number };
const outputs = JSON.parse(OUTPUTS) as Record<string, string>;

let hits = 0;
const sqs = createClient(ENDPOINT, ({ action, moment }) => {
  if (action !== kill.action || moment !== kill.moment) return;
  hits += 1;
  if (hits === kill.nth) process.kill(process.pid, 'SIGKILL');
});
await replayCommand({ ...machine, workers: 1 }).run({
  options: { queue: 'refresh', provider: 'google' },
  arguments: [],
  target: async () => ({ sqs, output: (name: string) => outputs[name] }) as never,
  output: {
    json: false,
    interactive: false,
    line: () => {},
    progress: () => {},
    document: () => {},
    style: (_, text) => text,
    confirm: async () => false,
  },
});
