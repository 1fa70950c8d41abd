import type { HistoryReport } from '../../lambdas/operator/reports.ts';
import { CliError, type Command } from '../command.ts';
import { readIntegrationId } from '../integration-id.ts';
import { askOperator } from '../operator.ts';
import { renderHistory } from './render.ts';

export const historyCommand: Command = {
  name: 'history',
  summary: 'what happened to one integration, and how it stands',
  help: `Shows how one integration stands, and what is recorded of it, oldest first: when it was
connected and refreshed, when attempts failed, whom Evergrant told. Tokens are never shown, only
whether they are sealed, and with which key.

Usage
  evergrant history <integration-id>

Examples
  evergrant history 0b64a2f8-41f7-4f0e-9c3e-0f1d4f5b6a7c
  evergrant status --json | jq -r '.failing[0].id' | xargs evergrant history

Exit codes
  0 found   1 there is no such integration`,
  arguments: ['integration-id'],
  async run({ arguments: [argument], target, output }) {
    const integrationId = readIntegrationId(argument);
    const stack = await target();
    output.progress('asking the operator function');
    const report = await askOperator<HistoryReport>(stack, { ask: 'history', integrationId });
    if (report.integration === null && report.entries.length === 0) {
      throw new CliError('integration_not_found', `There is no integration ${integrationId}.`);
    }
    output.document(report);
    for (const line of renderHistory(report, output.style)) output.line(line);
    return 0;
  },
};
