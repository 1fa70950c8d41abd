import { table } from '../../cli/table.ts';
import type { Goal, Measure, Outcome } from './measure.ts';

/** What the figures were taken on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  /** YYYY-MM-DD. */
  readonly date: string;
}

/** A measure that was taken. */
export interface Taken {
  readonly measure: Measure;
  readonly outcome: Outcome;
}

/** A measure that could not be taken, and why. */
export interface Failed {
  readonly measure: Measure;
  readonly message: string;
}

export interface TableStyle {
  /** Characters in a line at most, where words can be told apart. */
  readonly width: number;
  styled(format: 'green' | 'red' | 'bold' | 'dim', text: string): string;
}

/** `null`: there is no goal. */
export function isMet(goal: Goal | null, value: number): boolean | null {
  if (goal === null) return null;
  return (
    value >= (goal.atLeast ?? Number.NEGATIVE_INFINITY) && value <= (goal.atMost ?? Number.POSITIVE_INFINITY)
  );
}

/** For machines: the figures by their keys, then all that is known of them. */
export function documentOf(machine: Machine, taken: readonly Taken[], failed: readonly Failed[]): object {
  return {
    ...Object.fromEntries(taken.map(({ measure, outcome }) => [measure.key, outcome.value])),
    machine,
    measures: taken.map(
      ({ measure: { name, key, what, unit, goal }, outcome: { value, spread, facts } }) => ({
        name,
        key,
        what,
        value,
        unit,
        spread,
        goal,
        met: isMet(goal, value),
        facts,
      }),
    ),
    failed: failed.map(({ measure: { name, key }, message }) => ({ name, key, message })),
  };
}

/** One figure in a line, as it is taken. */
export function lineOf({ measure: { key, unit, goal }, outcome: { value, spread } }: Taken): string {
  const met = isMet(goal, value);
  return [
    `${key} ${rounded(value)}${unit && ` ${unit}`}`,
    spread && ` (${rounded(spread[0])} … ${rounded(spread[1])})`,
    met !== null && `, ${goalText(goal)}: ${met ? 'met' : 'missed'}`,
  ]
    .filter(Boolean)
    .join('');
}

/** For people: the figures as a table, what each is made of, and the machine. */
export function tableOf(machine: Machine, taken: readonly Taken[], { width, styled }: TableStyle): string {
  const rows = taken.map(({ measure: { key, goal, unit }, outcome: { value, spread } }) => {
    const met = isMet(goal, value);
    return [
      styled('bold', key),
      `${rounded(value)}${unit && ` ${unit}`}`,
      spread === null ? '' : `${rounded(spread[0])} … ${rounded(spread[1])}`,
      goalText(goal),
      met === null ? '' : met ? styled('green', '✓ met') : styled('red', '✗ missed'),
    ];
  });
  const [titles = '', ...lines] = table(
    [
      { title: 'figure' },
      { title: 'value', align: 'right' },
      { title: 'least … most' },
      { title: 'goal' },
      { title: '' },
    ],
    rows,
  );
  const details = taken.flatMap(({ measure: { key, what }, outcome: { facts } }) => [
    '',
    ...broken(`${key}: ${what}`, width, 0).map((line) => line.replace(key, styled('bold', key))),
    ...wrapped(factsOf(facts), width).map((line) => styled('dim', line)),
  ]);
  const { cpu, cores, node, date } = machine;
  return `${[
    styled('dim', titles),
    ...lines,
    ...details,
    '',
    `${cpu}, ${cores} cores, Node ${node}, ${date}`,
  ].join('\n')}\n`;
}

function goalText(goal: Goal | null): string {
  if (goal === null) return '';
  return [
    goal.atLeast !== undefined && `at least ${rounded(goal.atLeast)}`,
    goal.atMost !== undefined && `at most ${rounded(goal.atMost)}`,
  ]
    .filter(Boolean)
    .join(', ');
}

/** Three digits are what a figure of a machine is good for; whole numbers keep theirs. */
function rounded(value: number): string {
  const digits = Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(3));
  return digits.toLocaleString('en-US', { maximumFractionDigits: 6 });
}

/** Each fact in words. */
function factsOf(facts: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(facts).map(([name, value]) => `${wordsOf(name)}: ${textOf(value)}`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join(' · ');
  if (isRecord(value)) {
    return Object.entries(value)
      .map(([name, of]) => `${wordsOf(name)} ${isRecord(of) ? `(${textOf(of)})` : textOf(of)}`)
      .join(', ');
  }
  return typeof value === 'number' ? rounded(value) : String(value ?? '—');
}

const abbreviations: Readonly<Record<string, string>> = { cpu: 'CPU', mb: 'MB', rss: 'RSS', usd: '$' };

/** `batchCpuMs` as people read it: `batch CPU ms`. */
function wordsOf(name: string): string {
  return name
    .replaceAll(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z]{2})(?=[0-9])/g, ' ')
    .split(' ')
    .map((word) => abbreviations[word.toLowerCase()] ?? word.toLowerCase())
    .join(' ');
}

/** One after another in indented lines, each fact unbroken where it fits into a line, and broken at its spaces otherwise. */
function wrapped(facts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const [index, fact] of facts.entries()) {
    const text = index < facts.length - 1 ? `${fact};` : fact;
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + text.length <= width) lines.splice(-1, 1, `${line} ${text}`);
    else lines.push(...broken(text, width));
  }
  return lines;
}

/** Its first line is indented so far, the others two characters more. */
function broken(text: string, width: number, indent = 2): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === undefined) lines.push(`${' '.repeat(indent)}${word}`);
    else if (line.length + 1 + word.length <= width) lines.splice(-1, 1, `${line} ${word}`);
    else lines.push(`${' '.repeat(indent + 2)}${word}`);
  }
  return lines;
}
