import type { FailingIntegration, ProviderStatus, StatusReport } from '../../lambdas/operator/reports.ts';
import type { Output } from '../output.ts';
import { guardLines } from '../provider/guard-lines.ts';
import type { QueueDepth } from '../queue-depths.ts';
import { type Column, table } from '../table.ts';
import { counted, listed, relative } from '../words.ts';
import { type Problem, sum, verdictOf } from './health.ts';

type Style = Output['style'];

/** What `status` prints for people. */
export function renderStatus(
  report: StatusReport,
  queues: readonly QueueDepth[],
  problems: readonly Problem[],
  style: Style,
): string[] {
  return [
    style(problems.length === 0 ? 'green' : 'red', style('bold', verdictOf(report, problems))),
    '',
    ...providerTable(report, style),
    ...guards(report, style),
    ...failing(report, style),
    '',
    `Last scan  ${lastScan(report)}`,
    `Events     ${eventsWaiting(report, style)}`,
    '',
    ...queueTable(queues, style),
  ];
}

function providerTable({ providers, now }: StatusReport, style: Style): string[] {
  if (providers.length === 0) return ['No integrations yet: connect the first in your product.'];
  const right = (title: string): Column => ({ title, align: 'right' });
  const columns = [
    { title: 'Provider' },
    right('Connected'),
    right('Expired'),
    right('Due'),
    right('Held'),
    right('Failing'),
    right('Refused'),
    right('To reconnect'),
    { title: 'Last refresh' },
  ];
  const alarming = (count: number, format: 'red' | 'yellow') =>
    count === 0 ? style('dim', '0') : style(format, grouped(count));
  const rows = providers.map((provider) => [
    provider.provider,
    grouped(provider.connected),
    alarming(provider.expired, 'red'),
    grouped(provider.due),
    grouped(provider.held),
    alarming(provider.failingTransient, 'yellow'),
    alarming(provider.failingPermanent, 'yellow'),
    alarming(provider.needsReauthorization, 'yellow'),
    provider.lastSuccess === null ? 'never' : relative(provider.lastSuccess, now),
  ]);
  return [...withTitles(table(columns, rows), style), ...withoutRefreshToken(providers)];
}

function withoutRefreshToken(providers: readonly ProviderStatus[]): string[] {
  const concerned = providers.filter((provider) => provider.withoutRefreshToken > 0);
  if (concerned.length === 0) return [];
  const total = sum(concerned.map((provider) => provider.withoutRefreshToken));
  const names = concerned.map(({ provider, withoutRefreshToken }) => `${withoutRefreshToken} at ${provider}`);
  return [
    '',
    `${counted(total, 'connected integration')} without a refresh token (${listed(names)}): an access token that ends is exchanged where the provider does that; else its user is warned, and has to reconnect.`,
  ];
}

function guards(report: StatusReport, style: Style): string[] {
  const lines = guardLines(report, report.now, style);
  return lines.length === 0 ? [] : ['', ...lines];
}

function failing({ failing, failingCount, now }: StatusReport, style: Style): string[] {
  if (failing.length === 0) return [];
  const columns = [
    { title: 'Failing integration' },
    { title: 'Provider' },
    { title: 'In a row' },
    { title: 'Latest' },
    { title: 'Token' },
    { title: 'Next try' },
  ];
  const rows = failing.map((integration) => [
    integration.id,
    integration.provider,
    inARow(integration),
    relative(integration.lastFailure, now),
    expiry(integration.expiresAt, now),
    integration.heldUntil !== null && integration.heldUntil > now
      ? relative(integration.heldUntil, now)
      : 'next scan',
  ]);
  const more = failingCount - failing.length;
  return [
    '',
    ...withTitles(table(columns, rows), style),
    ...(more > 0 ? [`… and ${grouped(more)} more`] : []),
    style('dim', 'evergrant history <id> tells what happened to one.'),
  ];
}

function inARow({ consecutiveFailures, consecutiveTransientFailures }: FailingIntegration): string {
  return [
    consecutiveFailures > 0 ? `${consecutiveFailures} refused` : '',
    consecutiveTransientFailures > 0 ? `${consecutiveTransientFailures} passing` : '',
  ]
    .filter((part) => part !== '')
    .join(', ');
}

function expiry(expiresAt: string | null, now: string): string {
  if (expiresAt === null) return 'never expires';
  return `${expiresAt <= now ? 'expired' : 'expires'} ${relative(expiresAt, now)}`;
}

function lastScan({ lastScan, now }: StatusReport): string {
  if (lastScan === null) return 'none yet';
  const { claimed, released, left, eventsRelayed, durationMs } = lastScan;
  const parts = [
    `${grouped(claimed)} claimed in ${grouped(Math.round(durationMs))} ms`,
    released > 0 ? `${grouped(released)} given up as SQS refused them` : '',
    left > 0 ? `${grouped(left)} left for the next` : '',
    eventsRelayed > 0 ? `${counted(eventsRelayed, 'event')} published again` : '',
  ];
  return `${relative(lastScan.startedAt, now)}: ${parts.filter((part) => part !== '').join(', ')}`;
}

function eventsWaiting({ eventsWaiting: { count, oldest }, now }: StatusReport, style: Style): string {
  if (count === 0) return 'none waits: every user who is to be told has been told';
  const since = oldest === null ? '' : `, the oldest since ${relative(oldest, now).replace(' ago', '')}`;
  return style('yellow', `${counted(count, 'event')} not told yet${since}`);
}

function queueTable(queues: readonly QueueDepth[], style: Style): string[] {
  const columns: Column[] = [
    { title: 'Queue' },
    { title: 'Waiting', align: 'right' },
    { title: 'In flight', align: 'right' },
    { title: 'Dead letters', align: 'right' },
  ];
  const rows = queues.map(({ queue, visible, inFlight, deadLetters }) => [
    { refresh: 'refresh', threshold: 'threshold events', sealed: 'sealed results' }[queue],
    grouped(visible),
    grouped(inFlight),
    deadLetters === 0 ? style('dim', '0') : style('red', grouped(deadLetters)),
  ]);
  return [
    ...withTitles(table(columns, rows), style),
    ...(queues.some(({ deadLetters }) => deadLetters > 0)
      ? [style('dim', 'evergrant dlq list shows the dead letters.')]
      : []),
  ];
}

function withTitles([titles = '', ...rows]: string[], style: Style): string[] {
  return [style('bold', titles), ...rows];
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
