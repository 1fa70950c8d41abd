import type { Rig } from './rig.ts';

/** A bound that the figure is held to. */
export interface Goal {
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** What a measure came to. */
export interface Outcome {
  /** The figure: the median, where it was taken several times. */
  readonly value: number;
  /** The least and the most of the repetitions; `null`: it is counted, not timed, or was taken once. */
  readonly spread: readonly [least: number, most: number] | null;
  /** What it is made of, for people and machines: names carry their units. */
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface MeasureContext {
  /** Smaller sizes and fewer repetitions: a look, not a proof. */
  readonly quick: boolean;
  readonly onProgress: (step: string) => void;
  readonly signal: AbortSignal;
  /** The running system; started for the first measure that asks, and shared. */
  rig(): Promise<Rig>;
}

export interface Measure {
  /** For `--only`. */
  readonly name: string;
  /** Of the figure in the JSON document. */
  readonly key: string;
  /** For people, one line. */
  readonly what: string;
  readonly unit: string;
  readonly goal: Goal | null;
  run(context: MeasureContext): Promise<Outcome>;
}

/** Runs both sides of a comparison in turn, so that what else the machine does meets both; ratios are taken pair by pair. */
export async function sideBySide<Side>(
  repetitions: number,
  ours: () => Promise<Side>,
  reference: () => Promise<Side>,
): Promise<{ readonly ours: Side[]; readonly reference: Side[] }> {
  const sides = { ours: [] as Side[], reference: [] as Side[] };
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    sides.reference.push(await reference());
    sides.ours.push(await ours());
  }
  return sides;
}

/** Of as many ratios as there are pairs. */
export function ratioOf(
  ours: readonly number[],
  reference: readonly number[],
): Pick<Outcome, 'value' | 'spread'> {
  return figureOf(ours.map((value, index) => value / (reference[index] ?? Number.NaN)));
}

export function figureOf(values: readonly number[]): Pick<Outcome, 'value' | 'spread'> {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const value = ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
  const [least, most] = [sorted[0], sorted.at(-1)];
  return { value, spread: least === undefined || most === undefined ? null : [least, most] };
}
