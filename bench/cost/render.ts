import { assumptionTable } from './assumptions.ts';
import { type Figures, fallsBehind, sizes } from './figures.ts';
import { at } from './fit.ts';
import {
  type Basis,
  type DatabaseMode,
  databaseModes,
  type Estimate,
  type Group,
  groups,
  slowCallEndsMs,
} from './model.ts';
import { costUsd, pricesCollectedOn } from './prices.ts';

const modeNames: Readonly<Record<DatabaseMode, string>> = {
  existing: 'an existing Postgres',
  aurora: 'Aurora Serverless v2 without a VPC',
  'aurora-vpc': 'Aurora Serverless v2 in a VPC of its own',
};

/** The page `docs/cost.md`. Pure. */
export function renderPage(figures: Figures): string {
  const { basis } = figures;
  const { measured, stack } = basis;
  const sections = [
    `# What it costs

Written by \`npm run cost\`, wholly: from list prices of us-east-1 (collected on ${pricesCollectedOn}), from what was
measured on ${measured.date} with the bundled functions, and from the defaults in \`lib/\`. It is a model, not a bill; what was
[assumed](#assumptions) and [measured](#measured), and each [price](#prices), stands below. Free tiers are left out, but for the
line that says what they take off.`,
    `## In a month

Each integration is refreshed once an hour, at ${basis.assumptions.providers} providers.

${monthTable(figures)}

${hourlyTokens(figures)} Tokens that live longer cost less in proportion.`,
    `## What drives it

${driversTable(figures)}

${fixedPart(figures)}

Refreshing costs ${usd(figures.costPerMillionUsd)} for a million at the largest size. Lambda bills the waiting as well as the work, and a
batch of ${stack.refreshBatchSize} waits once for all of its calls; so most of what is billed there is work on CPU: ${billedWork(figures)}.`,
    `## Does it keep up

${capacityTable(figures)}

All figures are means over a month; the work comes in bursts after each scan. Results are committed as they arrive, and
those that arrive during a commit go together in the next. The lower number of statements is what that came to here;
the higher one is a statement for each result, which slow functions and a fast Postgres come close to.`,
    `## Idle

Deployed, with no integrations and no providers.

${idleTable(figures)}

A scan every ${stack.scanIntervalMinutes} minutes keeps Aurora awake: pausing needs five minutes without a connection, and what was paused
takes 15 s to resume. So its smallest capacity is billed all the time, whatever its minimum. An existing Postgres costs
nothing more, as long as it has room for a scan.`,
    `## Cheaper, and dearer

What a change does to the monthly total${figures.levers.some((lever) => lever.fallsBehind.includes(true)) ? '; † means that refreshes would not keep up at that size' : ''}.

${leversTable(figures)}`,
    `## Assumptions

${assumptionsTable()}

Custom metrics are counted as if each were written in every hour; CloudWatch bills only the hours in which one was,
and those of failures are rarer.

Not reckoned with: ${coldStarts(figures)}, the emails of alarms, what CloudFormation and the migrator do at a deployment, taxes, support, and other Regions' prices. KMS costs
nothing here: queues and secrets use AWS's own keys, and tokens are sealed with a key that is read once in five
minutes. EventBridge does not charge for scheduled rules.`,
    `## Measured

${measuredTable(figures)}

How durations are carried over to Lambda: CPU time was measured apart from waiting. It is multiplied by
${assumptionTable.coreSlowdown.value} for a slower core and by ${assumptionTable.memoryMbOfOneCore.value} MB over the function's memory for its share of that core; waiting for providers,
Postgres, SQS, Secrets Manager and SES comes from the assumptions, as here they are next door. One thread serves all
calls of a batch, so it computes for some while it waits for others. ${checkSentence(figures)}
\`npm run cost -- --measure\` measures anew.`,
    `## Prices

US dollars, us-east-1, on demand. *Second-hand*: AWS's own page shows the figure by a script and could not be read, so
that it rests on others who quote it.

${pricesTable(figures)}`,
  ];
  return `${sections.map(wrapped).join('\n\n')}\n`;
}

const lineWidth = 118;

/** Wraps the paragraphs of a section; headings and tables stay. */
function wrapped(section: string): string {
  return section
    .split('\n\n')
    .map((block) => (/^[#|]/.test(block) ? block : wrap(block)))
    .join('\n\n');
}

function wrap(paragraph: string): string {
  let line = '';
  const done: string[] = [];
  for (const word of paragraph.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > lineWidth) {
      done.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...done, line].join('\n');
}

function monthTable({ estimates, basis }: Figures): string {
  const { existing, aurora } = estimates;
  const vpc = estimates['aurora-vpc'];
  const ofGroup = (each: Estimate, group: Group) =>
    each.lines.filter((line) => line.group === group).reduce((sum, line) => sum + line.usd, 0);
  const row = (name: string, value: (each: Estimate, index: number) => string) => [
    name,
    ...existing.map(value),
  ];
  const fromOutside = (each: Estimate) => costUsd(basis.prices.dataOut, each.databaseGb.sent);
  return table(
    ['integrations', ...sizes.map(count)],
    [
      row('refreshes', ({ refreshesPerMonth }) => count(refreshesPerMonth)),
      ...groups
        .filter((group) => group !== 'Database')
        .map((group) => row(group, (each) => usd(ofGroup(each, group)))),
      row(`**Total with ${modeNames.existing}**`, ({ totalUsd }) => `**${usd(totalUsd)}**`),
      row('for a million refreshes', ({ costPerMillionUsd }) => usd(costPerMillionUsd ?? 0)),
      row('free tiers take off at most', ({ freeUsd }) => usd(freeUsd)),
      row('if that Postgres is outside AWS, more for traffic', (each) => usd(fromOutside(each))),
      row(`Aurora's part`, (_, index) => usd(ofGroup(aurora[index]!, 'Database'))),
      row(`**Total with ${modeNames.aurora}**`, (_, index) => `**${usd(aurora[index]!.totalUsd)}**`),
      row("Aurora's, NAT gateways' and addresses' part", (_, index) => usd(ofGroup(vpc[index]!, 'Database'))),
      row(`**Total with ${modeNames['aurora-vpc']}**`, (_, index) => `**${usd(vpc[index]!.totalUsd)}**`),
    ],
  );
}

function driversTable({ estimates }: Figures): string {
  const shown = 5;
  const ranked = estimates.existing.map((each) =>
    each.lines.toSorted((a, b) => b.usd - a.usd).slice(0, shown),
  );
  return table(
    ['', ...sizes.map((size) => `${count(size)} integrations`)],
    Array.from({ length: shown }, (_, rank) => [
      `${rank + 1}.`,
      ...ranked.map((lines, index) => {
        const line = lines[rank];
        if (!line) return '';
        return `${line.what}: ${usd(line.usd)} (${percent(line.usd / estimates.existing[index]!.totalUsd)})`;
      }),
    ]),
    1 + sizes.length,
  );
}

/** How much oftener than hourly a token is refreshed that lives an hour. */
function hourlyTokens({ basis: { stack } }: Figures): string {
  const earliest = 60 - stack.refreshWindowMinutes;
  const latest = earliest + stack.scanIntervalMinutes;
  const more = 60 / ((earliest + latest) / 2) - 1;
  return `Tokens that live an hour are refreshed every ${earliest} to ${latest} minutes, as they are due ${stack.refreshWindowMinutes} minutes before they expire and a
scan finds them within ${stack.scanIntervalMinutes}: add ${percent(more)} to what refreshes cost.`;
}

/** What starting environments anew would come to, if it were often and slow. */
function coldStarts({ basis: { stack, assumptions, prices } }: Figures): string {
  const seconds = 2;
  const gbSeconds =
    stack.maxConcurrency * assumptions.hoursPerMonth * seconds * (stack.memoryMb.refresher / 1024);
  return `cold starts (${usd(costUsd(prices.lambdaGbSeconds, gbSeconds))} if ${stack.maxConcurrency} refreshers started anew each hour and took ${seconds} s for it)`;
}

/** What is there before the first refresh. */
function fixedPart({ idle, basis: { prices, measured } }: Figures): string {
  const ofProvider = prices.secrets.usd + measured.metrics.perProvider * prices.customMetrics.usd;
  return `Before the first refresh there are ${usd(idle.existing.totalUsd)} for what is [idle](#idle) and ${usd(ofProvider)} for each provider, a secret and
${measured.metrics.perProvider} metrics. A small system pays for little else.`;
}

/** What of a full batch is waiting, what refreshing, and what TLS, in words. */
function billedWork({ basis, estimates }: Figures): string {
  const { measured, assumptions, stack } = basis;
  const { messagesPerInvocation: messages, billedMs } = estimates.existing.at(-1)!;
  const factor =
    (assumptions.coreSlowdown * assumptions.memoryMbOfOneCore) /
    Math.min(stack.memoryMb.refresher, assumptions.memoryMbOfOneCore);
  const work = at(measured.refresher.cpuMs, messages) * factor;
  const tls = messages * measured.call.tlsCpuMs * assumptions.newConnectionShare * factor;
  return `of the ${ms(billedMs.refresher)} that a full batch is reckoned at, ${ms(work)} go to reading, sealing, storing and logging, and ${ms(tls)} to TLS handshakes`;
}

/** Refreshers work off a scan in parallel, so that more of them need less time in proportion. */
function keepsUp(estimate: Estimate, basis: Basis): string {
  if (!fallsBehind(estimate, basis)) return 'yes';
  const { stack } = basis;
  const needed = Math.ceil(
    (stack.maxConcurrency * estimate.workOffSeconds) / (stack.scanIntervalMinutes * 60),
  );
  const more = { ...basis, stack: { ...stack, maxConcurrency: needed } };
  const quicker = { ...estimate, workOffSeconds: (estimate.workOffSeconds * stack.maxConcurrency) / needed };
  return fallsBehind(quicker, more) ? 'no' : `from \`maxConcurrency=${needed}\``;
}

function capacityTable({ estimates, basis }: Figures): string {
  const { stack } = basis;
  const intervalSeconds = stack.scanIntervalMinutes * 60;
  const row = (name: string, value: (each: Estimate) => string) => [name, ...estimates.existing.map(value)];
  return table(
    ['integrations', ...sizes.map(count)],
    [
      row('refreshes a second', (each) => significant(each.refreshesPerSecond)),
      row(`a scan lasts (of ${stack.timeoutSeconds.scanner} s)`, ({ billedMs }) => ms(billedMs.scanner)),
      row('refreshes in an invocation', (each) => significant(each.messagesPerInvocation)),
      row(`an invocation of the refresher lasts (of ${stack.timeoutSeconds.refresher} s)`, ({ billedMs }) =>
        ms(billedMs.refresher),
      ),
      row(
        `${stack.maxConcurrency} refreshers at most work off a scan in (of ${intervalSeconds} s)`,
        ({ workOffSeconds }) => ms(workOffSeconds * 1000),
      ),
      row('does it keep up', (each) => keepsUp(each, basis)),
      row(
        'statements a second at Postgres',
        ({ statementsPerSecond: { measured, most } }) => `${significant(measured)} to ${significant(most)}`,
      ),
      ['capacity for Aurora (ACU)', ...estimates.aurora.map(({ acu }) => significant(acu ?? 0))],
    ],
  );
}

function idleTable({ idle }: Figures): string {
  const modes = databaseModes.map((mode) => idle[mode]);
  const names = [...new Set(modes.flatMap(({ lines }) => lines.map(({ what }) => what)))];
  const ofLine = (each: Estimate, name: string) => each.lines.find(({ what }) => what === name)?.usd;
  return table(
    ['', ...databaseModes.map((mode) => modeNames[mode])],
    [
      ...names.map((name) => [
        name,
        ...modes.map((each) => {
          const amount = ofLine(each, name);
          return amount === undefined ? '' : usd(amount);
        }),
      ]),
      ['**Total**', ...modes.map(({ totalUsd }) => `**${usd(totalUsd)}**`)],
      ['free tiers take off at most', ...modes.map(({ freeUsd }) => usd(freeUsd))],
    ],
  );
}

function leversTable({ levers }: Figures): string {
  return table(
    ['change', 'how', ...sizes.map(count)],
    levers.map(({ what, how, effectUsd, fallsBehind: behind }) => [
      what,
      how,
      ...effectUsd.map((amount, index) => `${signedUsd(amount)}${behind[index] ? ' †' : ''}`),
    ]),
    2,
  );
}

function assumptionsTable(): string {
  return table(
    ['taken', 'for', 'why'],
    Object.values(assumptionTable).map(({ value, unit, why }) => [
      value < 0.1 ? percent(value) : value.toLocaleString('en-US'),
      unit,
      why,
    ]),
    3,
  );
}

function measuredTable({ basis: { measured } }: Figures): string {
  const {
    setup,
    machine,
    scanner,
    refresher,
    notifier,
    sqs,
    database,
    call,
    metrics,
    secretReads,
    deadGrant,
  } = measured;
  const line = ({ base, perUnit }: { base: number; perUnit: number }, unit: string, of: string) =>
    `${significant(base)} ${unit}, and ${significant(perUnit)} for each ${of}`;
  return table(
    ['what', 'figure'],
    [
      ['machine', `${machine.cpu}, ${machine.cores} cores, Node ${machine.node.replace('v', '')}`],
      [
        'set-up',
        `${count(setup.integrations)} integrations at ${setup.providers} providers that answer after ${setup.typicalCallMs} ms, one call in ${Math.round(1 / setup.slowShare)} after ${setup.slowCallMs} ms; ${count(setup.refreshes)} refreshes in full batches`,
      ],
      ['scanner: CPU', line(scanner.cpuMs, 'ms', 'thousand claimed')],
      ['scanner: duration here', line(scanner.durationMs, 'ms', 'thousand claimed')],
      ['refresher: CPU', line(refresher.cpuMs, 'ms', 'message')],
      ['refresher: log', line(refresher.logBytes, 'bytes', 'message')],
      [
        'refresher: log line of a success, of a failure',
        `${significant(refresher.successLineBytes)} and ${significant(refresher.failureLineBytes)} bytes`,
      ],
      ['refresher: statements', line(refresher.statements, 'an invocation', 'message')],
      ['refresher: fullness of batches', percent(refresher.fullBatchShare)],
      [
        'notifier, for an event',
        `${significant(notifier.cpuMs)} ms of CPU, ${significant(notifier.logBytes)} bytes of log, ${significant(notifier.statements)} statements`,
      ],
      [
        'a dead grant',
        `${significant(deadGrant.failedRefreshes)} failed refreshes, ${significant(deadGrant.events)} threshold events, ${significant(deadGrant.emails)} email`,
      ],
      [
        'SQS requests for a refresh',
        `${significant(sqs.sends)} sends, ${significant(sqs.receives)} receives, ${significant(sqs.deletes)} deletes`,
      ],
      [
        'secrets that an environment reads',
        `scanner ${significant(secretReads.scanner)}, refresher ${significant(secretReads.refresher)} and one for each provider, notifier ${significant(secretReads.notifier)}`,
      ],
      [
        'custom metrics',
        `${metrics.ofScans} of scans, ${metrics.perProvider} of each provider (with every class of failure), ${metrics.others} of failures and notifications`,
      ],
      ['statements for a refresh, all stages', significant(database.statementsPerRefresh)],
      [
        'Postgres, for a refresh',
        `${significant(database.cpuMsPerRefresh)} ms of CPU, ${significant(database.walBytesPerRefresh)} bytes of write-ahead log, ${significant(database.sentBytesPerRefresh)} bytes to it and ${significant(database.receivedBytesPerRefresh)} from it`,
      ],
      ['Postgres, for an integration', `${significant(database.bytesPerIntegration)} bytes with indexes`],
      [
        'a call to a token endpoint',
        `${significant(call.requestBytes)} bytes out, ${significant(call.responseBytes)} in; a TLS handshake ${significant(call.tlsCpuMs)} ms of CPU, ${significant(call.tlsSentBytes)} bytes out, ${significant(call.tlsReceivedBytes)} in`,
      ],
    ],
    2,
  );
}

/** How well the model's formula for a batch meets what a batch took here. */
function checkSentence({ basis: { measured } }: Figures): string {
  const { refresher } = measured;
  const reckoned = slowCallEndsMs(
    refresher.fullBatchSlowestCallMs,
    at(refresher.cpuMs, refresher.fullBatchMessages),
    at(refresher.cpuMs, 1),
  );
  return `Here a full batch took ${ms(refresher.fullBatchDurationMs)} (median) with a slowest call of ${ms(refresher.fullBatchSlowestCallMs)}; the model's formula
makes ${ms(reckoned)} of that call and the CPU time.`;
}

function pricesTable({ basis: { prices } }: Figures): string {
  return table(
    ['what', 'price', 'free in a month', 'source'],
    Object.values(prices).map(({ name, unit, usd: price, tiers, free, source, secondHand }) => {
      const scale = price < 0.001 ? 1_000_000 : 1;
      const per = scale === 1 ? unit : `million ${unit}${unit.endsWith('s') ? '' : 's'}`;
      const next = tiers?.[1] === undefined ? '' : `, $${tiers[1].usd} above ${count(tiers[0]!.upTo)}`;
      return [
        name,
        `$${Number((price * scale).toPrecision(8))} per ${per}${next}`,
        free === 0 ? '' : count(free),
        `${source}${secondHand ? ' (second-hand)' : ''}`,
      ];
    }),
    4,
  );
}

/** A table of Markdown; columns from `textColumns` on are aligned to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[], textColumns = 1): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, index) => (index < textColumns ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function usd(amount: number): string {
  if (amount === 0) return '$0';
  if (amount < 0.005) return '< $0.01';
  const digits = amount < 100 ? 2 : 0;
  return `$${amount.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

function signedUsd(amount: number): string {
  if (Math.abs(amount) < 0.005) return '0';
  return `${amount < 0 ? '−' : '+'}${usd(Math.abs(amount))}`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function significant(value: number): string {
  if (value >= 1000) return count(value);
  return String(Number(value.toPrecision(value >= 100 ? 3 : 2)));
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))} %`;
}

function ms(value: number): string {
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} s`;
}
