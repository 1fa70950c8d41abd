import type { ScanReport } from '../../lambdas/scanner/scan.ts';
import { type Command, UsageError } from '../command.ts';
import { table } from '../table.ts';
import { counted, duration } from '../words.ts';

export const scanCommand: Command = {
  name: 'scan',
  summary: 'claim what is due now, or show what would be claimed',
  help: `Invokes the scanner by hand: it claims integrations whose token is about to expire, most urgent
first, and asks the refreshers for each. It is what the schedule does, and safe at any time: what is
claimed already is left alone.

Usage
  evergrant scan [--provider NAME] [--limit COUNT] [--dry-run] [--verbose]

Examples
  evergrant scan                                claim all that is due
  evergrant scan --dry-run --verbose            show what is due, and change nothing
  evergrant scan --provider google --limit 1    try one, after a client secret was mended

Options
  --provider NAME    only this provider's integrations, by the name in integrations.provider
  --limit COUNT      at most so many
  --dry-run          claim nothing, only count
  --verbose          list the integrations, at most 1,000

Exit codes
  0 the scan is done   3 SQS refused some of it   1 the scan failed`,
  options: {
    provider: { type: 'string' },
    limit: { type: 'string' },
    'dry-run': { type: 'boolean' },
    verbose: { type: 'boolean' },
  },
  async run({ options, target, output }) {
    const {
      provider,
      limit,
      verbose = false,
    } = options as {
      provider?: string;
      limit?: string;
      verbose?: boolean;
    };
    const dryRun = options['dry-run'] === true;
    if (provider !== undefined && !/^[\w.-]{1,100}$/.test(provider)) {
      throw new UsageError('--provider must be the name of a provider, such as google.');
    }
    if (limit !== undefined && !(/^\d{1,7}$/.test(limit) && Number(limit) >= 1 && Number(limit) <= 1e6)) {
      throw new UsageError('--limit must be a whole number from 1 to 1000000.');
    }
    const stack = await target();
    output.progress(dryRun ? 'counting what is due' : 'scanning');
    const report = await stack.invoke<ScanReport>('ScannerFunction', {
      ...(provider !== undefined && { provider }),
      ...(limit !== undefined && { limit: Number(limit) }),
      dryRun,
      verbose,
    });
    output.document(report);
    for (const line of renderScan(report)) output.line(line);
    return report.released > 0 ? 3 : 0;
  },
};

/** What `scan` prints for people. */
export function renderScan(report: ScanReport): string[] {
  const { dryRun, claimed, enqueued, released, left, eventsRelayed, integrations = [] } = report;
  const lines: string[] = [];
  if (claimed === 0) {
    lines.push(
      left === 0 ? 'Nothing is due.' : `Nothing was claimed, and ${counted(left, 'integration')} left.`,
    );
  } else if (dryRun) {
    const all = left === 0 ? 'that is all that is due' : `${left.toLocaleString('en-US')} more are due`;
    lines.push(`Would claim ${counted(claimed, 'integration')}; ${all}. Nothing was changed.`);
  } else {
    const rest = left === 0 ? 'nothing is left' : `${left.toLocaleString('en-US')} left for the next scan`;
    lines.push(
      `Claimed ${counted(claimed, 'integration')} and asked the refreshers for ${enqueued.toLocaleString('en-US')}; ${rest}.`,
    );
  }
  if (released > 0) {
    lines.push(
      `${counted(released, 'claim')} given up: the refresh queue refused the message. The next scan tries again.`,
    );
  }
  if (eventsRelayed > 0) lines.push(`${counted(eventsRelayed, 'threshold event')} published again.`);
  if (integrations.length > 0) {
    const rows = integrations.map(({ id, provider, expiresInSeconds }) => [
      id,
      provider,
      // One that was asked for by its id may have no expiry.
      expiresInSeconds === null
        ? 'never expires'
        : expiresInSeconds < 0
          ? `expired ${duration(expiresInSeconds * 1000)} ago`
          : `expires in ${duration(expiresInSeconds * 1000)}`,
    ]);
    lines.push('', ...table([{ title: 'Integration' }, { title: 'Provider' }, { title: 'Token' }], rows));
    if (claimed > integrations.length) {
      lines.push(`… and ${(claimed - integrations.length).toLocaleString('en-US')} more`);
    }
  }
  return lines;
}
