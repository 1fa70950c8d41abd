/** A quantity that grows with another: `base` for none, and `perUnit` more for each. */
export interface Line {
  readonly base: number;
  readonly perUnit: number;
}

export interface Point {
  readonly units: number;
  readonly value: number;
}

/**
 * The line of least squares through points; a quantity that cannot be negative gets no negative base. Throws
 * when all points have the same number of units, as they then say nothing of the slope.
 */
export function fitLine(points: readonly Point[]): Line {
  const meanUnits = mean(points.map(({ units }) => units));
  const meanValue = mean(points.map(({ value }) => value));
  let covariance = 0;
  let variance = 0;
  for (const { units, value } of points) {
    covariance += (units - meanUnits) * (value - meanValue);
    variance += (units - meanUnits) ** 2;
  }
  if (variance === 0) throw new RangeError('the points need at least two different numbers of units');
  const perUnit = covariance / variance;
  const base = meanValue - perUnit * meanUnits;
  if (base >= 0) return { base, perUnit };
  // Through the origin.
  const squares = points.reduce((sum, { units }) => sum + units * units, 0);
  return { base: 0, perUnit: points.reduce((sum, { units, value }) => sum + units * value, 0) / squares };
}

export function at({ base, perUnit }: Line, units: number): number {
  return base + perUnit * units;
}

export function mean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('there is nothing to take the mean of');
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length === 0) throw new RangeError('there is nothing to take the median of');
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
