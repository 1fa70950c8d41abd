import type { StatusReport } from '../../lambdas/operator/reports.ts';
import { CliError, type Command } from '../command.ts';
import { isAccessDenied } from '../failures.ts';
import { askOperator } from '../operator.ts';
import type { Target } from '../target.ts';
import { problemsOf } from './health.ts';
import { renderStatus } from './render.ts';

/** What the stack is deployed with unless it says otherwise. */
const usualIntervalMinutes = 5;

export const statusCommand: Command = {
  name: 'status',
  summary: 'how it is: tokens, failing integrations, scans, queues',
  help: `Says in its first line whether the promises are kept: no connected integration has an expired
token, no provider is out of order or held back, scans go on, no sealed results and no dead letters
wait. Below it: health by provider, open circuits and held disconnections, the worst failing
integrations, the last scan, the queues.

Usage
  evergrant status [--stack NAME | --local] [--json]

Examples
  evergrant status                              the stack evergrant-prod
  evergrant status --stack evergrant-test       another stage
  evergrant status --local                      what npm start runs on this machine
  evergrant status --json | jq -r '.problems[].message'
  evergrant status > /dev/null || notify-somebody

What the columns say
  Expired       connected, and the token has expired; the promise is 0
  Due           connected, expires within the refresh window, and claimed by nobody yet
  Held          claimed, under way, or waiting for its next attempt
  Failing       the latest attempts failed for a passing reason; that never disconnects
  Refused       the provider refused the latest attempts; by default the third disconnects
  To reconnect  disconnected, and only the user can mend it

Exit codes
  0 all is well   3 something is not   1 it could not be found out`,
  async run({ target, output }) {
    const stack = await target();
    output.progress('asking the operator function and the queues');
    const { readQueueDepth } = await import('../queue-depths.ts');
    const [report, refresh, threshold, sealed, intervalMinutes] = await Promise.all([
      askOperator<StatusReport>(stack, { ask: 'status' }),
      readQueueDepth(stack, 'refresh'),
      readQueueDepth(stack, 'threshold'),
      readQueueDepth(stack, 'sealed'),
      scanIntervalMinutes(stack),
    ]);
    const queues = [refresh, threshold, sealed];
    const problems = problemsOf(report, queues, intervalMinutes);
    output.document({ well: problems.length === 0, problems, ...report, queues });
    for (const line of renderStatus(report, queues, problems, output.style)) output.line(line);
    return problems.length === 0 ? 0 : 3;
  },
};

/** As the rule has it; the usual one where the rule may not be read. */
async function scanIntervalMinutes(target: Target): Promise<number> {
  const { readScheduleRule } = await import('../schedule.ts');
  try {
    return (await readScheduleRule(target)).intervalMinutes ?? usualIntervalMinutes;
  } catch (error) {
    if (isAccessDenied(error) || error instanceof CliError) return usualIntervalMinutes;
    throw error;
  }
}
