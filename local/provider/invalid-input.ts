/** Input to a switch that cannot be used. The message names the field and the fix; over HTTP it is a 400. */
export class InvalidInputError extends Error {
  override name = 'InvalidInputError';
  /** Path of the offending field in the input, such as `faults[1].answer.status`. */
  readonly field: string;

  constructor(field: string, fix: string) {
    super(`${field} ${fix}`);
    this.field = field;
  }
}

/** Whether a parsed JSON value is an object with fields (neither an array nor null). */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns `value` as an object having none but the `allowed` fields. Throws InvalidInputError. */
export function requireRecord(
  value: unknown,
  field: string,
  allowed: readonly string[],
): Record<string, unknown> {
  if (!isRecord(value)) {
    throw new InvalidInputError(field, `must be a JSON object with the fields ${allowed.join(', ')}`);
  }
  const unknownField = Object.keys(value).find((key) => !allowed.includes(key));
  if (unknownField !== undefined) {
    throw new InvalidInputError(`${field}.${unknownField}`, `is unknown; use ${allowed.join(', ')}`);
  }
  return value;
}

/** Returns `value` as a whole number from `min` to `max`. Throws InvalidInputError. */
export function requireInteger(value: unknown, field: string, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new InvalidInputError(field, `must be a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Returns `value` as a string that is not empty. Throws InvalidInputError. */
export function requireText(value: unknown, field: string): string {
  if (typeof value !== 'string' || value.length === 0) {
    throw new InvalidInputError(field, 'must be a string that is not empty');
  }
  return value;
}
