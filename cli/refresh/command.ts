import { setTimeout as sleep } from 'node:timers/promises';
import type { HistoryReport } from '../../lambdas/operator/reports.ts';
import type { ScanReport } from '../../lambdas/scanner/scan.ts';
import { CliError, type Command } from '../command.ts';
import { readIntegrationId } from '../integration-id.ts';
import { askOperator } from '../operator.ts';
import type { Target } from '../target.ts';
import {
  type Integration,
  type Outcome,
  obstacleTo,
  outcomeOf,
  unfinished,
  whyNotClaimed,
} from './outcome.ts';

const waitMs = 60_000;
const pollMs = 500;

export const refreshCommand: Command = {
  name: 'refresh',
  summary: 'refresh one integration now, and say how it went',
  help: `Claims one integration, whenever its token expires, asks a refresher for it, and waits for the
outcome. It goes the way of every refresh: nothing is called twice, and a failure counts like any.
While its provider's circuit is open it is let through, and a failure counts for nothing.

Usage
  evergrant refresh <integration-id> [--no-wait]

Examples
  evergrant refresh 0b64a2f8-41f7-4f0e-9c3e-0f1d4f5b6a7c
  evergrant refresh 0b64a2f8-41f7-4f0e-9c3e-0f1d4f5b6a7c --no-wait

Options
  --no-wait    only ask, instead of waiting for up to 60 s; evergrant history shows the outcome

Exit codes
  0 refreshed (with --no-wait: asked for)   3 the refresh failed   1 it could not be started`,
  options: { 'no-wait': { type: 'boolean' } },
  arguments: ['integration-id'],
  async run({ options, arguments: [argument], target, output }) {
    const integrationId = readIntegrationId(argument);
    const stack = await target();
    output.progress('looking at the integration');
    const { integration: before } = await readIntegration(stack, integrationId);
    const obstacle = obstacleTo(before);
    if (obstacle) throw new CliError(obstacle.code, obstacle.message);
    await claim(stack, integrationId);

    if (options['no-wait'] === true) {
      output.document({ integrationId, outcome: 'requested' });
      output.line('A refresher has been asked. evergrant history shows the outcome.');
      return 0;
    }
    output.progress('waiting for the refresher');
    const outcome = await awaitOutcome(stack, integrationId, before);
    output.document({ integrationId, outcome: outcome.code, message: outcome.message });
    output.line(
      outcome.code === 'refreshed'
        ? output.style('green', outcome.message)
        : output.style('red', outcome.message),
    );
    return outcome.code === 'refreshed' ? 0 : 3;
  },
};

async function claim(target: Target, integrationId: string): Promise<void> {
  const { claimed, released } = await target.invoke<ScanReport>('ScannerFunction', {
    integration: integrationId,
  });
  if (released > 0) {
    throw new CliError(
      'queue_refused',
      'The refresh queue refused the message; nothing was changed. Try again.',
    );
  }
  if (claimed > 0) return;
  const { code, message } = whyNotClaimed((await readIntegration(target, integrationId)).integration);
  throw new CliError(code, message);
}

async function awaitOutcome(target: Target, integrationId: string, before: Integration): Promise<Outcome> {
  const deadlineMs = performance.now() + waitMs;
  for (; ; await sleep(pollMs)) {
    const { integration, circuit } = await readIntegration(target, integrationId);
    const outcome = outcomeOf(before, integration, circuit);
    if (outcome) return outcome;
    if (performance.now() > deadlineMs) return unfinished(before, integration, circuit, waitMs / 1000);
  }
}

async function readIntegration(
  target: Target,
  integrationId: string,
): Promise<{ readonly integration: Integration; readonly circuit: HistoryReport['circuit'] }> {
  const { integration, circuit } = await askOperator<HistoryReport>(target, {
    ask: 'history',
    integrationId,
  });
  if (integration !== null) return { integration, circuit };
  throw new CliError('integration_not_found', `There is no integration ${integrationId}.`);
}
